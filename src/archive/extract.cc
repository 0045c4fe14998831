#include "archive/extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "archive/copy.h"
#include "archive/meter.h"
#include "archive/tar.h"
#include "archive/tree_extractor.h"
#include "base/ids.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/random.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

Error Exists(const fs::path& dest, ExportKind kind) {
  return MakeError(ErrorCode::kAlreadyExists,
                   fmt::format("'{}' exists already", Printable(dest.native())),
                   kind == ExportKind::kDirectory ? "name a new directory, or an empty one"
                                                  : "name a file that does not exist yet");
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
  fs::path path;                    // Absolute, its directory without links.
  bool is_empty_directory = false;  // Otherwise it does not exist.
};

Result<fs::path> Canonical(const fs::path& path) {
  std::error_code error;
  fs::path result = fs::canonical(path, error);
  if (error) return sys::ErrnoError(error.value(), "find", path.native());
  return result;
}

Result<Destination> Resolve(fs::path dest, ExportKind kind) {
  if (dest.empty()) return MakeError(ErrorCode::kInvalidArgument, "the destination is empty");
  if (!dest.has_filename() && dest.has_relative_path()) dest = dest.parent_path();  // "out/"
  struct stat info {};
  if (::lstat(dest.c_str(), &info) == 0) {
    if (kind != ExportKind::kDirectory) return Exists(dest, kind);
    if (::stat(dest.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return Exists(dest, kind);
    PYRO_ASSIGN_OR_RETURN(const auto names, List(dest));
    if (!names.empty()) return Exists(dest, kind);
    PYRO_ASSIGN_OR_RETURN(fs::path path, Canonical(dest));
    return Destination{std::move(path), true};
  }
  if (errno != ENOENT) return sys::ErrnoError(errno, "stat", dest.native());
  const fs::path parent = dest.has_parent_path() ? dest.parent_path() : fs::path(".");
  if (::stat(parent.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("there is no directory '{}'", Printable(parent.native())),
                     "make it first");
  }
  PYRO_ASSIGN_OR_RETURN(fs::path path, Canonical(parent));
  return Destination{path / dest.filename(), false};
}

Status RenameNoReplace(int from_dir, const char* from, int to_dir, const char* to) {
  if (::renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0) return OkStatus();
  // A file system without that: a name that is found free is taken a moment later.
  struct stat info {};
  if ((errno == EINVAL || errno == ENOSYS) &&
      ::fstatat(to_dir, to, &info, AT_SYMLINK_NOFOLLOW) != 0 &&
      ::renameat(from_dir, from, to_dir, to) == 0) {
    return OkStatus();
  }
  return sys::ErrnoError(errno, "rename", to);
}

}  // namespace

Status CheckDestination(const fs::path& dest, ExportKind kind) {
  PYRO_ASSIGN_OR_RETURN(const Destination destination, Resolve(dest, kind));
  const fs::path& directory =
      destination.is_empty_directory ? destination.path : destination.path.parent_path();
  if (::access(directory.c_str(), W_OK | X_OK) != 0) {
    return sys::ErrnoError(errno, "write to", directory.native());
  }
  return OkStatus();
}

Staged::Staged(Staged&& other) noexcept
    : kind_(other.kind_),
      dest_(std::move(other.dest_)),
      stage_(std::exchange(other.stage_, {})),
      inside_(other.inside_),
      root_(std::move(other.root_)),
      directories_(std::move(other.directories_)),
      summary_(std::move(other.summary_)) {}

Staged::~Staged() {
  if (!stage_.empty()) (void)sys::RemoveTree(stage_);
}

Status Staged::Commit() {
  if (inside_) {
    PYRO_RETURN_IF_ERROR(MoveOut());
  } else if (const Status status =
                 RenameNoReplace(AT_FDCWD, stage_.c_str(), AT_FDCWD, dest_.c_str());
             !status) {
    if (status.error().sys_errno == EEXIST || status.error().sys_errno == ENOTEMPTY) {
      return Exists(dest_, kind_);
    }
    return status;
  }
  stage_.clear();
  if (kind_ != ExportKind::kDirectory) return OkStatus();
  return ApplyDirectories(root_.get(), directories_, dest_.native());
}

// From the directory in the destination up into it: the destination may be a mount point, or the
// working directory of a process, and must stay.
Status Staged::MoveOut() {
  PYRO_ASSIGN_OR_RETURN(auto there, List(dest_));
  if (there.size() != 1) return Exists(dest_, kind_);
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd dest, sys::OpenFile(dest_, O_RDONLY | O_DIRECTORY));
  PYRO_ASSIGN_OR_RETURN(const auto names, List(stage_));
  for (const std::string& name : names) {
    PYRO_RETURN_IF_ERROR(RenameNoReplace(root_.get(), name.c_str(), dest.get(), name.c_str()));
  }
  if (::rmdir(stage_.c_str()) != 0) return sys::ErrnoError(errno, "remove", stage_.native());
  root_ = std::move(dest);
  return OkStatus();
}

// Fills a stage.
class Receiver {
 public:
  Receiver(int in_fd, const Operation& operation) : meter_(operation), source_(in_fd, meter_) {}

  Result<Staged> Run(const fs::path& dest, ExportKind kind) {
    PYRO_ASSIGN_OR_RETURN(Destination destination, Resolve(dest, kind));
    Staged staged;
    staged.kind_ = kind;
    staged.inside_ = destination.is_empty_directory;
    const fs::path directory = staged.inside_ ? destination.path : destination.path.parent_path();
    const fs::path stage =
        directory / fmt::format(".pyro-export-{}", EncodeBase32(sys::RandomBits()));
    staged.dest_ = std::move(destination.path);
    PYRO_ASSIGN_OR_RETURN(const auto reader,
                          TarReader::Create(source_, meter_, ErrorCode::kProtocol));
    if (kind == ExportKind::kDirectory) {
      PYRO_RETURN_IF_ERROR(ReceiveDirectory(*reader, stage, staged));
    } else {
      PYRO_RETURN_IF_ERROR(ReceiveFile(*reader, stage, staged));
    }
    meter_.Finish();
    staged.summary_ = meter_.summary();
    return staged;
  }

 private:
  Status ReceiveDirectory(TarReader& reader, const fs::path& stage, Staged& staged) {
    if (::mkdir(stage.c_str(), 0700) != 0) {
      return sys::ErrnoError(errno, "create directory", stage.native());
    }
    staged.stage_ = stage;
    PYRO_ASSIGN_OR_RETURN(staged.root_, sys::OpenFile(stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!staged.inside_) staged.directories_.try_emplace("");  // Otherwise it stays as it was.
    return TreeExtractor(staged.root_.get(), staged.dest_.native(), reader, meter_,
                         staged.directories_)
        .Run();
  }

  Status ReceiveFile(TarReader& reader, const fs::path& stage, Staged& staged) {
    const bool tar = staged.kind_ == ExportKind::kTar;
    PYRO_ASSIGN_OR_RETURN(
        const sys::UniqueFd fd,
        sys::OpenFile(stage, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, tar ? 0666 : 0600));
    staged.stage_ = stage;
    if (tar) {
      PYRO_ASSIGN_OR_RETURN(const auto writer,
                            TarWriter::Create(fd.get(), meter_, TarWriter::Counting::kNo));
      PYRO_RETURN_IF_ERROR(CopyEntries(reader, *writer, Owner::kKeep, meter_));
    } else {
      PYRO_RETURN_IF_ERROR(ReceiveOnly(reader, fd.get(), staged.dest_.native()));
    }
    if (::fsync(fd.get()) != 0) return sys::ErrnoError(errno, "sync", staged.dest_.native());
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return sys::ErrnoError(errno, "stat", staged.dest_.native());
    meter_.CountContent(static_cast<std::uint64_t>(info.st_size));
    return OkStatus();
  }

  Status ReceiveOnly(TarReader& reader, int fd, const std::string& where) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, reader.Next());
    if (!entry || entry->type != Entry::Type::kRegular) {
      return reader.Bad("what came is no regular file");
    }
    PYRO_RETURN_IF_ERROR(meter_.CountEntry());
    PYRO_RETURN_IF_ERROR(ExtractContent(fd, *entry, reader, where));
    PYRO_ASSIGN_OR_RETURN(const auto more, reader.Next());
    if (more) return reader.Bad("more than one file came");
    return OkStatus();
  }

  Meter meter_;
  FdSource source_;
};

Result<Staged> Receive(int in_fd, const fs::path& dest, ExportKind kind,
                       const Operation& operation) {
  const ByteNames byte_names;
  return Receiver(in_fd, operation).Run(dest, kind);
}

}  // namespace pyro::archive
