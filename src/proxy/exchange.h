// One request of a guest and its answer.

#pragma once

#include <memory>
#include <string>

#include "proxy/connection.h"
#include "proxy/http.h"

namespace pyro::proxy {

class Exchange {
 public:
  // All is borrowed. `guest` is the connection, and `origin` the server that it is for.
  Exchange(Shared& shared, const Origin& origin, Stream& guest)
      : shared_(shared), origin_(origin), guest_(guest) {}

  enum class Next {
    kAgain,        // Another request may follow.
    kNothingCame,  // The guest ended before a request.
    kOver,
  };
  // May be called again after kAgain.
  asio::awaitable<Next> Serve(Inbox& inbox);

 private:
  class Answer;

  std::string Objection(const RequestHead& head, net::Reason* reason) const;
  asio::awaitable<Next> Refuse(unsigned status, std::string sentence);
  asio::awaitable<Next> RefusePlaceholder(const PutIn& put);
  asio::awaitable<Next> Forward(RequestReader& request, RequestHead head, bool filled);
  asio::awaitable<Status> SendBody(RequestReader& request, BodyForm form);
  asio::awaitable<Status> Ask(RequestReader& request, const std::string& head, BodyForm form,
                              std::unique_ptr<ResponseReader>* response, bool without_body);
  asio::awaitable<Next> GiveBack(ResponseReader& response, bool keep_guest, bool without_body,
                                 bool old);
  void Tell(net::Reason reason);

  Shared& shared_;
  const Origin& origin_;
  Stream& guest_;
  std::unique_ptr<Stream> server_;  // Of the last request; may be used again.
  Inbox from_server_;
  bool guest_broke_ = false;  // It ended within a body.
};

}  // namespace pyro::proxy
