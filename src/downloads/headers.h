// What the cache reads in the headers of requests and responses. Pure.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"

namespace pyro::downloads {

using Headers = std::vector<std::pair<std::string, std::string>>;

// The values of all headers of this name, joined by ", "; nullopt: there is none. Names are
// compared without case.
std::optional<std::string> FindHeader(const Headers& headers, std::string_view name);

struct CacheControl {
  bool no_store = false;
  bool no_cache = false;
  bool is_private = false;
  std::optional<std::chrono::seconds> max_age;  // At most a year.

  friend bool operator==(const CacheControl&, const CacheControl&) = default;
};
// Also Pragma: no-cache. What it does not know counts for nothing.
CacheControl ReadCacheControl(const Headers& headers);

// The form of RFC 9110 that servers must write: "Sun, 06 Nov 1994 08:49:37 GMT".
std::optional<WallTime> ParseHttpDate(std::string_view text);

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // Inclusive, less than the size.

  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};
struct AskedRange {
  std::optional<ByteRange> part;  // nullopt: all of it.
  bool impossible = false;        // It is behind the end: 416.
};
// A range with more than one part, or of another unit, is answered with all of it.
AskedRange ReadRange(std::string_view value, std::uint64_t size);

// Whether If-None-Match or, without one, If-Modified-Since says that the client has it.
bool ClientHasIt(const Headers& request, std::string_view etag, std::string_view last_modified);

// Whether If-Range allows a part to be sent; also without that header.
bool MaySendPart(const Headers& request, std::string_view etag, std::string_view last_modified);

}  // namespace pyro::downloads
