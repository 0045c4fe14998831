// Trees and archives of the host's user as tar streams for a guest.
//
// The stream is pax, uncompressed, every entry owned by 0:0, times to the nanosecond, holes kept as
// GNU sparse 1.0, names byte for byte. A reader that does not know the keyword hdrcharset, as GNU
// tar, may print a warning for names that are not ASCII (--warning=no-unknown-keyword) but works.
//
// All functions are thread-safe and never change the working directory. `out_fd` is borrowed and
// may block or not; only a non-blocking one can be cancelled while its reader is stuck. SIGPIPE is
// the caller's to ignore: a reader that is gone is kUnavailable with errno EPIPE. After any error
// the stream has no end mark, so that its reader fails too.

#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "archive/git_files.h"
#include "archive/operation.h"
#include "archive/patterns.h"
#include "archive/tar.h"
#include "pyro/result.h"

namespace pyro::archive {

// A file, directory or link that was packed. Lives for one call.
struct Packed {
  const Entry& entry;
  const struct stat& info;   // From before its content was read.
  std::uint64_t digest = 0;  // Of a file's content, as sys::FileDigest has it.
};

// What is taken of a directory.
struct Selection {
  // These files and directories are left out wherever they turn up, with what is below them. Those
  // that do not exist are ignored.
  std::vector<std::filesystem::path> without;
  Patterns exclude;             // What matches is left out, with what is below it.
  std::optional<GitFiles> git;  // If it is set, only what git sees is taken.
  bool hard_links = true;       // Otherwise each name of a file is a file of its own.
  std::function<void(const Packed&)> on_packed;  // May be empty. Hard links are not told.
};

// Writes what `source`, a directory, holds; the directory itself is the entry "./". Symbolic links
// are written as they are and never followed, except `source` itself. Hard links among the entries
// are kept. FIFOs are written; sockets and devices are skipped.
//
// kNotFound, kInvalidArgument: no such directory. kPermissionDenied: a file or directory in it
// cannot be read, and the message names it. kLimit: too many entries or too long a name.
Result<Summary> WriteTree(const std::filesystem::path& source, int out_fd,
                          const Operation& operation = {}, const Selection& selection = {});

// Writes the entries of `file`, a tar, plain or compressed by gzip, bzip2, xz or zstd, under any
// name, after checking each: no absolute name, no "..", no entry below a symbolic link of the same
// archive, no hard link to outside; devices are skipped. Entries that `exclude` matches are left
// out, but a hard link to one is refused. It does not buffer: `operation.max_bytes` and the reader
// bound the unpacked size.
//
// kInvalidArgument, naming the file, as `name` if that is not empty: not an archive, broken, cut
// off, or an entry that is refused.
Result<Summary> CopyArchive(const std::filesystem::path& file, int out_fd,
                            const Operation& operation = {}, const Patterns& exclude = {},
                            std::string_view name = {});

// The same of a pipe or another descriptor, from its position on, with the owners that its entries
// have. `in_fd` is borrowed.
Result<Summary> CopyStream(int in_fd, int out_fd, const Operation& operation = {});

}  // namespace pyro::archive
