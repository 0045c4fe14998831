// Tar streams that come from a hostile guest, as files of the host's user.
//
// All functions are thread-safe and never change the working directory. `in_fd` is borrowed and
// may block or not; it is read to its end unless there is an error. Memory stays bounded for any
// stream.

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "archive/operation.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::archive {

// The modes and times of a complete tree's directories; until then they are writable. "" is the
// tree's root.
struct DirectoryState {
  unsigned mode = 0755;
  bool listed = false;  // The archive has it, so that the rest is known.
  std::int64_t seconds = 0;
  long nanoseconds = 0;
};
using DirectoryStates = std::map<std::string, DirectoryState>;

enum class ExportKind {
  kDirectory,  // The entries become the content of `dest`; "./" gives its mode and time.
  kFile,       // The only entry, a regular file of any name, becomes `dest`.
  kTar,        // `dest` becomes a tar of the entries, checked as CopyArchive() does, owners kept.
};

// Fails as Receive() would for such a destination; call it before the guest does any work.
// kAlreadyExists: `dest` exists; only for kDirectory may it be an empty directory. kNotFound: its
// parent does not exist.
Status CheckDestination(const std::filesystem::path& dest, ExportKind kind);

// A complete export beside its destination (or inside it, if that is an empty directory).
// Removed with this object unless Commit() was called. Not thread-safe.
class Staged {
 public:
  Staged(Staged&&) noexcept;
  Staged& operator=(Staged&&) = delete;
  ~Staged();

  const Summary& summary() const { return summary_; }

  // Moves it to its place. Call it once, when the sender of the stream has also said that it is
  // complete. kAlreadyExists: another process has created a file there meanwhile, which stays.
  Status Commit();

 private:
  friend class Receiver;

  Staged() = default;

  Status MoveOut();

  ExportKind kind_ = ExportKind::kDirectory;
  std::filesystem::path dest_;   // Absolute.
  std::filesystem::path stage_;  // Empty: nothing to remove.
  bool inside_ = false;          // stage_ is a directory in dest_.
  sys::UniqueFd root_;           // stage_, for kDirectory.
  DirectoryStates directories_;  // Of root_.
  Summary summary_;
};

// Receives a stream. No stream can make it touch a file outside of the stage or follow a link.
// Files belong to the caller; modes are kept except setuid and setgid, times and holes too. It
// makes directories, regular files, symbolic links (unchanged: they may point anywhere) and hard
// links among the entries, and skips the rest.
//
// kProtocol: not a tar stream, cut off, or an entry that would lead outside. kLimit: more than
// kMaxEntries or operation.max_bytes. Otherwise as CheckDestination().
Result<Staged> Receive(int in_fd, const std::filesystem::path& dest, ExportKind kind,
                       const Operation& operation = {});

}  // namespace pyro::archive
