#include "engine/state_watch.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxReads = 64;  // In one look: more than the queue holds, however fast it fills.
constexpr std::uint32_t kNames = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

Status AddToEpoll(int epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0) return OkStatus();
  return sys::ErrnoError(errno, "epoll_ctl");
}

}  // namespace

Result<StateWatch> StateWatch::Open(const fs::path& state, const fs::path& cache) {
  StateWatch watch;
  watch.state_ = state;
  watch.environments_ = cache / "environments";
  watch.inotify_ = sys::UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!watch.inotify_.valid()) return sys::ErrnoError(errno, "inotify");
  watch.timer_ = sys::UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!watch.timer_.valid()) return sys::ErrnoError(errno, "timerfd");
  watch.interrupt_ = sys::UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!watch.interrupt_.valid()) return sys::ErrnoError(errno, "eventfd");
  watch.wait_ = sys::UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!watch.wait_.valid()) return sys::ErrnoError(errno, "epoll");
  for (const int fd : {watch.inotify_.get(), watch.timer_.get(), watch.interrupt_.get()}) {
    PYRO_RETURN_IF_ERROR(AddToEpoll(watch.wait_.get(), fd));
  }
  PYRO_RETURN_IF_ERROR(watch.FollowState());
  PYRO_RETURN_IF_ERROR(watch.FollowEnvironments());
  return watch;
}

Status StateWatch::FollowState() {
  for (const fs::path& directory : {state_ / "vms", state_ / "tasks", environments_}) {
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory));
  }
  PYRO_RETURN_IF_ERROR(Add(state_, kNames | IN_MODIFY, {What::kState, {}}));
  for (const char* instances : {"vms", "tasks"}) {
    PYRO_RETURN_IF_ERROR(Add(state_ / instances, kNames, {What::kInstances, {}}));
  }
  return OkStatus();
}

Result<bool> StateWatch::Add(const fs::path& path, std::uint32_t mask, Target target) {
  const int watch = ::inotify_add_watch(inotify_.get(), path.c_str(), mask);
  if (watch >= 0) {
    targets_.insert_or_assign(watch, std::move(target));
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) return false;
  if (errno != ENOSPC) return sys::ErrnoError(errno, "watch", path.native());
  return MakeError(ErrorCode::kLimit, "this host lets no further directory be watched",
                   "raise the sysctl fs.inotify.max_user_watches");
}

// A version is installed by a rename in its environment's own directory.
Status StateWatch::FollowEnvironments() {
  PYRO_RETURN_IF_ERROR(Add(environments_, kNames, {What::kEnvironments, {}}));
  std::error_code failed;
  for (fs::directory_iterator entry(environments_, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    PYRO_RETURN_IF_ERROR(Add(entry->path(), kNames, {What::kEnvironments, {}}));
  }
  return OkStatus();
}

Status StateWatch::FollowGuest(const std::string& id, const fs::path& directory) {
  // Not the directory itself, which also tells of each write to the guest's disk. The supervisor
  // holds console.log open as long as it lives.
  PYRO_RETURN_IF_ERROR(Add(directory / "console.log", IN_CLOSE_WRITE, {What::kConsole, id}));
  PYRO_RETURN_IF_ERROR(Add(directory / "commands", IN_CREATE, {What::kCommands, id}));
  return OkStatus();
}

Result<bool> StateWatch::FollowCommand(const std::string& task_id, std::int64_t sequence,
                                       const fs::path& directory, bool on_host) {
  const std::uint32_t mask = on_host ? IN_MODIFY | IN_CLOSE_WRITE : IN_MODIFY;
  return Add(directory, mask, {What::kCommand, task_id, sequence});
}

void StateWatch::ForgetCommand(const std::string& task_id, std::int64_t sequence) {
  Forget({What::kCommand, task_id, sequence});
}

void StateWatch::ForgetGuest(const std::string& id) {
  Forget({What::kConsole, id});
  Forget({What::kCommands, id});
}

void StateWatch::Forget(const Target& target) {
  for (auto one = targets_.begin(); one != targets_.end(); ++one) {
    if (one->second != target) continue;
    ::inotify_rm_watch(inotify_.get(), one->first);
    targets_.erase(one);
    return;
  }
}

void StateWatch::LookAgainIn(std::chrono::milliseconds time) {
  itimerspec when{};
  when.it_value.tv_sec = time.count() / 1000;
  when.it_value.tv_nsec = time.count() % 1000 * 1'000'000;
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

void StateWatch::Interrupt() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(interrupt_.get(), &one, sizeof one);
}

void StateWatch::Note(int watch, std::uint32_t mask, const char* name, StateChanges& changes) {
  if ((mask & IN_Q_OVERFLOW) != 0) changes.everything = true;
  const auto found = targets_.find(watch);
  if (found == targets_.end()) return;
  const Target& target = found->second;
  const std::string_view file = name;
  switch (target.what) {
    case What::kState:
      if (file == "registry.db" && (mask & kNames) != 0) changes.registry_gone = true;
      if (file == "registry.db" || file == "registry.db-wal") changes.rows = true;
      break;
    case What::kInstances:
      changes.rows = true;
      if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0) changes.appeared.emplace(file);
      break;
    case What::kEnvironments:
      changes.environments = true;
      break;
    case What::kConsole:
      changes.deaths = true;
      break;
    case What::kCommands:
      changes.rows = true;
      break;
    case What::kCommand:
      changes.output.emplace(target.id, target.sequence);
      if ((mask & IN_CLOSE_WRITE) != 0) changes.deaths = true;
      break;
  }
  if ((mask & IN_IGNORED) == 0) return;
  // Of `environments` the directory itself, too; those in it may come and go.
  if (target.what == What::kState || target.what == What::kInstances ||
      target.what == What::kEnvironments) {
    changes.directory_gone = true;
  }
  targets_.erase(found);
}

Result<StateChanges> StateWatch::Take() {
  StateChanges changes;
  std::uint64_t count = 0;
  changes.again = ::read(timer_.get(), &count, sizeof count) > 0;
  changes.interrupted = ::read(interrupt_.get(), &count, sizeof count) > 0;
  alignas(inotify_event) char bytes[8 * 1024];
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t n = ::read(inotify_.get(), bytes, sizeof bytes);
    if (n <= 0) break;
    for (const char* at = bytes; at < bytes + n;) {
      inotify_event event{};
      std::memcpy(&event, at, sizeof event);
      Note(event.wd, event.mask, event.len > 0 ? at + sizeof event : "", changes);
      at += sizeof event + event.len;
    }
  }
  if (changes.directory_gone) {
    changes.everything = changes.registry_gone = true;
    PYRO_RETURN_IF_ERROR(FollowState());
  }
  if (changes.environments || changes.everything) PYRO_RETURN_IF_ERROR(FollowEnvironments());
  return changes;
}

}  // namespace pyro::engine
