#include "engine/instance/instance_guest.h"

#include <utility>

#include "base/try.h"
#include "engine/download_cache.h"
#include "engine/environments.h"
#include "engine/secrets.h"
#include "state/instance/instance_directory.h"
#include "sys/failpoint.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using state::Registry;

constexpr std::chrono::seconds kStopLimit{60};

Status EndSupervisor(SupervisorLink& link, bool remove) {
  return link.Stop(wire::Stop{.remove = remove}, Deadline::After(kStopLimit));
}

Result<image::InstalledEnvironment> EnvironmentOf(const Context& context,
                                                  const InstanceRecord& instance,
                                                  const CallIo& io) {
  Environments environments(context);
  auto found = environments.store().FindVersion(instance.environment, instance.environment_digest);
  if (found) return found;
  if (instance.id.kind() == InstanceKind::kVm) {
    // A VM that was made for the host alone.
    if (instance.environment_digest.empty()) {
      return EnsureEnvironment(context, instance.environment, io);
    }
    return found;
  }
  Error error = std::move(found).error();
  error.message = "the task's environment is not installed any more: " + error.message;
  return error;
}

}  // namespace

GuestPlace PlaceOf(const Context& context, const InstanceId& id) {
  return {state::InstanceLock(context.state, id), state::ControlSocket(context.state, id)};
}

wire::SupervisorConfig SupervisorOf(const Context& context, const InstanceRecord& instance) {
  wire::SupervisorConfig config;
  config.kind =
      instance.id.kind() == InstanceKind::kVm ? wire::GuestKind::kVm : wire::GuestKind::kTask;
  config.id = instance.id.str();
  config.directory = state::InstanceDirectory(context.state, instance.id);
  config.vcpu_count = static_cast<int>(instance.vcpu_count);
  config.mem_mib = static_cast<int>(instance.mem_mib);
  config.network = instance.network;
  config.network_rules = instance.network_rules;
  config.ttl = instance.ttl;
  config.dies_with_first_client = instance.owner == state::InstanceOwner::kRun;
  return config;
}

Result<SupervisorLink> StartGuest(const Context& context, const InstanceRecord& instance,
                                  const sys::FileLock& lock, const std::filesystem::path& blank,
                                  const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(image::InstalledEnvironment environment,
                        EnvironmentOf(context, instance, io));
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context, instance));
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts,
                        PrepareParts(context, std::move(environment), wish, io));
  image::EnvironmentStore::NoteUse(parts.environment);
  if (instance.id.kind() == InstanceKind::kVm) {
    PYRO_RETURN_IF_ERROR(EnsureGuestImage(context, instance.id));
  }
  wire::SupervisorConfig config = SupervisorOf(context, instance);
  config.blank_disk = blank;
  PYRO_ASSIGN_OR_RETURN(config.secrets, ReadSecretValues(instance.secret_refs));
  if (instance.cache) {
    PYRO_RETURN_IF_ERROR(AddDownloads(context, parts.environment, config, io));
  }
  PYRO_RETURN_IF_ERROR(StartSupervisor(context, parts, std::move(config), lock));
  return SupervisorLink::Connect(PlaceOf(context, instance.id).socket);
}

Result<Taken> Take(const Context& context, Found& found) {
  const InstanceId id = found.instance.id;
  PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context, id)));
  if (!held.link) {
    // Reconcile again under the lock: its supervisor may have died since it was found, and its
    // commands would be taken for the next one's.
    PYRO_RETURN_IF_ERROR(Reconcile(found.registry, context, id));
    PYRO_ASSIGN_OR_RETURN(found.instance, found.registry.Get(id));
  }
  return Taken{found.instance, std::move(held.link), std::move(held.lock)};
}

Status StopGuest(const Context& context, Registry& registry, const InstanceId& id) {
  const bool task = id.kind() == InstanceKind::kTask;
  PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context, id)));
  if (task) PYRO_FAILPOINT("task.stop.taken-over");
  if (held.link) {
    PYRO_RETURN_IF_ERROR(EndSupervisor(*held.link, /*remove=*/false));
    if (task) PYRO_FAILPOINT("task.stop.guest-ended");
    PYRO_ASSIGN_OR_RETURN(const InstanceRecord left, registry.Get(id));
    if (left.state == state::InstanceState::kStarted) {
      // It was killed, or its disk had no room: its commands have no end yet.
      PYRO_ASSIGN_OR_RETURN(held, TakeOver(PlaceOf(context, id)));
      if (held.link) return OkStatus();  // Another process has started it again.
      PYRO_RETURN_IF_ERROR(Reconcile(registry, context, id));
    }
  } else {
    PYRO_RETURN_IF_ERROR(Reconcile(registry, context, id));
  }
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord instance, registry.Get(id));
  if (instance.state == state::InstanceState::kStopped) return OkStatus();
  // No supervisor any more, or never one: bring the row in line.
  PYRO_RETURN_IF_ERROR(registry.Apply(id, state::InstanceEvent::kStop));
  return OkStatus();
}

Status DeleteEverywhere(const Context& context, Registry& registry, const InstanceId& id) {
  const bool task = id.kind() == InstanceKind::kTask;
  auto held = TakeOver(PlaceOf(context, id));
  // Without a directory there is no lock to take, but perhaps a row.
  if (!held && held.error().code != ErrorCode::kNotFound) return std::move(held).error();
  if (task) PYRO_FAILPOINT("task.delete.taken-over");
  if (held && held->link) {
    PYRO_RETURN_IF_ERROR(EndSupervisor(*held->link, /*remove=*/true));
    if (task) PYRO_FAILPOINT("task.delete.guest-ended");
  }
  // Repeats the supervisor's removal: it may have been killed in the middle.
  return RemoveFromDisk(registry, context, id);
}

}  // namespace pyro::engine
