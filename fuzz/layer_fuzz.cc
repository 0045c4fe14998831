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

namespace {

using namespace pyro;

constexpr std::size_t kBlock = 512;

// Sums that a fuzzer would not find: of every block that could be a header.
std::string WithChecksums(std::string bytes) {
  bytes.resize((bytes.size() + kBlock - 1) / kBlock * kBlock);
  for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
    if (std::string_view(bytes).substr(at + 257, 5) != "ustar") continue;
    bytes.replace(at + 148, 8, 8, ' ');
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(bytes[at + i]);
    for (int digit = 5; digit >= 0; --digit, sum /= 8) {
      bytes[at + 148 + static_cast<std::size_t>(digit)] = static_cast<char>('0' + sum % 8);
    }
  }
  return bytes + std::string(2 * kBlock, '\0');
}

sys::UniqueFd MemoryOf(std::string_view bytes) {
  sys::UniqueFd fd(::memfd_create("layer", MFD_CLOEXEC));
  PYRO_CHECK(sys::WriteAll(fd.get(), bytes).ok() && ::lseek(fd.get(), 0, SEEK_SET) == 0);
  return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 4 != 0) bytes = WithChecksums(std::move(bytes));
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
