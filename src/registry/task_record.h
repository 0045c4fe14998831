// The registry's record of one task.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/vm_record.h"
#include "registry/vm_state.h"

namespace pyro::registry {

// A task's guest starts and stops like a VM's, by the same table: see Next(). There are two
// differences: kDelete deletes a user's work, and the end of its lease only stops a task.
using TaskState = VmState;
using TaskEvent = VmEvent;
using TaskChanges = VmChanges;

// The configuration of a task; never changes.
struct TaskSpec {
  TaskId id;
  std::string environment;         // The catalog's name, such as debian:12.
  std::string environment_digest;  // Of the installed version that its guest runs.
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  std::int64_t disk_mib = 8192;   // Upper bound of its disk.
  std::chrono::seconds ttl{600};  // Between 1 s and kMaxTtl.
  bool network = false;
  bool allow_host_compat = false;
};

struct TaskRecord : TaskSpec {
  explicit TaskRecord(TaskSpec spec) : TaskSpec(std::move(spec)) {}

  TaskState state = TaskState::kCreated;
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::string accelerator;   // "kvm" or "tcg" once a guest was started, or empty.
  std::string network_json;  // The guest's network while it is started, or empty.
  std::string last_error;    // One sentence about the latest failure, or empty.
  WallTime created_at{};
  std::optional<WallTime> started_at;  // Of the latest start.
  WallTime last_used_at{};
  WallTime expires_at{};  // last_used_at + ttl.
  std::int64_t next_sequence = 1;
  std::int64_t command_count = 0;  // Commands in the journal, running ones too.
  std::uint64_t output_bytes = 0;  // Bytes of output kept of the commands that have ended.
};

// kInvalidArgument: a number out of range.
Status CheckTaskSpec(const TaskSpec& spec);

}  // namespace pyro::registry
