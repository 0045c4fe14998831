// Operations on the files of a guest: what a client asks for, and what the guest answers. A request
// stands in an exec in the place of words. The operation's own bytes are the command's stdin and
// stdout, and its end is one FileEnd on stderr. The guest is hostile: every reader checks.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "pyro/enums.h"
#include "pyro/result.h"

namespace pyro::wire {

enum class FileOperation {
  kRead,
  kWrite,
  kStat,
  kList,
  kWriteMany,
  kMakeDirectory,
  kRemove,
  kMove,
  kCopy,
  kWatch,
  kPatch,
  kPack,
  kUnpack,
};
// Empty for a value that is none of them.
std::string_view Name(FileOperation operation);

struct FileRequest {
  FileOperation operation = FileOperation::kStat;
  std::string path;         // 1 to kMaxPathBytes, no NUL; relative ones count from the exec's cwd.
  std::int64_t offset = 0;  // Of a read.
  std::int64_t limit = 0;   // Of a read: bytes, 0: all. Of a list: entries.
  std::int64_t mode = 0;    // Of a write; 0: as it was, or the usual one.
  std::int64_t depth = 1;   // Of a list or a watch.
  // Of a move or a copy: as path. Of a pack: what the top of the tar is called; empty: ".", or the
  // name of the file.
  std::string to;
  bool parents = false;    // Of a new directory: those above it too, and it may be there.
  bool recursive = false;  // Of a removal: what a directory holds too, and nothing may be there.
  bool replace = false;    // Of a move or a copy: a file that is there.
  bool follow = false;     // Of a stat: what a link at the end leads to.
  // Of a patch, whose path is a directory: as in PatchTaskRequest.
  std::int64_t strip = 1;
  bool reverse = false;
  bool check = false;
  // Of a pack, the tar of a file or of a directory with all that is below it, owners and devices
  // too. Links at the end of the path are followed and none below it. stdin has paths below the
  // directory, each with a NUL behind it: what is left out. With a slash at its end that is only
  // what the path holds.
  bool listed = false;  // These paths are all that is packed, nothing below them, each by itself.
  bool xattrs = false;  // Extended attributes too.
  // Of an unpack, a tar on stdin into a directory, through no link below it. What is in the way is
  // replaced, unless it is a directory that holds something.
  bool make = false;  // The directory is new; with replace instead of what is there.
  bool keep = false;  // Directories that are there keep mode, owner and time.
  // The tar is a layer of an image for a directory of the data disk, whose path below that disk's
  // own directory is `path`. Whiteouts remove what the layers before it have there, directories are
  // replaced with all they hold, links on the way lead where they lead in the image, and extended
  // attributes are set. Only `make` and `durable` count beside it. Paths in an error are the
  // image's.
  bool layer = false;
  bool durable = false;  // Of a layer: at the end the disk has all of it.

  Json ToJson() const;
  // kProtocol: a field is missing or out of its limits.
  static Result<FileRequest> FromJson(const Json& json);
};

// The directory of an image's tree on a disk that a guest has filled with layers. The disk is ext4.
inline constexpr const char* kImageTree = "image";

// What is at a path. A link is not followed.
struct FileEntry {
  std::string path;  // Of a list: from the listed directory on. Any bytes but NUL.
  FileKind kind = FileKind::kFile;
  std::int64_t bytes = 0;
  std::int64_t mode = 0;  // The permissions.
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::int64_t modified_ns = 0;  // Since the epoch; may be before it.
  std::string target;            // Of a symbolic link.
};

// Before each file of a batch, whose `bytes` follow the record.
struct FileHeader {
  std::string path;  // As in a request; relative ones count from the request's path.
  std::int64_t bytes = 0;
  std::int64_t mode = 0;  // As in a request.
};

// What happened below a watched path.
struct FileNews {
  FileChange change = FileChange::kChanged;
  std::string path;  // From the watched directory on; empty: the watched path itself.
  bool directory = false;
};

// What a pack, or the unpack of a layer, could not do as it should.
enum class FileNoteKind {
  kSocket,      // Left out.
  kChanged,     // Changed, or was gone, while it was read.
  kUnreadable,  // Of listed paths: left out.
  kAttributes,  // Have extended attributes that a tar, or of a layer the disk, cannot hold.
};
std::string_view Name(FileNoteKind kind);
struct FileName {
  std::string name;
};
struct FileNote {
  FileNoteKind kind = FileNoteKind::kSocket;
  std::int64_t count = 0;
  std::vector<FileName> names;  // The first of them, at most kMaxNoteNames, cut to kMaxNoteBytes.
};
inline constexpr std::size_t kMaxNoteNames = 10;
inline constexpr std::size_t kMaxNoteBytes = 200;

// How an operation ended.
struct FileEnd {
  std::int64_t error = 0;          // An errno; 0: it is done.
  std::string path;                // What the error is about, or else the request's path; absolute.
  std::int64_t bytes = 0;          // That were read or written.
  std::int64_t file_bytes = 0;     // Of a read: the size of the file.
  std::int64_t entries = 0;        // That a batch wrote or a removal took away, or of a tar.
  bool truncated = false;          // Of a list: there is more.
  std::optional<FileEntry> entry;  // What is at the path now, where that tells something.
  std::vector<FileNote> notes;     // Of a pack or a layer; one of a kind.
  // Of an error that an errno does not tell: the number of an ErrorCode, and texts of at most
  // kMaxEndText bytes.
  std::int64_t code = 0;
  std::string message;
  std::string hint;
};

inline constexpr std::size_t kMaxEndText = 2000;

// The hints that a patch may have. Another one is the word of a hostile guest, and is not shown.
namespace patch_hint {
inline constexpr std::string_view kMakeAgain = "make the patch from what the file has now";
inline constexpr std::string_view kHasIt = "the file has this change already";
inline constexpr std::string_view kNames = "directory and strip say where names begin";
inline constexpr std::string_view kApplyAgain =
    "nothing was changed; apply it again when that program is done";
inline constexpr std::string_view kBehindLink = "name the directory that the link leads to";
inline constexpr std::string_view kApplyThere = "apply a patch for it there";
inline constexpr std::string_view kInParts = "apply it in parts";
inline constexpr std::string_view kPutBack =
    "put the old content back, and remove the directory that has it";
inline constexpr std::array kAll = {kMakeAgain,  kHasIt,      kNames,   kApplyAgain,
                                    kBehindLink, kApplyThere, kInParts, kPutBack};
}  // namespace patch_hint

// A hunk of a patch that was found at another line than the patch says.
struct FileOffset {
  std::int64_t hunk = 0;   // From 1.
  std::int64_t lines = 0;  // Further down; below 0: further up.
};

// What the guest alone knows of one file of a patch.
struct FilePatched {
  std::string path;                 // From the patch's directory on.
  std::vector<FileOffset> offsets;  // At most kMaxOffsets.
};
inline constexpr std::size_t kMaxOffsets = 100;

// One value a record: its bytes are CBOR, with their length before them.
inline constexpr std::size_t kMaxRecordBytes = 16 * 1024;
std::string FileRecord(const FileEntry& entry);
std::string FileRecord(const FileEnd& end);
std::string FileRecord(const FileHeader& header);
std::string FileRecord(const FileNews& news);
std::string FileRecord(const FilePatched& patched);

// Cuts a stream into records. After an error it is unusable.
class FileRecords {
 public:
  void Append(std::string_view bytes) {
    buffer_.erase(0, std::exchange(consumed_, 0));
    buffer_ += bytes;
  }
  // nullopt: more bytes are needed. kProtocol: too long, or no CBOR map.
  Result<std::optional<Json>> Next();
  // The bytes behind the last record, at most so many; they are taken.
  std::string_view Take(std::size_t most);
  // Of a stream at its end: no part of a record is left.
  bool empty() const { return consumed_ == buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t consumed_ = 0;
};

// kProtocol: a field is missing, of another type or out of its limits.
Result<FileEntry> ReadFileEntry(const Json& json);
Result<FileEnd> ReadFileEnd(const Json& json);
Result<FileHeader> ReadFileHeader(const Json& json);
Result<FileNews> ReadFileNews(const Json& json);
Result<FilePatched> ReadFilePatched(const Json& json);

}  // namespace pyro::wire
