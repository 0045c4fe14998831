// Claiming spares. The pools are in state/pool/spare_pool.h.

#pragma once

#include <filesystem>
#include <optional>

#include "engine/context.h"
#include "engine/environments.h"
#include "engine/instance/supervisor_link.h"
#include "engine/machine.h"
#include "pyro/engine.h"
#include "state/registry.h"

namespace pyro::engine {

// A ready guest, of which the caller is now the only owner; it ends with the link.
struct VmOfASpare {
  SupervisorLink link;
  std::filesystem::path directory;
};

// nullopt: no spare of that kind waits.
std::optional<VmOfASpare> TakeSpare(const Context& context, const GuestParts& parts,
                                    const VmOptions& options);

// A new task whose guest was a spare. Directory and row are there, with the mark of its creation:
// if the link ends before state::FinishCreation, the task is removed.
struct TaskOfASpare {
  InstanceId id;
  SupervisorLink link;
};

// nullopt: no spare of that kind waits, or the disk is of another size than that of spares. `spec`
// is the task's; its id becomes another one. Nothing is left of a claim that failed, at the latest
// after the next call for any task.
std::optional<TaskOfASpare> TakeSpareForTask(const Context& context,
                                             const image::InstalledEnvironment& environment,
                                             const MachineWish& wish, const TaskOptions& options,
                                             const state::InstanceSpec& spec, const CallIo& io);

// Ends one that waits, so that its room is free when this returns. False: none waits.
bool EndOneSpare(const Context& context);

}  // namespace pyro::engine
