// Headers of guests and of servers: any value has a meaning or none, and a part lies in its whole.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "downloads/headers.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::downloads;
  if (size == 0) return 0;
  const std::uint64_t whole = data[0];
  const std::string value(reinterpret_cast<const char*>(data + 1), size - 1);
  for (const std::uint64_t bytes : {whole, UINT64_MAX}) {
    const AskedRange asked = ReadRange(value, bytes);
    PYRO_CHECK(!asked.part || (asked.part->first <= asked.part->last && asked.part->last < bytes));
    PYRO_CHECK(!asked.part || !asked.impossible);
  }
  const CacheControl control = ReadCacheControl({{"Cache-Control", value}, {"Pragma", value}});
  PYRO_CHECK(!control.max_age ||
             (control.max_age->count() >= 0 && control.max_age->count() <= 365L * 24 * 3600));
  static_cast<void>(ParseHttpDate(value));
  const std::string date = "Sun, 06 Nov 1994 08:49:37 GMT";
  static_cast<void>(ClientHasIt({{"If-None-Match", value}}, "\"a\"", date));
  static_cast<void>(ClientHasIt({{"If-Modified-Since", value}}, "\"a\"", date));
  static_cast<void>(ClientHasIt({{"If-Modified-Since", date}}, "", value));
  static_cast<void>(MaySendPart({{"If-Range", value}}, value, value));
  return 0;
}
