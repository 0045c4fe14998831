// A task's journal and its manifest: any bytes are lines or bad lines, a manifest or an error; the
// commands that come out ascend, and what is written is read back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "state/instance/instance_record.h"
#include "state/journal/journal.h"
#include "state/journal/journal_line.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::state;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JournalReplay replay;
  for (const std::string_view bytes : pyro::Split(text, '\n')) {
    replay.Add(bytes);
    const auto line = ParseJournalLine(bytes);
    if (!line) {
      PYRO_CHECK(line.error().code == pyro::ErrorCode::kDataLoss);
      continue;
    }
    const std::string written = FormatJournalLine(*line);
    PYRO_CHECK(written.find('\n') == std::string::npos);
    const auto again = ParseJournalLine(written);
    PYRO_CHECK(again.ok() && FormatJournalLine(*again) == written);
  }
  std::int64_t before = 0;
  for (const CommandRecord& command :
       std::move(replay).Finish(pyro::InstanceId::FromBits(pyro::InstanceKind::kTask, {}))) {
    PYRO_CHECK(command.sequence > before);
    before = command.sequence;
  }
  if (const auto manifest = ParseTaskManifest(text)) {
    PYRO_CHECK(ParseTaskManifest(FormatTaskManifest(*manifest)).ok());
  }
  (void)ParseKilled(text);
  PYRO_CHECK(ParseDenied(text).size() <= pyro::kMaxDenied);
  return 0;
}
