#include "chat/http_client.h"

#include <fcntl.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "base/text.h"
#include "pyro/version.h"

namespace pyro::chat {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr std::size_t kMaxHeaderBytes = 64 * 1024;
const char* const kStartHint =
    "start the endpoint, such as Ollama with 'ollama serve', or give its address with --base-url";

using Answer = Result<HttpResponse>;

class HttpExchange {
 public:
  HttpExchange(const Url& url, const std::string& body, const PostOptions& options)
      : url_(url), options_(options) {
    request_ = fmt::format(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: pyro/{}\r\nAccept: application/json\r\n"
        "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        url.path.empty() ? "/" : url.path, url.Authority(), kVersion, body.size());
    if (!options.bearer.empty()) {
      request_ += fmt::format("Authorization: Bearer {}\r\n", options.bearer);
    }
    request_ += "\r\n" + body;
    parser_.header_limit(kMaxHeaderBytes);
    parser_.body_limit(options.max_body_bytes);
  }

  Answer Run() {
    asio::steady_timer timer(context_, options_.limit);
    timer.async_wait([this](error_code code) {
      if (!code) Give(MakeError(ErrorCode::kTimedOut, Say("did not answer in time")));
    });
    asio::posix::stream_descriptor cancel(context_);
    if (options_.cancel_fd >= 0) {
      // Of its own: the descriptor closes what it holds.
      cancel.assign(::fcntl(options_.cancel_fd, F_DUPFD_CLOEXEC, 3));
      cancel.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code code) {
        if (!code) Give(MakeError(ErrorCode::kCancelled, "cancelled"));
      });
    }
    asio::co_spawn(context_, Talk(), [this](const std::exception_ptr& error) {
      if (error) Explain(error);
    });
    context_.run();
    if (!answer_) return MakeError(ErrorCode::kInternal, "the request ended without an answer");
    return std::move(*answer_);
  }

 private:
  std::string Say(std::string_view what) const {
    return fmt::format("the endpoint {} {}", Printable(url_.Text()), what);
  }

  void Give(Answer answer) {
    if (!answer_) answer_.emplace(std::move(answer));
    context_.stop();
  }

  asio::awaitable<void> Talk() {
    if (url_.tls) {
      asio::ssl::context tls(asio::ssl::context::tls_client);
      tls.set_default_verify_paths();
      tls.set_verify_mode(asio::ssl::verify_peer);
      asio::ssl::stream<tcp::socket> stream(context_, tls);
      stream.set_verify_callback(asio::ssl::host_name_verification(url_.host));
      SSL_set_tlsext_host_name(stream.native_handle(), url_.host.c_str());
      co_await Connect(stream.next_layer());
      step_ = "the TLS handshake failed";
      co_await stream.async_handshake(asio::ssl::stream_base::client, asio::use_awaitable);
      co_await Exchange(stream);
    } else {
      tcp::socket stream(context_);
      co_await Connect(stream);
      co_await Exchange(stream);
    }
  }

  asio::awaitable<void> Connect(tcp::socket& socket) {
    step_ = "its name is not known";
    tcp::resolver resolver(context_);
    const auto addresses =
        co_await resolver.async_resolve(url_.host, url_.port, asio::use_awaitable);
    step_ = "nothing listens there";
    co_await asio::async_connect(socket, addresses, asio::use_awaitable);
  }

  // Beast parses here and does no I/O: its own operations take a quarter of a minute to compile.
  template <typename Stream>
  asio::awaitable<void> Exchange(Stream& stream) {
    step_ = "the connection broke";
    co_await asio::async_write(stream, asio::buffer(request_), asio::use_awaitable);
    std::string waiting;
    std::vector<char> chunk(kMaxHeaderBytes);
    while (!parser_.is_done()) {
      error_code error;
      const std::size_t bytes = co_await stream.async_read_some(
          asio::buffer(chunk), asio::redirect_error(asio::use_awaitable, error));
      if (error && error != asio::error::eof) throw boost::system::system_error(error);
      Parse(waiting.append(chunk.data(), bytes), error == asio::error::eof);
    }
    const auto& message = parser_.get();
    Give(HttpResponse{static_cast<int>(message.result_int()), message.body()});
  }

  // Takes what it can from the front of `waiting`.
  void Parse(std::string& waiting, bool last) {
    error_code error;
    while (!waiting.empty() && !parser_.is_done()) {
      // The parser's own limit is for the part of a header that it has not taken yet.
      const bool in_header = !parser_.is_header_done();
      const std::size_t taken = parser_.put(asio::buffer(waiting), error);
      waiting.erase(0, taken);
      if (in_header && (header_bytes_ += taken) > kMaxHeaderBytes) {
        error = http::error::header_limit;
      }
      if (error == http::error::need_more) break;
      if (error) throw boost::system::system_error(error);
    }
    if (!last || parser_.is_done()) return;
    error = http::error::end_of_stream;
    if (parser_.got_some()) {
      error = {};
      parser_.put_eof(error);
    }
    if (error) throw boost::system::system_error(error);
  }

  void Explain(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const boost::system::system_error& failed) {
      const error_code code = failed.code();
      if (code == http::error::body_limit) {
        return Give(MakeError(
            ErrorCode::kLimit,
            Say(fmt::format("answered with more than {}", FormatBytes(options_.max_body_bytes))),
            "it may not be the right address"));
      }
      if (code == http::error::end_of_stream || code == http::error::partial_message) {
        return Give(MakeError(ErrorCode::kUnavailable, Say("closed the connection early"),
                              "try again; look at the endpoint's own log"));
      }
      if (code.category() == make_error_code(http::error::bad_version).category()) {
        return Give(MakeError(ErrorCode::kProtocol, Say("answered with something else than HTTP"),
                              "it may not be the right address"));
      }
      Give(MakeError(
          ErrorCode::kUnavailable,
          Say(fmt::format("cannot be reached: {} ({})", step_, Printable(code.message(), 120))),
          kStartHint));
    } catch (const std::exception& failed) {
      Give(MakeError(ErrorCode::kInternal, Say(Printable(failed.what(), 120))));
    }
  }

  const Url& url_;
  const PostOptions& options_;
  asio::io_context context_{1};
  std::string request_;
  std::size_t header_bytes_ = 0;
  http::response_parser<http::string_body> parser_;
  const char* step_ = "";
  std::optional<Answer> answer_;
};

}  // namespace

Result<HttpResponse> PostJson(const Url& url, const std::string& body, const PostOptions& options) {
  return HttpExchange(url, body, options).Run();
}

}  // namespace pyro::chat
