// Carries out one operation on files of the guest (wire/files.h), as a process of its own that the
// agent starts from its own program. So the guest's kernel resolves every path, with the rights of
// the user that the operation has, and nothing that the operation waits for holds the agent up.

#pragma once

#include "wire/files.h"

namespace pyro::agent {

// The process's name. A program that has it as its first word calls FileProgram() and nothing else.
inline constexpr const char* kFileProgram = "pyro-file";

// Where it finds its request, in CBOR, beside the standard streams.
inline constexpr int kFileRequestFd = 3;
// The data disk's own directory, for operations that need it.
inline constexpr int kFileDataFd = 4;

// The operation's bytes are read from stdin or written to stdout, and its end goes to stderr. 0,
// unless it could not tell its end.
int FileProgram();

// The same with other descriptors, borrowed; relative paths count from the working directory.
struct FileStreams {
  int in = 0;
  int out = 1;
  int data = -1;  // The data disk's own directory; -1: there is none.
};
wire::FileEnd CarryOut(const wire::FileRequest& request, const FileStreams& streams);

}  // namespace pyro::agent
