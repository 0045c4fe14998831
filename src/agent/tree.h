// What the host compares with another tree, and changes: the files below a directory. The agent's
// own program does it, as a command of the guest that trusts no program of the image. wire/trees.h
// says what it writes.

#pragma once

#include <span>
#include <string_view>

#include "pyro/result.h"

namespace pyro::agent {

// Writes an entry for everything below the directory to the descriptor, in the order of the names;
// what is mounted there is left out.
Status WriteTree(const char* directory, int fd);

// Reads names, each with a NUL behind it, from `in`, and writes an answer for each to `out`: the
// content of a regular file below the directory, or with `digest` a number that stands for it. No
// symbolic link is followed.
Status WriteFiles(const char* directory, bool digest, int in, int out);

// Reads the steps of wire/trees.h from `in` and carries them out below the directory, with what is
// below `stage` in it, which is gone afterwards. Writes the refusals to `out`. A file has its old
// content or the new one, also if the guest dies.
Status ApplySteps(const char* directory, const char* stage, int in, int out);

// The program: "tree DIRECTORY", "files DIRECTORY", "digests DIRECTORY" or "apply DIRECTORY STAGE".
// Returns its exit code.
int RunTreeProgram(std::span<char* const> words);

}  // namespace pyro::agent
