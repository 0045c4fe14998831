// tasks/<id>/env: the variables that each command of a task gets. They may be secrets, so they are
// in this file alone, with mode 0600: not in the row, not in the manifest.
//
// tasks/<id>/env.new: those that a change of the task proposes, behind the settings that its row
// has after that change. They count once the row has these settings; so a kill at any moment leaves
// row and variables both old or both new.

#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "pyro/result.h"
#include "state/instance/instance_record.h"

namespace pyro::state {

inline constexpr std::size_t kMaxTaskVariableBytes = 1024 * 1024;  // Of the file.

using TaskVariables = std::map<std::string, std::string>;

// `directory`: of the task, whose row is `task`. Each NAME=VALUE ends with a NUL byte. No file:
// none. kDataLoss: the file is longer than kMaxTaskVariableBytes, or a part is no variable.
Result<TaskVariables> ReadTaskVariables(const std::filesystem::path& directory,
                                        const InstanceSpec& task);

// Readers see the old variables or the new, also after a crash. Without any the file goes away. The
// caller has checked names and values. kLimit: they are longer than kMaxTaskVariableBytes.
Status WriteTaskVariables(const std::filesystem::path& directory, const TaskVariables& variables);

// The same for the moment when the row of the task becomes `task`.
Status ProposeTaskVariables(const std::filesystem::path& directory, const InstanceSpec& task,
                            const TaskVariables& variables);
// Makes the proposed ones those of `task`, which is the row as it is, or forgets them if they are
// of a change that never came to be. For the holder of the registry's lock.
Status SettleTaskVariables(const std::filesystem::path& directory, const InstanceSpec& task);

}  // namespace pyro::state
