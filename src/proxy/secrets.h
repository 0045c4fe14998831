// Puts secrets into heads of requests, and hides them in answers. Pure. The guest has a placeholder
// for each; it writes the heads, and a server writes the answers.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/mask.h"
#include "proxy/handler.h"
#include "proxy/secret.h"

namespace pyro::proxy {

// What was done to a head.
struct PutIn {
  enum class Kind {
    kNothing,    // No placeholder is in it.
    kDone,       // Each has become its value.
    kElsewhere,  // One is for another host; the head is unchanged.
    kPlain,      // The connection is not in TLS; the head is unchanged.
    kPlace,      // One is not in a value of a field; the head is unchanged.
    kTooLong,    // With the values it has more than kMaxHeadBytes; the head is unchanged.
  } kind = Kind::kNothing;
  std::string name;  // Of the secret.
};

class Secrets {
 public:
  explicit Secrets(std::vector<Secret> secrets);

  // Of a request to `origin`. Credentials that a client encodes for Basic authentication are looked
  // into as well.
  PutIn PutInto(const Origin& origin, RequestHead& head);

  // The name of a secret whose placeholder is in these bytes; empty: of none.
  std::string_view PlaceholderIn(std::string_view bytes) const;
  std::size_t longest_placeholder() const { return longest_placeholder_; }

  bool HasHost(const Origin& origin) const;
  bool empty() const { return secrets_.empty(); }

  // What answers must not have: the values, as they are, as text of JSON and in base64.
  const Mask& mask() const { return mask_; }

 private:
  const Secret* FindIn(std::string_view text) const;
  std::string Filled(std::string_view text, bool* changed) const;

  std::vector<Secret> secrets_;
  Mask mask_;
  std::size_t longest_placeholder_ = 0;
};

}  // namespace pyro::proxy
