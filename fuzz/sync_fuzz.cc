// The state of a sync, and what goes between the two ends of one, as any bytes.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/checksum.h"
#include "state/sync/sync_states.h"
#include "wire/trees.h"

#include <fmt/format.h>

using namespace pyro;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const state::SyncPair pair = {"/h", "/g"};
  // With a checksum that is right, so that all behind it is reached.
  const auto state = state::ParseSyncState(pair, text + fmt::format("{:016x}\n", Crc64(text)));
  if (state.ok() && state->has_value()) {
    const auto again = state::ParseSyncState(pair, state::SyncStateText(pair, **state));
    PYRO_CHECK(again.ok() && again->has_value() && (*again)->tree.size() == (*state)->tree.size());
  }
  (void)state::ParseSyncState(pair, text);
  if (const auto steps = wire::ReadSteps(text); steps.ok()) {
    for (const TreeStep& step : *steps) {
      PYRO_CHECK(!step.path.empty() && step.path[0] != '/' &&
                 ("/" + step.path + "/").find("/../") == std::string::npos);
    }
    PYRO_CHECK(wire::ReadSteps(wire::WriteSteps(*steps)).ok());
  }
  if (const auto refused = wire::ReadRefusals(text, 5); refused.ok()) {
    PYRO_CHECK(refused->size() <= 5 && wire::ReadRefusals(wire::WriteRefusals(*refused), 5).ok());
  }
  return 0;
}
