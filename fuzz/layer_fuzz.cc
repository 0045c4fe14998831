// The root of a hostile guest as a layer: any stream gives an error, or a layer that stays below
// its root, passes through none of its links and is taken again as it is.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "archive/layer.h"
#include "base/check.h"
#include "sys/files.h"
#include "tar_checksums.h"

namespace {

using namespace pyro;

sys::UniqueFd MemoryOf(std::string_view bytes) {
  sys::UniqueFd fd(::memfd_create("layer", MFD_CLOEXEC));
  PYRO_CHECK(sys::WriteAll(fd.get(), bytes).ok() && ::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 != 0) bytes = WholeArchive(std::move(bytes));
  archive::LayerRules rules;
  rules.emptied = {"proc", "a"};
  rules.edits = {{"etc/hosts", [](const std::string& was) { return was.substr(0, 3); }},
                 {"b", [](const std::string&) { return std::optional<std::string>(); }}};
  rules.stamped = {"", "etc"};
  archive::Operation operation;
  operation.max_bytes = 1 << 20;
  const sys::UniqueFd in = MemoryOf(bytes);
  const sys::UniqueFd out = MemoryOf("");
  const auto layer = archive::CopyLayer(in.get(), out.get(), rules, operation);
  if (!layer) return 0;
  PYRO_CHECK(layer->left_out.size() <= 101);
  // What was taken once is taken again, and nothing of it is left out any more.
  PYRO_CHECK(::lseek(out.get(), 0, SEEK_SET) == 0);
  const sys::UniqueFd again = MemoryOf("");
  const auto twice = archive::CopyLayer(out.get(), again.get(), rules, {});
  PYRO_CHECK(twice.ok() && twice->left_out.empty());
  return 0;
}
