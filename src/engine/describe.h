// Instances and commands as a caller sees them.

#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "api/rows.h"
#include "base/fields.h"
#include "engine/context.h"
#include "pyro/engine.h"
#include "state/registry.h"
#include "state/snapshot/snapshots.h"

namespace pyro::engine {

// Sets each field of one side that the other has, too, by name.
void CopyFields(std::span<const Field> fields, const void* from, const api::Struct& rows, void* to);
void CopyFields(const api::Struct& rows, const void* from, std::span<const Field> fields, void* to);

VmInfo DescribeVm(const state::InstanceRecord& vm);
Result<TaskInfo> DescribeTask(const Context& context, state::Registry& registry,
                              const state::InstanceRecord& task);

// `accelerator`: of the task's guest, or empty.
TaskCommand DescribeCommand(const Context& context, const state::CommandRecord& command,
                            std::string_view accelerator);

TaskReset DescribeReset(const state::Reset& reset);

// Of the guest's own words: printable.
std::optional<KilledProcesses> DescribeKilled(const std::optional<KilledTree>& killed);

// Entries from `first` on, at most `limit` of them. A limit of 0 means all, one of -N the last N,
// newest first.
state::CommandRange RangeOf(std::int64_t first, std::int64_t limit);

}  // namespace pyro::engine
