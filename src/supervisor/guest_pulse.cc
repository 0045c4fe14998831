#include "supervisor/guest_pulse.h"

#include <algorithm>
#include <cstdlib>

namespace pyro::supervisor {
namespace {

constexpr std::int64_t Ns(std::chrono::nanoseconds time) { return time.count(); }

}  // namespace

std::int64_t WallClockNs(const Clock& clock) {
  return std::chrono::nanoseconds(clock.Now().time_since_epoch()).count();
}

HostMoment HostMoment::Now(const Clock& clock) {
  return {.wall_ns = WallClockNs(clock),
          .steady_ns = Ns(std::chrono::steady_clock::now().time_since_epoch())};
}

bool HostClockWatch::Changed(const HostMoment& now) {
  const std::int64_t offset = now.wall_ns - now.steady_ns;
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

void GuestPulse::Beat(const HostMoment& now) {
  if (!open_) return Ask(now);
  // It is late: the pause may have held its clock up too.
  ++missed_;
  clock_due_ = true;
}

void GuestPulse::Ask(const HostMoment& now) {
  if (open_) return;
  open_ = true;
  missed_ = 0;
  asked_at_ns_ = now.steady_ns;
  callbacks_.ping(++number_);
}

Status GuestPulse::Answered(const wire::Pong& pong, const HostMoment& now) {
  if (!open_ || pong.number != number_) {
    return MakeError(ErrorCode::kProtocol, "an answer to no ping");
  }
  open_ = false;
  missed_ = 0;
  const std::int64_t took = now.steady_ns - asked_at_ns_;
  const bool slow = took > Ns(kQuick);
  if (slow && !std::exchange(again_, true)) {
    Ask(now);
    return OkStatus();
  }
  again_ = false;
  if (pong.wall_clock_ns != 0 && (clock_due_ || !pong.clock_was_set)) Judge(pong, now, took);
  // An answer that was slow twice may have hidden a difference.
  if (!slow) clock_due_ = false;
  return OkStatus();
}

// How much of a difference is certain counts, so that a busy host or guest moves no clock.
void GuestPulse::Judge(const wire::Pong& pong, const HostMoment& now, std::int64_t took_ns) {
  const std::int64_t doubt = took_ns / 2;
  const std::int64_t ahead = pong.wall_clock_ns - (now.wall_ns - doubt);
  const std::int64_t certain = std::max<std::int64_t>(std::llabs(ahead) - doubt, 0);
  if (certain <= Ns(kClose)) return;
  callbacks_.set_clock({.by_ns = -ahead, .slew = certain <= Ns(kStep)});
}

void GuestPulse::Forgive() { missed_ = 0; }

}  // namespace pyro::supervisor
