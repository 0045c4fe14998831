#include "downloads/answering.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::downloads {
namespace {

constexpr int kMostRedirects = 5;
constexpr std::size_t kPieceBytes = 64 * 1024;
constexpr std::size_t kMostPassedBytes = 1024 * 1024;  // Of a response that is no download.
// Behind another guest that fetches the same. Clients wait some 15 s for a byte; after this time
// both fetch.
constexpr std::chrono::seconds kWaitForOther(8);
constexpr std::chrono::minutes kClockStep(1);
// A source may say that an index stays so for longer; a guest is not to miss a new release then.
constexpr std::chrono::seconds kMostIndexAge(3600);

constexpr std::string_view kPypiJson = "application/vnd.pypi.simple.v1+json";
constexpr std::string_view kNpmShort = "application/vnd.npm.install-v1+json";

bool Has(const Headers& request, std::string_view type) {
  return FindHeader(request, "Accept").value_or("").find(type) != std::string::npos;
}

std::string ShortHeader(const Headers& headers, std::string_view name) {
  auto value = FindHeader(headers, name).value_or("");
  return value.size() > kMaxEntryText ? std::string() : value;
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// The source is there, but not in order: what it said before is better than this.
bool IsTrouble(int status) { return status >= 500 || status == 429 || status == 408; }

void AddIf(Headers& headers, const char* name, const std::string& value) {
  if (!value.empty()) headers.emplace_back(name, value);
}

}  // namespace

std::string AcceptOf(Kind kind, Lifetime lifetime, const Headers& request) {
  if (lifetime == Lifetime::kFixed) return "*/*";
  if (kind == Kind::kPypi) {
    return Has(request, kPypiJson) ? fmt::format("{}, text/html;q=0.1", kPypiJson) : "text/html";
  }
  if (kind == Kind::kNpm) {
    return Has(request, kNpmShort) ? fmt::format("{}, application/json;q=0.8", kNpmShort)
                                   : "application/json";
  }
  return "*/*";
}

Handler::Answering::Answering(Handler& handler, const Request& request, ResponseSink& sink,
                              Upstream& source, const RoutedUrl& routed)
    : handler_(handler),
      request_(request),
      sink_(sink),
      source_(source),
      routed_(routed),
      key_{.url = routed.source.Text(),
           .accept = AcceptOf(routed.route->kind, *routed.lifetime, request.headers)},
      asked_(ReadCacheControl(request.headers)),
      began_(handler.store_.options().clock->Now()) {}

std::string Handler::Answering::Server() const {
  return fmt::format("{}:{}", routed_.source.host, routed_.source.port);
}

bool Handler::Answering::IsFresh(const Entry& entry) const {
  const auto age = began_ - entry.checked_at;
  if (age < -kClockStep) return false;  // The clock was wrong then, or is now.
  if (age.count() <= 0) return true;    // Another guest has just asked.
  if (asked_.no_cache) return false;
  if (*routed_.lifetime == Lifetime::kFixed) return true;
  auto limit = std::min(entry.max_age, kMostIndexAge);
  if (asked_.max_age) limit = std::min(limit, *asked_.max_age);
  return age < limit;
}

std::optional<StoredDownload> Handler::Answering::FindStored() {
  auto found = handler_.store_.Find(key_);
  if (found) return *std::move(found);
  Tell(Report::Kind::kDisk, fmt::format("the cache cannot be read: {}", found.error().message));
  return std::nullopt;
}

Status Handler::Answering::Run() {
  auto stored = FindStored();
  if (stored && IsFresh(stored->entry)) return ServeStored(*stored, "hit");
  if (handler_.IsAway(Server())) {
    return ServeUnreached(std::move(stored),
                          MakeError(ErrorCode::kUnavailable, "it could not be reached just now"));
  }
  auto lock = handler_.store_.LockFetch(key_, Deadline::After(std::chrono::seconds(0)));
  if (lock && !*lock) lock = handler_.store_.LockFetch(key_, Deadline::After(kWaitForOther));
  if (!lock) {
    Tell(Report::Kind::kDisk, fmt::format("the cache cannot be locked: {}", lock.error().message));
  }
  // Another guest may have fetched it since.
  stored = FindStored();
  if (stored && IsFresh(stored->entry)) return ServeStored(*stored, "hit");
  return Fetch(std::move(stored));
}

Result<std::unique_ptr<SourceResponse>> Handler::Answering::Ask(
    const std::optional<StoredDownload>& old) {
  SourceRequest request{.url = routed_.source, .headers = {}, .may_be_local = false};
  request.headers = {
      {"Accept", key_.accept}, {"Accept-Encoding", "identity"}, {"User-Agent", "pyro"}};
  if (old) {
    AddIf(request.headers, "If-None-Match", old->entry.etag);
    AddIf(request.headers, "If-Modified-Since", old->entry.last_modified);
  }
  for (int i = 0; i <= kMostRedirects; ++i) {
    request.may_be_local =
        routed_.route->from_settings && request.url.SameServer(routed_.route->source);
    PYRO_ASSIGN_OR_RETURN(auto response, source_.Get(request));
    if (!IsRedirect(response->status())) return response;
    const auto location = FindHeader(response->headers(), "Location");
    auto next = FollowUrl(request.url, location.value_or(""));
    if (!location || !next) {
      return MakeError(ErrorCode::kProtocol, "it sent a redirect that leads nowhere");
    }
    if (request.url.tls && !next->tls) {
      return MakeError(ErrorCode::kProtocol, "it sent a redirect from https to http");
    }
    request.url = *std::move(next);
  }
  return MakeError(ErrorCode::kProtocol,
                   fmt::format("it sent more than {} redirects", kMostRedirects));
}

Status Handler::Answering::Fetch(std::optional<StoredDownload> old) {
  auto response = Ask(old);
  if (!response) {
    if (response.error().code != ErrorCode::kProtocol) handler_.NoteAway(Server());
    Tell(Report::Kind::kAway,
         fmt::format("{} could not be asked: {}", Printable(Server()), response.error().message));
    return ServeUnreached(std::move(old), response.error());
  }
  handler_.NoteBack(Server());
  SourceResponse& source = **response;
  if (source.status() == 200) return Take(source);
  if (source.status() == 304 && old) {
    old->entry.checked_at = began_;
    const auto control = ReadCacheControl(source.headers());
    old->entry.max_age = control.no_cache ? std::chrono::seconds(0)
                                          : control.max_age.value_or(std::chrono::seconds(0));
    if (const auto renewed = handler_.store_.Renew(old->entry); !renewed) {
      Tell(Report::Kind::kDisk,
           fmt::format("the cache cannot be written: {}", renewed.error().message));
    }
    return ServeStored(*old, "checked");
  }
  if (old && IsTrouble(source.status())) {
    return ServeUnreached(
        std::move(old),
        MakeError(ErrorCode::kUnavailable, fmt::format("it answered with {}", source.status())));
  }
  if (source.status() == 404 || source.status() == 410) handler_.store_.Forget(key_);
  return Pass(source);
}

Status Handler::Answering::ServeUnreached(std::optional<StoredDownload> old, const Error& why) {
  if (old) {
    ++handler_.stale_;
    return ServeStored(*old, "stale");
  }
  return SayWords(504,
                  fmt::format("pyro's download cache does not hold {}, and {} cannot be asked: {}",
                              Printable(routed_.source.path), Printable(Server()), why.message));
}

Status Handler::Answering::SayWords(int status, std::string_view sentence) {
  const std::string body = fmt::format("{}\n", sentence);
  PYRO_RETURN_IF_ERROR(sink_.Begin(status, {{"Content-Type", "text/plain; charset=utf-8"},
                                            {"Cache-Control", "no-store"},
                                            {"Content-Length", std::to_string(body.size())}}));
  return IsHead() ? OkStatus() : sink_.Write(body);
}

Status Handler::Answering::ServeStored(const StoredDownload& stored, std::string_view how) {
  const Entry& entry = stored.entry;
  ++handler_.from_cache_;
  Headers headers = {{"X-Pyro-Cache", std::string(how)}, {"Accept-Ranges", "bytes"}};
  AddIf(headers, "ETag", entry.etag);
  AddIf(headers, "Last-Modified", entry.last_modified);
  if (how == "stale") headers.emplace_back("Warning", "110 pyro \"Response is Stale\"");
  if (ClientHasIt(request_.headers, entry.etag, entry.last_modified)) {
    return sink_.Begin(304, headers);
  }
  AddIf(headers, "Content-Type", entry.content_type);
  const auto range = FindHeader(request_.headers, "Range");
  AskedRange asked;
  if (range && !IsHead() && MaySendPart(request_.headers, entry.etag, entry.last_modified)) {
    asked = ReadRange(*range, entry.size);
  }
  if (asked.impossible) {
    headers.emplace_back("Content-Range", fmt::format("bytes */{}", entry.size));
    headers.emplace_back("Content-Length", "0");
    return sink_.Begin(416, headers);
  }
  const ByteRange part = asked.part.value_or(ByteRange{0, entry.size == 0 ? 0 : entry.size - 1});
  const std::uint64_t count = entry.size == 0 ? 0 : part.last - part.first + 1;
  if (asked.part) {
    headers.emplace_back("Content-Range",
                         fmt::format("bytes {}-{}/{}", part.first, part.last, entry.size));
  }
  headers.emplace_back("Content-Length", std::to_string(count));
  PYRO_RETURN_IF_ERROR(sink_.Begin(asked.part ? 206 : 200, headers));
  return IsHead() ? OkStatus() : SendPart(stored, part.first, count);
}

Status Handler::Answering::SendPart(const StoredDownload& stored, std::uint64_t first,
                                    std::uint64_t count) {
  std::vector<char> buffer(std::min<std::uint64_t>(count, kPieceBytes));
  while (count > 0) {
    const std::size_t want = std::min<std::uint64_t>(count, buffer.size());
    const ssize_t n = ::pread(stored.content.get(), buffer.data(), want, static_cast<off_t>(first));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read", stored.entry.sha256);
    if (n == 0) {
      return MakeError(ErrorCode::kDataLoss,
                       "a file of the cache became shorter while it was read");
    }
    PYRO_RETURN_IF_ERROR(sink_.Write({buffer.data(), static_cast<std::size_t>(n)}));
    handler_.bytes_from_cache_ += static_cast<std::uint64_t>(n);
    first += static_cast<std::uint64_t>(n);
    count -= static_cast<std::uint64_t>(n);
  }
  return OkStatus();
}

bool Handler::Answering::MayBeStored(const SourceResponse& response) const {
  const auto control = ReadCacheControl(response.headers());
  const std::string encoding = FindHeader(response.headers(), "Content-Encoding").value_or("");
  const std::string vary = FindHeader(response.headers(), "Vary").value_or("");
  return response.framing() != Framing::kUntilClose && !control.no_store && !control.is_private &&
         vary.find('*') == std::string::npos && (encoding.empty() || encoding == "identity");
}

Status Handler::Answering::Take(SourceResponse& response) {
  std::optional<NewContent> content;
  if (MayBeStored(response)) {
    auto fresh = handler_.store_.NewDownload();
    if (fresh) {
      content.emplace(*std::move(fresh));
    } else {
      Tell(Report::Kind::kDisk,
           fmt::format("the cache cannot be written: {}", fresh.error().message));
    }
  }
  // A part, or nothing but the head, is answered out of the store once all of it is there.
  const bool wants_all = !IsHead() && !FindHeader(request_.headers, "Range");
  const bool streams = wants_all || !content;
  if (streams) {
    Headers headers = {{"X-Pyro-Cache", "miss"}};
    for (const char* name :
         {"Content-Type", "Content-Length", "Content-Encoding", "ETag", "Last-Modified"}) {
      AddIf(headers, name, FindHeader(response.headers(), name).value_or(""));
    }
    PYRO_RETURN_IF_ERROR(sink_.Begin(200, headers));
    if (IsHead()) return OkStatus();
  }
  ++handler_.fetched_;
  std::vector<char> buffer(kPieceBytes);
  for (;;) {
    const auto n = response.Read(buffer);
    if (!n && streams) return n.error();
    if (!n) return ServeUnreached(std::nullopt, n.error());
    if (*n == 0) break;
    handler_.bytes_fetched_ += *n;
    const std::string_view piece(buffer.data(), *n);
    if (content) {
      if (const auto kept = content->Append(piece); !kept) {
        Tell(Report::Kind::kDisk,
             fmt::format("{} is not kept: {}", Printable(key_.url), kept.error().message));
        content.reset();
        if (!streams) return SayWords(502, kept.error().message);
      }
    }
    if (streams) PYRO_RETURN_IF_ERROR(sink_.Write(piece));
  }
  std::optional<StoredDownload> stored;
  if (content) stored = Keep(*std::move(content), response);
  if (streams) return OkStatus();
  if (!stored) return SayWords(502, "pyro's download cache cannot keep what was fetched");
  return ServeStored(*stored, "miss");
}

std::optional<StoredDownload> Handler::Answering::Keep(NewContent content,
                                                       const SourceResponse& response) {
  if (!routed_.promised_sha256.empty() && content.Digest() != routed_.promised_sha256) {
    Tell(Report::Kind::kRefused,
         fmt::format("{} is not kept: its bytes are not those that its name promises",
                     Printable(key_.url)));
    return std::nullopt;
  }
  const auto control = ReadCacheControl(response.headers());
  const auto age = ParseInt(FindHeader(response.headers(), "Age").value_or("0"));
  Entry entry{.key = key_,
              .sha256 = {},
              .content_type = ShortHeader(response.headers(), "Content-Type"),
              .etag = ShortHeader(response.headers(), "ETag"),
              .last_modified = ShortHeader(response.headers(), "Last-Modified"),
              .fetched_at = began_,
              .checked_at = began_};
  if (control.max_age && !control.no_cache && age && *age >= 0) {
    entry.max_age = *control.max_age - std::min(*control.max_age, std::chrono::seconds(*age));
  }
  auto stored = content.Commit(std::move(entry));
  if (stored) return *std::move(stored);
  Tell(Report::Kind::kDisk, fmt::format("the cache cannot be written: {}", stored.error().message));
  return std::nullopt;
}

Status Handler::Answering::Pass(SourceResponse& response) {
  std::string body;
  std::array<char, 4 * 1024> buffer;
  while (body.size() < kMostPassedBytes) {
    PYRO_ASSIGN_OR_RETURN(const std::size_t n, response.Read(buffer));
    if (n == 0) break;
    body.append(buffer.data(), n);
  }
  if (body.size() > kMostPassedBytes) body.resize(kMostPassedBytes);
  Headers headers = {{"Content-Length", std::to_string(body.size())}, {"X-Pyro-Cache", "pass"}};
  for (const char* name : {"Content-Type", "Content-Encoding"}) {
    AddIf(headers, name, FindHeader(response.headers(), name).value_or(""));
  }
  PYRO_RETURN_IF_ERROR(sink_.Begin(response.status(), headers));
  return IsHead() ? OkStatus() : sink_.Write(body);
}

}  // namespace pyro::downloads
