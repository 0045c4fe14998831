// Whether the guest runs, and how far its clock is from the host's.
//
// Pure logic: the supervisor calls it at every beat of a timer. Silence is counted in beats: a host
// that was paused itself has given its guest no time to answer. Not thread-safe.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "base/time.h"
#include "pyro/result.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// Nanoseconds since the epoch.
std::int64_t WallClockNs(const Clock& clock);

// A moment by two clocks of the host, in nanoseconds. The steady one is never stepped, and stands
// still while the host sleeps.
struct HostMoment {
  std::int64_t wall_ns = 0;
  std::int64_t steady_ns = 0;

  static HostMoment Now(const Clock& clock);
};

// Notices that the host's clock was stepped, or that the host slept: in both cases the wall clock
// has moved against the steady one. Slow corrections, as by NTP, move both.
class HostClockWatch {
 public:
  static constexpr std::chrono::milliseconds kTolerance{500};

  // True when that has happened since the last call; false at the first.
  bool Changed(const HostMoment& now);

 private:
  std::optional<std::int64_t> offset_ns_;
};

// Each answer tells what the guest's clock shows, and is judged by the time that it took: the guest
// read its clock at some moment between the question and the answer.
//
// A clock that a program in the guest has set is left alone until one of two things happens: the
// host's clock was stepped or stood still, or the guest itself was paused for a beat or more.
class GuestPulse {
 public:
  static constexpr std::chrono::seconds kBeat{5};
  static constexpr int kSilentBeats = 12;
  // A difference up to the first is left alone. One up to the second is made good by and by, so
  // that no program in the guest sees its clock go back.
  static constexpr std::chrono::milliseconds kClose{50};
  static constexpr std::chrono::milliseconds kStep{500};
  // A slower answer says little of the clock, so the guest is asked once more.
  static constexpr std::chrono::seconds kQuick{1};

  struct Callbacks {
    std::function<void(std::int64_t number)> ping;
    std::function<void(const wire::SetClock&)> set_clock;
  };

  explicit GuestPulse(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  void Beat(const HostMoment& now);
  // The host's clock was stepped, or the host has slept.
  void HostClockChanged() { clock_due_ = true; }
  // Asks at once, unless a ping is open.
  void Ask(const HostMoment& now);

  // kProtocol: not the answer to the ping that is open.
  Status Answered(const wire::Pong& pong, const HostMoment& now);

  // The guest has kSilentBeats from now to answer.
  void Forgive();

  // It has not answered for kSilentBeats.
  bool silent() const { return missed_ >= kSilentBeats; }

 private:
  void Judge(const wire::Pong& pong, const HostMoment& now, std::int64_t took_ns);

  Callbacks callbacks_;
  std::int64_t number_ = 0;
  std::int64_t asked_at_ns_ = 0;  // By the steady clock.
  bool open_ = false;             // The ping of `number_` has no answer yet.
  bool again_ = false;            // It was sent because the one before took long.
  int missed_ = 0;                // Beats since it was sent, or since Forgive().
  bool clock_due_ = false;        // It has to be right, also if a program has set it.
};

}  // namespace pyro::supervisor
