#include "proxy/exchange.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "base/text.h"

namespace pyro::proxy {
namespace {

using net::Reason;
using Kind = BodyForm::Kind;

constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

bool HostIs(std::string_view host, const Origin& origin) {
  const std::string with_port = fmt::format("{}:{}", origin.name, origin.port);
  return boost::beast::iequals(host, origin.name) || boost::beast::iequals(host, with_port);
}

unsigned StatusOf(const Error& error) {
  return error.code == ErrorCode::kTimedOut           ? 504
         : error.code == ErrorCode::kPermissionDenied ? 403
                                                      : 502;
}

// By its meaning, sent twice it does what it does once.
bool MayBeRepeated(http::verb method) {
  return method == http::verb::get || method == http::verb::head || method == http::verb::options ||
         method == http::verb::put || method == http::verb::delete_ || method == http::verb::trace;
}

std::string SentenceOf(const Error& error) {
  return error.hint.empty() ? error.message : error.message + "; " + error.hint;
}

}  // namespace

// What a handler says, on its way to the guest.
class Exchange::Answer : public Responder {
 public:
  Answer(Stream& guest, bool http_1_0, bool keep) : guest_(guest), old_(http_1_0), keep_(keep) {}

  // The guest may send another request.
  bool keeps() const { return keep_ && ended_; }

  asio::awaitable<Status> SendHead(ResponseHead head, BodyForm form) override {
    RemoveHopFields(head);
    if (form.kind == Kind::kUntilEnd) form = {old_ ? Kind::kUntilEnd : Kind::kChunked, 0};
    if (form.kind == Kind::kChunked && old_) form = {Kind::kUntilEnd, 0};
    form_ = form;
    const unsigned status = head.result_int();
    if (form.kind == Kind::kNone && status != 204 && status != 304) form = {Kind::kLength, 0};
    SetBodyForm(head, form);
    keep_ = keep_ && form.kind != Kind::kUntilEnd;
    if (!keep_) head.set(http::field::connection, "close");
    co_return co_await guest_.Write(HeadText(head));
  }
  asio::awaitable<Status> SendBody(std::string_view piece) override {
    if (piece.empty()) co_return OkStatus();
    co_return co_await WritePiece(guest_, form_, piece);
  }
  asio::awaitable<Status> End() override {
    ended_ = true;
    co_return co_await WriteEnd(guest_, form_);
  }
  asio::awaitable<Status> Refuse(unsigned status, std::string sentence) override {
    keep_ = false;
    co_return co_await guest_.Write(AnswerText(status, sentence));
  }

 private:
  Stream& guest_;
  bool old_;
  bool keep_;
  bool ended_ = false;
  BodyForm form_;
};

void Exchange::Tell(Reason reason) {
  shared_.tell({.reason = reason, .protocol = "tcp", .name = origin_.name, .port = origin_.port});
}

asio::awaitable<Exchange::Next> Exchange::Refuse(unsigned status, std::string sentence) {
  const Status written = co_await guest_.Write(AnswerText(status, sentence));
  (void)written;
  co_return Next::kOver;
}

// Empty: the head is of a request that can be passed on.
std::string Exchange::Objection(const RequestHead& head, Reason* reason) const {
  *reason = Reason::kNotHttp;
  if (head.method() == http::verb::connect) return "a connection through a proxy is not served";
  const auto upgrade = head[http::field::upgrade];
  if (http::token_list(upgrade).exists("websocket")) {
    return "WebSocket does not go through the proxy of secrets";
  }
  if (head.count(http::field::host) != 1 || !HostIs(head[http::field::host], origin_)) {
    *reason = Reason::kOtherName;
    return fmt::format("this connection is for {} alone", origin_.name);
  }
  if (!head.target().starts_with('/') && head.target() != "*") {
    return "the target of a request must be a path";
  }
  return {};
}

asio::awaitable<Exchange::Next> Exchange::RefusePlaceholder(const PutIn& put) {
  if (put.kind == PutIn::Kind::kTooLong) {
    co_return co_await Refuse(431, fmt::format("a head of more than {} bytes with the secret {}",
                                               kMaxHeadBytes, put.name));
  }
  const std::string where = fmt::format("{}:{}", origin_.name, origin_.port);
  std::string sentence;
  Reason reason = Reason::kSecretPlace;
  if (put.kind == PutIn::Kind::kElsewhere) {
    reason = Reason::kSecretElsewhere;
    sentence = fmt::format("the secret {} is not for {}", put.name, where);
  } else if (put.kind == PutIn::Kind::kPlain) {
    reason = Reason::kSecretPlain;
    sentence = fmt::format("the secret {} leaves over TLS alone, and this is plain HTTP", put.name);
  } else {
    sentence = fmt::format(
        "the secret {} is put into values of header fields alone, and this has it elsewhere",
        put.name);
  }
  Tell(reason);
  co_return co_await Refuse(403, std::move(sentence));
}

asio::awaitable<Exchange::Next> Exchange::Serve(Inbox& inbox) {
  RequestReader request(inbox);
  const Result<bool> came = co_await request.ReadHead();
  if (!came) {
    if (came.error().code == ErrorCode::kLimit)
      co_return co_await Refuse(431, came.error().message);
    if (came.error().code != ErrorCode::kProtocol) co_return Next::kOver;
    Tell(Reason::kNotHttp);
    co_return co_await Refuse(400, came.error().message);
  }
  if (!*came) co_return Next::kNothingCame;
  RequestHead head = request.head();
  Reason reason = Reason::kNone;
  std::string objection = Objection(head, &reason);
  if (!objection.empty()) {
    Tell(reason);
    const unsigned status = reason == Reason::kOtherName ? 421 : 501;
    co_return co_await Refuse(status, std::move(objection));
  }
  const PutIn put = shared_.secrets.PutInto(origin_, head);
  if (put.kind != PutIn::Kind::kNothing && put.kind != PutIn::Kind::kDone) {
    co_return co_await RefusePlaceholder(put);
  }
  const bool body = request.body_form().kind != Kind::kNone &&
                    !(request.body_form().kind == Kind::kLength && request.body_form().length == 0);
  if (put.kind == PutIn::Kind::kNothing && !body && shared_.handler != nullptr &&
      shared_.handler->Takes(origin_, head)) {
    const Result<std::string_view> nothing = co_await request.ReadBody();
    if (!nothing) co_return Next::kOver;
    Answer answer(guest_, head.version() < 11, request.keep_alive());
    const Result<Served> served =
        co_await shared_.handler->Serve(origin_, head, answer, shared_.upstream);
    if (!served) co_return Next::kOver;
    if (*served == Served::kAnswered) co_return answer.keeps() ? Next::kAgain : Next::kOver;
  }
  if (shared_.handler != nullptr) {
    std::string why = shared_.handler->WhyRefused(origin_, head);
    if (!why.empty()) {
      Tell(Reason::kOnlyCached);
      co_return co_await Refuse(403, std::move(why));
    }
  }
  co_return co_await Forward(request, std::move(head), put.kind == PutIn::Kind::kDone);
}

// Bytes that begin a placeholder at the end of one piece and end it in the next are seen too.
asio::awaitable<Status> Exchange::SendBody(RequestReader& request, BodyForm form) {
  const std::size_t kept = std::max<std::size_t>(shared_.secrets.longest_placeholder(), 1) - 1;
  std::string window;
  bool told = false;
  while (true) {
    const Result<std::string_view> piece = co_await request.ReadBody();
    if (!piece) {
      guest_broke_ = true;
      co_return piece.error();
    }
    if (piece->empty()) break;
    if (!told && !shared_.secrets.empty()) {
      window.append(*piece);
      told = !shared_.secrets.PlaceholderIn(window).empty();
      if (told) Tell(Reason::kSecretBody);
      if (window.size() > kept) window.erase(0, window.size() - kept);
    }
    const Status sent = co_await WritePiece(*server_, form, *piece);
    if (!sent) co_return sent;
  }
  co_return co_await WriteEnd(*server_, form);
}

asio::awaitable<Status> Exchange::Ask(RequestReader& request, const std::string& head,
                                      BodyForm form, std::unique_ptr<ResponseReader>* response,
                                      bool without_body) {
  const Status asked = co_await server_->Write(head);
  if (!asked) co_return asked;
  const Status sent = co_await SendBody(request, form);
  if (guest_broke_) co_return sent;
  // A server that wants no more of a body may have said why.
  for (int i = 0; i < kMaxHints; ++i) {
    *response = std::make_unique<ResponseReader>(from_server_, without_body);
    const Result<bool> came = co_await (*response)->ReadHead();
    if (!came || !*came) {
      if (!sent) co_return sent;
      if (!came) co_return came.error();
      co_return MakeError(ErrorCode::kUnavailable, "the server ended the connection");
    }
    if ((*response)->head().result_int() >= 200) co_return OkStatus();
  }
  co_return MakeError(ErrorCode::kProtocol, "the server gives no answer");
}

asio::awaitable<Exchange::Next> Exchange::Forward(RequestReader& request, RequestHead head,
                                                  bool filled) {
  const BodyForm form = request.body_form();
  const bool without_body = head.method() == http::verb::head;
  const bool old = request.head().version() < 11;
  const bool waits = boost::beast::iequals(head[http::field::expect], "100-continue");
  const bool repeatable = form.kind == Kind::kNone && MayBeRepeated(head.method());
  RemoveHopFields(head);
  // An answer that is compressed could not be looked into.
  if (filled) head.set(http::field::accept_encoding, "identity");
  SetBodyForm(head, form);
  const std::string text = HeadText(head);
  std::unique_ptr<ResponseReader> response;
  Status asked = OkStatus();
  // A server may have closed a connection that waited.
  for (int i = 0; i < 2; ++i) {
    const bool used = server_ != nullptr && repeatable && i == 0;
    if (!used) {
      server_.reset();
      Result<std::unique_ptr<Stream>> server = co_await shared_.upstream.Connect(origin_, {});
      if (!server) {
        if (server.error().code == ErrorCode::kPermissionDenied) Tell(Reason::kUpstream);
        co_return co_await Refuse(StatusOf(server.error()), SentenceOf(server.error()));
      }
      server_ = std::move(*server);
      from_server_ = {server_.get(), {}};
    }
    if (waits && form.kind != Kind::kNone) {
      const Status hinted = co_await guest_.Write(kContinue);
      if (!hinted) co_return Next::kOver;
    }
    asked = co_await Ask(request, text, form, &response, without_body);
    if (asked || !used || asked.error().code != ErrorCode::kUnavailable) break;
  }
  if (!asked) {
    server_.reset();
    if (guest_broke_) co_return Next::kOver;
    co_return co_await Refuse(StatusOf(asked.error()), SentenceOf(asked.error()));
  }
  co_return co_await GiveBack(*response, request.keep_alive() && !old, without_body, old);
}

asio::awaitable<Exchange::Next> Exchange::GiveBack(ResponseReader& response, bool keep_guest,
                                                   bool without_body, bool old) {
  const Mask& mask = shared_.secrets.mask();
  ResponseHead head = response.head();
  BodyForm form = response.body_form();
  const auto length = head[http::field::content_length];
  const std::string told_length(length);
  RemoveHopFields(head);
  const bool bodiless = without_body || head.result_int() == 204 || head.result_int() == 304;
  if (bodiless) {
    form = {};
    if (!told_length.empty()) head.set(http::field::content_length, told_length);
  } else if (form.kind == Kind::kUntilEnd && keep_guest) {
    form = {Kind::kChunked, 0};
  } else if (form.kind == Kind::kChunked && old) {
    form = {Kind::kUntilEnd, 0};  // A guest of HTTP/1.0 knows no pieces.
  } else if (form.kind == Kind::kNone) {
    form = {Kind::kLength, 0};
  }
  SetBodyForm(head, form);
  if (!keep_guest) head.set(http::field::connection, "close");
  Status sent = co_await guest_.Write(mask.Hide(HeadText(head)));
  MaskedStream masked(mask);
  while (sent && !bodiless) {
    const Result<std::string_view> piece = co_await response.ReadBody();
    if (!piece) {
      // The guest must see that it is cut off.
      server_.reset();
      co_return Next::kOver;
    }
    const std::string shown = piece->empty() ? masked.End() : masked.Feed(*piece);
    if (!shown.empty()) sent = co_await WritePiece(guest_, form, shown);
    if (piece->empty()) break;
  }
  if (sent && !bodiless) sent = co_await WriteEnd(guest_, form);
  if (!response.keep_alive() || response.body_form().kind == Kind::kUntilEnd) server_.reset();
  // What follows unasked belongs to no request.
  if (!from_server_.waiting.empty()) server_.reset();
  co_return sent&& keep_guest ? Next::kAgain : Next::kOver;
}

}  // namespace pyro::proxy
