// A secret as the proxy uses it.

#pragma once

#include <string>
#include <vector>

#include "net/control.h"

namespace pyro::proxy {

struct Secret {
  std::string name;         // Of the variable in the guest.
  std::string placeholder;  // Not empty.
  std::string value;        // Printable ASCII.
  std::vector<net::ServedHost> hosts;
};

}  // namespace pyro::proxy
