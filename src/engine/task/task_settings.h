// Names and labels of tasks, and what commands of a task get that name none themselves.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/registry.h"

namespace pyro::engine {

// Before anything is made. kInvalidArgument: a name that looks like an id, an impossible label,
// variable, directory or user.
Status CheckSettings(const TaskOptions& options);

// Of ListTasks. kInvalidArgument: an impossible key.
Status CheckLabelFilter(const std::vector<std::string>& labels);
bool HasLabels(const state::InstanceRecord& task, const std::vector<std::string>& labels);

// The command with the task's variables, directory and user where it has none of its own.
// kDataLoss: the file of the variables is broken.
Result<Command> WithDefaults(const Context& context, const state::InstanceRecord& task,
                             const Command& command);

}  // namespace pyro::engine
