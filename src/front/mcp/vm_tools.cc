// The tools for VMs and spares, their environments, and what works on this host.

#include "front/mcp/tools.h"

#include <utility>

#include "api/operations.h"
#include "base/try.h"
#include "front/mcp/arguments.h"
#include "front/mcp/call_report.h"
#include "front/mcp/results.h"

namespace pyro::mcp_server {
namespace {

using mcp::CallContext;
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

struct CreateVmArguments : VmOptions {};

// A command with rules is one of vm_run or of a task.
constexpr api::Field kCreateVmArguments[] = {
    api::Inline<CreateVmArguments, VmOptions>(),
    api::Absent("allow"),
};

}  // namespace

const api::Struct& CreateVmArgumentRows() {
  static const api::Struct kRows = api::Describe<CreateVmArguments>(
      "CreateVmArguments", "The options of a VM.", kCreateVmArguments);
  return kRows;
}

Answer RunInNewVm(const Host& host, CallContext& call, const Json& arguments) {
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

Answer ListEnvironments(const Host& host, CallContext&, const Json&) {
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

Answer CreateVm(const Host& host, CallContext& call, const Json& arguments) {
  CreateVmArguments options;
  PYRO_RETURN_IF_ERROR(ReadArguments(CreateVmArgumentRows(), arguments, &options));
  CallReport report(call, 0, "making a VM of " + options.environment);
  const CallIo io = report.Io();
  PYRO_RETURN_IF_ERROR(host.builds.Await(options, host.answer_after, io));
  PYRO_ASSIGN_OR_RETURN(const VmInfo vm, host.engine.CreateVm(options, io));
  return ValueResult(ToJson(vm));
}

Answer ExecInVm(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<ExecVmRequest>(arguments));
  CallReport report(call, request.timeout_seconds, "running");
  CountingSink sink(report);
  CallIo io = report.Io();
  io.sink = &sink;
  PYRO_ASSIGN_OR_RETURN(const ExecResult result, host.engine.ExecVm(request.vm_id, request.command,
                                                                    request.timeout_seconds, io));
  return RunResult(result, sink, report.Notices());
}

Answer ListVms(const Host& host, CallContext&, const Json&) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<VmInfo> vms, host.engine.ListVms());
  PYRO_ASSIGN_OR_RETURN(std::vector<SparePoolInfo> pools, host.engine.ListSparePools());
  Json list = Json::array();
  for (const VmInfo& vm : vms) {
    Json form = ForModels(ToJson(vm));
    DropUsual(form);
    list.push_back(std::move(form));
  }
  return ToolResult::Structured(
      {{"count", vms.size()},
       {"vms", std::move(list)},
       {"spares", ForModels(ToJson(SparePools{std::move(pools)}))["pools"]}});
}

Answer KeepSpares(const Host& host, CallContext& call, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(const auto request, ReadArguments<KeepSparesRequest>(arguments));
  CallReport report(call, 0, "starting spares of " + request.environment);
  const CallIo io = report.Io();
  if (request.count > 0) {
    PYRO_RETURN_IF_ERROR(host.builds.Await(request, host.answer_after, io));
  }
  PYRO_ASSIGN_OR_RETURN(const SparePoolInfo pool,
                        host.engine.KeepSpares(request, request.count, io));
  return ValueResult(ToJson(pool));
}

Answer InspectEnvironment(const Host& host, CallContext&, const Json& arguments) {
  PYRO_ASSIGN_OR_RETURN(
      Json form, api::Call(host.engine, *api::FindTool("vm_inspect_environment"), arguments));
  // Paths of the host, and lists that say nothing about the guest.
  for (const char* name : {"directory", "files", "modules", "tools", "templates"}) form.erase(name);
  return ValueResult(std::move(form));
}

Answer CheckHost(const Host& host, CallContext& call, const Json&) {
  CallReport progress(call, 0, "checking this host");
  PYRO_ASSIGN_OR_RETURN(const DoctorReport report, host.engine.Doctor(progress.Io()));
  Json form = ForModels(ToJson(report));
  // Paths of the host; `issues` has each check that failed.
  for (const char* name : {"environment_cache", "state_directory", "checks"}) form.erase(name);
  return ToolResult::Structured(std::move(form));
}

}  // namespace pyro::mcp_server
