#include "downloads/handler.h"

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "downloads/answering.h"

namespace pyro::downloads {
namespace {

constexpr std::size_t kMostAway = 64;
// How long a server that could not be reached is not asked again: each try may wait for its limit.
constexpr std::chrono::seconds kAwayFor(15);

// Empty: the request may be one for the cache.
std::string FormIsWrong(const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    return fmt::format("the download cache answers GET and HEAD, not {}",
                       Printable(request.method, 32));
  }
  if (request.has_body) return "the download cache takes no request with a body";
  for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) {
    if (FindHeader(request.headers, name)) {
      return fmt::format("a request with {} is not for the download cache, which all guests share",
                         name);
    }
  }
  if (!request.target.starts_with('/')) return "the request has no path that begins with '/'";
  return {};
}

}  // namespace

Handler::Handler(Routes routes, Store& store) : routes_(std::move(routes)), store_(store) {}

std::string Handler::Route(const Request& request, std::optional<RoutedUrl>& found) const {
  std::string why = FormIsWrong(request);
  if (!why.empty()) return why;
  const auto url = ParseUrl(fmt::format("{}://{}:{}{}", request.tls ? "https" : "http",
                                        request.host, request.port, request.target));
  if (!url) return url.error().message;
  found = routes_.Find(*url);
  if (!found) return fmt::format("{} is no download host of the cache", Printable(url->host));
  if (!found->lifetime) {
    return fmt::format("{} is no download of {} that the cache knows",
                       Printable(url->path + url->query), found->route->preset);
  }
  return {};
}

std::string Handler::WhyNot(const Request& request) const {
  std::optional<RoutedUrl> ignored;
  return Route(request, ignored);
}

Handled Handler::Answer(const Request& request, ResponseSink& sink, Upstream& source) {
  std::optional<RoutedUrl> routed;
  std::string why = Route(request, routed);
  if (!why.empty()) return std::optional(std::move(why));
  PYRO_RETURN_IF_ERROR(Answering(*this, request, sink, source, *routed).Run());
  return std::optional<std::string>();
}

HandlerStats Handler::stats() const {
  return {.from_cache = from_cache_,
          .fetched = fetched_,
          .stale = stale_,
          .bytes_from_cache = bytes_from_cache_,
          .bytes_fetched = bytes_fetched_};
}

bool Handler::IsAway(const std::string& server) {
  const std::lock_guard guard(mutex_);
  const auto found = away_.find(server);
  return found != away_.end() && std::chrono::steady_clock::now() < found->second;
}

void Handler::NoteAway(const std::string& server) {
  const std::lock_guard guard(mutex_);
  if (away_.size() >= kMostAway) away_.clear();
  away_[server] = std::chrono::steady_clock::now() + kAwayFor;
}

void Handler::NoteBack(const std::string& server) {
  const std::lock_guard guard(mutex_);
  away_.erase(server);
}

}  // namespace pyro::downloads
