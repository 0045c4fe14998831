// The registry's record of one instance: a VM or a task, with a row, a directory and a guest that
// comes and goes.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/fields.h"
#include "base/ids.h"
#include "base/time.h"
#include "pyro/enums.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "state/instance/instance_state.h"
#include "state/journal/command_record.h"

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
// "lease" and "run"; empty for a value that is neither.
constexpr std::string_view Name(InstanceOwner owner) {
  if (owner == InstanceOwner::kLease) return "lease";
  return owner == InstanceOwner::kRun ? "run" : "";
}

inline constexpr std::chrono::seconds kMaxTtl{kMaxTtlSeconds};

// The configuration. Name, labels, lease and what follows the machine can change.
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
  std::string network_rules;  // Lines of a net::Policy; empty: no policy. It can change, too.
  // Lines of the engine's: where secrets are and for which hosts, never a value. Empty: none.
  std::string secret_refs;
  bool cache = false;  // Downloads come through the cache that guests share.
  bool allow_host_compat = false;
  std::string machine;  // A MachineKind's name; empty: KVM or TCG, as works at each start.
  std::map<std::string, std::string> labels;
  // Of commands that name none. Their variables have a file of their own (task_variables.h).
  std::string cwd;
  std::string user;
  std::optional<std::int64_t> timeout_seconds;
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

inline constexpr std::int64_t kMaxNetworkRulesBytes = 32 * 1024;
inline constexpr std::int64_t kMaxSecretRefsBytes = 64 * 1024;
inline constexpr std::int64_t kMaxManifestNumber = std::int64_t{1} << 40;
inline constexpr std::int64_t kMaxRowText = 1024 * 1024;

template <auto kMember>
constexpr Field InstanceRow(const char* name) {
  return Row<InstanceRecord, kMember>(name);
}

// Each stored field but the id. The columns of the table, what is bound to them and read from them,
// and the keys of a task's manifest come from this list; a new one needs a migration (schema.cc).
inline constexpr Field kInstanceFields[] = {
    // Those of a manifest, with their limits.
    InstanceRow<&InstanceRecord::environment>("environment").To(1024),
    InstanceRow<&InstanceRecord::environment_digest>("environment_digest").To(256),
    InstanceRow<&InstanceRecord::vcpu_count>("vcpu_count").From(1).To(kMaxManifestNumber),
    InstanceRow<&InstanceRecord::mem_mib>("mem_mib").From(1).To(kMaxManifestNumber),
    InstanceRow<&InstanceRecord::disk_mib>("disk_mib").From(1).To(kMaxManifestNumber),
    InstanceRow<&InstanceRecord::ttl>("ttl_seconds").From(1).To(kMaxTtl.count()),
    InstanceRow<&InstanceRecord::network>("network"),
    InstanceRow<&InstanceRecord::allow_host_compat>("allow_host_compat"),
    InstanceRow<&InstanceRecord::created_at>("created_at").To(kMaxStoredTime),
    InstanceRow<&InstanceRecord::name>("name").To(64).MayLack(),  // Earlier manifests lack it.
    InstanceRow<&InstanceRecord::machine>("machine").To(16).MayLack(),
    InstanceRow<&InstanceRecord::labels>("labels").To(kMaxLabels).MayLack(),
    InstanceRow<&InstanceRecord::cwd>("cwd").To(4095).MayLack(),
    InstanceRow<&InstanceRecord::user>("user").To(256).MayLack(),
    InstanceRow<&InstanceRecord::timeout_seconds>("timeout_seconds").To(kMaxTimeoutSeconds),
    InstanceRow<&InstanceRecord::network_rules>("network_rules")
        .To(kMaxNetworkRulesBytes)
        .MayLack(),
    InstanceRow<&InstanceRecord::secret_refs>("secret_refs").To(kMaxSecretRefsBytes).MayLack(),
    InstanceRow<&InstanceRecord::cache>("cache").MayLack(),
    // The others.
    InstanceRow<&InstanceRecord::owner>("owner"),
    InstanceRow<&InstanceRecord::state>("state"),
    InstanceRow<&InstanceRecord::execution_mode>("execution_mode"),
    InstanceRow<&InstanceRecord::accelerator>("accelerator"),
    InstanceRow<&InstanceRecord::network_json>("network_json").To(kMaxRowText),
    InstanceRow<&InstanceRecord::last_error>("last_error").To(kMaxRowText),
    InstanceRow<&InstanceRecord::started_at>("started_at").To(kMaxStoredTime),
    InstanceRow<&InstanceRecord::last_used_at>("last_used_at").To(kMaxStoredTime),
    InstanceRow<&InstanceRecord::expires_at>("expires_at").To(kMaxStoredTime),
    InstanceRow<&InstanceRecord::next_sequence>("next_sequence"),
    InstanceRow<&InstanceRecord::command_count>("command_count"),
    InstanceRow<&InstanceRecord::output_bytes>("output_bytes"),
};
inline constexpr std::span<const Field> kManifestFields(kInstanceFields, 18);

// tasks/<id>/manifest.json: the configuration of the task, to restore a lost registry. Written with
// the directory; the reader treats it as input from outside.
inline constexpr int kTaskManifestSchema = 1;
inline constexpr std::size_t kMaxTaskManifestBytes = 256 * 1024;

std::string FormatTaskManifest(const InstanceRecord& task);

// The record as it was at the creation. kDataLoss: longer than kMaxTaskManifestBytes, not JSON,
// another schema, a field missing or out of its limits.
Result<InstanceRecord> ParseTaskManifest(std::string_view text);

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
