// Whether the guest runs, and when its clock has to be set again.
//
// Pure logic: the supervisor calls it at every beat of a timer. Time is counted in beats, because a
// host that was paused itself has given its guest no time to answer. Not thread-safe.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro::supervisor {

// Nanoseconds since the epoch.
std::int64_t WallClockNs(const Clock& clock);

// Nanoseconds of a clock that is never stepped and stands still while the host sleeps.
std::int64_t SteadyClockNs();

// Notices that the host's clock was stepped, or that the host slept: in both cases the wall clock
// has moved against the steady one. Slow corrections, as by NTP, move both.
class HostClockWatch {
 public:
  static constexpr std::chrono::milliseconds kTolerance{500};

  // True when that has happened since the last call; false at the first.
  bool Changed(std::int64_t wall_ns, std::int64_t steady_ns);

 private:
  std::optional<std::int64_t> offset_ns_;
};

// A clock that a command in the guest has set is left alone until one of two things happens: the
// host's clock was stepped or stood still, or the guest itself was paused for a beat or more.
class GuestPulse {
 public:
  static constexpr std::chrono::seconds kBeat{5};
  static constexpr int kSilentBeats = 12;

  struct Callbacks {
    std::function<void(std::int64_t number)> ping;
    // Called at a moment at which the guest runs.
    std::function<void()> set_clock;
  };

  explicit GuestPulse(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  void Beat();
  // To be told before the beat at which it was noticed.
  void HostClockChanged();

  // kProtocol: not the answer to the ping that is open.
  Status Answered(std::int64_t number);

  // The guest has kSilentBeats from now to answer.
  void Forgive();

  // It has not answered for kSilentBeats.
  bool silent() const { return missed_ >= kSilentBeats; }

 private:
  Callbacks callbacks_;
  std::int64_t number_ = 0;
  bool open_ = false;       // The ping of `number_` has no answer yet.
  int missed_ = 0;          // Beats since it was sent, or since Forgive().
  bool clock_due_ = false;  // To be set at the next answer.
};

}  // namespace pyro::supervisor
