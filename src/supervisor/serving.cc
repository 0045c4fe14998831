#include "supervisor/serving.h"

#include <utility>

#include "base/try.h"
#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

using std::chrono::seconds;

constexpr seconds kSettleEvery{1};  // Between two tries to store what a full disk refused.

}  // namespace

Serving::Serving(const Parts& parts, Timers& timers, Owner& owner)
    : parts_(parts),
      owner_(owner),
      router_(*this, timers, parts.journal, parts.mask),
      pulse_(
          {.ping =
               [this](std::int64_t number) { ToGuest(EncodeFrame(wire::Ping{number}.ToFrame())); },
           .set_clock = [this](const wire::SetClock& by) { ToGuest(EncodeFrame(by.ToFrame())); }}),
      clock_watch_(parts.loop),
      beat_(timers.NewTimer()),
      settle_(timers.NewTimer()) {}

void Serving::Begin() {
  (void)host_clock_.Changed(Now());
  clock_watch_.Begin([this] { ClockStepped(); });
  beat_->Start(GuestPulse::kBeat, [this] { Beat(); });
}

void Serving::Beat() {
  if (router_.guest_gone()) return;
  const HostMoment now = Now();
  if (host_clock_.Changed(now)) pulse_.HostClockChanged();
  pulse_.Beat(now);
  PYRO_FAILPOINT("supervisor.beat");
  if (pulse_.silent() && router_.given_up() > 0) {
    return owner_.GuestFailed(
        MakeError(ErrorCode::kGuestUnavailable,
                  "the guest does not answer: a command was killed and did not end"));
  }
  beat_->Start(GuestPulse::kBeat, [this] { Beat(); });
}

Status Serving::Pong(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Pong answer, wire::Pong::FromFrame(frame));
  return pulse_.Answered(answer, Now());
}

// A time that waits in a queue of a paused guest is wrong when it arrives. So the guest is asked
// what its clock shows, and gets the difference.
void Serving::ClockStepped() {
  if (router_.guest_gone()) return;
  const HostMoment now = Now();
  if (host_clock_.Changed(now)) pulse_.HostClockChanged();
  pulse_.Ask(now);
}

// Its client is told in time. The guest, with its other commands, may only be paused, as on a host
// that sleeps: from now on it has as long again as Beat() gives it.
void Serving::GivingUp() {
  if (router_.given_up() == 0) pulse_.Forgive();
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
  router_.GuestGone();
  clock_watch_.End();
  beat_->Stop();
  settle_->Stop();
}

}  // namespace pyro::supervisor
