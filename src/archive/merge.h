// A received tree that goes into a directory with other files.

#pragma once

#include <filesystem>

#include "pyro/result.h"

namespace pyro::archive {

// Moves what `from` holds into `into`, both directories of one file system. Files that are there
// are replaced, directories are kept and filled. No symbolic link in `into` is followed: one in the
// place of a file is replaced. kNotDirectory, kIsDirectory: a file and a directory have the same
// name; what was moved before stays moved.
Status MergeTree(const std::filesystem::path& from, const std::filesystem::path& into);

}  // namespace pyro::archive
