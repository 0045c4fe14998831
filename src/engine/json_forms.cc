#include "pyro/json_forms.h"

#include <string>
#include <utility>

#include "base/json.h"
#include "pyro/version.h"

namespace pyro {
namespace {

Json OrNull(const std::string& text) { return text.empty() ? Json() : Json(text); }
Json OrNull(std::int64_t milliseconds) { return milliseconds < 0 ? Json() : Json(milliseconds); }
Json OrNull(std::optional<Outcome> outcome) { return outcome ? Json(Name(*outcome)) : Json(); }

Json EnvironmentForm(const EnvironmentInfo& info) {
  return {{"name", info.name},
          {"description", info.description},
          {"installed", info.installed},
          {"broken", info.broken},
          {"digest", OrNull(info.digest)},
          {"installed_at", OrNull(info.installed_at)},
          {"size_bytes", info.size_bytes}};
}

Json ExplanationForm(const Explanation& explanation) {
  if (explanation.message.empty()) return {};
  return {{"message", explanation.message}, {"hint", OrNull(explanation.hint)}};
}

Json TimingsForm(const Timings& timings) {
  return {{"prepared_ms", OrNull(timings.prepared_ms)},
          {"supervised_ms", OrNull(timings.supervised_ms)},
          {"machine_ms", OrNull(timings.machine_ms)},
          {"ready_ms", OrNull(timings.ready_ms)},
          {"first_output_ms", OrNull(timings.first_output_ms)},
          {"ended_ms", OrNull(timings.ended_ms)},
          {"removed_ms", OrNull(timings.removed_ms)},
          {"start", OrNull(timings.start)}};
}

}  // namespace

Json ToJson(const Error& error) {
  return {{"error",
           {{"code", ErrorCodeName(error.code)},
            {"message", error.message},
            {"hint", OrNull(error.hint)}}}};
}

Json ToJson(const ExecResult& result) {
  return {{"stdout", result.stdout_text},
          {"stderr", result.stderr_text},
          {"stdout_bytes", result.stdout_bytes},
          {"stderr_bytes", result.stderr_bytes},
          {"stdout_truncated", result.stdout_truncated},
          {"stderr_truncated", result.stderr_truncated},
          {"exit_code", result.exit_code},
          {"outcome", Name(result.outcome)},
          {"duration_ms", result.duration_ms},
          {"execution_mode", Name(result.execution_mode)},
          {"environment", result.environment},
          {"kernel", OrNull(result.kernel)},
          {"accelerator", OrNull(result.accelerator)},
          {"output_left_open", result.output_left_open},
          {"explanation", ExplanationForm(result.explanation)},
          {"timings", TimingsForm(result.timings)}};
}

Json ToJson(const VmInfo& vm) {
  return {{"vm_id", vm.vm_id},
          {"environment", vm.environment},
          {"state", Name(vm.state)},
          {"vcpu_count", vm.vcpu_count},
          {"mem_mib", vm.mem_mib},
          {"ttl_seconds", vm.ttl_seconds},
          {"network_enabled", vm.network_enabled},
          {"allow_host_compat", vm.allow_host_compat},
          {"execution_mode", Name(vm.execution_mode)},
          {"accelerator", OrNull(vm.accelerator)},
          {"created_at", vm.created_at},
          {"expires_at", vm.expires_at},
          {"last_error", OrNull(vm.last_error)}};
}

Json ToJson(const std::vector<VmInfo>& vms) {
  Json list = Json::array();
  for (const VmInfo& vm : vms) list.push_back(ToJson(vm));
  return {{"count", vms.size()}, {"vms", list}};
}

Json ToJson(const TaskCommand& command) {
  return {{"sequence", command.sequence},
          {"command", command.command},
          {"cwd", command.cwd},
          {"state", Name(command.state)},
          {"outcome", OrNull(command.outcome)},
          {"exit_code", command.outcome ? Json(command.exit_code) : Json()},
          {"started_at", command.started_at},
          {"ended_at", OrNull(command.ended_at)},
          {"duration_ms", command.duration_ms},
          {"timeout_seconds", command.timeout_seconds},
          {"execution_mode", Name(command.execution_mode)},
          {"stdout_bytes", command.stdout_bytes},
          {"stderr_bytes", command.stderr_bytes},
          {"stdout_dropped", command.stdout_dropped},
          {"stderr_dropped", command.stderr_dropped},
          {"output_left_open", command.output_left_open},
          {"explanation", ExplanationForm(command.explanation)}};
}

Json ToJson(const TaskCommandInfo& command) {
  Json form = ToJson(static_cast<const TaskCommand&>(command));
  form["task_id"] = command.task_id;
  return form;
}

Json ToJson(const StartedTaskCommand& command) {
  Json form = ToJson(static_cast<const TaskCommandInfo&>(command));
  form["environment"] = command.environment;
  form["restarted"] = command.restarted;
  return form;
}

Json ToJson(const TaskCommandPage& page) {
  Json entries = Json::array();
  for (const TaskCommand& command : page.entries) entries.push_back(ToJson(command));
  return {{"task_id", page.task_id},
          {"total", page.total},
          {"count", page.entries.size()},
          {"entries", entries}};
}

Json ToJson(const TaskOutput& output) {
  return {{"task_id", output.command.task_id},
          {"sequence", output.command.sequence},
          {"state", Name(output.command.state)},
          {"outcome", OrNull(output.command.outcome)},
          {"exit_code", output.command.outcome ? Json(output.command.exit_code) : Json()},
          {"stream", Name(output.stream)},
          {"offset", output.offset},
          {"next_offset", output.next_offset},
          {"total_bytes", output.total_bytes},
          {"text", output.text},
          {"complete", output.complete}};
}

Json ToJson(const TaskInfo& task) {
  Json form = {{"task_id", task.task_id},
               {"environment", task.environment},
               {"state", Name(task.state)},
               {"workspace_path", "/workspace"},
               {"vcpu_count", task.vcpu_count},
               {"mem_mib", task.mem_mib},
               {"disk_mib", task.disk_mib},
               {"disk_bytes", task.disk_bytes},
               {"ttl_seconds", task.ttl_seconds},
               {"network_enabled", task.network_enabled},
               {"allow_host_compat", task.allow_host_compat},
               {"execution_mode", Name(task.execution_mode)},
               {"accelerator", OrNull(task.accelerator)},
               {"created_at", task.created_at},
               {"last_used_at", task.last_used_at},
               {"expires_at", task.expires_at},
               {"last_error", OrNull(task.last_error)},
               {"command_count", task.command_count},
               {"last_command", task.last_command ? ToJson(*task.last_command) : Json()}};
  if (!task.notices.empty()) form["notices"] = task.notices;
  return form;
}

Json ToJson(const std::vector<TaskInfo>& tasks) {
  Json list = Json::array();
  for (const TaskInfo& task : tasks) list.push_back(ToJson(task));
  return {{"count", tasks.size()}, {"tasks", list}};
}

Json ToJson(const TaskExecResult& result) {
  Json form = ToJson(static_cast<const ExecResult&>(result));
  form["task_id"] = result.task_id;
  form["sequence"] = result.sequence;
  form["command"] = result.command;
  form["cwd"] = result.cwd;
  form["restarted"] = result.restarted;
  return form;
}

Json ToJson(const TaskLogs& logs) {
  Json entries = Json::array();
  for (const TaskLogEntry& entry : logs.entries) {
    Json form = ToJson(static_cast<const TaskCommand&>(entry));
    form["stdout"] = entry.stdout_text;
    form["stderr"] = entry.stderr_text;
    form["stdout_truncated"] = entry.stdout_truncated;
    form["stderr_truncated"] = entry.stderr_truncated;
    entries.push_back(std::move(form));
  }
  return {{"task_id", logs.task_id}, {"count", logs.entries.size()}, {"entries", entries}};
}

Json ToJson(const ExportedPath& exported) {
  Json form = {{"task_id", exported.task_id},
               {"path", exported.path},
               {"destination", exported.destination},
               {"bytes", exported.bytes}};
  if (!exported.notices.empty()) form["notices"] = exported.notices;
  return form;
}

Json ToJson(const VmNetworkInfo& network) {
  return {{"vm_id", network.vm_id},
          {"network_enabled", network.network_enabled},
          {"address", OrNull(network.address)},
          {"prefix_length", network.prefix_length == 0 ? Json() : Json(network.prefix_length)},
          {"gateway", OrNull(network.gateway)},
          {"dns", OrNull(network.dns)},
          {"mac", OrNull(network.mac)}};
}

Json ToJson(const std::vector<EnvironmentInfo>& environments) {
  Json list = Json::array();
  for (const EnvironmentInfo& info : environments) list.push_back(EnvironmentForm(info));
  return {{"catalog_version", kVersion}, {"environments", list}};
}

Json ToJson(const EnvironmentDetails& details) {
  Json form = EnvironmentForm(details.info);
  form["catalog_version"] = kVersion;
  form["kernel_release"] = details.kernel_release;
  form["kernel_package"] = details.kernel_package;
  form["directory"] = details.directory;
  form["files"] = details.files;
  form["modules"] = details.modules;
  form["packages"] = details.packages;
  form["apt_sources"] = details.apt_sources;
  form["tools"] = details.tools;
  form["templates"] = Json::array();
  for (const TemplateInfo& info : details.templates) {
    form["templates"].push_back({{"vcpu_count", info.vcpu_count},
                                 {"mem_mib", info.mem_mib},
                                 {"network", info.network},
                                 {"new_disk", info.new_disk},
                                 {"size_bytes", info.size_bytes},
                                 {"made_at", info.made_at},
                                 {"last_used_at", info.last_used_at}});
  }
  return form;
}

Json ToJson(const SparePoolInfo& pool) {
  return {{"environment", pool.environment},
          {"vcpu_count", pool.vcpu_count},
          {"mem_mib", pool.mem_mib},
          {"network", pool.network},
          {"count", pool.count},
          {"waiting", pool.waiting},
          {"ttl_seconds", pool.ttl_seconds},
          {"expires_at", OrNull(pool.expires_at)}};
}

Json ToJson(const std::vector<SparePoolInfo>& pools) {
  Json list = Json::array();
  for (const SparePoolInfo& pool : pools) list.push_back(ToJson(pool));
  return {{"pools", std::move(list)}};
}

Json ToJson(const PulledEnvironment& pulled) {
  Json form = EnvironmentForm(pulled.info);
  form["built"] = pulled.built;
  return form;
}

Json ToJson(const PrunedEnvironments& pruned) {
  Json removed = Json::array();
  for (const auto& item : pruned.removed) {
    removed.push_back({{"environment", item.environment},
                       {"what", item.what},
                       {"digest", OrNull(item.digest)},
                       {"bytes", item.bytes}});
  }
  return {{"removed", removed},
          {"skipped", pruned.skipped},
          {"count", pruned.removed.size()},
          {"bytes_freed", pruned.bytes_freed}};
}

Json ToJson(const ReapedVms& reaped) {
  return {
      {"vm_ids", reaped.vm_ids}, {"count", reaped.vm_ids.size()}, {"leftovers", reaped.leftovers}};
}

Json ToJson(const DoctorReport& report) {
  Json checks = Json::array();
  for (const DoctorCheck& check : report.checks) {
    checks.push_back({{"name", check.name},
                      {"ok", check.ok},
                      {"required", check.required},
                      {"detail", check.detail},
                      {"fix", OrNull(check.fix)}});
  }
  return {{"version", kVersion},
          {"platform", report.platform},
          {"runtime_ok", report.runtime_ok},
          {"kvm",
           {{"exists", report.kvm_exists},
            {"readable", report.kvm_readable},
            {"writable", report.kvm_writable}}},
          {"environment_cache", report.environment_cache},
          {"state_directory", report.state_directory},
          {"capabilities",
           {{"vm_boot", report.vm_boot},
            {"guest_exec", report.guest_exec},
            {"guest_network", report.guest_network},
            {"host_compat", report.host_compat}}},
          {"networking",
           {{"tun", report.tun},
            {"ip_forward", report.ip_forward},
            {"backend", OrNull(report.network_backend)}}},
          {"accelerator",
           {{"name", OrNull(report.accelerator)}, {"reason", OrNull(report.accelerator_reason)}}},
          {"checks", checks},
          {"issues", report.issues}};
}

}  // namespace pyro
