// The certificate authority of one start of a guest. Its key is made here and never leaves the
// process.

#pragma once

#include <boost/asio/ssl/context.hpp>
#include <map>
#include <memory>
#include <string>

#include "pyro/result.h"

namespace pyro::proxy {

class Authority {
 public:
  // kInternal: OpenSSL makes no keys.
  static Result<std::unique_ptr<Authority>> Make();
  ~Authority();

  // What the guest trusts: one certificate in PEM.
  const std::string& certificate() const { return certificate_; }

  // With a certificate for `name`, canonical, made at its first use. Valid as long as this object.
  // kInternal.
  Result<boost::asio::ssl::context*> ContextFor(const std::string& name);

 private:
  struct Keys;
  explicit Authority(std::unique_ptr<Keys> keys, std::string certificate);

  std::unique_ptr<Keys> keys_;
  std::string certificate_;
  std::map<std::string, std::unique_ptr<boost::asio::ssl::context>> contexts_;
};

}  // namespace pyro::proxy
