#include "supervisor/serving.h"

#include <utility>

#include "base/try.h"
#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kKillGrace{10};   // For the agent to report a killed command.
constexpr seconds kSettleEvery{1};  // Between two tries to store what a full disk refused.

}  // namespace

Serving::Serving(const Parts& parts, Timers& timers, Owner& owner)
    : parts_(parts),
      timers_(timers),
      owner_(owner),
      router_(*this, parts.journal),
      pulse_(PulseCallbacks()),
      beat_(timers.NewTimer()),
      settle_(timers.NewTimer()) {}

GuestPulse::Callbacks Serving::PulseCallbacks() {
  GuestPulse::Callbacks callbacks;
  callbacks.ping = [this](std::int64_t number) {
    ToGuest(EncodeFrame(wire::Ping{number}.ToFrame()));
  };
  callbacks.set_clock = [this] {
    ToGuest(EncodeFrame(wire::SetClock{WallClockNs(parts_.clock)}.ToFrame()));
  };
  return callbacks;
}

void Serving::Begin() {
  (void)host_clock_.Changed(WallClockNs(parts_.clock), SteadyClockNs());
  beat_->Start(GuestPulse::kBeat, [this] { Beat(); });
}

void Serving::Beat() {
  if (router_.guest_gone()) return;
  if (host_clock_.Changed(WallClockNs(parts_.clock), SteadyClockNs())) pulse_.HostClockChanged();
  pulse_.Beat();
  PYRO_FAILPOINT("supervisor.beat");
  if (pulse_.silent() && router_.given_up() > 0) {
    return owner_.GuestFailed(
        MakeError(ErrorCode::kGuestUnavailable,
                  "the guest does not answer: a command was killed and did not end"));
  }
  beat_->Start(GuestPulse::kBeat, [this] { Beat(); });
}

Status Serving::Pong(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Ping answer, wire::Ping::FromFrame(frame));
  return pulse_.Answered(answer.number);
}

Timer& Serving::LimitOf(std::uint32_t channel) {
  std::unique_ptr<Timer>& timer = limits_[channel];
  if (!timer) timer = timers_.NewTimer();
  return *timer;
}

void Serving::CommandStarted(std::uint32_t channel, std::chrono::milliseconds timeout) {
  if (timeout.count() == 0) return;
  LimitOf(channel).Start(timeout, [this, channel] { router_.TimedOut(channel); });
}

void Serving::CommandKilled(std::uint32_t channel) {
  LimitOf(channel).Start(kKillGrace, [this, channel] {
    // A client that does not read delays the report of the command's end: no fault of the guest's.
    if (!router_.GuestOwesExit(channel)) return CommandKilled(channel);
    // Its client is told in time. The guest, with its other commands, may only be paused, as on a
    // host that sleeps: from now on it has as long again as Beat() gives it.
    if (router_.given_up() == 0) pulse_.Forgive();
    router_.GiveUp(channel);
  });
}

// A full disk may get room at any time, also if no further command comes.
void Serving::JournalWritten() {
  if (parts_.journal->settled() || settling_) return;
  settling_ = true;
  settle_->Start(kSettleEvery, [this] {
    settling_ = false;
    parts_.journal->Settle();
    JournalWritten();
  });
}

void Serving::End() {
  limits_.clear();
  beat_->Stop();
  settle_->Stop();
}

}  // namespace pyro::supervisor
