#include "agent/disk_freeze.h"

#include <system_error>
#include <utility>

#include "agent/console.h"
#include "base/try.h"

namespace pyro::agent {

Result<std::int64_t> DiskFreeze::Freeze() {
  const std::lock_guard lock(mutex_);
  if (closed_) return MakeError(ErrorCode::kWrongState, "the guest is powering off");
  if (!thread_.joinable()) {
    // Before the disk is frozen, so that no freeze is without its end.
    try {
      thread_ = std::thread([this] { Watch(); });
    } catch (const std::system_error&) {
      return MakeError(ErrorCode::kUnavailable, "the guest has no room for another thread");
    }
  }
  if (!frozen_) {
    PYRO_RETURN_IF_ERROR(calls_.freeze());
    frozen_ = true;
    ++number_;
  }
  until_ = std::chrono::steady_clock::now() + limit_;
  changed_.notify_one();
  return number_;
}

Result<std::int64_t> DiskFreeze::Thaw() {
  const std::lock_guard lock(mutex_);
  if (!frozen_) return std::int64_t{0};
  EndFreeze();
  return number_;
}

void DiskFreeze::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (frozen_) EndFreeze();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void DiskFreeze::EndFreeze() {
  if (const Status thawed = calls_.thaw(); !thawed) ConsoleLine(thawed.error().message);
  frozen_ = false;
}

void DiskFreeze::Watch() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    if (!frozen_) {
      changed_.wait(lock);
    } else if (std::chrono::steady_clock::now() >= until_) {
      EndFreeze();
    } else {
      changed_.wait_until(lock, until_);
    }
  }
}

std::vector<Answerer> FreezeAnswerers(const std::shared_ptr<DiskFreeze>& freeze) {
  const auto answer = [&freeze](auto kind, Result<std::int64_t> (DiskFreeze::*ask)()) -> Answerer {
    using Answer = decltype(kind);
    return {Answer::kQuestion, [freeze, ask](const Question& question) -> Result<wire::Frame> {
              PYRO_ASSIGN_OR_RETURN(const std::int64_t number, ((*freeze).*ask)());
              Answer told;
              told.number = number;
              return wire::AnswerFrame(question.channel, told);
            }};
  };
  return {answer(wire::DiskFrozen(), &DiskFreeze::Freeze),
          answer(wire::DiskThawed(), &DiskFreeze::Thaw)};
}

}  // namespace pyro::agent
