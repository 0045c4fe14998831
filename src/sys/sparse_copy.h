// Copies of sparse files that stay sparse.

#pragma once

#include <filesystem>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// Makes `destination` (which must not exist; mode 0600) a copy that shares or leaves out what is
// not written: FICLONE where the file system can, else its data only. Open for reading and writing.
// On failure nothing is left.
Result<UniqueFd> CloneSparse(const std::filesystem::path& source,
                             const std::filesystem::path& destination);

// Makes what the file `to` holds the same as what `from` holds, in the same way. On failure `to`
// holds something in between.
Status CopySparse(const UniqueFd& from, const UniqueFd& to);

}  // namespace pyro::sys
