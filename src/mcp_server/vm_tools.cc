// vm_run, and the tools for VMs that live from call to call.

#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "mcp_server/arguments.h"
#include "mcp_server/call_report.h"
#include "mcp_server/host.h"
#include "mcp_server/results.h"
#include "pyro/json_forms.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
using mcp::Tool;
using mcp::ToolResult;

using Handler = Result<ToolResult> (*)(const Host& host, CallContext& call, const Json& arguments);

mcp::ToolHandler BindVmTool(const Host& host, Handler handler) {
  return [host, handler](CallContext& call, const Json& arguments) -> Result<ToolResult> {
    auto result = handler(host, call, arguments);
    if (!result) return ForModels(std::move(result).error());
    return result;
  };
}

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
  VmOptions options;
  ReadVmOptions(arguments, options);
  const std::int64_t timeout = ReadTimeout(arguments);
  CallReport report(call, timeout, "starting a guest of " + options.environment);
  CountingSink sink(report);
  CallIo io = report.Io();
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(
      const ExecResult result,
      host.engine.RunInVm(options, ReadCommand(arguments.at("command")), timeout, io));
  return RunResult(result, sink, report.Notices());
}

Result<ToolResult> ListEnvironments(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<EnvironmentInfo> environments,
                        host.engine.ListEnvironments());
  return ValueResult(ToJson(environments));
}

Result<ToolResult> CreateVm(const Host& host, CallContext& call, const Json& arguments) {
  VmOptions options;
  ReadVmOptions(arguments, options);
  CallReport report(call, 0, "making a VM of " + options.environment);
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.CreateVm(options, report.Io()));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> StartVm(const Host& host, CallContext& call, const Json& arguments) {
  CallReport report(call, 0, "starting the guest");
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm,
                        host.engine.StartVm(TextOr(arguments, "vm_id", ""), report.Io()));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> Exec(const Host& host, CallContext& call, const Json& arguments) {
  const std::int64_t timeout = ReadTimeout(arguments);
  CallReport report(call, timeout, "running");
  CountingSink sink(report);
  CallIo io = report.Io();
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(const ExecResult result,
                        host.engine.ExecVm(TextOr(arguments, "vm_id", ""),
                                           ReadCommand(arguments.at("command")), timeout, io));
  return RunResult(result, sink, report.Notices());
}

Result<ToolResult> StopVm(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.StopVm(TextOr(arguments, "vm_id", "")));
  return ValueResult(ToJson(vm));
}

Result<ToolResult> DeleteVm(const Host& host, CallContext&, const Json& arguments) {
  // The whole id, also if only its beginning was given.
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.StatusVm(TextOr(arguments, "vm_id", "")));
  PYRO_RETURN_IF_ERROR(host.engine.DeleteVm(vm.vm_id));
  return ValueResult({{"vm_id", vm.vm_id}, {"deleted", true}});
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
  Tool tool;
  tool.name = "vm_run";
  tool.title = "Run one command in a fresh VM";
  tool.description =
      "Run one command in a new, empty Linux virtual machine and destroy the machine afterwards. "
      "Use it "
      "for anything untrusted or experimental that needs no files from before and leaves none "
      "behind; "
      "for several steps on the same files use task_create and task_exec. The command runs as root "
      "in "
      "/workspace, which is empty; nothing of the host can be seen or changed. Without `network` "
      "there is "
      "no network device. An environment that is not installed yet is built first, which takes "
      "about a "
      "minute. A non-zero exit_code is a result, not a failure of the tool. Long output is cut to "
      "its "
      "beginning and end and the rest is lost: filter it, or use a task, which keeps all of it.";
  Properties properties = {{"command", CommandSchema()}, {"timeout_seconds", TimeoutSchema()}};
  for (auto& property : VmProperties("A running command counts as use.")) {
    properties.push_back(std::move(property));
  }
  tool.input_schema = InputSchema(properties, {"environment", "command"});
  tool.output_schema = RunResultSchema();
  tool.annotations = {
      .read_only = false, .destructive = false, .idempotent = false, .open_world = true};
  tool.handler = BindVmTool(host, Run);
  return tool;
}

Tool ListEnvironmentsTool(const Host& host) {
  Tool tool;
  tool.name = "vm_list_environments";
  tool.title = "List environments";
  tool.description =
      "List the environments that machines can be made of, with what each holds. `installed` says "
      "whether one is ready; any other is built at its first use, which takes about a minute.";
  tool.input_schema = InputSchema({});
  Json one = OutputSchema(
      {
          {"name", TextSchema("What `environment` takes.")},
          {"description", TextSchema("What it holds.")},
          {"installed", FlagSchema("It is ready.")},
          {"broken", FlagSchema("It is damaged and is repaired at its next use.")},
          {"digest", TextSchema("Of the installed version.")},
          {"installed_at", TextSchema("RFC 3339, UTC.")},
          {"size_bytes", CountSchema("On the host's disk.")},
      },
      {"name", "description", "installed"});
  tool.output_schema = OutputSchema({{"catalog_version", TextSchema("Of the catalog.")},
                                     {"environments", ListSchema("In the catalog's order.", one)}},
                                    {"environments"});
  tool.annotations = {
      .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
  tool.handler = BindVmTool(host, ListEnvironments);
  return tool;
}

Tool VmCreateTool(const Host& host) {
  Tool tool;
  tool.name = "vm_create";
  tool.title = "Create a VM";
  tool.description =
      "Make a virtual machine for one later command, without starting it. Rarely what you want: "
      "vm_run "
      "does everything in one call, and task_create makes a workspace for many commands. The "
      "machine "
      "goes at the end of its lease, after vm_exec, or with vm_delete. Next: vm_start.";
  tool.input_schema =
      InputSchema(VmProperties("Then the machine and its disk are deleted."), {"environment"});
  tool.output_schema = VmSchema();
  tool.annotations = {
      .read_only = false, .destructive = false, .idempotent = false, .open_world = true};
  tool.handler = BindVmTool(host, CreateVm);
  return tool;
}

Tool ByVmId(const Host& host, std::string name, std::string title, std::string description,
            mcp::ToolAnnotations annotations, Json output, Handler handler) {
  Tool tool;
  tool.name = std::move(name);
  tool.title = std::move(title);
  tool.description = std::move(description);
  tool.input_schema = InputSchema({{"vm_id", VmIdSchema()}}, {"vm_id"});
  tool.output_schema = std::move(output);
  tool.annotations = annotations;
  tool.handler = BindVmTool(host, handler);
  return tool;
}

Tool VmExecTool(const Host& host) {
  Tool tool;
  tool.name = "vm_exec";
  tool.title = "Run a command in a VM and delete the VM";
  tool.description =
      "Run one command in a machine of vm_start and then DELETE that machine with its disk, "
      "however the "
      "command ended. For several commands use a task. Output and exit_code as in vm_run.";
  tool.input_schema = InputSchema(
      {{"vm_id", VmIdSchema()}, {"command", CommandSchema()}, {"timeout_seconds", TimeoutSchema()}},
      {"vm_id", "command"});
  tool.output_schema = RunResultSchema();
  tool.annotations = {
      .read_only = false, .destructive = true, .idempotent = false, .open_world = true};
  tool.handler = BindVmTool(host, Exec);
  return tool;
}

constexpr mcp::ToolAnnotations kReadsVm = {
    .read_only = true, .destructive = false, .idempotent = true, .open_world = false};
constexpr mcp::ToolAnnotations kEndsVm = {
    .read_only = false, .destructive = true, .idempotent = true, .open_world = false};

Json NetworkSchema() {
  return OutputSchema(
      {
          {"vm_id", TextSchema("The machine.")},
          {"network_enabled", FlagSchema("It has a network device.")},
          {"address", TextSchema("IPv4 address of the guest, while it is started.")},
          {"prefix_length", CountSchema("Of its subnet.")},
          {"gateway", TextSchema("IPv4 address.")},
          {"dns", TextSchema("IPv4 address of its name server.")},
          {"mac", TextSchema("Of its card.")},
      },
      {"vm_id", "network_enabled"});
}

Tool ReapTool(const Host& host) {
  Tool tool;
  tool.name = "vm_reap_expired";
  tool.title = "Clear expired VMs";
  tool.description =
      "Remove machines whose lease is over and what crashes left behind, and say which. Every call "
      "that "
      "makes a machine does the same, so this is for looking after disk space. Tasks are never "
      "removed.";
  tool.input_schema = InputSchema({});
  tool.output_schema = OutputSchema(
      {
          {"vm_ids", ListSchema("The machines that were removed.", {{"type", "string"}})},
          {"count", CountSchema("How many.")},
          {"leftovers", CountSchema("Files and directories that belonged to no machine.")},
      },
      {"vm_ids", "count"});
  tool.annotations = kEndsVm;
  tool.handler = BindVmTool(host, Reap);
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
             "Boot a machine of vm_create and return once it takes commands. Starting a started "
             "one is fine. "
             "Next: vm_exec.",
             {.read_only = false, .destructive = false, .idempotent = true, .open_world = false},
             VmSchema(), StartVm)));
  PYRO_RETURN_IF_ERROR(server.AddTool(VmExecTool(host)));
  PYRO_RETURN_IF_ERROR(server.AddTool(ByVmId(
      host, "vm_stop", "Stop a VM",
      "Power a machine off; its disk is kept until its lease ends. Stopping a stopped one is fine.",
      kEndsVm, VmSchema(), StopVm)));
  PYRO_RETURN_IF_ERROR(server.AddTool(ByVmId(
      host, "vm_delete", "Delete a VM", "Delete a machine with its disk, whatever state it is in.",
      kEndsVm,
      OutputSchema({{"vm_id", TextSchema("What was deleted.")}, {"deleted", FlagSchema("true")}},
                   {"vm_id", "deleted"}),
      DeleteVm)));
  PYRO_RETURN_IF_ERROR(server.AddTool(ByVmId(host, "vm_status", "Show a VM",
                                             "Show the state and the lease of one machine.",
                                             kReadsVm, VmSchema(), GetVmStatus)));
  PYRO_RETURN_IF_ERROR(server.AddTool(
      ByVmId(host, "vm_network_info", "Show a VM's network",
             "Show the addresses of a machine that was made with `network` and is started.",
             kReadsVm, NetworkSchema(), NetworkInfo)));
  return server.AddTool(ReapTool(host));
}

}  // namespace pyro::mcp_server
