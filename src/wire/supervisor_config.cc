#include "wire/supervisor_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/fields.h"
#include "base/json.h"
#include "base/try.h"
#include "pyro/types.h"
#include "wire/messages.h"

namespace pyro::wire {
namespace {

constexpr std::int64_t kConfigVersion = 4;

constexpr Field kTemplateFields[] = {
    Row<TemplateConfig, &TemplateConfig::directory>("directory"),
    Row<TemplateConfig, &TemplateConfig::key>("key").To(16 * 1024),
    Row<TemplateConfig, &TemplateConfig::environment>("environment"),
    Row<TemplateConfig, &TemplateConfig::environment_digest>("environment_digest").To(128),
    // The text of an earlier pool does not have them.
    Row<TemplateConfig, &TemplateConfig::next_directory>("next_directory").MayLack(),
    Row<TemplateConfig, &TemplateConfig::next_key>("next_key").To(16 * 1024).MayLack(),
};

constexpr Field kLayerDiskFields[] = {
    Row<LayerDisk, &LayerDisk::path>("path").From(1),
};

// The kind that does not have a field.
enum class Void { kNone, kOfTemplate, kOfSparePool };

struct ConfigField {
  Field field;
  Void is_void;

  bool IsOf(GuestKind kind) const {
    return kind == GuestKind::kTemplate    ? is_void != Void::kOfTemplate
           : kind == GuestKind::kSparePool ? is_void != Void::kOfSparePool
                                           : true;
  }
};

template <auto kMember>
constexpr Field ConfigRow(const char* name) {
  return Row<SupervisorConfig, kMember>(name);
}

constexpr std::int64_t kNotEmpty = 1;

constexpr ConfigField kConfigFields[] = {
    // First: the others depend on it.
    {ConfigRow<&SupervisorConfig::kind>("kind"), Void::kNone},
    {ConfigRow<&SupervisorConfig::id>("id").To(64), Void::kOfTemplate},
    {ConfigRow<&SupervisorConfig::state_dir>("state_dir").From(kNotEmpty), Void::kNone},
    {ConfigRow<&SupervisorConfig::directory>("directory").From(kNotEmpty), Void::kOfTemplate},
    {ConfigRow<&SupervisorConfig::detached>("detached"), Void::kNone},
    {ConfigRow<&SupervisorConfig::kernel>("kernel").From(kNotEmpty), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::initrd>("initrd").From(kNotEmpty), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::base_disk>("base_disk").From(kNotEmpty), Void::kOfSparePool},
    // The text of an earlier pool does not have it.
    {ConfigRow<&SupervisorConfig::layer_disks>("layer_disks").Of(kLayerDiskFields).To(64).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::blank_disk>("blank_disk"), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::vcpu_count>("vcpu_count").From(1).To(kMaxVcpuCount),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::mem_mib>("mem_mib").From(kMinMemMib).To(kMaxMemMib),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::network>("network"), Void::kOfSparePool},
    // The text of an earlier pool does not have them.
    {ConfigRow<&SupervisorConfig::network_rules>("network_rules").To(32 * 1024).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::net_program>("net_program").From(kNotEmpty), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::secrets>("secrets")
         .Of(kSecretValueFields)
         .To(kMaxSecrets)
         .MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::download_routes>("download_routes").To(64 * 1024).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::download_hosts>("download_hosts").To(64 * 1024).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::only_cached>("only_cached").To(64 * 1024).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::downloads_directory>("downloads_directory").MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::downloads_max_bytes>("downloads_max_bytes").MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::proxy_program>("proxy_program").MayLack(), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::accelerator>("accelerator").To(16), Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::ttl>("ttl_seconds").From(1).To(kMaxTtlSeconds),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::dies_with_first_client>("dies_with_first_client"),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::boot_timeout>("boot_timeout_seconds").From(1).To(3600),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::templ>("template").Of(kTemplateFields), Void::kOfSparePool},
    // The text of an earlier pool does not have them.
    {ConfigRow<&SupervisorConfig::workspace_user>("workspace_user").To(kMaxUserBytes).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::stop_signal>("stop_signal").From(0).To(kMaxSignal).MayLack(),
     Void::kOfSparePool},
    {ConfigRow<&SupervisorConfig::spare_pool>("spare_pool"), Void::kOfSparePool},
};

// What no row says.
Status CheckConfig(const SupervisorConfig& config) {
  const bool pool = config.kind == GuestKind::kSparePool;
  if (config.kind == GuestKind::kTemplate) {
    if (config.templ.directory.empty()) {
      return MakeError(ErrorCode::kInvalidArgument, "a template has no directory");
    }
  } else if (!pool || !config.id.empty()) {
    const bool task = config.kind == GuestKind::kTask;
    PYRO_RETURN_IF_ERROR(
        InstanceId::Parse(task ? InstanceKind::kTask : InstanceKind::kVm, config.id));
  }
  const bool own = config.spare_pool.empty() && config.kind != GuestKind::kTemplate && !pool;
  if (!config.secrets.empty() && (!own || !config.network || config.proxy_program.empty())) {
    return MakeError(ErrorCode::kInvalidArgument, "a guest that cannot have secrets has some");
  }
  if (!config.download_routes.empty() &&
      (!own || !config.network || config.proxy_program.empty() ||
       config.downloads_directory.empty() || config.downloads_max_bytes <= 0)) {
    return MakeError(ErrorCode::kInvalidArgument, "a guest that cannot have downloads has some");
  }
  constexpr std::array<std::string_view, 3> kAccelerators = {"tcg", "kvm", "usermode"};
  if (!pool && std::find(kAccelerators.begin(), kAccelerators.end(), config.accelerator) ==
                   kAccelerators.end()) {
    return MakeError(ErrorCode::kInvalidArgument, "'accelerator' is none that there is");
  }
  return OkStatus();
}

}  // namespace

std::string_view Name(GuestKind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"vm", "task", "template", "spare_pool", ""};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string FormatSupervisorConfig(const SupervisorConfig& config) {
  Json json = {{"version", kConfigVersion}};
  for (const ConfigField& one : kConfigFields) json.update(FieldsToJson({&one.field, 1}, &config));
  return ToJsonLine(json);
}

Result<SupervisorConfig> ParseSupervisorConfig(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxConfigBytes));
  PYRO_RETURN_IF_ERROR(GetInt(json, "version", kConfigVersion, kConfigVersion));
  SupervisorConfig config;
  for (const ConfigField& one : kConfigFields) {
    if (!one.IsOf(config.kind)) continue;
    PYRO_RETURN_IF_ERROR(ReadFields({&one.field, 1}, json, &config));
  }
  PYRO_RETURN_IF_ERROR(CheckConfig(config));
  return config;
}

std::string FormatAnswer() { return ToJsonLine({{"listening", true}}) + "\n"; }

std::string FormatAnswer(const Error& why_not) {
  return ToJsonLine({{"error",
                      {{"code", static_cast<int>(why_not.code)},
                       {"message", why_not.message},
                       {"hint", why_not.hint}}}}) +
         "\n";
}

Status ParseAnswer(std::string_view line) {
  const auto json = ParseJson(line, kMaxAnswerBytes);
  if (json && json->is_object() && json->value("listening", Json()) == Json(true))
    return OkStatus();
  const Error silent = MakeError(ErrorCode::kInternal, "the supervisor ended before it listened");
  if (!json || !json->is_object() || !json->contains("error")) return silent;
  const Json& error = (*json)["error"];
  const auto code = GetInt(error, "code", 0, 1000);
  auto message = GetString(error, "message");
  auto hint = GetString(error, "hint");
  if (!code || !message || !hint) return silent;
  return MakeError(ErrorCodeFromNumber(static_cast<int>(*code)).value_or(ErrorCode::kInternal),
                   std::move(*message), std::move(*hint));
}

}  // namespace pyro::wire
