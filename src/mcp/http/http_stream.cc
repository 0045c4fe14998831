#include "mcp/http/http_stream.h"

#include <algorithm>
#include <utility>

#include "mcp/http/sse.h"

namespace pyro::mcp {
namespace {

// The events kept for a client that may come back.
constexpr std::size_t kMaxKeptEvents = 256;
constexpr std::size_t kMaxKeptBytes = 1024 * 1024;
// Limits of the queue for a client that does not read: for reports the first, for all the second.
constexpr std::size_t kStreamSoftLimit = 256 * 1024;
constexpr std::size_t kStreamHardLimit = 8 * 1024 * 1024;
constexpr std::chrono::milliseconds kRetry{1000};

}  // namespace

void HttpStream::Push(std::string json, Kind kind) {
  bytes_ += json.size();
  waiting_ += json.size();
  events_.push_back({next_number_++, std::move(json), kind});
  // Of the taken events only the newest are kept; others are kept while there is room.
  const auto evictable = [&] {
    const bool taken = events_.front().number <= cursor_;
    if (options_.name.empty()) return taken;
    const bool beyond = events_.size() > kMaxKeptEvents || bytes_ > kMaxKeptBytes;
    return beyond && (taken || !attached_) && events_.size() > 1;
  };
  while (!events_.empty() && evictable()) {
    bytes_ -= events_.front().json.size();
    events_.pop_front();
  }
}

void HttpStream::Wake(std::unique_lock<std::mutex> lock) {
  const std::function<void()> wake = wake_;
  lock.unlock();
  if (wake) wake();
}

void HttpStream::Send(const Json& message, Kind kind) {
  std::unique_lock lock(mutex_);
  if (ended_ || overflowed_) return;
  // A stream without a listener, to which no client can come back, needs no events.
  if (options_.endless && !ever_attached_) return;
  if (kind == Kind::kReport && waiting_ > kStreamSoftLimit) return;
  if (waiting_ > kStreamHardLimit && attached_) {
    overflowed_ = true;
  } else {
    Push(ToJsonLine(message), kind);
  }
  Wake(std::move(lock));
}

void HttpStream::Finish(const Json& response, int http_status) {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  ended_ = true;
  http_status_ = http_status;
  Push(ToJsonLine(response), Kind::kMessage);
  finished_at_ = std::chrono::steady_clock::now();
  Wake(std::move(lock));
}

void HttpStream::Drop() {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  ended_ = true;
  dropped_ = true;
  finished_at_ = std::chrono::steady_clock::now();
  Wake(std::move(lock));
}

void HttpStream::AllowPrimer() {
  const std::lock_guard lock(mutex_);
  options_.primer = true;
}

void HttpStream::Release() {
  std::unique_lock lock(mutex_);
  if (ended_ || !options_.primer || !attached_) return;
  released_ = true;
  Wake(std::move(lock));
}

std::uint64_t HttpStream::Attach(std::uint64_t after, std::function<void()> wake) {
  std::unique_lock lock(mutex_);
  const std::function<void()> before = std::exchange(wake_, std::move(wake));
  attached_ = true;
  released_ = false;
  primed_ = after != kNow && after != 0;
  ever_attached_ = true;
  cursor_ = std::min(after, next_number_ - 1);
  waiting_ = 0;
  for (const Event& event : events_) {
    if (event.number > cursor_) waiting_ += event.json.size();
  }
  const std::uint64_t ticket = ++ticket_;
  lock.unlock();
  if (before) before();  // So that it notices that it has lost the stream.
  return ticket;
}

void HttpStream::Detach(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  if (ticket != ticket_) return;
  attached_ = false;
  wake_ = nullptr;
}

bool HttpStream::attached() const {
  const std::lock_guard lock(mutex_);
  return attached_;
}

HttpStream::Opening HttpStream::opening() const {
  const std::lock_guard lock(mutex_);
  if (released_ || overflowed_ || dropped_) return Opening::kStream;
  if (ended_) return events_.size() == 1 ? Opening::kAnswer : Opening::kStream;
  return events_.empty() ? Opening::kWait : Opening::kStream;
}

HttpStream::Answer HttpStream::TakeAnswer() {
  const std::lock_guard lock(mutex_);
  cursor_ = next_number_ - 1;
  return {std::move(events_.back().json), http_status_};
}

HttpStream::Piece HttpStream::Take(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  Piece piece;
  if (ticket != ticket_ || overflowed_) {
    piece.then = Piece::Then::kLost;
    return piece;
  }
  if (options_.primer && !primed_) {
    piece.bytes = FormatPrimer(FormatEventId({options_.name, cursor_}), kRetry);
  }
  primed_ = true;
  for (const Event& event : events_) {
    if (event.number <= cursor_) continue;
    const std::string id =
        options_.name.empty() ? std::string() : FormatEventId({options_.name, event.number});
    piece.bytes += FormatEvent(event.json, id);
    cursor_ = event.number;
  }
  waiting_ = 0;
  if (options_.name.empty()) {
    events_.clear();
    bytes_ = 0;
  }
  if (ended_) {
    piece.then = Piece::Then::kEnd;
  } else if (released_) {
    piece.then = Piece::Then::kRelease;
  }
  return piece;
}

std::size_t HttpStream::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::optional<SteadyTime> HttpStream::finished_at() const {
  const std::lock_guard lock(mutex_);
  return finished_at_;
}

}  // namespace pyro::mcp
