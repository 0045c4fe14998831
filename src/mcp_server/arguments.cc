#include "mcp_server/arguments.h"

#include <cmath>
#include <utility>

namespace pyro::mcp_server {
namespace {

Json CommandSummary() {
  Json schema = OutputSchema({
      {"sequence", CountSchema("Its number in the task.")},
      {"command", ListSchema("Its words.", {{"type", "string"}})},
      {"state", TextSchema("running or ended.")},
      {"outcome", TextSchema("How it ended; absent while it runs.")},
      {"exit_code", CountSchema("Absent while it runs.")},
  });
  schema["description"] = "The newest command; absent if there was none.";
  return schema;
}

}  // namespace

Properties VmProperties(std::string_view lease) {
  return {
      {"environment",
       TextSchema(
           "What the guest's disk holds, such as debian:12; vm_list_environments lists them.")},
      {"vcpu_count", WithDefault(IntegerSchema("CPUs of the guest.", 1, 64), 1)},
      {"mem_mib", WithDefault(IntegerSchema("Memory of the guest in MiB.", 128, 1048576), 1024)},
      {"ttl_seconds",
       WithDefault(IntegerSchema(std::string("Lease in seconds, counted from the last use. ") +
                                     std::string(lease),
                                 1, 315360000),
                   600)},
      {"network", WithDefault(FlagSchema("Give the guest a way out to the internet. Off: it has no "
                                         "network device at all."),
                              false)},
      {"allow_host_compat",
       WithDefault(FlagSchema("WEAKER ISOLATION: where no virtual machine can be had, run on the "
                              "host in a jail. Only if the user asked for it."),
                   false)},
  };
}

void ReadVmOptions(const Json& arguments, VmOptions& options) {
  options.environment = TextOr(arguments, "environment", "");
  options.vcpu_count = IntOr(arguments, "vcpu_count", options.vcpu_count);
  options.mem_mib = IntOr(arguments, "mem_mib", options.mem_mib);
  options.ttl_seconds = IntOr(arguments, "ttl_seconds", options.ttl_seconds);
  options.network = FlagOr(arguments, "network", options.network);
  options.allow_host_compat = FlagOr(arguments, "allow_host_compat", options.allow_host_compat);
}

Json TimeoutSchema() {
  return WithDefault(
      IntegerSchema("Kill the command with everything it started so many seconds after "
                    "its start.",
                    1, kMaxTimeoutSeconds),
      kDefaultTimeoutSeconds);
}

std::int64_t ReadTimeout(const Json& arguments) {
  return IntOr(arguments, "timeout_seconds", kDefaultTimeoutSeconds);
}

Json VmIdSchema() { return TextSchema("As vm_create returned it: vm_ and 26 characters."); }
Json TaskIdSchema() { return TextSchema("As task_create returned it: task_ and 26 characters."); }

Json VmSchema() {
  return OutputSchema(
      {
          {"vm_id", TextSchema("The handle for the other vm_* tools.")},
          {"environment", TextSchema("What its disk holds.")},
          {"state", ChoiceSchema("Whether its guest runs.", {"created", "started", "stopped"})},
          {"vcpu_count", CountSchema("CPUs.")},
          {"mem_mib", CountSchema("Memory in MiB.")},
          {"ttl_seconds", CountSchema("Lease, from the last use.")},
          {"network_enabled", FlagSchema("It has a way out.")},
          {"allow_host_compat", FlagSchema("It may run on the host.")},
          {"execution_mode", TextSchema("How it truly runs; pending before the first start.")},
          {"accelerator", TextSchema("kvm or tcg.")},
          {"created_at", TextSchema("RFC 3339, UTC.")},
          {"expires_at", TextSchema("End of the lease if nothing uses it.")},
          {"last_error", TextSchema("Why its guest was lost.")},
      },
      {"vm_id", "environment", "state", "execution_mode", "created_at", "expires_at"});
}

Json TaskSchema() {
  return OutputSchema(
      {
          {"task_id", TextSchema("The handle for the other task_* tools.")},
          {"environment", TextSchema("What its root file system began with.")},
          {"state", ChoiceSchema("Whether its guest runs; task_exec starts a stopped one.",
                                 {"created", "started", "stopped"})},
          {"workspace_path", TextSchema("Where commands run: /workspace.")},
          {"vcpu_count", CountSchema("CPUs.")},
          {"mem_mib", CountSchema("Memory in MiB.")},
          {"disk_mib", CountSchema("Bound of its disk in MiB.")},
          {"disk_bytes", CountSchema("What it takes on the host now.")},
          {"ttl_seconds", CountSchema("Lease of the guest, from the last use.")},
          {"network_enabled", FlagSchema("It has a way out.")},
          {"allow_host_compat", FlagSchema("It may run on the host.")},
          {"execution_mode", TextSchema("How it truly runs; pending before the first start.")},
          {"accelerator", TextSchema("kvm or tcg.")},
          {"created_at", TextSchema("RFC 3339, UTC.")},
          {"last_used_at", TextSchema("RFC 3339, UTC.")},
          {"expires_at", TextSchema("When its guest is stopped if nothing uses it.")},
          {"last_error", TextSchema("Why its guest was lost.")},
          {"command_count", CountSchema("Entries of its journal.")},
          {"last_command", CommandSummary()},
      },
      {"task_id", "environment", "state", "workspace_path", "execution_mode", "command_count"});
}

std::string TextOr(const Json& arguments, const char* name, std::string otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? std::move(otherwise) : found->get<std::string>();
}

std::int64_t IntOr(const Json& arguments, const char* name, std::int64_t otherwise) {
  const auto found = arguments.find(name);
  if (found == arguments.end()) return otherwise;
  // 3.0 is an integer, too.
  return found->is_number_float() ? std::llround(found->get<double>()) : found->get<std::int64_t>();
}

bool FlagOr(const Json& arguments, const char* name, bool otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? otherwise : found->get<bool>();
}

}  // namespace pyro::mcp_server
