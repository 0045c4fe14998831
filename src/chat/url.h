// The address of an HTTP endpoint.

#pragma once

#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::chat {

struct Url {
  bool tls = false;
  std::string host;  // Without the brackets of an IPv6 address.
  std::string port;  // Digits.
  std::string path;  // Begins with '/', or is empty; does not end with '/'.

  // As it stands in a Host header, and with scheme and path for people.
  std::string Authority() const;
  std::string Text() const;

  // An address of this machine: no other machine sees the traffic.
  bool IsLoopback() const;
};

// http:// or https://, a host, perhaps a port and a path, at most 2048 bytes; neither user, query
// nor fragment. kInvalidArgument otherwise.
Result<Url> ParseUrl(std::string_view text);

}  // namespace pyro::chat
