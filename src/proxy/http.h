// Messages of HTTP/1.1 on a Stream. Beast parses and checks them; this reads and writes the bytes,
// head and body apart, so that bodies stream.

#pragma once

#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/stream.h"

namespace pyro::proxy {

namespace http = boost::beast::http;

using RequestHead = http::request_header<>;
using ResponseHead = http::response_header<>;

inline constexpr std::size_t kMaxHeadBytes = 64 * 1024;
inline constexpr int kMaxHints = 16;  // Answers of the kind 1xx before the answer.

// How a body's end is told.
struct BodyForm {
  enum class Kind { kNone, kLength, kChunked, kUntilEnd } kind = Kind::kNone;
  std::uint64_t length = 0;  // Of kLength.
};

// The bytes of one side: what is left behind one message is the beginning of the next.
struct Inbox {
  Stream* stream = nullptr;
  std::string waiting;
};

// One message. Not thread-safe.
template <bool kIsRequest>
class MessageReader {
 public:
  // `inbox` is borrowed. `without_body`: it answers HEAD.
  explicit MessageReader(Inbox& inbox, bool without_body = false);

  // False: the other side ended before the first byte. kProtocol: no HTTP. kLimit: the head has
  // more than kMaxHeadBytes.
  asio::awaitable<Result<bool>> ReadHead();

  const http::header<kIsRequest>& head() const { return parser_->get().base(); }
  BodyForm body_form() const;
  // The connection may be used for another message after this one.
  bool keep_alive() const { return parser_->get().keep_alive(); }

  // The next piece of the body, valid until the next call; empty: there is no more. kProtocol,
  // kUnavailable: it is cut off.
  asio::awaitable<Result<std::string_view>> ReadBody();

 private:
  asio::awaitable<Result<std::size_t>> Fill();

  Inbox& inbox_;
  // On the heap: it is large, and does not move.
  std::unique_ptr<http::parser<kIsRequest, http::buffer_body>> parser_;
  std::vector<char> piece_;
};

using RequestReader = MessageReader<true>;
using ResponseReader = MessageReader<false>;

// Without the fields that are of one connection alone: Connection and those that it names,
// Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade, Expect, Content-Length.
template <bool kIsRequest>
void RemoveHopFields(http::header<kIsRequest>& head);

// Names the form in the head.
template <bool kIsRequest>
void SetBodyForm(http::header<kIsRequest>& head, const BodyForm& form);

// As it goes over the connection, with the empty line, as HTTP/1.1.
std::string HeadText(const RequestHead& head);
std::string HeadText(const ResponseHead& head);

// A piece of a body, not empty, and the end of one.
asio::awaitable<Status> WritePiece(Stream& stream, BodyForm form, std::string_view piece);
asio::awaitable<Status> WriteEnd(Stream& stream, BodyForm form);

// A whole answer of the proxy's own: "pyro: <sentence>" as text.
std::string AnswerText(unsigned status, std::string_view sentence);

}  // namespace pyro::proxy
