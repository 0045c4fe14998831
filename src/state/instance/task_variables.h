// tasks/<id>/env: the variables that each command of a task gets. They may be secrets, so they are
// in this file alone, with mode 0600: not in the row, not in the manifest.

#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "pyro/result.h"

namespace pyro::state {

inline constexpr std::size_t kMaxTaskVariableBytes = 1024 * 1024;  // Of the file.

// `directory`: of the task. Each NAME=VALUE ends with a NUL byte. No file means none. kDataLoss:
// the file is longer than kMaxTaskVariableBytes, or has a part that is no variable.
Result<std::map<std::string, std::string>> ReadTaskVariables(
    const std::filesystem::path& directory);

// Readers see the old variables or the new, also after a crash. Without any the file goes away. The
// caller has checked names and values. kLimit: they are longer than kMaxTaskVariableBytes.
Status WriteTaskVariables(const std::filesystem::path& directory,
                          const std::map<std::string, std::string>& variables);

}  // namespace pyro::state
