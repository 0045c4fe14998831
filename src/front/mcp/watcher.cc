#include "front/mcp/watcher.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"

namespace pyro::mcp_server {
namespace {

// Between two looks: however fast output comes, a client hears of it no more often.
constexpr std::chrono::milliseconds kPause{500};
constexpr std::chrono::hours kOneWait{1};  // Any time: the next one follows.
constexpr std::string_view kTasksPrefix = "pyro://tasks/";

// The event changes what a client reads there.
bool Concerns(const Event& event, const ResourceRef& ref) {
  using Kind = ResourceRef::Kind;
  if (event.kind == Event::Kind::kPresent) return false;
  if (event.kind == Event::Kind::kEnvironments) return ref.kind == Kind::kEnvironments;
  if (ref.kind == Kind::kTasks) {
    return event.id.starts_with("task_") && event.kind != Event::Kind::kOutput;
  }
  // It may be the beginning of an id.
  if (ref.task_id.empty() || !event.id.starts_with(ref.task_id)) return false;
  switch (ref.kind) {
    case Kind::kTask:
      return event.kind != Event::Kind::kOutput;
    case Kind::kLogs:
      return true;
    case Kind::kCommand:
    case Kind::kStream:
      return event.sequence == ref.sequence || event.kind == Event::Kind::kDeleted;
    default:
      return false;
  }
}

}  // namespace

ResourceRef ParseResource(const std::string& uri) {
  using Kind = ResourceRef::Kind;
  ResourceRef ref;
  if (uri == "pyro://environments") ref.kind = Kind::kEnvironments;
  if (uri == "pyro://tasks") ref.kind = Kind::kTasks;
  if (!uri.starts_with(kTasksPrefix)) return ref;
  const std::vector<std::string_view> parts =
      Split(std::string_view(uri).substr(kTasksPrefix.size()), '/');
  ref.task_id = parts[0];
  if (parts.size() == 1) {
    ref.kind = Kind::kTask;
  } else if (parts.size() == 2 && parts[1] == "logs") {
    ref.kind = Kind::kLogs;
  } else if (parts.size() >= 3 && parts[1] == "commands") {
    const auto sequence = ParseInt(parts[2]);
    if (!sequence || *sequence < 1) return ref;
    ref.sequence = *sequence;
    if (parts.size() == 3) ref.kind = Kind::kCommand;
    const auto stream = parts.size() == 4 ? FromName<OutputStream>(parts[3]) : std::nullopt;
    if (stream) {
      ref.kind = Kind::kStream;
      ref.stream = *stream;
    }
  }
  return ref;
}

void Watcher::Stop() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
    if (stream_) stream_->Interrupt();
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watcher::OnWatch(const std::string& uri, mcp::Watch watch) {
  const std::lock_guard lock(mutex_);
  if (watch == mcp::Watch::kStopped) {
    watched_.erase(uri);
    if (!watched_.empty() || !stream_) return;
    stream_->Interrupt();
    stream_.reset();
    return;
  }
  if (done_) return;
  watched_.insert(uri);
  // Changes count from here on.
  if (!stream_) {
    if (auto stream = engine_.Watch()) {
      stream_ = std::move(*stream);
      (void)stream_->Next(std::chrono::milliseconds(0), {});  // What is there is no change.
    }
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  wake_.notify_all();
}

void Watcher::Run() {
  std::unique_lock lock(mutex_);
  while (!done_) {
    if (!stream_) {
      wake_.wait(lock, [this] { return done_ || stream_; });
      continue;
    }
    const std::shared_ptr<EventStream> stream = stream_;
    lock.unlock();
    const auto events = stream->Next(kOneWait, {});
    lock.lock();
    if (stream != stream_) continue;  // No client watches any more.
    for (const std::string& uri : watched_) {
      const ResourceRef ref = ParseResource(uri);
      const auto concerns = [&](const Event& event) { return Concerns(event, ref); };
      // What an error keeps from being told, the next call tells.
      if (events && std::any_of(events->begin(), events->end(), concerns)) {
        server_.NotifyResourceUpdated(uri);
      }
    }
    wake_.wait_for(lock, kPause, [this] { return done_; });
  }
}

}  // namespace pyro::mcp_server
