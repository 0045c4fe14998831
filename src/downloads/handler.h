// Answers a guest's requests for downloads out of the store, or from their source.
//
// The proxy parses the guest's requests, and speaks with sources: it is the ResponseSink and the
// Upstream. A guest decides only which URL is asked for and in which of a few forms; none of its
// headers reaches a source, so that nothing of one guest is in what another one gets.

#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "downloads/headers.h"
#include "downloads/routes.h"
#include "downloads/store.h"
#include "downloads/url.h"
#include "pyro/result.h"

namespace pyro::downloads {

// As the guest sent it. The connection was judged by host and port.
struct Request {
  std::string method;  // "GET"
  bool tls = false;
  std::string host;
  std::uint16_t port = 0;
  std::string target;  // Of the request's first line: a path, maybe with a query.
  Headers headers;
  bool has_body = false;
};

// Where the response goes. An error of it ends the answer.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  // Once, first. Headers have Content-Length if the length is known; framing is the sink's.
  virtual Status Begin(int status, const Headers& headers) = 0;
  // The next bytes of the body; never for HEAD and 304.
  virtual Status Write(std::string_view bytes) = 0;
};

enum class Framing {
  kLength,      // Content-Length.
  kChunked,     // The source says where it ends.
  kUntilClose,  // It cannot be told whether it is whole: it is not stored.
};

// The response of a source, while its body comes in. One thread.
class SourceResponse {
 public:
  virtual ~SourceResponse() = default;
  virtual int status() const = 0;
  virtual const Headers& headers() const = 0;
  virtual Framing framing() const = 0;
  // Blocks. 0: the end. kUnavailable, kTimedOut: it was cut before that.
  virtual Result<std::size_t> Read(std::span<char> into) = 0;
};

struct SourceRequest {
  Url url;
  Headers headers;
  // The host's own configuration names this server: it may be of the host or its networks.
  bool may_be_local = false;
};

class Upstream {
 public:
  virtual ~Upstream() = default;
  // GET. Blocks until the head is there, and follows no redirect. The server's certificate is
  // verified. An error: it cannot be reached. Thread-safe.
  virtual Result<std::unique_ptr<SourceResponse>> Get(const SourceRequest& request) = 0;
};

struct HandlerStats {
  std::uint64_t from_cache = 0;  // Answers without a byte of the body from the source.
  std::uint64_t fetched = 0;     // Bodies from a source.
  std::uint64_t stale = 0;       // Of from_cache: the source could not be asked.
  std::uint64_t bytes_from_cache = 0;
  std::uint64_t bytes_fetched = 0;
};

// nullopt: it was answered. Otherwise the request is none for the cache, for the reason told: a
// sentence for people. The proxy forwards it if the guest's rules allow that, or refuses it.
using Handled = Result<std::optional<std::string>>;

// Thread-safe.
class Handler {
 public:
  // `store` is borrowed, for the life of the handler.
  Handler(Routes routes, Store& store);

  // Why the request is none for the cache, as Answer() would say; empty: it is one.
  std::string WhyNot(const Request& request) const;

  // Blocks. `sink` and `source` are borrowed until it returns. An error after
  // ResponseSink::Begin(): the response is not whole, and its connection must be closed.
  Handled Answer(const Request& request, ResponseSink& sink, Upstream& source);

  HandlerStats stats() const;
  const Routes& routes() const { return routes_; }

 private:
  class Answering;

  // Empty, with `found` set: it is for the cache.
  std::string Route(const Request& request, std::optional<RoutedUrl>& found) const;
  bool IsAway(const std::string& server);
  void NoteAway(const std::string& server);
  void NoteBack(const std::string& server);

  const Routes routes_;
  Store& store_;
  std::atomic<std::uint64_t> from_cache_{0};
  std::atomic<std::uint64_t> fetched_{0};
  std::atomic<std::uint64_t> stale_{0};
  std::atomic<std::uint64_t> bytes_from_cache_{0};
  std::atomic<std::uint64_t> bytes_fetched_{0};
  std::mutex mutex_;
  std::map<std::string, SteadyTime> away_;  // Until when a server is not asked again.
};

}  // namespace pyro::downloads
