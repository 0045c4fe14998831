// Paths without links, for what this process is about to write.

#pragma once

#include <filesystem>

#include "pyro/result.h"

namespace pyro::sys {

// Absolute and without links, as realpath(3) makes it; all of it must exist. As the kernel does
// where fs.protected_symlinks is 1, it follows no link that another user has put into a sticky
// directory of all, such as /tmp: kPermissionDenied. So no such link chose where a caller writes
// below the result. Links in other directories are followed, also where all may write. kNotFound:
// a part is missing, or no directory. kInvalidArgument: the path holds a NUL.
Result<std::filesystem::path> ResolvePath(const std::filesystem::path& path);

}  // namespace pyro::sys
