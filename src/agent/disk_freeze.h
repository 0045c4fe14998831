// Holds the data disk still while the host copies it.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/answers.h"
#include "pyro/result.h"

namespace pyro::agent {

// Thread-safe. Its own thread, which ends a freeze that the host has forgotten, starts with the
// first freeze.
class DiskFreeze {
 public:
  struct Calls {
    std::function<Status()> freeze;
    std::function<Status()> thaw;
  };
  explicit DiskFreeze(Calls calls, std::chrono::milliseconds limit = kLimit)
      : calls_(std::move(calls)), limit_(limit) {}
  ~DiskFreeze() { Close(); }

  // No process can write to the disk from now on, for at most the limit. One that is frozen stays
  // so, for the limit from now. Returns the number of the freeze. kWrongState: closed.
  Result<std::int64_t> Freeze();

  // Returns the number of the freeze that it ended. 0: the disk was not frozen.
  Result<std::int64_t> Thaw();

  // Thaws it for good.
  void Close();

 private:
  // A host that is slow between two questions, and a process that waits meanwhile.
  static constexpr std::chrono::seconds kLimit{10};

  void Watch();
  void EndFreeze();

  const Calls calls_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;  // Guards the members below, except thread_.
  std::condition_variable changed_;
  bool frozen_ = false;
  bool closed_ = false;
  std::int64_t number_ = 0;
  std::chrono::steady_clock::time_point until_;
  std::thread thread_;
};

// The answers to the questions of wire::DiskFrozen and wire::DiskThawed.
std::vector<Answerer> FreezeAnswerers(const std::shared_ptr<DiskFreeze>& freeze);

}  // namespace pyro::agent
