// The tools for this host: its VMs and spares, its environments, and what works on it.

#include <utility>

#include "api/json.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/host.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::Tool;
using mcp::ToolResult;

Result<ToolResult> ListAllVms(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<VmInfo> vms, host.engine.ListVms());
  PYRO_ASSIGN_OR_RETURN(std::vector<SparePoolInfo> pools, host.engine.ListSparePools());
  Json list = Json::array();
  for (const VmInfo& vm : vms) {
    Json form = WithoutNulls(ToJson(vm));
    DropUsual(form);
    list.push_back(std::move(form));
  }
  return ToolResult::Structured(
      {{"count", vms.size()},
       {"vms", std::move(list)},
       {"spares", WithoutNulls(ToJson(SparePools{std::move(pools)}))["pools"]}});
}

Result<ToolResult> KeepSpares(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<KeepSparesRequest>(arguments));
  CallReport report(call, 0, "starting spares of " + request.environment);
  const CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(host.builds.Await(request, host.answer_after, io));
  PYRO_ASSIGN_OR_RETURN(const SparePoolInfo pool,
                        host.engine.KeepSpares(request, request.count, io));
  return ValueResult(ToJson(pool));
}

Result<ToolResult> InspectEnvironment(const Host& host, CallContext&, const Json& arguments) {
  const auto verify =
      FlagOr(arguments, "verify", false) ? Engine::Verify::kYes : Engine::Verify::kNo;
  PYRO_ASSIGN_OR_RETURN(
      const EnvironmentDetails details,
      host.engine.InspectEnvironment(TextOr(arguments, "environment", ""), verify));
  Json form = ToJson(details);
  // Paths of the host, and lists that say nothing about the guest.
  for (const char* name : {"directory", "files", "modules", "tools", "templates"}) form.erase(name);
  return ValueResult(std::move(form));
}

Result<ToolResult> PruneEnvironments(const Host& host, CallContext&, const Json& arguments) {
  const auto scope =
      FlagOr(arguments, "all", false) ? Engine::PruneScope::kAll : Engine::PruneScope::kLeftovers;
  PYRO_ASSIGN_OR_RETURN(const PrunedEnvironments pruned, host.engine.PruneEnvironments(scope));
  return ValueResult(ToJson(pruned));
}

Result<ToolResult> CheckHost(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const DoctorReport report, host.engine.Doctor());
  Json form = WithoutNulls(ToJson(report));
  // Paths of the host; `issues` has each check that failed.
  for (const char* name : {"environment_cache", "state_directory", "checks"}) form.erase(name);
  return ToolResult::Structured(std::move(form));
}

constexpr mcp::ToolAnnotations kReadsHost = {
    .read_only = true, .destructive = false, .idempotent = true, .open_world = false};

Tool SparesTool(const Host& host) {
  Tool tool =
      MakeTool(host, "vm_keep_spares", "Keep VMs ready",
               {.read_only = false, .destructive = false, .idempotent = true, .open_world = true},
               KeepSpares);
  tool.output_schema = OutputSchema({{"count", "integer"}, {"waiting", "integer"}});
  return tool;
}

}  // namespace

Status AddHostTools(const Host& host) {
  if (host.profile != McpProfile::kFull) return OkStatus();
  Tool list = MakeTool(host, "vm_list", "List VMs and spares", kReadsHost, ListAllVms);
  list.output_schema = OutputSchema({{"vms", "array"}, {"spares", "array"}});
  PYRO_RETURN_IF_ERROR(host.server.AddTool(std::move(list)));
  PYRO_RETURN_IF_ERROR(host.server.AddTool(SparesTool(host)));
  Tool inspect = MakeTool(host, "vm_inspect_environment", "Show an environment", kReadsHost,
                          InspectEnvironment);
  inspect.output_schema = OutputSchema({{"digest", "string"}, {"packages", "array"}});
  PYRO_RETURN_IF_ERROR(host.server.AddTool(std::move(inspect)));
  Tool prune =
      MakeTool(host, "vm_prune_environments", "Remove unused environments",
               {.read_only = false, .destructive = true, .idempotent = true, .open_world = false},
               PruneEnvironments);
  prune.output_schema = OutputSchema({{"bytes_freed", "integer"}});
  PYRO_RETURN_IF_ERROR(host.server.AddTool(std::move(prune)));
  Tool doctor = MakeTool(host, "vm_doctor", "Check this host", kReadsHost, CheckHost);
  doctor.output_schema = OutputSchema({{"runtime_ok", "boolean"}, {"issues", "array"}});
  return host.server.AddTool(std::move(doctor));
}

}  // namespace pyro::mcp_server
