// Copies of sparse files that stay sparse.

#pragma once

#include <atomic>
#include <filesystem>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// Creates `destination` (which must not exist; mode 0600) as a copy that takes no room for
// unwritten blocks: FICLONE if the file system can, else only the data. Open for reading and
// writing. On failure the file is removed.
Result<UniqueFd> CloneSparse(const std::filesystem::path& source,
                             const std::filesystem::path& destination);

// Gives the file `to` the content of `from`, in the same way. On failure the content of `to` is
// undefined. kCancelled: `stop` became true, from another thread.
Status CopySparse(const UniqueFd& from, const UniqueFd& to,
                  const std::atomic<bool>* stop = nullptr);

// Lets the file `to` share all blocks of `from`, in no time. False: the file system cannot.
bool ShareBlocks(const UniqueFd& from, const UniqueFd& to);

}  // namespace pyro::sys
