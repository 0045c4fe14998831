// The common parts of this folder's long operations: progress, cancellation and result.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pyro::archive {

// So far. Bytes are those of the uncompressed tar stream.
struct Progress {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

// A value; the descriptor is borrowed.
struct Operation {
  int cancel_fd = -1;  // Becoming readable ends the operation with kCancelled; never read here.
  std::function<void(const Progress&)> on_progress;  // At most about ten times a second.
  std::uint64_t max_bytes = 0;  // Of the uncompressed tar stream; beyond it kLimit. 0: no limit.
};

// The result. At most kMaxNamed names of each kind are kept, unchanged: print them through
// Printable().
struct Summary {
  static constexpr std::size_t kMaxNamed = 10;

  std::uint64_t entries = 0;  // Written, directories included.
  std::uint64_t bytes = 0;    // Of the uncompressed tar stream.
  // Receive and WriteTree only: the sizes of the files, with their holes.
  std::uint64_t content_bytes = 0;
  // CopyArchive only: what follows the archive's end mark, and is left out; 0 if that is zeros.
  std::uint64_t trailing_bytes = 0;
  // Left out: sockets and devices, and by Receive() as a directory FIFOs too.
  std::uint64_t skipped = 0;
  std::vector<std::string> skipped_names;
  // WriteTree only: files that vanished, or shrank and were filled up with zeros, meanwhile.
  std::uint64_t changed = 0;
  std::vector<std::string> changed_names;
  // WriteTree only: Selection::without, where they were met.
  std::vector<std::string> own_names;
  // What tells git to look at a path that is not in the tree, and that path.
  struct GitPath {
    std::string name;
    std::string path;
  };
  std::vector<GitPath> git_outside;
};

// Of every archive read or written here; kLimit or, in an archive from outside, an error of its
// reader.
inline constexpr std::uint64_t kMaxEntries = 5'000'000;
inline constexpr std::size_t kMaxNameBytes = 4095;
inline constexpr std::int64_t kMaxFileBytes = std::int64_t{16} << 40;  // As in a guest's ext4.

}  // namespace pyro::archive
