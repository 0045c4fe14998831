// Unified diffs of any bytes: one is read or refused, and what is read has names below a directory.
// Applied to any content, and undone again, it gives that content back.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "base/unified_diff.h"

namespace {

using namespace pyro;

void CheckFileName(const std::string& name) {
  PYRO_CHECK(!name.empty() && name.find('\0') == std::string::npos);
  for (const std::string_view part : Split(name, '/')) {
    PYRO_CHECK(!part.empty() && part != "." && part != "..");
  }
}

// The content that the first file of a diff is about, as its hunks have it.
std::string Before(const FileDiff& file) {
  std::string content;
  for (const DiffHunk& hunk : file.hunks) {
    DiffLines lines(hunk);
    for (DiffLine line; lines.Next(line);) {
      PYRO_CHECK(line.sign == ' ' || line.sign == '-' || line.sign == '+');
      if (line.sign != '+') content += line.text;
    }
  }
  return content;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const std::int64_t strip = text.empty() ? 1 : text[0] & 3;
  text += '\n';
  const auto diff = ParseDiff(text, {.strip = strip});
  if (!diff) {
    PYRO_CHECK(!diff.error().message.empty());
    return 0;
  }
  const auto reverse = ParseDiff(text, {.strip = strip, .reverse = true});
  for (std::size_t i = 0; i < diff->files.size(); ++i) {
    const FileDiff& file = diff->files[i];
    CheckFileName(file.old_path);
    CheckFileName(file.new_path);
    const std::string content = Before(file);
    const auto applied = ApplyDiff(file, content);
    if (!applied || !reverse) continue;
    const auto undone = ApplyDiff(reverse->files[reverse->files.size() - 1 - i], applied->content);
    // Lines that are alike may be found at another place; then the length is the same.
    if (undone) PYRO_CHECK(undone->content.size() == content.size());
  }
  return 0;
}
