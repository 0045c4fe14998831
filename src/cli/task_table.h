// The table of `pyro task list`.

#pragma once

#include <vector>

#include "pyro/types.h"

namespace pyro::cli {

// On a terminal of less than 112 columns 80 columns wide, and without what matters least.
void PrintTaskTable(const std::vector<TaskInfo>& tasks);

}  // namespace pyro::cli
