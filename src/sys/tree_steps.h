// Changes to a tree that others may write to meanwhile: no symbolic link is followed, each file is
// replaced by one rename, and nothing outside of the tree is touched.

#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/tree_step.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// Opens what is at a path below a directory; open(2) flags, O_NOFOLLOW and O_CLOEXEC are added. An
// invalid descriptor with errno: it is not there, or a link is on the way.
UniqueFd OpenBelow(int root, std::string_view path, int flags);

// Of what a descriptor of O_PATH is open at, which fchmod(2) does not take. False with errno. Not
// for a link: that is followed.
bool ChangeMode(int fd, mode_t mode);

// Carries the steps out in their order. `root` and `stage` are directories of one file system, and
// borrowed; a stage of -1 has nothing. Directories that are missing on the way are made. A new
// directory has its mode at the end, so that it can be filled before. A file that replaces another
// takes over its owner, as far as this user may give that. Returns the steps that were left out;
// those before an error are done. Errors name the path below `where`.
Result<std::vector<RefusedStep>> CarryOutSteps(int root, int stage,
                                               const std::vector<TreeStep>& steps,
                                               const std::string& where);

}  // namespace pyro::sys
