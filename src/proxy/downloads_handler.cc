#include "proxy/downloads_handler.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "downloads/handler.h"

namespace pyro::proxy {
namespace {

using Kind = BodyForm::Kind;

// Each waits for one answer, from its first byte to its last.
constexpr std::size_t kWorkers = 32;

template <typename T>
asio::awaitable<void> Settle(asio::awaitable<T> work, std::promise<T> promise) {
  promise.set_value(co_await std::move(work));
}

// Waits in a worker for what only the loop may do.
template <typename T>
T InLoop(const asio::any_io_executor& loop, asio::awaitable<T> work) {
  std::promise<T> promise;
  std::future<T> future = promise.get_future();
  asio::co_spawn(loop, Settle(std::move(work), std::move(promise)), asio::detached);
  try {
    return future.get();
  } catch (const std::exception&) {
    return MakeError(ErrorCode::kUnavailable, "the proxy ends");
  }
}

downloads::Request ToRequest(const Origin& origin, const RequestHead& head) {
  downloads::Request request{.method = std::string(head.method_string()),
                             .tls = origin.tls,
                             .host = origin.name,
                             .port = origin.port,
                             .target = std::string(head.target()),
                             .headers = {},
                             .has_body = false};
  for (const auto& field : head) {
    request.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
  }
  return request;
}

class GuestSink : public downloads::ResponseSink {
 public:
  GuestSink(asio::any_io_executor loop, Responder& responder, bool head_alone)
      : loop_(std::move(loop)), responder_(responder), head_alone_(head_alone) {}

  Status Begin(int status, const downloads::Headers& headers) override {
    ResponseHead head;
    head.version(11);
    head.result(static_cast<unsigned>(status));
    BodyForm form{status == 304 ? Kind::kNone : Kind::kUntilEnd, 0};
    for (const auto& [name, value] : headers) {
      head.insert(name, value);
      if (name != "Content-Length" || form.kind == Kind::kNone) continue;
      PYRO_ASSIGN_OR_RETURN(const std::int64_t length, ParseInt(value));
      form = {Kind::kLength, static_cast<std::uint64_t>(length)};
    }
    open_ = form.kind == Kind::kUntilEnd;
    return InLoop(loop_, responder_.SendHead(std::move(head), form));
  }
  Status Write(std::string_view bytes) override {
    return InLoop(loop_, responder_.SendBody(bytes));
  }
  // A head alone that names no length has no end of a body behind it: its connection is closed.
  Status End() { return head_alone_ && open_ ? OkStatus() : InLoop(loop_, responder_.End()); }

 private:
  asio::any_io_executor loop_;
  Responder& responder_;
  bool head_alone_;
  bool open_ = false;
};

class SourceAnswer : public downloads::SourceResponse {
 public:
  SourceAnswer(asio::any_io_executor loop, std::unique_ptr<Fetched> fetched)
      : loop_(std::move(loop)), fetched_(std::move(fetched)) {
    for (const auto& field : fetched_->head()) {
      headers_.emplace_back(std::string(field.name_string()), std::string(field.value()));
    }
  }
  // Its socket belongs to the loop.
  ~SourceAnswer() override { static_cast<void>(InLoop(loop_, Drop(std::move(fetched_)))); }

  int status() const override { return static_cast<int>(fetched_->head().result_int()); }
  const downloads::Headers& headers() const override { return headers_; }
  downloads::Framing framing() const override {
    switch (fetched_->body_form().kind) {
      case Kind::kNone:
      case Kind::kLength:
        return downloads::Framing::kLength;
      case Kind::kChunked:
        return downloads::Framing::kChunked;
      case Kind::kUntilEnd:
        break;
    }
    return downloads::Framing::kUntilClose;
  }
  Result<std::size_t> Read(std::span<char> into) override {
    if (piece_.empty()) {
      PYRO_ASSIGN_OR_RETURN(piece_, InLoop(loop_, fetched_->ReadBody()));
    }
    const std::size_t count = std::min(into.size(), piece_.size());
    std::memcpy(into.data(), piece_.data(), count);
    piece_.remove_prefix(count);
    return count;
  }

 private:
  static asio::awaitable<Status> Drop(std::unique_ptr<Fetched> fetched) {
    fetched.reset();
    co_return OkStatus();
  }

  asio::any_io_executor loop_;
  std::unique_ptr<Fetched> fetched_;
  downloads::Headers headers_;
  std::string_view piece_;
};

class OutsideSource : public downloads::Upstream {
 public:
  OutsideSource(asio::any_io_executor loop, Fetcher& fetcher)
      : loop_(std::move(loop)), fetcher_(fetcher) {}

  Result<std::unique_ptr<downloads::SourceResponse>> Get(
      const downloads::SourceRequest& request) override {
    const downloads::Url& url = request.url;
    RequestHead head;
    head.method(http::verb::get);
    head.target(url.path + url.query);
    head.version(11);
    const bool usual_port = url.port == (url.tls ? 443 : 80);
    head.set(http::field::host, usual_port ? url.host : fmt::format("{}:{}", url.host, url.port));
    for (const auto& [name, value] : request.headers) head.insert(name, value);
    Origin origin{.name = url.host, .port = url.port, .tls = url.tls};
    PYRO_ASSIGN_OR_RETURN(auto fetched,
                          InLoop(loop_, fetcher_.Fetch(std::move(origin), std::move(head),
                                                       {.local_allowed = request.may_be_local})));
    return std::unique_ptr<downloads::SourceResponse>(
        std::make_unique<SourceAnswer>(loop_, std::move(fetched)));
  }

 private:
  asio::any_io_executor loop_;
  Fetcher& fetcher_;
};

// One answer, in a worker.
asio::awaitable<std::optional<Result<Served>>> AnswerIn(downloads::Handler& handler,
                                                        downloads::Request request,
                                                        asio::any_io_executor loop,
                                                        Responder& responder, Fetcher& fetcher) {
  GuestSink sink(loop, responder, request.method == "HEAD");
  OutsideSource source(loop, fetcher);
  const downloads::Handled handled = handler.Answer(request, sink, source);
  if (!handled) co_return Result<Served>(handled.error());
  if (*handled) co_return Result<Served>(Served::kPassOn);
  const Status ended = sink.End();
  if (!ended) co_return Result<Served>(ended.error());
  co_return Result<Served>(Served::kAnswered);
}

}  // namespace

struct DownloadsHandler::Parts {
  Parts(downloads::Routes routes, downloads::StoreOptions options)
      : store(std::move(options)), handler(std::move(routes), store), workers(kWorkers) {}

  downloads::Store store;
  downloads::Handler handler;
  std::vector<net::ServedHost> only_cached;
  asio::thread_pool workers;
};

DownloadsHandler::DownloadsHandler(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
DownloadsHandler::~DownloadsHandler() = default;

Result<std::unique_ptr<DownloadsHandler>> DownloadsHandler::Make(const DownloadsConfig& config,
                                                                 downloads::StoreOptions store) {
  PYRO_ASSIGN_OR_RETURN(downloads::Routes parsed, downloads::Routes::Parse(config.routes));
  store.max_bytes = static_cast<std::uint64_t>(config.max_bytes);
  auto parts = std::make_unique<Parts>(std::move(parsed), std::move(store));
  for (const std::string_view word : Split(config.only_cached, ' ')) {
    if (word.empty()) continue;
    PYRO_ASSIGN_OR_RETURN(net::ServedHost host, net::ParseServedHost(word));
    parts->only_cached.push_back(std::move(host));
  }
  PYRO_RETURN_IF_ERROR(parts->store.Prepare());
  return std::unique_ptr<DownloadsHandler>(new DownloadsHandler(std::move(parts)));
}

void DownloadsHandler::SetOnlyCached(std::vector<net::ServedHost> hosts) {
  parts_->only_cached = std::move(hosts);
}

bool DownloadsHandler::Takes(const Origin& origin, const RequestHead& head) const {
  return parts_->handler.WhyNot(ToRequest(origin, head)).empty();
}

std::string DownloadsHandler::WhyRefused(const Origin& origin, const RequestHead& head) const {
  const net::ServedHost host{.name = origin.name, .port = origin.port};
  if (std::ranges::find(parts_->only_cached, host) == parts_->only_cached.end()) return {};
  const std::string why = parts_->handler.WhyNot(ToRequest(origin, head));
  return fmt::format("{}; --allow {} lets it through", why.empty() ? "a body came with it" : why,
                     net::FormatServedHost(host));
}

asio::awaitable<Result<Served>> DownloadsHandler::Serve(Origin origin, RequestHead head,
                                                        Responder& responder, Fetcher& fetcher) {
  const asio::any_io_executor loop = co_await asio::this_coro::executor;
  downloads::Request request = ToRequest(origin, head);
  auto answer = AnswerIn(parts_->handler, std::move(request), loop, responder, fetcher);
  std::optional<Result<Served>> served = co_await asio::co_spawn(
      parts_->workers.get_executor(), std::move(answer), asio::use_awaitable);
  if (!served) co_return MakeError(ErrorCode::kInternal, "a download was not answered");
  co_return *std::move(served);
}

}  // namespace pyro::proxy
