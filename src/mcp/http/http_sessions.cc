#include "mcp/http/http_sessions.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "mcp/protocol/base64.h"
#include "sys/random.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kStandaloneName = "g";
constexpr std::chrono::minutes kKeepEnded{5};
constexpr std::size_t kMaxStreams = 256;
constexpr std::size_t kMaxBytes = 8 * 1024 * 1024;  // Of all streams of a session.
constexpr std::size_t kIdBytes = 24;

}  // namespace

HttpSession::HttpSession(std::string id, std::string principal)
    : id_(std::move(id)),
      standalone_(std::make_shared<HttpStream>(HttpStream::Options{
          .name = std::string(kStandaloneName), .primer = false, .endless = true})),
      peer_(
          std::make_shared<Peer>(std::move(principal), [stream = standalone_](const Json& message) {
            stream->Send(message, Sink::Kind::kMessage);
          })) {}

std::shared_ptr<HttpStream> HttpSession::NewStream(bool primer) {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& [name, stream] : streams_) bytes += stream->kept_bytes();
  // Of ended streams, to which a client may never return, the oldest make room.
  for (auto it = streams_.begin(); it != streams_.end();) {
    if (streams_.size() < kMaxStreams && bytes <= kMaxBytes) break;
    if (it->second->finished_at() && !it->second->attached()) {
      bytes -= std::min(bytes, it->second->kept_bytes());
      it = streams_.erase(it);
    } else {
      ++it;
    }
  }
  const std::string name = fmt::format("s{:08}", next_stream_++);
  auto stream = std::make_shared<HttpStream>(
      HttpStream::Options{.name = name, .primer = primer, .endless = false});
  streams_.emplace(name, stream);
  return stream;
}

std::shared_ptr<HttpStream> HttpSession::FindStream(const std::string& name) {
  if (name == kStandaloneName) return standalone_;
  const std::lock_guard lock(mutex_);
  const auto it = streams_.find(name);
  return it == streams_.end() ? nullptr : it->second;
}

void HttpSession::Forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  streams_.erase(name);
}

void HttpSession::Sweep(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  std::erase_if(streams_, [&](const auto& entry) {
    const auto ended = entry.second->finished_at();
    return ended && !entry.second->attached() && now - *ended > kKeepEnded;
  });
}

void HttpSession::Touch(SteadyTime now) {
  const std::lock_guard lock(mutex_);
  used_at_ = now;
}

SteadyTime HttpSession::used_at() const {
  const std::lock_guard lock(mutex_);
  return used_at_;
}

bool HttpSession::busy() const {
  if (standalone_->attached()) return true;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, stream] : streams_) {
    if (stream->attached() || !stream->finished_at()) return true;
  }
  return false;
}

std::optional<HttpSessions::Added> HttpSessions::Add(const std::string& principal, SteadyTime now) {
  Added added;
  added.removed = RemoveIdle(now);
  const std::lock_guard lock(mutex_);
  if (sessions_.size() >= limit_) {
    auto oldest = sessions_.end();
    for (auto it = sessions_.begin(); it != sessions_.end(); ++it) {
      if (it->second->busy()) continue;
      if (oldest == sessions_.end() || it->second->used_at() < oldest->second->used_at()) {
        oldest = it;
      }
    }
    if (oldest == sessions_.end()) return std::nullopt;
    added.removed.push_back(oldest->second);
    sessions_.erase(oldest);
  }
  const std::string id = EncodeBase64Url(sys::RandomBytes(kIdBytes));
  added.session = std::make_shared<HttpSession>(id, principal);
  added.session->Touch(now);
  sessions_.emplace(id, added.session);
  return added;
}

std::shared_ptr<HttpSession> HttpSessions::Find(std::string_view id, SteadyTime now) {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return nullptr;
  it->second->Touch(now);
  return it->second;
}

std::shared_ptr<HttpSession> HttpSessions::Remove(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto it = sessions_.find(id);
  if (it == sessions_.end()) return nullptr;
  auto session = it->second;
  sessions_.erase(it);
  return session;
}

std::vector<std::shared_ptr<HttpSession>> HttpSessions::RemoveIdle(SteadyTime now) {
  std::vector<std::shared_ptr<HttpSession>> removed;
  const std::lock_guard lock(mutex_);
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    it->second->Sweep(now);
    if (now - it->second->used_at() > idle_ && !it->second->busy()) {
      removed.push_back(it->second);
      it = sessions_.erase(it);
    } else {
      ++it;
    }
  }
  return removed;
}

std::vector<std::shared_ptr<HttpSession>> HttpSessions::TakeAll() {
  std::vector<std::shared_ptr<HttpSession>> taken;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, session] : sessions_) taken.push_back(session);
  sessions_.clear();
  return taken;
}

}  // namespace pyro::mcp
