#include "proxy/http.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "base/text.h"

namespace pyro::proxy {
namespace {

using boost::system::error_code;

constexpr std::size_t kReadBytes = 64 * 1024;

Error NotHttp(const error_code& code) {
  if (code == http::error::header_limit) {
    return MakeError(ErrorCode::kLimit, fmt::format("a head of more than {} bytes", kMaxHeadBytes));
  }
  if (code == http::error::partial_message) {
    return MakeError(ErrorCode::kUnavailable, "the connection ended within a message");
  }
  return MakeError(ErrorCode::kProtocol,
                   fmt::format("this is no HTTP/1.1: {}", Printable(code.message(), 120)));
}

template <bool kIsRequest>
std::string FieldsText(std::string text, const http::header<kIsRequest>& head) {
  for (const auto& field : head) {
    text.append(field.name_string()).append(": ").append(field.value()).append("\r\n");
  }
  return text.append("\r\n");
}

}  // namespace

template <bool kIsRequest>
MessageReader<kIsRequest>::MessageReader(Inbox& inbox, bool without_body)
    : inbox_(inbox), parser_(std::make_unique<http::parser<kIsRequest, http::buffer_body>>()) {
  parser_->header_limit(kMaxHeadBytes);
  parser_->body_limit(boost::none);
  parser_->skip(without_body);
}

template <bool kIsRequest>
asio::awaitable<Result<std::size_t>> MessageReader<kIsRequest>::Fill() {
  const std::size_t before = inbox_.waiting.size();
  inbox_.waiting.resize(before + kReadBytes);
  const Result<std::size_t> count =
      co_await inbox_.stream->Read(std::span<char>(inbox_.waiting.data() + before, kReadBytes));
  inbox_.waiting.resize(before + (count ? *count : 0));
  co_return count;
}

template <bool kIsRequest>
asio::awaitable<Result<bool>> MessageReader<kIsRequest>::ReadHead() {
  std::size_t taken_in_all = 0;
  bool ended = false;
  while (!parser_->is_header_done()) {
    error_code code;
    while (!inbox_.waiting.empty() && !parser_->is_header_done()) {
      const std::size_t taken = parser_->put(asio::buffer(inbox_.waiting), code);
      inbox_.waiting.erase(0, taken);
      taken_in_all += taken;
      // The parser's own limit is for the part that it has not taken yet.
      if (taken_in_all > kMaxHeadBytes) code = http::error::header_limit;
      if (code == http::error::need_more || code == http::error::need_buffer) break;
      if (code) co_return NotHttp(code);
    }
    if (parser_->is_header_done()) break;
    if (inbox_.waiting.size() > kMaxHeadBytes) co_return NotHttp(http::error::header_limit);
    if (ended) {
      if (taken_in_all == 0 && inbox_.waiting.empty()) co_return false;
      co_return NotHttp(http::error::partial_message);
    }
    const Result<std::size_t> count = co_await Fill();
    if (!count) co_return count.error();
    ended = *count == 0;
  }
  co_return true;
}

template <bool kIsRequest>
BodyForm MessageReader<kIsRequest>::body_form() const {
  using Kind = BodyForm::Kind;
  if (parser_->chunked()) return {Kind::kChunked, 0};
  if (const auto length = parser_->content_length()) return {Kind::kLength, *length};
  if (!kIsRequest && parser_->need_eof()) return {Kind::kUntilEnd, 0};
  return {Kind::kNone, 0};
}

template <bool kIsRequest>
asio::awaitable<Result<std::string_view>> MessageReader<kIsRequest>::ReadBody() {
  piece_.resize(kReadBytes);
  bool ended = false;
  while (!parser_->is_done()) {
    auto& body = parser_->get().body();
    body.data = piece_.data();
    body.size = piece_.size();
    body.more = true;
    error_code code;
    bool starved = inbox_.waiting.empty();
    while (!inbox_.waiting.empty() && !parser_->is_done()) {
      const std::size_t taken = parser_->put(asio::buffer(inbox_.waiting), code);
      inbox_.waiting.erase(0, taken);
      if (code == http::error::need_buffer) break;
      starved = code == http::error::need_more || inbox_.waiting.empty();
      if (code == http::error::need_more) break;
      if (code) co_return NotHttp(code);
    }
    const std::size_t count = piece_.size() - body.size;
    if (count > 0) co_return std::string_view(piece_.data(), count);
    if (parser_->is_done() || !starved) continue;
    if (inbox_.waiting.size() > kMaxHeadBytes) co_return NotHttp(http::error::header_limit);
    if (ended) {
      error_code last;
      parser_->put_eof(last);
      if (last) co_return NotHttp(http::error::partial_message);
      break;
    }
    const Result<std::size_t> read = co_await Fill();
    if (!read) co_return read.error();
    ended = *read == 0;
  }
  co_return std::string_view();
}

template <bool kIsRequest>
void RemoveHopFields(http::header<kIsRequest>& head) {
  std::vector<std::string> named;
  for (const auto& one : http::token_list(head[http::field::connection])) named.emplace_back(one);
  for (const std::string& name : named) {
    if (!boost::beast::iequals(name, "host")) head.erase(name);
  }
  for (const http::field field :
       {http::field::connection, http::field::keep_alive, http::field::proxy_connection,
        http::field::te, http::field::trailer, http::field::transfer_encoding, http::field::upgrade,
        http::field::expect, http::field::content_length}) {
    head.erase(field);
  }
}

template <bool kIsRequest>
void SetBodyForm(http::header<kIsRequest>& head, const BodyForm& form) {
  using Kind = BodyForm::Kind;
  if (form.kind == Kind::kLength) {
    head.set(http::field::content_length, fmt::format("{}", form.length));
  } else if (form.kind == Kind::kChunked) {
    head.set(http::field::transfer_encoding, "chunked");
  }
}

std::string HeadText(const RequestHead& head) {
  std::string text;
  text.append(head.method_string()).append(" ").append(head.target()).append(" HTTP/1.1\r\n");
  return FieldsText(std::move(text), head);
}

std::string HeadText(const ResponseHead& head) {
  std::string text = fmt::format("HTTP/1.1 {} ", head.result_int());
  text.append(head.reason()).append("\r\n");
  return FieldsText(std::move(text), head);
}

asio::awaitable<Status> WritePiece(Stream& stream, BodyForm form, std::string_view piece) {
  if (form.kind != BodyForm::Kind::kChunked) co_return co_await stream.Write(piece);
  std::string framed = fmt::format("{:x}\r\n", piece.size());
  framed.append(piece).append("\r\n");
  co_return co_await stream.Write(framed);
}

asio::awaitable<Status> WriteEnd(Stream& stream, BodyForm form) {
  if (form.kind != BodyForm::Kind::kChunked) co_return OkStatus();
  co_return co_await stream.Write("0\r\n\r\n");
}

std::string AnswerText(unsigned status, std::string_view sentence) {
  const std::string body = fmt::format("pyro: {}\n", sentence);
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n"
      "Connection: close\r\n\r\n{}",
      status, std::string_view(http::obsolete_reason(http::int_to_status(status))), body.size(),
      body);
}

template class MessageReader<true>;
template class MessageReader<false>;
template void RemoveHopFields<true>(http::header<true>& head);
template void RemoveHopFields<false>(http::header<false>& head);
template void SetBodyForm<true>(http::header<true>& head, const BodyForm& form);
template void SetBodyForm<false>(http::header<false>& head, const BodyForm& form);

}  // namespace pyro::proxy
