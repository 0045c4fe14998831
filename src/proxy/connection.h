// One connection of a guest to a server that the proxy serves.

#pragma once

#include <functional>

#include "net/control.h"
#include "proxy/authority.h"
#include "proxy/handler.h"
#include "proxy/secrets.h"
#include "proxy/upstream.h"
#include "sys/unique_fd.h"

namespace pyro::proxy {

// What connections share; all is borrowed.
struct Shared {
  Authority& authority;
  Upstream& upstream;
  Secrets& secrets;
  RequestHandler* handler = nullptr;  // nullptr: there is none.
  // Something was refused, or what was asked for cannot be done.
  std::function<void(const net::Denial&)> tell;
};

// Until one side ends it. `socket` leads to the guest.
asio::awaitable<void> ServeConnection(Shared& shared, sys::UniqueFd socket,
                                      net::GuestConnection what);

}  // namespace pyro::proxy
