// What a task takes of the host's disk.

#pragma once

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/instance/instance_record.h"

namespace pyro::engine {

// kNotFound: it was deleted meanwhile.
Result<TaskDiskUse> MeasureTask(const Context& context, const state::InstanceRecord& task);

}  // namespace pyro::engine
