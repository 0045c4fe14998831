// The form of a guest's network in the registry.

#pragma once

#include "base/json.h"
#include "wire/messages.h"

namespace pyro::supervisor {

inline Json NetworkJson(const wire::GuestNetwork& network) {
  return {{"mac", network.mac},
          {"address", network.address},
          {"prefix_length", network.prefix_length},
          {"gateway", network.gateway},
          {"dns", network.dns}};
}

}  // namespace pyro::supervisor
