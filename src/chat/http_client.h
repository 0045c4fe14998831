// One HTTP request to an endpoint. The only place that knows Beast and TLS on the client's side.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "chat/url.h"
#include "pyro/result.h"

namespace pyro::chat {

struct HttpResponse {
  int status = 0;
  std::string body;
};

struct PostOptions {
  std::string bearer;  // Sent as a token, or empty.
  std::size_t max_body_bytes = 4 * 1024 * 1024;
  std::chrono::seconds limit{600};  // For all of it: models think long.
  int cancel_fd = -1;               // Becoming readable ends the request. Borrowed.
};

// POSTs JSON and returns the answer, with any status. It follows no redirect and uses no proxy.
// With TLS the certificate must be valid for the host by the system's authorities. kUnavailable: no
// process listens, or the connection broke. kTimedOut. kCancelled. kProtocol: the answer is not
// HTTP. kLimit: it is longer than max_body_bytes.
Result<HttpResponse> PostJson(const Url& url, const std::string& body, const PostOptions& options);

}  // namespace pyro::chat
