// Connections of the proxy to servers outside.

#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>
#include <utility>

#include "net/policy.h"
#include "proxy/handler.h"

namespace pyro::proxy {

class Upstream : public Fetcher {
 public:
  // `trust` has certificates in PEM of the authorities that count. kInternal: OpenSSL does not
  // start. Certificates that it cannot read are left out.
  static Result<std::unique_ptr<Upstream>> Make(net::Policy policy, net::LocalNetworks local,
                                                std::string_view trust);

  void SetPolicy(net::Policy policy, net::LocalNetworks local) {
    policy_ = std::move(policy);
    local_ = std::move(local);
  }

  // kPermissionDenied: the policy refuses each address of the name, or the certificate is not
  // right. kNotFound: there is no such name. kUnavailable, kTimedOut.
  asio::awaitable<Result<std::unique_ptr<Stream>>> Connect(Origin origin,
                                                           FetchOptions options = {});

  asio::awaitable<Result<std::unique_ptr<Fetched>>> Fetch(Origin origin, RequestHead head,
                                                          FetchOptions options) override;

 private:
  Upstream(net::Policy policy, net::LocalNetworks local);

  net::Policy policy_;
  net::LocalNetworks local_;
  asio::ssl::context context_;
};

}  // namespace pyro::proxy
