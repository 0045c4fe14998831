// Stream sockets of the AF_UNIX family, by path. Paths may be longer than sun_path holds: the last
// step is taken through a descriptor of the directory.

#pragma once

#include <filesystem>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// Replaces what is at `path`. The socket is listening and has mode 0600. Non-blocking.
Result<UniqueFd> ListenUnix(const std::filesystem::path& path);

// Blocking. kNotFound: no such path. kUnavailable: no process listens.
Result<UniqueFd> ConnectUnix(const std::filesystem::path& path);

// True when the process at the other end runs as our effective user.
bool PeerIsSameUser(int socket);

}  // namespace pyro::sys
