// The table of `pyro task list`.

#pragma once

#include <vector>

#include "base/time.h"
#include "pyro/types.h"

namespace pyro::cli {

// With a column for the machine where the tasks do not all have the same one. On a terminal of less
// than 120 columns it is 80 columns wide, without the least important columns.
void PrintTaskTable(const std::vector<TaskInfo>& tasks, WallTime now);

}  // namespace pyro::cli
