#include "agent/disk_sync.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "agent/console.h"
#include "sys/errno_error.h"

namespace pyro::agent {

Result<std::unique_ptr<DiskSync>> DiskSync::Create(Function function) {
  sys::UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.valid()) return sys::ErrnoError(errno, "eventfd");
  return std::unique_ptr<DiskSync>(new DiskSync(std::move(function), std::move(event)));
}

DiskSync::~DiskSync() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::uint64_t DiskSync::Request() {
  std::unique_lock lock(mutex_);
  const std::uint64_t request = ++requested_;
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Work(); });
    } catch (const std::system_error&) {
      // The guest is out of processes or memory: a late sync is better than none. No other thread
      // works here, and the next request tries again.
      lock.unlock();
      const bool fails = Fails();
      lock.lock();
      failed_ = fails;
      done_ = request;
      return request;
    }
  }
  lock.unlock();
  wake_.notify_one();
  return request;
}

bool DiskSync::Done(std::uint64_t request) {
  const std::lock_guard lock(mutex_);
  return done_ >= request;
}

bool DiskSync::failed() {
  const std::lock_guard lock(mutex_);
  return failed_;
}

bool DiskSync::Fails() const {
  const Status status = function_();
  if (!status) ConsoleLine(status.error().message);
  return !status;
}

void DiskSync::Acknowledge() {
  std::uint64_t ignored;
  [[maybe_unused]] const ssize_t n = ::read(event_.get(), &ignored, sizeof ignored);
}

void DiskSync::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stop_ || requested_ > done_; });
    if (stop_) return;
    const std::uint64_t request = requested_;
    lock.unlock();
    const bool fails = Fails();
    lock.lock();
    failed_ = fails;
    done_ = request;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_.get(), &one, sizeof one);
  }
}

}  // namespace pyro::agent
