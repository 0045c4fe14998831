// A received tree that goes into a directory with other files.

#pragma once

#include <string>

#include "archive/extract.h"
#include "pyro/result.h"

namespace pyro::archive {

// Moves what the directory `from` holds into `into`, both of one file system. Files that are there
// are replaced, directories are kept and filled. New ones come as PlaceDirectory() has it. All
// leave `states`. No symbolic link in `into` is
// followed: one in the place of a file is replaced. Errors name `into` as `where`. kNotDirectory,
// kIsDirectory: a file and a directory have the same name, and nothing was moved.
Status MergeTree(int from, int into, const std::string& where, DirectoryStates& states);

}  // namespace pyro::archive
