// Instances and commands as a caller sees them.

#pragma once

#include <string_view>

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/registry.h"

namespace pyro::engine {

VmInfo DescribeVm(const state::InstanceRecord& vm);
Result<TaskInfo> DescribeTask(const Context& context, state::Registry& registry,
                              const state::InstanceRecord& task);

// `accelerator`: of the task's guest, or empty.
TaskCommand DescribeCommand(const Context& context, const state::CommandRecord& command,
                            std::string_view accelerator);

// Entries from `first` on, at most `limit` of them. A limit of 0 means all, one of -N the last N,
// newest first.
state::CommandRange RangeOf(std::int64_t first, std::int64_t limit);

}  // namespace pyro::engine
