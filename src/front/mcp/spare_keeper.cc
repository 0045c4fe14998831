#include "front/mcp/spare_keeper.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/check.h"

namespace pyro::mcp_server {
namespace {

// After a call: the spare that it took has its place filled without us, and the next call comes
// first.
constexpr std::chrono::seconds kAfterCall{3};

VmOptions UsualKind() {
  VmOptions options;
  options.environment = "debian:12";
  return options;
}

}  // namespace

SpareKeeper::SpareKeeper(Engine& engine, std::int64_t count)
    : engine_(engine), count_(count), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  PYRO_CHECK(stop_ >= 0);
}

void SpareKeeper::Wake() {
  const std::lock_guard lock(mutex_);
  if (count_ == 0 || over_) return;
  wanted_ = true;
  if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
  news_.notify_all();
}

void SpareKeeper::Run() {
  std::unique_lock lock(mutex_);
  while (!over_) {
    news_.wait(lock, [this] { return wanted_ || over_; });
    if (over_) return;
    wanted_ = false;
    lock.unlock();
    Fill();
    lock.lock();
    news_.wait_for(lock, kAfterCall, [this] { return over_; });
  }
}

void SpareKeeper::Fill() const {
  const VmOptions kind = UsualKind();
  if (!engine_.InspectEnvironment(kind.environment, Engine::Verify::kNo)) return;
  CallIo io;
  io.cancel_fd = stop_;
  (void)engine_.KeepOwnSpares(kind, count_, io);
}

void SpareKeeper::Stop() {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(over_, true)) return;
    (void)::eventfd_write(stop_, 1);
    news_.notify_all();
  }
  if (thread_.joinable()) {
    thread_.join();
    (void)engine_.KeepOwnSpares(UsualKind(), 0);
  }
  ::close(stop_);
}

}  // namespace pyro::mcp_server
