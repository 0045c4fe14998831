// vm_run, and the tools for VMs that live from call to call.

#include <utility>

#include <fmt/format.h>

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

// The output of a command that runs now, counted for progress.
class CountingSink : public EndsSink {
 public:
  explicit CountingSink(CallReport& report) : report_(report) {}

  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    (stream == OutputStream::kStdout ? out_ : err_) += bytes.size();
    report_.Wrote(out_, err_);
    return EndsSink::Write(stream, bytes);
  }

 private:
  CallReport& report_;
  std::uint64_t out_ = 0;
  std::uint64_t err_ = 0;
};

Result<ToolResult> Run(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<RunRequest>(arguments));
  CallReport report(call, request.timeout_seconds, "starting a guest of " + request.environment);
  CountingSink sink(report);
  CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(Engine::CheckCommand(request.command, io));
  PYRO_RETURN_IF_ERROR(host.builds.Await(request, host.answer_after, io));
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(const ExecResult result,
                        host.engine.RunInVm(request, request.command, request.timeout_seconds, io));
  return RunResult(result, sink, report.Notices());
}

Result<ToolResult> ListEnvironments(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<EnvironmentInfo> environments,
                        host.engine.ListEnvironments());
  Json list = Json::array();
  for (const EnvironmentInfo& one : environments) {
    Json form = {
        {"name", one.name}, {"description", one.description}, {"installed", one.installed}};
    if (one.broken) form["broken"] = true;  // Its next use repairs it.
    list.push_back(std::move(form));
  }
  return ValueResult({{"environments", std::move(list)}});
}

Result<ToolResult> CreateVm(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto options, ReadArguments<VmOptions>(arguments));
  CallReport report(call, 0, "making a VM of " + options.environment);
  const CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(host.builds.Await(options, host.answer_after, io));
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.CreateVm(options, io));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> StartVm(const Host& host, CallContext& call, const Json& arguments) {
  CallReport report(call, 0, "starting the guest");
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm,
                        host.engine.StartVm(TextOr(arguments, "vm_id", ""), report.Io()));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> Exec(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<ExecVmRequest>(arguments));
  CallReport report(call, request.timeout_seconds, "running");
  CountingSink sink(report);
  CallIo io = report.Io();
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(const ExecResult result, host.engine.ExecVm(request.vm_id, request.command,
                                                                    request.timeout_seconds, io));
  return RunResult(result, sink, report.Notices());
}

Result<ToolResult> StopVm(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.StopVm(TextOr(arguments, "vm_id", "")));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> DeleteVm(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const std::string id, host.engine.DeleteVm(TextOr(arguments, "vm_id", "")));
  return ValueResult({{"vm_id", id}, {"deleted", true}});
}

Result<ToolResult> GetVmStatus(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.StatusVm(TextOr(arguments, "vm_id", "")));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> NetworkInfo(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const VmNetworkInfo info,
                        host.engine.NetworkInfoVm(TextOr(arguments, "vm_id", "")));
  return ValueResult(ToJson(info));
}

Result<ToolResult> Reap(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const ReapedVms reaped, host.engine.ReapExpired());
  return ValueResult(ToJson(reaped));
}

Tool RunTool(const Host& host) {
  Tool tool = MakeTool(
      host, "vm_run", "Run one command in a fresh VM",
      {.read_only = false, .destructive = false, .idempotent = false, .open_world = true}, Run);
  tool.output_schema = RunResultSchema();
  return tool;
}

Tool ListEnvironmentsTool(const Host& host) {
  Tool tool =
      MakeTool(host, "vm_list_environments", "List environments",
               {.read_only = true, .destructive = false, .idempotent = true, .open_world = false},
               ListEnvironments);
  tool.output_schema = OutputSchema({{"environments", "array"}}, {"environments"});
  return tool;
}

Tool VmCreateTool(const Host& host) {
  Tool tool =
      MakeTool(host, "vm_create", "Create a VM",
               {.read_only = false, .destructive = false, .idempotent = false, .open_world = true},
               CreateVm);
  tool.output_schema = VmSchema();
  return tool;
}

Tool ByVmId(const Host& host, std::string name, std::string title, mcp::ToolAnnotations annotations,
            Json output, Handler handler) {
  Tool tool = MakeTool(host, std::move(name), std::move(title), annotations, handler);
  tool.output_schema = std::move(output);
  return tool;
}

Tool VmExecTool(const Host& host) {
  Tool tool = MakeTool(
      host, "vm_exec", "Run a command in a VM and delete the VM",
      {.read_only = false, .destructive = true, .idempotent = false, .open_world = true}, Exec);
  tool.output_schema = RunResultSchema();
  return tool;
}

constexpr mcp::ToolAnnotations kReadsVm = {
    .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
constexpr mcp::ToolAnnotations kEndsVm = {
    .read_only = false, .destructive = true, .idempotent = true, .open_world = false};

Tool ReapTool(const Host& host) {
  Tool tool = MakeTool(host, "vm_reap_expired", "Clear expired VMs", kEndsVm, Reap);
  tool.output_schema = OutputSchema({{"vm_ids", "array"}, {"count", "integer"}});
  return tool;
}

}  // namespace

Status AddVmTools(const Host& host) {
  mcp::Server& server = host.server;
  if (host.profile != McpProfile::kTask) PYRO_RETURN_IF_ERROR(server.AddTool(RunTool(host)));
  PYRO_RETURN_IF_ERROR(server.AddTool(ListEnvironmentsTool(host)));
  if (host.profile != McpProfile::kFull) return OkStatus();
  PYRO_RETURN_IF_ERROR(server.AddTool(VmCreateTool(host)));
  PYRO_RETURN_IF_ERROR(server.AddTool(
      ByVmId(host, "vm_start", "Start a VM",
             {.read_only = false, .destructive = false, .idempotent = true, .open_world = false},
             VmSchema(), StartVm)));
  PYRO_RETURN_IF_ERROR(server.AddTool(VmExecTool(host)));
  PYRO_RETURN_IF_ERROR(
      server.AddTool(ByVmId(host, "vm_stop", "Stop a VM", kEndsVm, VmSchema(), StopVm)));
  PYRO_RETURN_IF_ERROR(server.AddTool(
      ByVmId(host, "vm_delete", "Delete a VM", kEndsVm,
             OutputSchema({{"vm_id", "string"}, {"deleted", "boolean"}}), DeleteVm)));
  PYRO_RETURN_IF_ERROR(
      server.AddTool(ByVmId(host, "vm_status", "Show a VM", kReadsVm, VmSchema(), GetVmStatus)));
  PYRO_RETURN_IF_ERROR(server.AddTool(ByVmId(
      host, "vm_network_info", "Show a VM's network", kReadsVm,
      OutputSchema({{"vm_id", "string"}, {"network_enabled", "boolean"}, {"address", "string"}}),
      NetworkInfo)));
  return server.AddTool(ReapTool(host));
}

}  // namespace pyro::mcp_server
