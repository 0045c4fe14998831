#include "supervisor/ending.h"

#include <chrono>

#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kLastWordsLimit{10};  // For a creator to ask why the guest failed at once.
constexpr seconds kStopLimit{15};       // For the guest to power off by itself.

}  // namespace

void Ending::Stop() {
  if (begun()) return;
  state_ = State::kStopping;
  if (!parts_.starting.done()) {
    parts_.serving.router().GuestGone();
    parts_.machine.Drop();
    (void)parts_.record.Stopped();
    return Finish();
  }
  // A client that connects now waits for the lock, instead of reaching a guest that is ending.
  parts_.clients.CloseSocket();
  parts_.serving.router().GuestGone();
  PYRO_FAILPOINT("supervisor.stop.commands-ended");
  parts_.machine.Send(EncodeFrame(wire::Plain(wire::FrameType::kPowerOff)));
  limit_->Start(kStopLimit, [this] { parts_.machine.Kill(); });
}

void Ending::GuestIsOff() {
  parts_.machine.Drop();
  PYRO_FAILPOINT("supervisor.stop.guest-off");
  (void)parts_.record.Stopped();
  PYRO_FAILPOINT("supervisor.stop.recorded");
  Finish();
}

void Ending::Remove() {
  if (ended()) return;
  state_ = State::kEnded;
  parts_.serving.router().GuestGone();
  parts_.machine.Drop();
  PYRO_FAILPOINT("supervisor.remove.guest-off");
  (void)parts_.record.Removed();
  PYRO_FAILPOINT("supervisor.remove.recorded");
  Finish();
}

void Ending::Fail(const Error& error) {
  if (ended() || failure_ || parts_.starting.BootsInstead()) return;
  failure_ = error;
  const bool started = parts_.starting.done();
  if (!started) failure_->message = parts_.machine.WithConsole(failure_->message);
  parts_.starting.End();
  parts_.machine.Drop();
  if (started || parts_.spare.waiting() || parts_.clients.AnyGreeted()) return ConcludeFailure();
  limit_->Start(kLastWordsLimit, [this] { ConcludeFailure(); });
}

void Ending::ConcludeFailure() {
  if (ended()) return;
  // During a stop a dead machine is no failure. The ends of commands are recorded before any client
  // hears of the failure.
  const bool stops = stopping();
  state_ = State::kEnded;
  parts_.serving.router().GuestGone(stops ? std::nullopt : failure_);
  if (!stops) parts_.clients.Broadcast(wire::ErrorFrame(0, *failure_));
  PYRO_FAILPOINT("supervisor.lost.commands-ended");
  (void)(parts_.lease.ends_with_client() ? parts_.record.Removed()
                                         : parts_.record.Lost(failure_->message));
  PYRO_FAILPOINT("supervisor.lost.recorded");
  Finish();
}

void Ending::Finish() {
  state_ = State::kEnded;
  limit_->Stop();
  parts_.templ.GuestEnded();
  parts_.machine.Close();
  parts_.clients.Broadcast(wire::Plain(wire::FrameType::kStopped));
  parts_.clients.Finish();
  parts_.starting.End();
  parts_.serving.End();
  parts_.lease.End();
  parts_.spare.GuestEnded();
  if (on_end_) on_end_();
}

}  // namespace pyro::supervisor
