// The registry's record of one instance: a VM or a task, with a row, a directory and a guest that
// comes and goes.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/ids.h"
#include "base/time.h"
#include "db/database.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "state/instance/instance_state.h"

namespace pyro::state {

// The differences between the kinds of instances.
struct InstancePolicy {
  std::string_view thing;    // The kind's name for people: "VM".
  std::string_view folder;   // Of its directories, in the state directory.
  std::string_view no_such;  // The hint if there is none of that id.
  // The directory is a user's work: commands are recorded in its journal, the row can be restored
  // from it, and the end of the lease stops the guest. Otherwise the end of the lease removes it.
  bool keeps_work;
};
const InstancePolicy& PolicyOf(InstanceKind kind);

// The owner, which ends the instance.
enum class InstanceOwner {
  kLease,  // Its lease.
  kRun,    // The one `pyro run` that made it: the VM is of no use once that is over.
};

inline constexpr std::chrono::seconds kMaxTtl{kMaxTtlSeconds};

// The configuration; never changes.
struct InstanceSpec {
  InstanceId id;
  std::string name;                // For people; may be empty.
  std::string environment;         // The catalog's name, such as debian:12.
  std::string environment_digest;  // Of the installed version that its guest runs.
  InstanceOwner owner = InstanceOwner::kLease;
  std::int64_t vcpu_count = 1;
  std::int64_t mem_mib = 1024;
  std::int64_t disk_mib = 10240;  // Upper bound of its disk.
  std::chrono::seconds ttl{600};  // Between 1 s and kMaxTtl.
  bool network = false;
  bool allow_host_compat = false;
};

// A field that is stored has its row in kInstanceFields.
struct InstanceRecord : InstanceSpec {
  explicit InstanceRecord(InstanceSpec spec) : InstanceSpec(std::move(spec)) {}

  InstanceState state = InstanceState::kCreated;
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::string accelerator;   // "kvm" or "tcg" once a guest was started, or empty.
  std::string network_json;  // The guest's network while it is started, or empty.
  std::string last_error;    // One sentence about the latest failure, or empty.
  WallTime created_at{};
  std::optional<WallTime> started_at;  // Of the latest start.
  WallTime last_used_at{};
  WallTime expires_at{};  // last_used_at + ttl.
  // Of the journal.
  std::int64_t next_sequence = 1;
  std::int64_t command_count = 0;  // Running ones too.
  std::uint64_t output_bytes = 0;  // Bytes of output kept of the commands that have ended.
};

// Each stored field in one row. The columns of the table, what is bound to them and read from them,
// their migrations, and the keys of a task's manifest come from this list.
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
  // The migration that adds its column, for a field that the first table of instances had not. A
  // manifest may lack it.
  std::optional<db::Sql> added = std::nullopt;
};

inline constexpr std::int64_t kMaxManifestNumber = std::int64_t{1} << 40;
// Milliseconds that can still be added to and shown: before the year 10000.
inline constexpr std::int64_t kMaxManifestTime = 253'402'300'799'999;

// All but the id. New ones are appended: each that is added is a version of the schema.
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
    InstanceField{"name", &InstanceRecord::name, 64,
                  db::Sql("ALTER TABLE instances ADD COLUMN name TEXT NOT NULL DEFAULT ''")},
};

// The changes of an event in addition to state and times. Empty fields: no change.
struct InstanceChanges {
  std::optional<ExecutionMode> execution_mode = std::nullopt;
  std::optional<std::string> accelerator = std::nullopt;
  std::optional<std::string> network_json = std::nullopt;
  std::optional<std::string> last_error = std::nullopt;
};

// kInvalidArgument: a number out of range.
Status CheckSpec(const InstanceSpec& spec);

void BeginLease(InstanceRecord& instance, WallTime now);

// State and fields after `event`; a refusal names the instance. kWrongState: see Next().
Status Advance(InstanceRecord& instance, InstanceEvent event, const InstanceChanges& changes,
               WallTime now);

}  // namespace pyro::state
