// Files and directories. Every descriptor is close-on-exec; every error names the path.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::sys {

// open(2) with O_CLOEXEC added. `mode` is used with O_CREAT.
Result<UniqueFd> OpenFile(const std::filesystem::path& path, int flags, mode_t mode = 0600);

// The same for what must be a regular file. Never waits, as open(2) does for a pipe. Only what is
// read may be behind a link. kDataLoss: another kind of file is there, or a link to nothing.
Result<UniqueFd> OpenRegularFile(const std::filesystem::path& path, int flags, mode_t mode = 0600);

// Of a regular file. kLimit when it is longer than `max_bytes`.
Result<std::string> ReadFile(const std::filesystem::path& path, std::size_t max_bytes);

// All bytes up to end of file. kLimit beyond `max_bytes`.
Result<std::string> ReadAll(int fd, std::size_t max_bytes);

// Writes all of it or fails; retries on EINTR and short writes. For blocking descriptors.
Status WriteAll(int fd, std::string_view bytes);

// Readers see the old content or the new, never a part: temporary file, fsync, rename, fsync of the
// directory.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view bytes,
                           mode_t mode = 0600);

Status SyncDirectory(const std::filesystem::path& path);

// Creates the directory and its parents with mode 0700; one that exists is no error. A symbolic
// link to a directory is accepted: a user may keep the state in another place.
Status MakeDirectories(const std::filesystem::path& path);

// Removes a tree without following links. A missing tree is no error.
Status RemoveTree(const std::filesystem::path& path);

// Bytes that this user may still write in the file system of `path`.
Result<std::uint64_t> FreeSpace(const std::filesystem::path& path);

// All bytes of the file system of `path`, used and free.
Result<std::uint64_t> FileSystemSize(const std::filesystem::path& path);

// An unnamed file in memory with this content, at its start.
Result<UniqueFd> MakeMemoryFile(std::string_view bytes);

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};
Result<Pipe> MakePipe();

struct SocketPair {
  UniqueFd first;
  UniqueFd second;
};
// AF_UNIX stream.
Result<SocketPair> MakeSocketPair();
// The same, keeping packets apart.
Result<SocketPair> MakePacketPair();

Status SetNonBlocking(int fd);

}  // namespace pyro::sys
