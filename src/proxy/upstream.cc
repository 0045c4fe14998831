#include "proxy/upstream.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::proxy {
namespace {

constexpr std::size_t kMostTried = 4;
constexpr int kMostTrusted = 4096;

net::Address AddressOf(const asio::ip::address& address) {
  if (address.is_v4()) return address.to_v4().to_uint();
  return net::Address::FromBytes(address.to_v6().to_bytes());
}

}  // namespace

class FetchedFrom : public Fetched {
 public:
  FetchedFrom(std::unique_ptr<Stream> stream, bool without_body)
      : stream_(std::move(stream)),
        inbox_{stream_.get(), {}},
        reader_(std::make_unique<ResponseReader>(inbox_, without_body)),
        without_body_(without_body) {}

  const ResponseHead& head() const override { return reader_->head(); }
  BodyForm body_form() const override { return without_body_ ? BodyForm{} : reader_->body_form(); }
  asio::awaitable<Result<std::string_view>> ReadBody() override { return reader_->ReadBody(); }

  asio::awaitable<Status> Ask(RequestHead head) {
    const Status sent = co_await stream_->Write(HeadText(head));
    if (!sent) co_return sent;
    for (int i = 0; i < kMaxHints; ++i) {
      const Result<bool> read = co_await reader_->ReadHead();
      if (!read) co_return read.error();
      if (!*read) co_return MakeError(ErrorCode::kUnavailable, "the server answered nothing");
      if (reader_->head().result_int() >= 200) co_return OkStatus();
      reader_ = std::make_unique<ResponseReader>(inbox_, without_body_);
    }
    co_return MakeError(ErrorCode::kProtocol, "the server gives no answer");
  }

 private:
  std::unique_ptr<Stream> stream_;
  Inbox inbox_;
  std::unique_ptr<ResponseReader> reader_;
  bool without_body_;
};

Upstream::Upstream(net::Policy policy, net::LocalNetworks local)
    : policy_(std::move(policy)),
      local_(std::move(local)),
      context_(asio::ssl::context::tls_client) {}

Result<std::unique_ptr<Upstream>> Upstream::Make(net::Policy policy, net::LocalNetworks local,
                                                 std::string_view trust) {
  auto made = std::unique_ptr<Upstream>(new Upstream(std::move(policy), std::move(local)));
  SSL_CTX* native = made->context_.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  BIO* text = BIO_new_mem_buf(trust.data(), static_cast<int>(trust.size()));
  if (text == nullptr) return MakeError(ErrorCode::kInternal, "OpenSSL has no memory");
  for (int i = 0; i < kMostTrusted; ++i) {
    X509* one = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
    if (one == nullptr) break;
    (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(native), one);
    X509_free(one);
  }
  BIO_free(text);
  return made;
}

asio::awaitable<Result<std::unique_ptr<Stream>>> Upstream::Connect(Origin origin,
                                                                   FetchOptions options) {
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  const auto [code, found] = co_await resolver.async_resolve(
      origin.name, "", asio::ip::resolver_base::flags(), asio::as_tuple(asio::use_awaitable));
  if (code) {
    co_return MakeError(
        ErrorCode::kNotFound,
        fmt::format("this host does not find {}: {}", origin.name, Printable(code.message(), 120)));
  }
  Error error = MakeError(ErrorCode::kNotFound, fmt::format("{} has no address", origin.name));
  std::size_t tried = 0;
  for (const auto& one : found) {
    const asio::ip::address there = one.endpoint().address();
    const net::Address address = AddressOf(there);
    const net::Reason reason =
        policy_.AskAnswer(address, !options.local_allowed && local_.Has(address));
    if (reason != net::Reason::kNone) {
      error = MakeError(
          ErrorCode::kPermissionDenied,
          fmt::format("{} is at {}: {}", origin.name, net::FormatAddress(address),
                      net::Sentence(reason)),
          fmt::format("allow it by its address: --allow {}", net::FormatAddress(address)));
      continue;
    }
    if (++tried > kMostTried) break;
    Result<std::unique_ptr<Stream>> stream = MakeError(ErrorCode::kInternal, "");
    if (origin.tls) {
      stream = co_await ConnectTls(there, origin.port, origin.name, context_);
    } else {
      stream = co_await ConnectPlain(there, origin.port);
    }
    if (stream) co_return stream;
    // The first address is the one that this host prefers: its failure tells the most.
    if (tried == 1 || stream.error().code == ErrorCode::kPermissionDenied) error = stream.error();
    // Another address of the same name is no safer.
    if (stream.error().code == ErrorCode::kPermissionDenied) break;
  }
  co_return error;
}

asio::awaitable<Result<std::unique_ptr<Fetched>>> Upstream::Fetch(Origin origin, RequestHead head,
                                                                  FetchOptions options) {
  const bool without_body = head.method() == http::verb::head;
  Result<std::unique_ptr<Stream>> stream = co_await Connect(std::move(origin), options);
  if (!stream) co_return stream.error();
  (*stream)->SetIdleLimit(kFetchIdleLimit);
  RemoveHopFields(head);
  head.set(http::field::connection, "close");
  auto fetched = std::make_unique<FetchedFrom>(std::move(*stream), without_body);
  const Status asked = co_await fetched->Ask(std::move(head));
  if (!asked) co_return asked.error();
  co_return std::unique_ptr<Fetched>(std::move(fetched));
}

}  // namespace pyro::proxy
