#include "state/instance/instance_record.h"

#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"

namespace pyro::state {
namespace {

constexpr InstancePolicy kVmPolicy = {
    .thing = "VM",
    .folder = "vms",
    .no_such = "it was deleted, or its lease has ended; create another one",
    .keeps_work = false};
constexpr InstancePolicy kTaskPolicy = {.thing = "task",
                                        .folder = "tasks",
                                        .no_such = "`pyro task list` lists them",
                                        .keeps_work = true};

Error Impossible(std::string message, std::string hint) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

Error BrokenManifest(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the task's manifest is broken: {}", what),
                   "its directory is not changed: its data.img holds the work");
}

Result<InstanceRecord> ReadManifest(const Json& json) {
  PYRO_RETURN_IF_ERROR(GetInt(json, "schema", kTaskManifestSchema, kTaskManifestSchema));
  PYRO_ASSIGN_OR_RETURN(const std::string id, GetString(json, "task_id", 64));
  PYRO_ASSIGN_OR_RETURN(auto task_id, InstanceId::Parse(InstanceKind::kTask, id));
  InstanceRecord task(InstanceSpec{.id = std::move(task_id)});
  PYRO_RETURN_IF_ERROR(ReadFields(kManifestFields, json, &task));
  return task;
}

}  // namespace

const InstancePolicy& PolicyOf(InstanceKind kind) {
  return kind == InstanceKind::kVm ? kVmPolicy : kTaskPolicy;
}

Status CheckSpec(const InstanceSpec& spec) {
  const std::string_view thing = PolicyOf(spec.id.kind()).thing;
  if (spec.vcpu_count < 1 || spec.mem_mib < 1) {
    return Impossible(fmt::format("a {} cannot have {} vCPUs and {} MiB of memory", thing,
                                  spec.vcpu_count, spec.mem_mib),
                      "give it at least 1 of each");
  }
  if (spec.ttl < std::chrono::seconds(1) || spec.ttl > kMaxTtl) {
    return Impossible(fmt::format("a lease cannot last {} seconds", spec.ttl.count()),
                      fmt::format("use 1 to {} seconds", kMaxTtl.count()));
  }
  if (spec.disk_mib < 1) {
    return Impossible(fmt::format("a {} cannot have a disk of {} MiB", thing, spec.disk_mib),
                      "give it at least 1");
  }
  return OkStatus();
}

std::string FormatTaskManifest(const InstanceRecord& task) {
  Json json = FieldsToJson(kManifestFields, &task);
  json["schema"] = kTaskManifestSchema;
  json["task_id"] = task.id.str();
  return ToPrettyJson(json) + "\n";
}

Result<InstanceRecord> ParseTaskManifest(std::string_view text) {
  const auto json = ParseJson(text, kMaxTaskManifestBytes);
  if (!json) return BrokenManifest(json.error().message);
  auto task = ReadManifest(*json);
  if (!task) return BrokenManifest(task.error().message);
  return task;
}

void BeginLease(InstanceRecord& instance, WallTime now) {
  instance.last_used_at = now;
  instance.expires_at = now + instance.ttl;
}

Status Advance(InstanceRecord& instance, InstanceEvent event, const InstanceChanges& changes,
               WallTime now) {
  auto next = Next(instance.state, event);
  if (!next) {
    Error error = next.error();
    error.message += " (" + instance.id.str() + ")";
    return error;
  }
  instance.state = *next;
  switch (event) {
    case InstanceEvent::kStart:
      instance.started_at = now;
      instance.last_error.clear();
      BeginLease(instance, now);
      break;
    case InstanceEvent::kExec:
    case InstanceEvent::kRenew:
      BeginLease(instance, now);
      break;
    case InstanceEvent::kStop:
    case InstanceEvent::kLost:
      instance.network_json.clear();
      break;
    case InstanceEvent::kDelete:
      break;
  }
  if (changes.execution_mode) instance.execution_mode = *changes.execution_mode;
  if (changes.accelerator) instance.accelerator = *changes.accelerator;
  if (changes.network_json) instance.network_json = *changes.network_json;
  if (changes.last_error) instance.last_error = *changes.last_error;
  return OkStatus();
}

}  // namespace pyro::state
