#include "supervisor/lease.h"

#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kFirstClientLimit{30};  // For the owner of a guest that ends with it to connect.

}  // namespace

Lease::Lease(boost::asio::io_context& loop, const wire::SupervisorConfig& config,
             GuestRecord& record, const Spare& spare, Timers& timers, Guest& guest)
    : record_(record),
      spare_(spare),
      guest_(guest),
      timer_(timers.NewTimer()),
      creator_exit_(loop),
      ttl_(config.ttl),
      ends_with_client_(config.dies_with_first_client),
      keeps_work_(config.kind != wire::GuestKind::kVm) {}

void Lease::Begin() {
  // A creator may live on and still have failed to connect: a thread of a Python program, for one.
  Arm(awaits_owner() ? kFirstClientLimit : ttl_);
}

void Lease::WatchCreator(sys::UniqueFd creator) {
  if (!creator.valid()) return;
  boost::system::error_code error;
  creator_exit_.assign(creator.get(), error);
  if (error) return;
  (void)creator.Release();
  creator_exit_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                           [this](boost::system::error_code failure) {
                             if (failure) return;
                             if (awaits_owner() || spare_.waiting()) guest_.Stop(true);
                           });
}

void Lease::ClientGreeted(ClientId client) {
  LookForAnotherLength();
  if (owner_) return;
  const bool awaited = awaits_owner();
  owner_ = client;
  if (awaited) Renew();
}

void Lease::LookForAnotherLength() {
  if (!keeps_work_ || spare_.waiting() || awaits_owner()) return;
  const auto length = record_.LeaseNow();
  if (!length || *length == ttl_) return;
  ttl_ = *length;
  if (ready_) Arm(ttl_);  // The one who changed it has begun it again in the row.
}

void Lease::ClientGone(ClientId client) {
  if (owner_ == client && ends_with_owner()) guest_.Stop(true);
}

void Lease::Claimed(ClientId client, seconds ttl, bool for_task) {
  owner_ = client;
  ends_with_client_ = !for_task;
  keeps_work_ = for_task;
  ttl_ = ttl;
  Arm(ttl_);  // The record of a task says so already.
}

void Lease::Used(bool recorded) {
  // A spare lives by its pool's lease, and a guest without its owner by a limit for that owner.
  if (spare_.waiting() || awaits_owner()) return;
  recorded ? Arm(ttl_) : Renew();
}

void Lease::GuestIsReady() {
  ready_ = true;
  if (!ends_with_client_ && !spare_.waiting() && !awaits_owner()) Arm(ttl_);
}

void Lease::Renew() {
  Arm(ttl_);
  // No process reads the lease in the row of a VM that ends with its owner.
  if (!ends_with_client_) (void)record_.Renewed();
}

void Lease::Arm(seconds length) {
  timer_->Start(length, [this] { TimeIsOver(); });
}

void Lease::TimeIsOver() {
  if (spare_.waiting()) {
    const auto left = record_.WaitsFor();
    if (left) return Arm(std::chrono::ceil<seconds>(*left));
  }
  if (awaits_owner()) return guest_.Stop(true);
  // A start has a limit of its own; with a shorter lease the guest would never be ready.
  if (!guest_.Idle() || (!ready_ && !ends_with_client_)) return Renew();
  PYRO_FAILPOINT("supervisor.lease-over");
  guest_.Stop(!keeps_work_);
}

void Lease::End() {
  timer_->Stop();
  boost::system::error_code ignored;
  creator_exit_.close(ignored);
}

}  // namespace pyro::supervisor
