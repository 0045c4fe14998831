#include "wire/supervisor_config.h"

#include <utility>

#include "base/json.h"
#include "base/try.h"
#include "pyro/types.h"

namespace pyro::wire {
namespace {

constexpr std::int64_t kConfigVersion = 4;

Status GetPath(const Json& json, std::string_view key, std::filesystem::path& path) {
  const auto text = GetString(json, key, 4096);
  if (!text) return text.error();
  if (!text->starts_with('/')) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "'" + std::string(key) + "' is not an absolute path");
  }
  path = *text;
  return OkStatus();
}

Status ParseIdentity(const Json& json, SupervisorConfig& config) {
  const auto kind = GetString(json, "kind", 16);
  if (!kind) return kind.error();
  if (*kind == "template") {
    config.kind = GuestKind::kTemplate;
    return OkStatus();
  }
  const auto id = GetString(json, "id", 64);
  if (!id) return id.error();
  config.id = *id;
  if (*kind == "spare_pool") {
    config.kind = GuestKind::kSparePool;
    if (!id->empty()) PYRO_RETURN_IF_ERROR(InstanceId::Parse(InstanceKind::kVm, *id));
    return OkStatus();
  }
  if (*kind == "vm") {
    config.kind = GuestKind::kVm;
    PYRO_RETURN_IF_ERROR(InstanceId::Parse(InstanceKind::kVm, *id));
    return OkStatus();
  }
  if (*kind != "task")
    return MakeError(ErrorCode::kInvalidArgument, "'kind' is none that there is");
  config.kind = GuestKind::kTask;
  PYRO_RETURN_IF_ERROR(InstanceId::Parse(InstanceKind::kTask, *id));
  return OkStatus();
}

std::string_view KindName(GuestKind kind) {
  switch (kind) {
    case GuestKind::kVm:
      return "vm";
    case GuestKind::kTask:
      return "task";
    case GuestKind::kTemplate:
      return "template";
    case GuestKind::kSparePool:
      return "spare_pool";
  }
  return "";
}

Json FormatTemplate(const TemplateConfig& config) {
  return {{"directory", config.directory.native()},
          {"key", config.key},
          {"environment", config.environment},
          {"environment_digest", config.environment_digest}};
}

Status ParseTemplate(const Json& json, SupervisorConfig& config) {
  if (!json.is_object() || !json.contains("template")) {
    return MakeError(ErrorCode::kInvalidArgument, "'template' is missing");
  }
  const Json& fields = json["template"];
  TemplateConfig& templ = config.templ;
  PYRO_ASSIGN_OR_RETURN(const std::string directory, GetString(fields, "directory", 4096));
  if (!directory.empty()) PYRO_RETURN_IF_ERROR(GetPath(fields, "directory", templ.directory));
  PYRO_ASSIGN_OR_RETURN(templ.key, GetString(fields, "key", 16 * 1024));
  PYRO_ASSIGN_OR_RETURN(templ.environment, GetString(fields, "environment", 4096));
  PYRO_ASSIGN_OR_RETURN(templ.environment_digest, GetString(fields, "environment_digest", 128));
  if (config.kind == GuestKind::kTemplate && directory.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "a template has no directory");
  }
  return OkStatus();
}

}  // namespace

std::string FormatSupervisorConfig(const SupervisorConfig& config) {
  const Json json = {
      {"version", kConfigVersion},
      {"kind", KindName(config.kind)},
      {"id", config.id},
      {"state_dir", config.state_dir.native()},
      {"directory", config.directory.native()},
      {"kernel", config.kernel.native()},
      {"initrd", config.initrd.native()},
      {"base_disk", config.base_disk.native()},
      {"blank_disk", config.blank_disk.native()},
      {"vcpu_count", config.vcpu_count},
      {"mem_mib", config.mem_mib},
      {"network", config.network},
      {"net_program", config.net_program.native()},
      {"accelerator", config.accelerator},
      {"ttl_seconds", config.ttl.count()},
      {"dies_with_first_client", config.dies_with_first_client},
      {"boot_timeout_seconds", config.boot_timeout.count()},
      {"template", FormatTemplate(config.templ)},
      {"detached", config.detached},
      {"spare_pool", config.spare_pool.native()},
  };
  return ToJsonLine(json);
}

Result<SupervisorConfig> ParseSupervisorConfig(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxConfigBytes));
  PYRO_RETURN_IF_ERROR(GetInt(json, "version", kConfigVersion, kConfigVersion));
  SupervisorConfig config;
  PYRO_RETURN_IF_ERROR(ParseIdentity(json, config));
  PYRO_RETURN_IF_ERROR(GetPath(json, "state_dir", config.state_dir));
  if (config.kind != GuestKind::kTemplate) {
    PYRO_RETURN_IF_ERROR(GetPath(json, "directory", config.directory));
  }
  PYRO_ASSIGN_OR_RETURN(config.detached, GetBool(json, "detached"));
  if (config.kind == GuestKind::kSparePool) return config;
  PYRO_RETURN_IF_ERROR(GetPath(json, "kernel", config.kernel));
  PYRO_RETURN_IF_ERROR(GetPath(json, "initrd", config.initrd));
  PYRO_RETURN_IF_ERROR(GetPath(json, "base_disk", config.base_disk));
  PYRO_ASSIGN_OR_RETURN(const std::string blank, GetString(json, "blank_disk", 4096));
  if (!blank.empty()) PYRO_RETURN_IF_ERROR(GetPath(json, "blank_disk", config.blank_disk));
  PYRO_ASSIGN_OR_RETURN(const auto vcpus, GetInt(json, "vcpu_count", 1, kMaxVcpuCount));
  PYRO_ASSIGN_OR_RETURN(const auto mem, GetInt(json, "mem_mib", kMinMemMib, kMaxMemMib));
  PYRO_ASSIGN_OR_RETURN(config.network, GetBool(json, "network"));
  PYRO_RETURN_IF_ERROR(GetPath(json, "net_program", config.net_program));
  PYRO_ASSIGN_OR_RETURN(config.accelerator, GetString(json, "accelerator", 16));
  if (config.accelerator != "tcg" && config.accelerator != "kvm" &&
      config.accelerator != "usermode") {
    return MakeError(ErrorCode::kInvalidArgument, "'accelerator' is none that there is");
  }
  PYRO_ASSIGN_OR_RETURN(const auto ttl, GetInt(json, "ttl_seconds", 1, kMaxTtlSeconds));
  PYRO_ASSIGN_OR_RETURN(config.dies_with_first_client, GetBool(json, "dies_with_first_client"));
  PYRO_ASSIGN_OR_RETURN(const auto boot, GetInt(json, "boot_timeout_seconds", 1, 3600));
  PYRO_RETURN_IF_ERROR(ParseTemplate(json, config));
  PYRO_ASSIGN_OR_RETURN(const std::string pool, GetString(json, "spare_pool", 4096));
  if (!pool.empty()) PYRO_RETURN_IF_ERROR(GetPath(json, "spare_pool", config.spare_pool));
  config.vcpu_count = static_cast<int>(vcpus);
  config.mem_mib = static_cast<int>(mem);
  config.ttl = std::chrono::seconds(ttl);
  config.boot_timeout = std::chrono::seconds(boot);
  return config;
}

}  // namespace pyro::wire
