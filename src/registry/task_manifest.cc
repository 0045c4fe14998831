#include "registry/task_manifest.h"

#include <limits>

#include <fmt/format.h>

#include "base/json.h"
#include "base/try.h"
#include "registry/row_values.h"

namespace pyro::registry {
namespace {

constexpr std::int64_t kMaxSpecNumber = std::int64_t{1} << 40;
// Milliseconds that can still be added to and shown: before the year 10000.
constexpr std::int64_t kMaxCreatedAtMs = 253'402'300'799'999;

Error Broken(std::string_view what) {
  return MakeError(ErrorCode::kDataLoss, fmt::format("the task's manifest is broken: {}", what),
                   "its directory is not changed: its data.img holds the work");
}

Result<TaskManifest> Read(const Json& json) {
  PYRO_RETURN_IF_ERROR(GetInt(json, "schema", kTaskManifestSchema, kTaskManifestSchema));
  PYRO_ASSIGN_OR_RETURN(const std::string id, GetString(json, "task_id", 64));
  PYRO_ASSIGN_OR_RETURN(auto task_id, TaskId::Parse(id));
  TaskManifest manifest{.spec = {.id = std::move(task_id)}};
  TaskSpec& spec = manifest.spec;
  PYRO_ASSIGN_OR_RETURN(spec.environment, GetString(json, "environment", 1024));
  PYRO_ASSIGN_OR_RETURN(spec.environment_digest, GetString(json, "environment_digest", 256));
  PYRO_ASSIGN_OR_RETURN(spec.vcpu_count, GetInt(json, "vcpu_count", 1, kMaxSpecNumber));
  PYRO_ASSIGN_OR_RETURN(spec.mem_mib, GetInt(json, "mem_mib", 1, kMaxSpecNumber));
  PYRO_ASSIGN_OR_RETURN(spec.disk_mib, GetInt(json, "disk_mib", 1, kMaxSpecNumber));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t ttl, GetInt(json, "ttl_seconds", 1, kMaxTtl.count()));
  spec.ttl = std::chrono::seconds(ttl);
  PYRO_ASSIGN_OR_RETURN(spec.network, GetBool(json, "network"));
  PYRO_ASSIGN_OR_RETURN(spec.allow_host_compat, GetBool(json, "allow_host_compat"));
  PYRO_ASSIGN_OR_RETURN(const std::int64_t created_at,
                        GetInt(json, "created_at_ms", 0, kMaxCreatedAtMs));
  manifest.created_at = FromMs(created_at);
  return manifest;
}

}  // namespace

std::string FormatTaskManifest(const TaskManifest& manifest) {
  const TaskSpec& spec = manifest.spec;
  return ToPrettyJson({{"schema", kTaskManifestSchema},
                       {"task_id", spec.id.str()},
                       {"environment", spec.environment},
                       {"environment_digest", spec.environment_digest},
                       {"vcpu_count", spec.vcpu_count},
                       {"mem_mib", spec.mem_mib},
                       {"disk_mib", spec.disk_mib},
                       {"ttl_seconds", spec.ttl.count()},
                       {"network", spec.network},
                       {"allow_host_compat", spec.allow_host_compat},
                       {"created_at_ms", ToMs(manifest.created_at)}}) +
         "\n";
}

Result<TaskManifest> ParseTaskManifest(std::string_view text) {
  const auto json = ParseJson(text, kMaxTaskManifestBytes);
  if (!json) return Broken(json.error().message);
  auto manifest = Read(*json);
  if (!manifest) return Broken(manifest.error().message);
  return manifest;
}

}  // namespace pyro::registry
