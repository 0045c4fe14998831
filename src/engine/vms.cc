// The VMs that live until their lease ends: create, start, exec, stop, delete, status.

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "api/rows.h"
#include "base/json.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/environments.h"
#include "engine/exec_result.h"
#include "engine/guest_process.h"
#include "engine/host_compat.h"
#include "engine/local_engine.h"
#include "engine/reaper.h"
#include "engine/requests.h"
#include "engine/session/guest_command.h"
#include "engine/supervisor_link.h"
#include "engine/vm_files.h"
#include "registry/vm_directory.h"
#include "sys/files.h"

namespace pyro {
namespace engine {
namespace {

using registry::InstanceEvent;
using registry::InstanceRecord;
using registry::Registry;
using std::chrono::seconds;

constexpr seconds kVmReadyLimit{180};  // Longer than the supervisor's own limit for a boot.
constexpr seconds kVmStopLimit{60};

VmInfo ToVmInfo(const InstanceRecord& vm) {
  VmInfo info;
  info.vm_id = vm.id.str();
  info.environment = vm.environment;
  info.state = vm.state;
  info.vcpu_count = vm.vcpu_count;
  info.mem_mib = vm.mem_mib;
  info.ttl_seconds = vm.ttl.count();
  info.network_enabled = vm.network;
  info.allow_host_compat = vm.allow_host_compat;
  info.execution_mode = vm.execution_mode;
  info.accelerator = vm.accelerator;
  info.created_at = FormatTime(vm.created_at);
  info.expires_at = FormatTime(vm.expires_at);
  info.last_error = vm.last_error;
  return info;
}

VmOptions ToOptions(const InstanceRecord& vm) {
  VmOptions options;
  options.environment = vm.environment;
  options.vcpu_count = vm.vcpu_count;
  options.mem_mib = vm.mem_mib;
  options.ttl_seconds = vm.ttl.count();
  options.network = vm.network;
  options.allow_host_compat = vm.allow_host_compat;
  return options;
}

GuestPlace VmPlace(const Context& context, const InstanceId& id) {
  return {registry::VmLock(context.state, id), registry::VmControlSocket(context.state, id)};
}

// An open registry, and the VM after leftovers of crashes were reconciled.
struct Found {
  Registry registry;
  InstanceRecord vm;
};

Result<Found> Find(const Context& context, const std::string& prefix) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenRegistry(context));
  (void)Reap(registry, context);
  PYRO_ASSIGN_OR_RETURN(InstanceRecord vm, registry.Find(InstanceKind::kVm, prefix));
  return Found{std::move(registry), std::move(vm)};
}

Result<InstanceRecord> StartOnHost(const Context& context, Registry& registry,
                                   const InstanceId& id) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(HostWorkspace(context, id)));
  registry::InstanceChanges changes;
  changes.execution_mode = ExecutionMode::kHostCompat;
  return registry.Apply(id, InstanceEvent::kStart, changes);
}

Result<InstanceRecord> StartGuest(const Context& context, Registry& registry,
                                  const InstanceRecord& vm, sys::FileLock lock, const CallIo& io) {
  Environments environments(context);
  auto found = environments.store().FindVersion(vm.environment, vm.environment_digest);
  if (!found && vm.environment_digest.empty()) {
    found = EnsureEnvironment(context, vm.environment, io);
  }
  if (!found) return std::move(found).error();
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts, PrepareParts(context, std::move(*found), io));
  PYRO_RETURN_IF_ERROR(EnsureGuestImage(context, vm.id));
  PYRO_RETURN_IF_ERROR(StartSupervisor(context, parts, VmSupervisor(context, vm), lock));
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                        SupervisorLink::Connect(registry::VmControlSocket(context.state, vm.id)));
  PYRO_RETURN_IF_ERROR(link.AwaitReady(Deadline::After(kVmReadyLimit), io));
  return registry.Get(vm.id);
}

Result<ExecResult> ExecInGuest(const Context& context, const InstanceRecord& vm,
                               const wire::Exec& exec, const CallIo& io) {
  const Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                        SupervisorLink::Connect(registry::VmControlSocket(context.state, vm.id)));
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

Status Delete(const Context& context, Registry& registry, const InstanceId& id) {
  auto held = TakeOver(VmPlace(context, id));
  // Without a directory there is no lock to take, but perhaps a row.
  if (!held && held.error().code != ErrorCode::kNotFound) return std::move(held).error();
  if (held && held->link) {
    PYRO_RETURN_IF_ERROR(
        held->link->Stop(wire::Stop{.remove = true}, Deadline::After(kVmStopLimit)));
  }
  // Repeats the supervisor's removal: it may have been killed in the middle.
  return RemoveVmFromDisk(registry, context, id);
}

}  // namespace
}  // namespace engine

using engine::Found;

Result<VmInfo> LocalEngine::CreateVm(const VmOptions& options, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(options));
  auto environment = engine::EnsureEnvironment(impl_->context, options.environment, io);
  const bool on_host =
      !environment && options.allow_host_compat && engine::MeansNoGuest(environment.error());
  if (!environment && !on_host) return std::move(environment).error();
  if (on_host && io.on_notice) io.on_notice(engine::HostCompatNotice(environment.error()));
  PYRO_ASSIGN_OR_RETURN(registry::Registry registry, engine::OpenRegistry(impl_->context));
  (void)engine::Reap(registry, impl_->context);
  const registry::InstanceSpec spec = engine::MakeVmSpec(
      options, on_host ? "" : environment->digest, registry::InstanceOwner::kLease);
  PYRO_ASSIGN_OR_RETURN(const engine::NewVm vm,
                        engine::CreateVmOnDisk(registry, impl_->context, spec,
                                               on_host ? engine::VmDisk::kHostWorkspace
                                                       : engine::VmDisk::kGuestImage));
  return engine::ToVmInfo(vm.record);
}

Result<VmInfo> LocalEngine::StartVm(const std::string& vm_id, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, engine::Find(impl_->context, vm_id));
  PYRO_ASSIGN_OR_RETURN(engine::Held held,
                        engine::TakeOver(engine::VmPlace(impl_->context, found.vm.id)));
  if (held.link) {
    PYRO_RETURN_IF_ERROR(held.link->AwaitReady(Deadline::After(engine::kVmReadyLimit), io));
    PYRO_ASSIGN_OR_RETURN(const registry::InstanceRecord vm, found.registry.Get(found.vm.id));
    return engine::ToVmInfo(vm);
  }
  // Reconcile again under the lock: its supervisor may have died since it was found.
  PYRO_RETURN_IF_ERROR(engine::SettleVm(found.registry, impl_->context, found.vm.id));
  PYRO_ASSIGN_OR_RETURN(registry::InstanceRecord vm, found.registry.Get(found.vm.id));
  if (vm.state == registry::InstanceState::kStarted) return engine::ToVmInfo(vm);
  auto started = engine::StartGuest(impl_->context, found.registry, vm, std::move(*held.lock), io);
  if (!started && vm.allow_host_compat && engine::MeansNoGuest(started.error())) {
    if (io.on_notice) io.on_notice(engine::HostCompatNotice(started.error()));
    started = engine::StartOnHost(impl_->context, found.registry, vm.id);
  }
  if (!started) return std::move(started).error();
  return engine::ToVmInfo(*started);
}

Result<ExecResult> LocalEngine::ExecVm(const std::string& vm_id, const Command& command,
                                       std::int64_t timeout_seconds, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const wire::Exec exec,
                        engine::MakeExec(command, timeout_seconds, engine::TimeLimit::kRequired,
                                         engine::StdinOf(io)));
  PYRO_ASSIGN_OR_RETURN(Found found, engine::Find(impl_->context, vm_id));
  PYRO_RETURN_IF_ERROR(found.registry.Apply(found.vm.id, registry::InstanceEvent::kExec));
  auto result = found.vm.execution_mode == ExecutionMode::kHostCompat
                    ? engine::RunInHostJail(engine::HostWorkspace(impl_->context, found.vm.id),
                                            engine::ToOptions(found.vm), exec, io)
                    : engine::ExecInGuest(impl_->context, found.vm, exec, io);
  (void)engine::Delete(impl_->context, found.registry, found.vm.id);
  return result;
}

Result<VmInfo> LocalEngine::StopVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, engine::Find(impl_->context, vm_id));
  PYRO_ASSIGN_OR_RETURN(engine::Held held,
                        engine::TakeOver(engine::VmPlace(impl_->context, found.vm.id)));
  if (held.link) {
    PYRO_RETURN_IF_ERROR(
        held.link->Stop(wire::Stop{.remove = false}, Deadline::After(engine::kVmStopLimit)));
  }
  PYRO_ASSIGN_OR_RETURN(registry::InstanceRecord vm, found.registry.Get(found.vm.id));
  // No supervisor any more, or never one: reconcile the row. A VM that never started cannot be
  // stopped.
  if (vm.state != registry::InstanceState::kStopped) {
    PYRO_ASSIGN_OR_RETURN(vm, found.registry.Apply(vm.id, registry::InstanceEvent::kStop));
  }
  return engine::ToVmInfo(vm);
}

Result<std::string> LocalEngine::DeleteVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, engine::Find(impl_->context, vm_id));
  PYRO_RETURN_IF_ERROR(engine::Delete(impl_->context, found.registry, found.vm.id));
  return found.vm.id.str();
}

Result<VmInfo> LocalEngine::StatusVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, engine::Find(impl_->context, vm_id));
  return engine::ToVmInfo(found.vm);
}

Result<std::vector<VmInfo>> LocalEngine::ListVms() {
  PYRO_ASSIGN_OR_RETURN(registry::Registry registry, engine::OpenRegistry(impl_->context));
  (void)engine::Reap(registry, impl_->context);
  PYRO_ASSIGN_OR_RETURN(const std::vector<registry::InstanceRecord> vms,
                        registry.List(InstanceKind::kVm));
  std::vector<VmInfo> list;
  for (const registry::InstanceRecord& vm : vms) list.push_back(engine::ToVmInfo(vm));
  return list;
}

Result<VmNetworkInfo> LocalEngine::NetworkInfoVm(const std::string& vm_id) {
  PYRO_ASSIGN_OR_RETURN(const Found found, engine::Find(impl_->context, vm_id));
  VmNetworkInfo info;
  info.vm_id = found.vm.id.str();
  info.network_enabled = found.vm.network;
  if (found.vm.network_json.empty()) return info;
  PYRO_ASSIGN_OR_RETURN(const Json json, ParseJson(found.vm.network_json));
  PYRO_ASSIGN_OR_RETURN(info.address, GetString(json, "address"));
  PYRO_ASSIGN_OR_RETURN(info.gateway, GetString(json, "gateway"));
  PYRO_ASSIGN_OR_RETURN(info.dns, GetString(json, "dns"));
  PYRO_ASSIGN_OR_RETURN(info.mac, GetString(json, "mac"));
  PYRO_ASSIGN_OR_RETURN(info.prefix_length, GetInt(json, "prefix_length", 1, 32));
  return info;
}

}  // namespace pyro
