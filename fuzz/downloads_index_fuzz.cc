// The files of the index and of the routes: any text is one or an error, and is read back as it was
// written.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "downloads/entry.h"
#include "downloads/routes.h"
#include "downloads/sha256.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::downloads;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto entry = ParseEntry(text)) {
    PYRO_CHECK(IsSha256(entry->sha256));
    const auto again = ParseEntry(FormatEntry(*entry));
    PYRO_CHECK(again.ok() && *again == *entry);
  }
  if (const auto routes = Routes::Parse(text)) {
    const auto again = Routes::Parse(routes->Format());
    PYRO_CHECK(again.ok() && again->all() == routes->all());
  }
  return 0;
}
