#include "supervisor/guest_pulse.h"

namespace pyro::supervisor {

std::int64_t WallClockNs(const Clock& clock) {
  return std::chrono::nanoseconds(clock.Now().time_since_epoch()).count();
}

std::int64_t SteadyClockNs() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool HostClockWatch::Changed(std::int64_t wall_ns, std::int64_t steady_ns) {
  const std::int64_t offset = wall_ns - steady_ns;
  if (!offset_ns_) {
    offset_ns_ = offset;
    return false;
  }
  // The reference stays while nothing happens: small steps add up until they are worth one.
  const std::int64_t moved = offset - *offset_ns_;
  constexpr std::int64_t kLimit = std::chrono::nanoseconds(kTolerance).count();
  if (moved <= kLimit && moved >= -kLimit) return false;
  offset_ns_ = offset;
  return true;
}

void GuestPulse::Beat() {
  if (open_) {
    // It is late: the pause may have held its clock up too.
    ++missed_;
    clock_due_ = true;
    return;
  }
  open_ = true;
  missed_ = 0;
  callbacks_.ping(++number_);
}

// A time that waits in a queue of a paused guest is wrong when it arrives. So the guest is asked
// first, and gets the time once it answers.
void GuestPulse::HostClockChanged() { clock_due_ = true; }

Status GuestPulse::Answered(std::int64_t number) {
  if (!open_ || number != number_) {
    return MakeError(ErrorCode::kProtocol, "an answer to no ping");
  }
  open_ = false;
  missed_ = 0;
  if (std::exchange(clock_due_, false)) callbacks_.set_clock();
  return OkStatus();
}

void GuestPulse::Forgive() { missed_ = 0; }

}  // namespace pyro::supervisor
