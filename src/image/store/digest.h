// SHA-256, as 64 lower-case hexadecimal digits.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "pyro/result.h"

namespace pyro::image {

std::string Sha256Hex(std::string_view bytes);

// Reads from the descriptor's start to its end; borrowed, its offset is left alone.
Result<std::string> Sha256OfFile(int fd, const std::filesystem::path& name_for_errors);

// The digest of `file`, looked up in `memo` (a small file of ours) and computed only when device,
// inode, size, mtime or ctime differ from what is noted there. A memo that is missing or broken is
// written again; failing to write it is no error. The memo must lie in a directory that only this
// user can write.
Result<std::string> MemoizedSha256(const std::filesystem::path& file,
                                   const std::filesystem::path& memo);

}  // namespace pyro::image
