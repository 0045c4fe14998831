// Sources and sinks in memory, for tests of the handler.

#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "downloads/handler.h"

namespace pyro::downloads::testing {

struct Served {
  int status = 200;
  Headers headers;
  std::string body;
  Framing framing = Framing::kLength;
  std::size_t cut_after = SIZE_MAX;  // The connection breaks after so many bytes.
};

class FakeResponse : public SourceResponse {
 public:
  explicit FakeResponse(Served served) : served_(std::move(served)) {
    if (served_.framing == Framing::kLength) {
      served_.headers.emplace_back("Content-Length", std::to_string(served_.body.size()));
    }
  }
  int status() const override { return served_.status; }
  const Headers& headers() const override { return served_.headers; }
  Framing framing() const override { return served_.framing; }
  Result<std::size_t> Read(std::span<char> into) override {
    if (at_ >= served_.cut_after) return MakeError(ErrorCode::kUnavailable, "the connection broke");
    const std::size_t n =
        std::min({into.size(), served_.body.size() - at_, served_.cut_after - at_, kPiece});
    std::memcpy(into.data(), served_.body.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  static constexpr std::size_t kPiece = 1000;
  Served served_;
  std::size_t at_ = 0;
};

// Thread-safe; what is served is set before.
class FakeSource : public Upstream {
 public:
  Result<std::unique_ptr<SourceResponse>> Get(const SourceRequest& request) override {
    const std::lock_guard guard(mutex_);
    asked.push_back(request);
    if (before) before(request);
    if (away) return MakeError(ErrorCode::kUnavailable, "the network is down");
    const auto found = pages.find(request.url.Text());
    Served served = found == pages.end() ? Served{.status = 404, .body = "none"} : found->second;
    const auto etag = FindHeader(served.headers, "ETag");
    if (etag && FindHeader(request.headers, "If-None-Match") == etag) {
      served.status = 304;
      served.body.clear();
    }
    return std::unique_ptr<SourceResponse>(std::make_unique<FakeResponse>(std::move(served)));
  }

  bool away = false;
  std::map<std::string, Served> pages;
  std::vector<SourceRequest> asked;
  std::function<void(const SourceRequest&)> before;

 private:
  std::mutex mutex_;
};

class MemorySink : public ResponseSink {
 public:
  Status Begin(int now, const Headers& all) override {
    status = now;
    headers = all;
    return OkStatus();
  }
  Status Write(std::string_view bytes) override {
    if (body.size() + bytes.size() > most) return MakeError(ErrorCode::kUnavailable, "it hung up");
    body += bytes;
    return OkStatus();
  }
  std::string Header(std::string_view name) const { return FindHeader(headers, name).value_or(""); }
  std::string how() const { return Header("X-Pyro-Cache"); }

  int status = 0;
  Headers headers;
  std::string body;
  std::size_t most = SIZE_MAX;
};

class SetClock : public Clock {
 public:
  WallTime Now() const override { return now; }
  WallTime now = WallTime(std::chrono::hours(24 * 365 * 50));
};

}  // namespace pyro::downloads::testing
