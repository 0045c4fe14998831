// The registry's record of one VM.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/time.h"
#include "registry/vm_state.h"

namespace pyro::registry {

// How commands run, or did until it stopped.
enum class ExecutionMode { kPending, kGuestVirtioSerial, kGuestVsock, kHostCompat };

// The owner, which ends the VM.
enum class VmOwner {
  kLease,  // Its lease.
  kRun,    // The one `pyro run` that made it: the VM is of no use once that is over.
};

inline constexpr std::chrono::seconds kMaxTtl = std::chrono::hours(24 * 365 * 10);

// The configuration of a VM; never changes.
struct VmSpec {
  VmId id;
  std::string environment;         // The catalog's name, such as debian:12.
  std::string environment_digest;  // Of the installed version that its guest runs.
  VmOwner owner = VmOwner::kLease;
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  std::chrono::seconds ttl{600};  // Between 1 s and kMaxTtl.
  bool network = false;
  bool allow_host_compat = false;
};

struct VmRecord : VmSpec {
  explicit VmRecord(VmSpec spec) : VmSpec(std::move(spec)) {}

  VmState state = VmState::kCreated;
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::string accelerator;   // "kvm" or "tcg" once a guest was started, or empty.
  std::string network_json;  // The guest's network while it is started, or empty.
  std::string last_error;    // One sentence about the latest failure, or empty.
  WallTime created_at{};
  std::optional<WallTime> started_at;  // Of the latest start.
  WallTime last_used_at{};
  WallTime expires_at{};  // last_used_at + ttl.
};

// The changes of an event in addition to state and times. Empty fields: no change.
struct VmChanges {
  std::optional<ExecutionMode> execution_mode = std::nullopt;
  std::optional<std::string> accelerator = std::nullopt;
  std::optional<std::string> network_json = std::nullopt;
  std::optional<std::string> last_error = std::nullopt;
};

// "guest_vsock" and so on, as stored and as shown.
std::string_view ExecutionModeName(ExecutionMode mode);

}  // namespace pyro::registry
