// What a guest tells of its files for a comparison: lists, contents and digests. Any bytes are read
// or refused, and nothing that is read leads out of the directory or beyond a limit.

#include <climits>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "wire/trees.h"

namespace {

using namespace pyro;

void CheckTree(std::string_view text) {
  const auto tree = wire::ReadTree(text);
  if (!tree) {
    PYRO_CHECK(tree.error().code == ErrorCode::kProtocol);
    return;
  }
  std::string written;
  for (const auto& [path, entry] : *tree) {
    for (const std::string_view name : Split(path, '/')) {
      PYRO_CHECK(!name.empty() && name != "." && name != "..");
    }
    PYRO_CHECK(path.find('\0') == std::string::npos && entry.target.size() < PATH_MAX);
    PYRO_CHECK(entry.size >= 0 && entry.mode >= 0 && entry.mode <= 07777);
    written += fmt::format("{} {} {} {} {} {}", entry.type, entry.mode, entry.size, entry.mtime,
                           entry.ctime, entry.inode);
    for (const std::string_view part : {std::string_view(path), std::string_view(entry.target)}) {
      written.append(1, '\0').append(part);
    }
    written += '\0';
  }
  // A path that the list has twice counts once.
  const auto again = wire::ReadTree(written);
  PYRO_CHECK(again.ok() && again->size() == tree->size());
}

void CheckContents(std::string_view text, std::size_t count) {
  const auto contents = wire::ReadContents(text, count);
  if (!contents) return;
  PYRO_CHECK(contents->size() == count);
  std::string written;
  for (const auto& one : *contents) {
    PYRO_CHECK(!one || one->size() <= wire::kMaxShownFile);
    written += one ? fmt::format("{}\n{}", one->size(), *one) : "-\n";
  }
  PYRO_CHECK(written.size() <= text.size() && wire::ReadContents(written, count).ok());
}

void CheckDigests(std::string_view text, std::size_t count) {
  const auto digests = wire::ReadDigests(text, count);
  if (!digests) return;
  PYRO_CHECK(digests->size() == count);
  std::string written;
  for (const auto& one : *digests) written += one ? fmt::format("{}\n", *one) : "-\n";
  PYRO_CHECK(wire::ReadDigests(written, count).ok());
}

}  // namespace

// The first byte says how many answers were asked for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t count = data[0] % 8;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  CheckTree(text);
  CheckContents(text, count);
  CheckDigests(text, count);
  return 0;
}
