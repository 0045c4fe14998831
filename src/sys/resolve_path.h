// Paths without links, for what this process is about to write.

#pragma once

#include <filesystem>

#include "pyro/result.h"

namespace pyro::sys {

// Absolute and without links, as realpath(3) makes it; all of it must exist. As the kernel does
// where fs.protected_symlinks is 1, it follows no link that another user has put into a directory
// in which all may write: kPermissionDenied. A caller who writes below the result has then written
// nowhere that another user chose. kNotFound: a part is missing.
Result<std::filesystem::path> ResolvePath(const std::filesystem::path& path);

}  // namespace pyro::sys
