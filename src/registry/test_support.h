// For tests of registry/: a clock that stands still, and VMs to put in.

#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "registry/command_record.h"
#include "registry/task_record.h"
#include "registry/vm_record.h"

namespace pyro::registry {

class TestClock : public Clock {
 public:
  WallTime Now() const override { return now_; }
  void Advance(std::chrono::milliseconds step) { now_ += step; }

 private:
  WallTime now_{std::chrono::milliseconds(1'700'000'000'000)};
};

inline VmId TestId(std::uint8_t first, std::uint8_t last = 0) {
  return VmId::FromBits({first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
}

inline TaskId TestTaskId(std::uint8_t first, std::uint8_t last = 0) {
  return TaskId::FromBits({first, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last});
}

inline TaskSpec TestTaskSpec(TaskId id) {
  return TaskSpec{
      .id = std::move(id), .environment = "debian:12", .environment_digest = "sha256:aaaa"};
}

inline CommandSpec TestCommand(std::string word) {
  return CommandSpec{.argv = {std::move(word)},
                     .cwd = "/workspace",
                     .timeout_ms = 30'000,
                     .execution_mode = ExecutionMode::kGuestVirtioSerial};
}

inline VmSpec TestSpec(VmId id) {
  return VmSpec{
      .id = std::move(id), .environment = "debian:12", .environment_digest = "sha256:aaaa"};
}

}  // namespace pyro::registry
