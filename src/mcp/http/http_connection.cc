#include "mcp/http/http_connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include "base/text.h"
#include "mcp/http/sse.h"
#include "sys/wait_for.h"

namespace pyro::mcp {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;
using Parser = http::request_parser<http::string_body>;

std::string ToLower(beast::string_view text) {
  std::string lower(text.data(), text.size());
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

void SetLimits(Parser& parser, const HttpLimits& limits) {
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes));
  parser.body_limit(limits.body_bytes);
}

HttpRequest HeadOf(const Parser& parser) {
  const auto& head = parser.get();
  HttpRequest request;
  request.method = std::string(head.method_string());
  const std::string target(head.target());
  request.path = target.substr(0, target.find('?'));
  for (const auto& field : head) {
    request.headers.emplace_back(ToLower(field.name_string()), std::string(field.value()));
  }
  return request;
}

std::string AnswerBytes(const HttpAnswer& answer, bool keep_alive) {
  const auto reason = http::obsolete_reason(static_cast<http::status>(answer.status));
  std::string bytes = fmt::format("HTTP/1.1 {} {}\r\n", answer.status,
                                  std::string_view(reason.data(), reason.size()));
  for (const auto& [name, value] : answer.headers) bytes += fmt::format("{}: {}\r\n", name, value);
  if (!answer.body.empty()) bytes += "Content-Type: application/json\r\n";
  bytes += fmt::format("Content-Length: {}\r\n", answer.body.size());
  if (!keep_alive) bytes += "Connection: close\r\n";
  return bytes + "\r\n" + answer.body;
}

std::string StreamHead(const std::vector<std::pair<std::string, std::string>>& headers) {
  std::string bytes =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n"
      "Transfer-Encoding: chunked\r\n";
  for (const auto& [name, value] : headers) bytes += fmt::format("{}: {}\r\n", name, value);
  return bytes + "\r\n";
}

std::string Chunk(const std::string& bytes) {
  return bytes.empty() ? std::string() : fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

constexpr const char* kLastChunk = "0\r\n\r\n";

class Connection final : public HttpConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, HttpService& service, const HttpLimits& limits,
             std::function<void()> done)
      : stream_(std::move(socket)),
        wake_timer_(stream_.get_executor()),
        service_(service),
        limits_(limits),
        done_(std::move(done)) {}

  void Run() {
    asio::co_spawn(
        stream_.get_executor(), [self = shared_from_this()] { return self->Serve(); },
        [self = shared_from_this()](const std::exception_ptr&) { self->done_(); });
  }

  void Finish() override {
    finishing_ = true;
    if (reading_) Abort();
  }

  void Abort() override {
    error_code ignored;
    stream_.socket().close(ignored);
    Wake();
  }

 private:
  asio::awaitable<void> Serve() {
    bool open = true;
    while (open && !finishing_) open = co_await ServeOne();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_both, ignored);
    stream_.socket().close(ignored);
  }

  // One request and its answer. false: the connection is at its end.
  asio::awaitable<bool> ServeOne() {
    Parser parser;
    SetLimits(parser, limits_);
    stream_.expires_after(limits_.read_timeout);
    error_code error;
    reading_ = true;
    co_await http::async_read_header(stream_, buffer_, parser,
                                     asio::redirect_error(asio::use_awaitable, error));
    reading_ = false;
    if (error) co_return co_await RefuseBroken(error);
    HttpRequest request = HeadOf(parser);
    if (parser.get().version() < 11) {
      co_return co_await Answer(ErrorAnswer(505, kServerError, "HTTP Version Not Supported"),
                                false);
    }
    if (const auto refused = CheckHead(request, service_.policy())) {
      co_return co_await AnswerUnread(parser, *refused);
    }
    if (request.Header("expect") && !parser.is_done()) {
      if (!co_await Write("HTTP/1.1 100 Continue\r\n\r\n")) co_return false;
    }
    co_await http::async_read(stream_, buffer_, parser,
                              asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return co_await RefuseBroken(error);
    const bool keep_alive = parser.keep_alive() && !finishing_;
    request.body = std::move(parser.get().body());
    auto served = service_.Serve(std::move(request), Waker());
    if (const auto* answer = std::get_if<HttpAnswer>(&served)) {
      co_return co_await Answer(*answer, keep_alive);
    }
    co_return co_await Deliver(std::get<HttpStreaming>(std::move(served)), keep_alive);
  }

  // The reason not to read the rest: the connection ends after the answer.
  asio::awaitable<bool> AnswerUnread(Parser& parser, const HttpAnswer& answer) {
    const bool whole = parser.is_done() || parser.content_length().value_or(1) == 0;
    co_return co_await Answer(answer, whole && parser.keep_alive());
  }

  asio::awaitable<bool> RefuseTooLong() {
    co_return co_await Answer(
        ErrorAnswer(413, kServerError,
                    fmt::format("Content Too Large: the limit is {} bytes", limits_.body_bytes)),
        false);
  }

  asio::awaitable<bool> RefuseBroken(error_code error) {
    if (error == http::error::body_limit) co_return co_await RefuseTooLong();
    if (error == http::error::header_limit) {
      co_return co_await Answer(ErrorAnswer(431, kServerError, "Request Header Fields Too Large"),
                                false);
    }
    if (error == http::error::end_of_stream || error == http::error::partial_message ||
        error.category() != http::make_error_code(http::error::bad_method).category()) {
      co_return false;  // Gone, or too slow.
    }
    co_return co_await Answer(ErrorAnswer(400, kServerError, "Bad Request: not HTTP"), false);
  }

  asio::awaitable<bool> Answer(HttpAnswer answer, bool keep_alive) {
    keep_alive = keep_alive && !answer.close;
    const bool written = co_await Write(AnswerBytes(answer, keep_alive));
    if (!keep_alive && written) co_await Linger();
    co_return written&& keep_alive;
  }

  // A client that is still sending would lose the answer if the connection were reset under it.
  asio::awaitable<void> Linger() {
    error_code error;
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    stream_.expires_after(std::min(limits_.read_timeout, std::chrono::milliseconds(1000)));
    std::size_t taken = 0;
    std::string waste(64 * 1024, '\0');
    while (!error && taken < 4 * limits_.body_bytes) {
      taken += co_await stream_.async_read_some(asio::buffer(waste),
                                                asio::redirect_error(asio::use_awaitable, error));
    }
  }

  // Waits until it is clear whether the answer is one message or a stream, and sends it.
  asio::awaitable<bool> Deliver(HttpStreaming streaming, bool keep_alive) {
    delivered_ = false;
    WatchForClose();
    const auto decide = std::chrono::steady_clock::now() + limits_.stream_after;
    while (!streaming.at_once && !closed_ && std::chrono::steady_clock::now() < decide &&
           streaming.stream->opening() == HttpStream::Opening::kWait) {
      co_await Sleep(decide);
    }
    bool open = false;
    if (!closed_) {
      if (!streaming.at_once && streaming.stream->opening() == HttpStream::Opening::kAnswer) {
        open = co_await DeliverWhole(streaming, keep_alive);
      } else {
        open = co_await DeliverStream(streaming) && keep_alive;
      }
    }
    StopWatching();
    service_.Done(streaming, !open && !delivered_);
    co_return open && !closed_;
  }

  asio::awaitable<bool> DeliverWhole(const HttpStreaming& streaming, bool keep_alive) {
    HttpStream::Answer whole = streaming.stream->TakeAnswer();
    HttpAnswer answer{
        .status = whole.http_status, .headers = streaming.headers, .body = std::move(whole.json)};
    delivered_ = true;
    const bool written = co_await Write(AnswerBytes(answer, keep_alive));
    if (streaming.answered_whole) streaming.answered_whole();
    co_return written&& keep_alive;
  }

  // true: to its end, and the connection is good for more.
  asio::awaitable<bool> DeliverStream(const HttpStreaming& streaming) {
    std::string bytes = StreamHead(streaming.headers);
    while (true) {
      HttpStream::Piece piece = streaming.stream->Take(streaming.ticket);
      bytes += Chunk(piece.bytes);
      if (piece.then == HttpStream::Piece::Then::kLost) co_return false;
      const bool last = piece.then != HttpStream::Piece::Then::kMore;
      if (last) bytes += kLastChunk;
      if (!bytes.empty() && !co_await Write(std::move(bytes))) co_return false;
      if (last) {
        delivered_ = true;
        co_return true;
      }
      bytes.clear();
      const auto next = std::chrono::steady_clock::now() + limits_.keep_alive;
      if (!woken_) co_await Sleep(next);
      if (closed_ || GoneBehindMore()) co_return false;
      const bool quiet = !woken_ && std::chrono::steady_clock::now() >= next;
      woken_ = false;
      if (quiet) bytes = Chunk(FormatComment());
    }
  }

  asio::awaitable<bool> Write(std::string bytes) {
    stream_.expires_after(limits_.write_timeout);
    error_code error;
    co_await asio::async_write(stream_, asio::buffer(bytes),
                               asio::redirect_error(asio::use_awaitable, error));
    stream_.expires_never();
    co_return !error;
  }

  // Until then, or Wake.
  asio::awaitable<void> Sleep(std::chrono::steady_clock::time_point until) {
    if (woken_ || !stream_.socket().is_open()) {
      woken_ = false;
      co_return;
    }
    wake_timer_.expires_at(until);
    error_code ignored;
    co_await wake_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  void Wake() {
    woken_ = true;
    wake_timer_.cancel();
  }

  // For other threads; does nothing once the connection is gone.
  std::function<void()> Waker() {
    return [weak = weak_from_this(), executor = stream_.get_executor()] {
      asio::post(executor, [weak] {
        if (const auto self = weak.lock()) self->Wake();
      });
    };
  }

  // A client that closes makes the socket readable, after its last bytes.
  void WatchForClose() {
    const std::uint64_t watch = ++watch_;
    closed_ = false;
    more_ = false;
    stream_.socket().async_wait(
        tcp::socket::wait_read, [self = shared_from_this(), watch](error_code error) {
          if (watch != self->watch_ || error == asio::error::operation_aborted) return;
          char byte = 0;
          const ssize_t n =
              ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
          // The bytes are the next request; an end behind it is looked for from time to time.
          if (!error && n > 0) {
            self->more_ = true;
            return;
          }
          if (!error && n < 0 && (errno == EAGAIN || errno == EINTR)) {
            self->WatchForClose();
            return;
          }
          self->closed_ = true;
          self->Wake();
        });
  }

  void StopWatching() {
    ++watch_;
    error_code ignored;
    stream_.socket().cancel(ignored);
  }

  bool GoneBehindMore() {
    if (!stream_.socket().is_open()) return true;
    if (!more_) return false;
    return sys::IsReady(stream_.socket().native_handle(), POLLRDHUP);
  }

  beast::tcp_stream stream_;
  asio::steady_timer wake_timer_;
  HttpService& service_;
  const HttpLimits limits_;
  const std::function<void()> done_;
  beast::flat_buffer buffer_;
  bool reading_ = false;
  bool finishing_ = false;
  bool woken_ = false;
  bool closed_ = false;
  bool more_ = false;
  bool delivered_ = false;
  std::uint64_t watch_ = 0;
};

}  // namespace

std::optional<HttpRequest> ParseHttpRequest(std::string_view bytes, const HttpLimits& limits) {
  Parser parser;
  SetLimits(parser, limits);
  parser.eager(true);
  error_code error;
  parser.put(asio::buffer(bytes.data(), bytes.size()), error);
  if (error || !parser.is_done()) return std::nullopt;
  HttpRequest request = HeadOf(parser);
  request.body = std::move(parser.get().body());
  return request;
}

std::shared_ptr<HttpConnection> HttpConnection::Start(tcp::socket socket, HttpService& service,
                                                      const HttpLimits& limits,
                                                      std::function<void()> done) {
  auto connection =
      std::make_shared<Connection>(std::move(socket), service, limits, std::move(done));
  connection->Run();
  return connection;
}

}  // namespace pyro::mcp
