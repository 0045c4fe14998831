#include "archive/extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/copy.h"
#include "archive/formats.h"
#include "archive/merge.h"
#include "archive/meter.h"
#include "archive/stage.h"
#include "archive/tar.h"
#include "archive/tree_extractor.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/resolve_path.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

Error Exists(const ExportTarget& target) {
  return MakeError(ErrorCode::kAlreadyExists,
                   fmt::format("'{}' exists already", Printable(target.path.native())),
                   target.kind == ExportKind::kDirectory
                       ? "name a new directory, or an empty one"
                       : "name a file that does not exist yet, or replace a regular file by force");
}

Result<std::vector<std::string>> List(const fs::path& directory) {
  DIR* const handle = ::opendir(directory.c_str());
  if (handle == nullptr) return sys::ErrnoError(errno, "read directory", directory.native());
  std::vector<std::string> names;
  while (const dirent* const entry = ::readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  ::closedir(handle);
  return names;
}

struct Destination {
  fs::path path;              // Absolute, its directory without links.
  bool is_directory = false;  // An empty one, or one to be filled. Otherwise it does not exist.
};

// A name with a slash at its end is one of a directory.
bool NamesDirectory(const fs::path& dest) { return !dest.has_filename(); }

// Of what is at the path of the target, if it is no directory for a kDirectory.
Status CheckReplaced(const ExportTarget& target) {
  struct stat info {};
  if (::lstat(target.path.c_str(), &info) != 0) {
    if (errno == ENOENT) return OkStatus();
    return sys::ErrnoError(errno, "stat", target.path.native());
  }
  if (!target.replace || target.kind == ExportKind::kDirectory || !S_ISREG(info.st_mode)) {
    return Exists(target);
  }
  return OkStatus();
}

Result<Destination> Resolve(ExportTarget target) {
  fs::path& dest = target.path;
  if (dest.empty()) return MakeError(ErrorCode::kInvalidArgument, "the destination is empty");
  if (NamesDirectory(dest) && dest.has_relative_path()) dest = dest.parent_path();  // "out/"
  struct stat info {};
  if (target.kind == ExportKind::kDirectory && ::stat(dest.c_str(), &info) == 0 &&
      S_ISDIR(info.st_mode)) {
    RemoveAbandonedStages(dest);
    PYRO_ASSIGN_OR_RETURN(const auto names, List(dest));
    if (!names.empty() && !target.fill) return Exists(target);
    PYRO_ASSIGN_OR_RETURN(fs::path path, sys::ResolvePath(dest));
    return Destination{std::move(path), true};
  }
  PYRO_RETURN_IF_ERROR(CheckReplaced(target));
  const fs::path parent = dest.has_parent_path() ? dest.parent_path() : fs::path(".");
  if (::stat(parent.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no directory '{}'", Printable(parent.native())),
                     "make it first");
  }
  PYRO_ASSIGN_OR_RETURN(fs::path path, sys::ResolvePath(parent));
  RemoveAbandonedStages(path);
  return Destination{path / dest.filename(), false};
}

// But those of plain text. Bytes that are no UTF-8 mean nothing to a terminal.
bool HasControlCharacters(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const auto next = static_cast<unsigned char>(i + 1 < bytes.size() ? bytes[i + 1] : 0xa0);
    if (byte < 0x20 && byte != '\n' && byte != '\t' && byte != '\r') return true;
    if (byte == 0x7f || (byte == 0xc2 && next < 0xa0)) return true;
  }
  return false;
}

// Sets errno if it fails.
bool RenameNoReplace(int from_dir, const char* from, int to_dir, const char* to) {
  if (::renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0) return true;
  const int number = errno;
  // A file system without that: a name that is found free is taken a moment later.
  struct stat info {};
  if ((number == EINVAL || number == ENOSYS) &&
      ::fstatat(to_dir, to, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return ::renameat(from_dir, from, to_dir, to) == 0;
  }
  errno = number;
  return false;
}

}  // namespace

Result<ExportTarget> ChooseTarget(fs::path dest, Exported what, const std::string& name,
                                  bool replace) {
  ExportTarget target;
  target.replace = replace;
  struct stat info {};
  const bool there = ::stat(dest.c_str(), &info) == 0;
  const bool directory = there && S_ISDIR(info.st_mode);
  if (what == Exported::kFile && directory) {
    dest /= fs::path(name).filename();
  } else if (what == Exported::kFile && NamesDirectory(dest) && !dest.empty()) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no directory '{}'", Printable(dest.native())),
                     "make it first");
  } else if (replace && there && fs::is_symlink(fs::symlink_status(dest))) {
    // As cp(1) does, what the link leads to is replaced, and not the link.
    PYRO_ASSIGN_OR_RETURN(dest, sys::ResolvePath(dest));
  }
  target.path = std::move(dest);
  target.kind = what == Exported::kFile ? ExportKind::kFile : ExportKind::kDirectory;
  const auto archive = CompressionOfName(target.path);
  if (what == Exported::kFile ? archive && archive != CompressionOfName(name)
                              : archive && !directory) {
    target.kind = ExportKind::kTar;
    target.compression = *archive;
  }
  const std::string_view foreign = ForeignNameOf(target.path);
  if (target.kind == ExportKind::kDirectory && !directory && !foreign.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("pyro makes no {} archives", foreign),
                     fmt::format("give a name that ends in {}", kArchiveNames));
  }
  PYRO_RETURN_IF_ERROR(CheckTarget(target));
  return target;
}

Status CheckTarget(const ExportTarget& target) {
  PYRO_ASSIGN_OR_RETURN(const Destination destination, Resolve(target));
  const fs::path& directory =
      destination.is_directory ? destination.path : destination.path.parent_path();
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    return sys::ErrnoError(errno, "write to", directory.native());
  }
  return OkStatus();
}

Staged::Staged(Staged&& other) noexcept
    : target_(std::move(other.target_)),
      stage_(std::exchange(other.stage_, {})),
      inside_(other.inside_),
      root_(std::move(other.root_)),
      directories_(std::move(other.directories_)),
      summary_(std::move(other.summary_)) {}

Staged::~Staged() {
  if (!stage_.empty()) RemoveStage({stage_, std::move(root_)});
}

Status Staged::Commit() {
  if (inside_) {
    PYRO_RETURN_IF_ERROR(MoveOut());
  } else if (target_.replace && target_.kind != ExportKind::kDirectory) {
    PYRO_RETURN_IF_ERROR(CheckReplaced(target_));
    if (::rename(stage_.c_str(), target_.path.c_str()) != 0) {
      return sys::ErrnoError(errno, "rename", target_.path.native());
    }
  } else {
    PYRO_RETURN_IF_ERROR(Rename());
  }
  stage_.clear();
  return OkStatus();
}

// To a name that is free.
Status Staged::Rename() {
  const auto rename = [&] {
    return RenameNoReplace(AT_FDCWD, stage_.c_str(), AT_FDCWD, target_.path.c_str());
  };
  const Status moved =
      target_.kind == ExportKind::kDirectory
          ? PlaceDirectory(root_.get(), "", directories_, target_.path.native(), rename)
      : rename() ? OkStatus()
                 : Status(sys::ErrnoError(errno, "rename", target_.path.native()));
  if (moved || (moved.error().sys_errno != EEXIST && moved.error().sys_errno != ENOTEMPTY)) {
    return moved;
  }
  return Exists(target_);
}

// From the directory in the destination up into it: the destination may be a mount point, or
// a process's working directory, and has to stay.
Status Staged::MoveOut() {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd dest, sys::OpenFile(target_.path, O_RDONLY | O_DIRECTORY));
  const std::string where = target_.path.native();
  if (!target_.fill) {
    PYRO_ASSIGN_OR_RETURN(auto there, List(target_.path));
    if (there.size() != 1) return Exists(target_);
  }
  PYRO_RETURN_IF_ERROR(target_.fill ? MergeTree(root_.get(), dest.get(), where, directories_)
                                    : MoveEach(root_.get(), dest.get()));
  PYRO_RETURN_IF_ERROR(sys::RemoveTree(stage_));
  return ApplyDirectories(dest.get(), directories_, where);  // Its own, if the archive has it.
}

Status Staged::MoveEach(int from, int to) {
  PYRO_ASSIGN_OR_RETURN(const auto names, List(stage_));
  for (const std::string& name : names) {
    const auto rename = [&] { return RenameNoReplace(from, name.c_str(), to, name.c_str()); };
    if (!directories_.contains(name)) {
      if (!rename()) return sys::ErrnoError(errno, "rename", name);
      continue;
    }
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd directory,
                          sys::OpenFile(stage_ / name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    PYRO_RETURN_IF_ERROR(
        PlaceDirectory(directory.get(), name, directories_, target_.path.native(), rename));
  }
  return OkStatus();
}

// Fills a stage, or a descriptor.
class Receiver {
 public:
  Receiver(int in_fd, const Operation& operation) : meter_(operation), source_(in_fd, meter_) {}

  Result<Staged> Run(const ExportTarget& target) {
    PYRO_ASSIGN_OR_RETURN(Destination destination, Resolve(target));
    Staged staged;
    staged.target_ = target;
    staged.inside_ = destination.is_directory;
    const fs::path directory = staged.inside_ ? destination.path : destination.path.parent_path();
    staged.target_.path = std::move(destination.path);
    PYRO_ASSIGN_OR_RETURN(const auto reader,
                          TarReader::Create(source_, meter_, ErrorCode::kProtocol));
    if (target.kind == ExportKind::kDirectory) {
      PYRO_RETURN_IF_ERROR(ReceiveDirectory(*reader, directory, staged));
    } else {
      PYRO_RETURN_IF_ERROR(ReceiveFile(*reader, directory, staged));
    }
    meter_.Finish();
    staged.summary_ = meter_.summary();
    return staged;
  }

  static Result<Staged> Fill(const ExportTarget& target,
                             const std::function<Status(int fd)>& write) {
    PYRO_ASSIGN_OR_RETURN(Destination destination, Resolve(target));
    Staged staged;
    staged.target_ = target;
    staged.target_.path = std::move(destination.path);
    PYRO_ASSIGN_OR_RETURN(Stage stage, MakeStageFile(staged.target_.path.parent_path(), 0666));
    staged.stage_ = std::move(stage.path);
    staged.root_ = std::move(stage.fd);
    PYRO_RETURN_IF_ERROR(write(staged.root_.get()));
    const std::string& where = staged.target_.path.native();
    if (::fsync(staged.root_.get()) != 0) return sys::ErrnoError(errno, "sync", where);
    struct stat info {};
    if (::fstat(staged.root_.get(), &info) != 0) return sys::ErrnoError(errno, "stat", where);
    staged.summary_.bytes = static_cast<std::uint64_t>(info.st_size);
    staged.summary_.content_bytes = staged.summary_.bytes;
    return staged;
  }

  Result<Summary> RunTo(int out_fd, ExportKind kind, Content content) {
    PYRO_ASSIGN_OR_RETURN(const auto reader,
                          TarReader::Create(source_, meter_, ErrorCode::kProtocol));
    if (kind == ExportKind::kTar) {
      PYRO_ASSIGN_OR_RETURN(const auto writer,
                            TarWriter::Create(out_fd, meter_, TarWriter::Counting::kNo));
      PYRO_RETURN_IF_ERROR(CopyEntries(*reader, *writer, Owner::kKeep, meter_));
      meter_.CountContent(meter_.summary().bytes);
    } else {
      PYRO_ASSIGN_OR_RETURN(const Entry entry, NextFile(*reader));
      PYRO_RETURN_IF_ERROR(WriteContent(*reader, entry, out_fd, content));
      PYRO_RETURN_IF_ERROR(ExpectEnd(*reader));
    }
    meter_.Finish();
    return meter_.summary();
  }

 private:
  Status ReceiveDirectory(TarReader& reader, const fs::path& directory, Staged& staged) {
    PYRO_ASSIGN_OR_RETURN(Stage stage, MakeStageDirectory(directory));
    staged.stage_ = std::move(stage.path);
    staged.root_ = std::move(stage.fd);
    if (!staged.inside_) staged.directories_.try_emplace("");  // Otherwise it stays as it was.
    return TreeExtractor(staged.root_.get(), staged.target_.path.native(), reader, meter_,
                         staged.directories_)
        .Run();
  }

  Status ReceiveFile(TarReader& reader, const fs::path& directory, Staged& staged) {
    const bool tar = staged.target_.kind == ExportKind::kTar;
    const std::string& where = staged.target_.path.native();
    PYRO_ASSIGN_OR_RETURN(Stage stage, MakeStageFile(directory, tar ? 0666 : 0600));
    staged.stage_ = std::move(stage.path);
    staged.root_ = std::move(stage.fd);
    const int fd = staged.root_.get();
    if (tar) {
      PYRO_ASSIGN_OR_RETURN(
          const auto writer,
          TarWriter::Create(fd, meter_, TarWriter::Counting::kNo, staged.target_.compression));
      PYRO_RETURN_IF_ERROR(CopyEntries(reader, *writer, Owner::kKeep, meter_));
    } else {
      PYRO_ASSIGN_OR_RETURN(const Entry entry, NextFile(reader));
      PYRO_RETURN_IF_ERROR(ExtractContent(fd, entry, reader, where));
      PYRO_RETURN_IF_ERROR(ExpectEnd(reader));
    }
    if (::fsync(fd) != 0) return sys::ErrnoError(errno, "sync", where);
    struct stat info {};
    if (::fstat(fd, &info) != 0) return sys::ErrnoError(errno, "stat", where);
    meter_.CountContent(static_cast<std::uint64_t>(info.st_size));
    return OkStatus();
  }

  Result<Entry> NextFile(TarReader& reader) {
    PYRO_ASSIGN_OR_RETURN(auto entry, reader.Next());
    if (!entry || entry->type != Entry::Type::kRegular) {
      return reader.Bad("what came is no regular file");
    }
    PYRO_RETURN_IF_ERROR(meter_.CountEntry());
    return std::move(*entry);
  }

  static Status ExpectEnd(TarReader& reader) {
    PYRO_ASSIGN_OR_RETURN(const auto more, reader.Next());
    if (more) return reader.Bad("more than one file came");
    return OkStatus();
  }

  Status WriteContent(TarReader& reader, const Entry& entry, int out_fd, Content content) {
    const std::string zeros(64 * 1024, '\0');
    std::int64_t position = 0;
    const auto fill = [&](std::int64_t to) -> Status {
      while (position < to) {
        const auto size = std::min<std::int64_t>(to - position, std::ssize(zeros));
        PYRO_RETURN_IF_ERROR(Put(
            out_fd, std::string_view(zeros).substr(0, static_cast<std::size_t>(size)), content));
        position += size;
      }
      return OkStatus();
    };
    while (true) {
      PYRO_ASSIGN_OR_RETURN(const auto piece, reader.Read());
      if (!piece) return fill(entry.size);
      PYRO_RETURN_IF_ERROR(fill(piece->offset));
      PYRO_RETURN_IF_ERROR(Put(out_fd, piece->bytes, content));
      position += std::ssize(piece->bytes);
    }
  }

  Status Put(int out_fd, std::string_view bytes, Content content) {
    if (content == Content::kText && HasControlCharacters(bytes)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       "the file holds control characters, which could change the terminal",
                       "redirect stdout to a file or a pipe");
    }
    meter_.CountContent(bytes.size());
    return meter_.Write(out_fd, bytes);
  }

  Meter meter_;
  FdSource source_;
};

Result<Staged> Receive(int in_fd, const ExportTarget& target, const Operation& operation) {
  const ByteNames byte_names;
  return Receiver(in_fd, operation).Run(target);
}

Result<Staged> StageFile(const ExportTarget& target, const std::function<Status(int fd)>& write) {
  return Receiver::Fill(target, write);
}

Result<Summary> ReceiveTo(int in_fd, int out_fd, ExportKind kind, Content content,
                          const Operation& operation) {
  const ByteNames byte_names;
  return Receiver(in_fd, operation).RunTo(out_fd, kind, content);
}

}  // namespace pyro::archive
