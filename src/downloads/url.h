// The URL of a download: http or https, checked, and in one spelling, so that equal text means an
// equal URL. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::downloads {

inline constexpr std::size_t kMaxUrlBytes = 2048;

struct Url {
  bool tls = false;
  std::string host;        // A name or an IPv4 address, in lower case, without a dot at its end.
  std::uint16_t port = 0;  // Never 0 in a parsed URL.
  // Begins with '/', in visible ASCII. Escapes of unreserved characters are undone, the others are
  // in upper case. It has no segment "." or "..".
  std::string path;
  std::string query;  // With its '?', or empty.

  // "https://registry.example/a"; the scheme's own port is left out.
  std::string Text() const;
  bool SameServer(const Url& other) const {
    return tls == other.tls && host == other.host && port == other.port;
  }
  friend bool operator==(const Url&, const Url&) = default;
};

// A fragment is cut off. kInvalidArgument: no URL of http or https, one with a user or password, an
// IPv6 address, dot segments, other bytes than visible ASCII, or more than kMaxUrlBytes.
Result<Url> ParseUrl(std::string_view text);

// The URL that a redirect from `from` names: another URL, or a path. kInvalidArgument as above.
Result<Url> FollowUrl(const Url& from, std::string_view location);

}  // namespace pyro::downloads
