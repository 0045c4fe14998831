#include "mcp_server/arguments.h"

#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace pyro::mcp_server {

Properties VmProperties(std::string_view lease) {
  return {
      {"environment",
       WithDefault(TextSchema("vm_list_environments lists them."), kDefaultEnvironment)},
      {"vcpu_count", WithDefault(IntegerSchema("CPUs.", 1, 64), 1)},
      {"mem_mib", WithDefault(IntegerSchema("Memory in MiB.", 128, 1048576), 1024)},
      {"ttl_seconds", WithDefault(IntegerSchema(lease, 1, 315360000), 600)},
      {"network", WithDefault(FlagSchema("Internet access; it cannot be added later."), false)},
      {"allow_host_compat",
       WithDefault(FlagSchema("WEAKER ISOLATION: if no VM can run, use a jail on the host. Only if "
                              "the user asked for it."),
                   false)},
  };
}

void ReadVmOptions(const Json& arguments, VmOptions& options) {
  options.environment = TextOr(arguments, "environment", kDefaultEnvironment);
  options.vcpu_count = IntOr(arguments, "vcpu_count", options.vcpu_count);
  options.mem_mib = IntOr(arguments, "mem_mib", options.mem_mib);
  options.ttl_seconds = IntOr(arguments, "ttl_seconds", options.ttl_seconds);
  options.network = FlagOr(arguments, "network", options.network);
  options.allow_host_compat = FlagOr(arguments, "allow_host_compat", options.allow_host_compat);
}

Json TimeoutSchema(std::string_view description) {
  return WithDefault(IntegerSchema(description, 1, kMaxTimeoutSeconds), kDefaultTimeoutSeconds);
}

std::int64_t ReadTimeout(const Json& arguments) {
  return IntOr(arguments, "timeout_seconds", kDefaultTimeoutSeconds);
}

Json VmIdSchema() { return TextSchema("From vm_create."); }
Json TaskIdSchema() { return TextSchema("From task_create."); }

Json VmSchema() {
  return OutputSchema({{"vm_id", "string"}, {"state", "string"}, {"expires_at", "string"}},
                      {"vm_id", "state"});
}

Json TaskSchema() {
  return OutputSchema({{"task_id", "string"},
                       {"state", "string"},
                       {"expires_at", "string"},
                       {"command_count", "integer"}},
                      {"task_id", "state"});
}

Status CheckNoneEmpty(const Json& arguments) {
  for (const auto& [name, value] : arguments.items()) {
    if (value.is_string() && value.get_ref<const std::string&>().empty()) {
      return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} is empty", name),
                       "give it a value; an optional argument may be left out instead");
    }
  }
  return OkStatus();
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
