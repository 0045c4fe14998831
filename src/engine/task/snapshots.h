// The first snapshot of a new task.

#pragma once

#include <filesystem>

#include "engine/context.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "state/instance/instance_record.h"

namespace pyro::engine {

// Keeps the first state of a task's disk as the snapshot state::kFirstSnapshot, if that is cheap;
// else it says so, and the task goes on without. Call it once its guest is ready, before
// FinishCreation. `filled`: its workspace was filled; else its first state is a blank disk.
void KeepFirstState(const Context& context, const state::InstanceSpec& task, SupervisorLink& link,
                    bool filled, const CallIo& io);

}  // namespace pyro::engine
