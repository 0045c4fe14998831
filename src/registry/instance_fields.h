// Each stored field of an instance in one row. The columns of the table, what is bound to them and
// read from them, and the keys of a task's manifest come from this list: a new field costs a row
// here and a migration (schema.cc).

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/time.h"
#include "registry/instance_record.h"

namespace pyro::registry {

template <typename Value>
using InstanceMember = Value InstanceRecord::*;

struct InstanceField {
  std::string_view name;  // Of its column.
  std::variant<InstanceMember<std::string>, InstanceMember<std::int64_t>,
               InstanceMember<std::uint64_t>, InstanceMember<bool>,
               InstanceMember<std::chrono::seconds>, InstanceMember<WallTime>,
               InstanceMember<std::optional<WallTime>>, InstanceMember<InstanceOwner>,
               InstanceMember<InstanceState>, InstanceMember<ExecutionMode>>
      member;
  // In a manifest: the longest text in bytes, or the largest number. 0: the manifest lacks it.
  std::int64_t manifest_limit = 0;
};

inline constexpr std::int64_t kMaxManifestNumber = std::int64_t{1} << 40;
// Milliseconds that can still be added to and shown: before the year 10000.
inline constexpr std::int64_t kMaxManifestTime = 253'402'300'799'999;

// All but the id.
inline constexpr std::array kInstanceFields = {
    InstanceField{"environment", &InstanceRecord::environment, 1024},
    InstanceField{"environment_digest", &InstanceRecord::environment_digest, 256},
    InstanceField{"owner", &InstanceRecord::owner},
    InstanceField{"vcpu_count", &InstanceRecord::vcpu_count, kMaxManifestNumber},
    InstanceField{"mem_mib", &InstanceRecord::mem_mib, kMaxManifestNumber},
    InstanceField{"disk_mib", &InstanceRecord::disk_mib, kMaxManifestNumber},
    InstanceField{"ttl_seconds", &InstanceRecord::ttl, kMaxTtl.count()},
    InstanceField{"network", &InstanceRecord::network, 1},
    InstanceField{"allow_host_compat", &InstanceRecord::allow_host_compat, 1},
    InstanceField{"state", &InstanceRecord::state},
    InstanceField{"execution_mode", &InstanceRecord::execution_mode},
    InstanceField{"accelerator", &InstanceRecord::accelerator},
    InstanceField{"network_json", &InstanceRecord::network_json},
    InstanceField{"last_error", &InstanceRecord::last_error},
    InstanceField{"created_at", &InstanceRecord::created_at, kMaxManifestTime},
    InstanceField{"started_at", &InstanceRecord::started_at},
    InstanceField{"last_used_at", &InstanceRecord::last_used_at},
    InstanceField{"expires_at", &InstanceRecord::expires_at},
    InstanceField{"next_sequence", &InstanceRecord::next_sequence},
    InstanceField{"command_count", &InstanceRecord::command_count},
    InstanceField{"output_bytes", &InstanceRecord::output_bytes},
};

}  // namespace pyro::registry
