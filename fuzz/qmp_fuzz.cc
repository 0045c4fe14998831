// QEMU's monitor: any bytes of a broken machine give a message, a wish for more bytes, or
// kProtocol.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "vmm/qemu/qmp_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyro::vmm::qemu::QmpParser;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // Fed at once and in two parts, the same messages must come out.
  const std::size_t cut = size == 0 ? 0 : data[0] % size;
  QmpParser whole;
  QmpParser parts;
  whole.Feed(bytes);
  parts.Feed(bytes.substr(0, cut));
  parts.Feed(bytes.substr(cut));
  while (true) {
    auto first = whole.Next();
    auto second = parts.Next();
    PYRO_CHECK(first.ok() == second.ok());
    if (!first.ok() || !*first) {
      PYRO_CHECK(!first.ok() || !*second);
      return 0;
    }
    PYRO_CHECK(second->has_value() && (*first)->name == (*second)->name);
  }
}
