// The effect of the registry's events on the fields that a VM's row and a task's row share.

#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/text.h"
#include "base/time.h"
#include "pyro/result.h"
#include "registry/vm_record.h"
#include "registry/vm_state.h"

namespace pyro::registry {

template <typename Record>
void BeginLease(Record& record, WallTime now) {
  record.last_used_at = now;
  record.expires_at = now + record.ttl;
}

// The fields other than the state.
template <typename Record>
void Update(Record& record, VmEvent event, const VmChanges& changes, WallTime now) {
  switch (event) {
    case VmEvent::kStart:
      record.started_at = now;
      record.last_error.clear();
      BeginLease(record, now);
      break;
    case VmEvent::kExec:
    case VmEvent::kRenew:
      BeginLease(record, now);
      break;
    case VmEvent::kStop:
    case VmEvent::kLost:
      record.network_json.clear();
      break;
    case VmEvent::kDelete:
      break;
  }
  if (changes.execution_mode) record.execution_mode = *changes.execution_mode;
  if (changes.accelerator) record.accelerator = *changes.accelerator;
  if (changes.network_json) record.network_json = *changes.network_json;
  if (changes.last_error) record.last_error = *changes.last_error;
}

// State and fields after `event`; a refusal names the record.
template <typename Record>
Status Advance(Record& record, VmEvent event, const VmChanges& changes, WallTime now) {
  auto next = Next(record.state, event);
  if (!next) {
    Error error = next.error();
    error.message += " (" + record.id.str() + ")";
    return error;
  }
  record.state = *next;
  Update(record, event, changes, now);
  return OkStatus();
}

// `text` as the beginning of an id with its tag, which `text` may leave out. `thing` is "VM" or
// "task", `tag` the prefix of its ids.
Result<std::string> WholePrefix(std::string_view text, std::string_view tag,
                                std::string_view thing);
Error AmbiguousPrefix(std::string_view prefix, std::size_t matches);

// The configuration of a guest. `thing` as above.
Status CheckSizes(std::int64_t vcpu_count, std::int64_t mem_mib, std::chrono::seconds ttl,
                  std::string_view thing);

}  // namespace pyro::registry
