// The VMs that live until their lease ends: create, start, exec, stop, delete, status.

#include <utility>
#include <vector>

#include "api/rows.h"
#include "base/json.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/describe.h"
#include "engine/environments.h"
#include "engine/exec_result.h"
#include "engine/host/host_compat.h"
#include "engine/image_defaults.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/instance/supervisor_link.h"
#include "engine/local_engine.h"
#include "engine/network_rules.h"
#include "engine/requests.h"
#include "engine/secrets.h"
#include "engine/session/guest_command.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using state::Registry;

Status StartReady(const Context& context, const InstanceRecord& vm, const sys::FileLock& lock,
                  const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link, StartGuest(context, vm, lock, {}, io));
  PYRO_RETURN_IF_ERROR(link.AwaitReady(Deadline::After(kReadyLimit), io));
  return OkStatus();
}

Result<InstanceRecord> StartOnHost(const Context& context, Registry& registry,
                                   const InstanceId& id) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(state::HostWorkspace(context.state, id)));
  state::InstanceChanges changes;
  changes.execution_mode = ExecutionMode::kHostCompat;
  return registry.Apply(id, state::InstanceEvent::kStart, changes);
}

Result<ExecResult> ExecInGuest(const Context& context, const InstanceRecord& vm,
                               const wire::Exec& exec, const CallIo& io) {
  const Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                        SupervisorLink::Connect(PlaceOf(context, vm.id).socket));
  CaptureSink capture(io);
  PlainCommand command(link, exec, io);
  CommandSession session(command, capture.sink(), io);
  PYRO_RETURN_IF_ERROR(session.Run());
  Timings timings;
  timings.ended_ms = watch.Now();
  ExecResult result =
      MakeGuestResult(command, session, exec, vm.environment, InTask::kNo, watch, timings);
  capture.Fill(result);
  return result;
}

}  // namespace

Result<VmInfo> LocalEngine::CreateVm(const VmOptions& asked, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(asked));
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context_, asked));
  VmOptions options = asked;
  PYRO_RETURN_IF_ERROR(ResolveNetworkRules(options));
  PYRO_RETURN_IF_ERROR(ResolveSecrets(options));
  auto environment = EnsureEnvironment(context_, options.environment, io);
  if (environment) options.environment = environment->name;
  const bool on_host =
      !environment && options.allow_host_compat && MeansNoGuest(environment.error());
  if (!environment && !on_host) return std::move(environment).error();
  if (on_host && io.on_notice) io.on_notice(HostCompatNotice(environment.error()));
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context_, InstanceKind::kVm));
  state::InstanceSpec spec =
      MakeSpec(InstanceKind::kVm, options, on_host ? "" : environment->digest);
  const std::int64_t cpus = on_host ? 1 : options.vcpu_count;
  PYRO_ASSIGN_OR_RETURN(spec.machine, RememberedMachine(context_, wish, cpus));
  PYRO_ASSIGN_OR_RETURN(const NewInstance vm,
                        CreateVmOnDisk(registry, context_, spec,
                                       on_host ? VmDisk::kHostWorkspace : VmDisk::kGuestImage));
  return DescribeVm(vm.record);
}

Result<VmInfo> LocalEngine::StartVm(const std::string& vm_id, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindVm(context_, vm_id));
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context_, found));
  const InstanceRecord& vm = taken.instance;
  if (!taken.link) {
    if (vm.state == state::InstanceState::kStarted) return DescribeVm(vm);
    Status ready = StartReady(context_, vm, *taken.lock, io);
    if (!ready && vm.allow_host_compat && MeansNoGuest(ready.error())) {
      if (io.on_notice) io.on_notice(HostCompatNotice(ready.error()));
      PYRO_ASSIGN_OR_RETURN(const InstanceRecord started,
                            StartOnHost(context_, found.registry, vm.id));
      return DescribeVm(started);
    }
    if (!ready) return std::move(ready).error();
  } else {
    PYRO_RETURN_IF_ERROR(taken.link->AwaitReady(Deadline::After(kReadyLimit), io));
  }
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord started, found.registry.Get(vm.id));
  return DescribeVm(started);
}

Result<ExecResult> LocalEngine::ExecVm(const std::string& vm_id, const Command& command,
                                       std::int64_t timeout_seconds, const CallIo& io) {
  // Before the VM is found: an impossible command is that for each VM.
  PYRO_RETURN_IF_ERROR(MakeExec(command, timeout_seconds, io));
  PYRO_ASSIGN_OR_RETURN(Found found, FindVm(context_, vm_id));
  PYRO_ASSIGN_OR_RETURN(const auto image, ImageOf(context_, found.instance));
  PYRO_ASSIGN_OR_RETURN(const wire::Exec exec,
                        MakeImageExec(image, command, UsualPlace::kOfImage, timeout_seconds, io));
  PYRO_RETURN_IF_ERROR(found.registry.Apply(found.instance.id, state::InstanceEvent::kExec));
  auto result = found.instance.execution_mode == ExecutionMode::kHostCompat
                    ? RunInHostJail(state::HostWorkspace(context_.state, found.instance.id),
                                    ToOptions(found.instance), exec, io)
                    : ExecInGuest(context_, found.instance, exec, io);
  if (result) {
    result->denied = DescribeDenied(
        state::ReadGuestDenied(state::InstanceDirectory(context_.state, found.instance.id)));
  }
  (void)DeleteEverywhere(context_, found.registry, found.instance.id);
  if (result) AdviseUsermode(context_, result->machine, result->duration_ms, io);
  return result;
}

Result<VmInfo> LocalEngine::StopVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindVm(context_, vm_id));
  PYRO_RETURN_IF_ERROR(StopGuest(context_, found.registry, found.instance.id));
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord vm, found.registry.Get(found.instance.id));
  return DescribeVm(vm);
}

Result<std::string> LocalEngine::DeleteVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindVm(context_, vm_id));
  PYRO_RETURN_IF_ERROR(DeleteEverywhere(context_, found.registry, found.instance.id));
  return found.instance.id.str();
}

Result<VmInfo> LocalEngine::StatusVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, FindVm(context_, vm_id));
  return DescribeVm(found.instance);
}

Result<std::vector<VmInfo>> LocalEngine::ListVms() {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context_, InstanceKind::kVm));
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> vms, registry.List(InstanceKind::kVm));
  std::vector<VmInfo> list;
  for (const InstanceRecord& vm : vms) list.push_back(DescribeVm(vm));
  return list;
}

Result<VmNetworkInfo> LocalEngine::NetworkInfoVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, FindVm(context_, vm_id));
  VmNetworkInfo info;
  info.vm_id = found.instance.id.str();
  info.network_enabled = found.instance.network;
  info.network_rules = DescribeNetworkRules(found.instance.network_rules);
  info.denied = DescribeDenied(
      state::ReadGuestDenied(state::InstanceDirectory(context_.state, found.instance.id)));
  if (found.instance.network_json.empty()) return info;
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(found.instance.network_json));
  PYRO_ASSIGN_OR_RETURN(info.address, GetString(json, "address"));
  PYRO_ASSIGN_OR_RETURN(info.gateway, GetString(json, "gateway"));
  PYRO_ASSIGN_OR_RETURN(info.dns, GetString(json, "dns"));
  PYRO_ASSIGN_OR_RETURN(info.mac, GetString(json, "mac"));
  // A guest that an earlier pyro has started has none of these.
  info.ipv6_address = json.value("ipv6_address", "");
  info.ipv6_gateway = json.value("ipv6_gateway", "");
  PYRO_ASSIGN_OR_RETURN(info.prefix_length, GetInt(json, "prefix_length", 1, 32));
  return info;
}

Result<PolicyAnswer> LocalEngine::CheckPolicy(const CheckPolicyRequest& request) {
  return AskPolicy(request);
}

}  // namespace pyro::engine
