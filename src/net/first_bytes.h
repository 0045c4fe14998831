// The name of a host in the first bytes that a client sends: the server name of a TLS ClientHello
// (RFC 6066), or the Host of an HTTP request. Pure.

#pragma once

#include <string>
#include <vector>

#include "net/frames.h"

namespace pyro::net {

// A beginning that is longer and still tells nothing counts as kBad.
inline constexpr std::size_t kMaxFirstBytes = 16 * 1024;

struct FirstLook {
  enum class Kind {
    kMore,    // More bytes are needed.
    kNoName,  // Another protocol, or this one without a name.
    kNames,   // It names a host, or several.
    kBad,     // TLS or HTTP that a server may read in another way.
  };
  Kind kind = Kind::kMore;
  // Canonical (policy.h), or as it was if it is no name, such as an address.
  std::vector<std::string> names;
};

// `bytes` begin with the first one of the connection. The answer for a longer beginning is the
// same, unless it was kMore.
FirstLook LookAtFirstBytes(Frame bytes);

// Its two parts. kNoName: another protocol, too.
FirstLook LookForTls(Frame bytes);
FirstLook LookForHttp(Frame bytes);

}  // namespace pyro::net
