// Tar streams that come from a hostile guest, as files of the host's user.
//
// All functions are thread-safe and never change the working directory. `in_fd` is borrowed and
// may block or not; it is read to its end unless there is an error. Memory stays bounded for any
// stream.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "archive/operation.h"
#include "archive/tar.h"
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
  kDirectory,  // The entries become the content of the path; "./" gives its mode and time.
  kFile,       // The only entry, a regular file of any name, becomes the path.
  kTar,        // The path becomes a tar of the entries, checked as CopyArchive() does, owners kept.
};

// Where an export goes to.
struct ExportTarget {
  std::filesystem::path path;
  ExportKind kind = ExportKind::kDirectory;
  Compression compression = Compression::kNone;  // Of a kTar.
  bool replace = false;  // A regular file that is there, when the export is complete.
  bool fill = false;     // Of a kDirectory: one that is there with files, as MergeTree() does it.
};

// What a user means by `dest` for a directory or file of that name in the guest. A file goes into
// a directory that is there. If `dest` has the name of an archive, it becomes one, unless the
// path to export is a file with such a name itself. kInvalidArgument: `dest` has the name of an
// archive of another format. Otherwise fails as CheckTarget().
enum class Exported { kDirectory, kFile };
Result<ExportTarget> ChooseTarget(std::filesystem::path dest, Exported what,
                                  const std::string& name, bool replace);

// Fails as Receive() would; to be asked before a guest is troubled. What killed exports have left
// there is removed. kAlreadyExists: something is there; only for kDirectory may it be an empty
// directory, and only a regular file is ever replaced. kNotFound: the parent is not there.
Status CheckTarget(const ExportTarget& target);

// A complete export beside its destination (or inside it, if that is an empty directory).
// Removed with this object unless Commit() was called. Not thread-safe.
class Staged {
 public:
  Staged(Staged&&) noexcept;
  Staged& operator=(Staged&&) = delete;
  ~Staged();

  const Summary& summary() const { return summary_; }

  // What has come, of a kDirectory; borrowed. Directories may have other modes until Commit().
  int root() const { return root_.get(); }

  // Puts it in its place; to be called once, when the sender of the stream has also said that it is
  // complete. kAlreadyExists if something came to be there meanwhile; nothing is overwritten but
  // the file that may be replaced.
  Status Commit();

 private:
  friend class Receiver;

  Staged() = default;

  Status Rename();
  Status MoveOut();
  Status MoveEach(int from, int to);

  ExportTarget target_;          // Its path is absolute.
  std::filesystem::path stage_;  // Empty: nothing to remove.
  bool inside_ = false;          // stage_ is a directory in dest_.
  sys::UniqueFd root_;           // stage_, locked.
  DirectoryStates directories_;  // Of root_.
  Summary summary_;
};

// Receives a stream. For any content nothing outside of the stage is touched, and no link is
// followed. Files belong to the caller; modes are kept except setuid and setgid, times and holes
// too. Directories, regular files, symbolic links (as they are: they may point anywhere) and hard
// links among the entries are made; the rest is skipped.
//
// kProtocol: not a tar stream, cut off, or an entry that would lead outside. kLimit: more than
// kMaxEntries or operation.max_bytes. Otherwise as CheckTarget().
Result<Staged> Receive(int in_fd, const ExportTarget& target, const Operation& operation = {});

// An export whose bytes `write` gives: of a kFile, the content of the path. Fails as CheckTarget()
// and `write`; kNoSpace.
Result<Staged> StageFile(const ExportTarget& target, const std::function<Status(int fd)>& write);

// The same as Receive() to a descriptor, borrowed, as the entries come: the content of one file,
// its holes as zeros, or a plain tar. With kText a file that holds control characters is
// kInvalidArgument when they come, since they may be orders to a terminal.
enum class Content { kAny, kText };
Result<Summary> ReceiveTo(int in_fd, int out_fd, ExportKind kind, Content content,
                          const Operation& operation = {});

}  // namespace pyro::archive
