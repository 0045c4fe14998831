#include "archive/tree_extractor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include <fmt/format.h>

#include "archive/names.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

constexpr unsigned kFileMode = 0777;        // The bits kept of a file's mode,
constexpr unsigned kDirectoryMode = 01777;  // and of a directory's: no setuid and setgid.

constexpr std::size_t kBytesPerDirectory = 128;  // What the map takes in addition to the name.

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string_view LeafOf(std::string_view name) {
  const auto slash = name.rfind('/');
  return slash == name.npos ? name : name.substr(slash + 1);
}

std::string ParentOf(const std::string& name) {
  const auto slash = name.rfind('/');
  return slash == name.npos ? std::string() : name.substr(0, slash);
}

void SetTimes(timespec (&times)[2], std::int64_t seconds, long nanoseconds) {
  times[0] = {0, UTIME_OMIT};
  times[1] = {static_cast<time_t>(seconds), nanoseconds};
}

// Sets errno if it fails.
bool ApplyState(int directory, const DirectoryState& state) {
  timespec times[2];
  SetTimes(times, state.seconds, state.nanoseconds);
  return ::fchmod(directory, state.mode) == 0 &&
         (!state.listed || ::futimens(directory, times) == 0);
}

}  // namespace

Status TreeExtractor::Run() {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const auto entry, reader_.Next());
    if (!entry) return OkStatus();
    PYRO_RETURN_IF_ERROR(meter_.CountEntry());
    PYRO_RETURN_IF_ERROR(Add(*entry));
  }
}

Status TreeExtractor::Add(const Entry& entry) {
  PYRO_ASSIGN_OR_RETURN(const std::string name, CleanName(entry.name, reader_.bad()));
  if (entry.type == Entry::Type::kDirectory) return AddDirectory(name, entry);
  if (name.empty()) return reader_.Bad("an entry that is no directory has no name");
  if (entry.type == Entry::Type::kFifo || entry.type == Entry::Type::kDevice) {
    meter_.CountSkipped(name);
    return OkStatus();
  }
  if (entry.type == Entry::Type::kHardLink) return AddHardLink(name, entry);
  const std::string leaf(LeafOf(name));
  PYRO_ASSIGN_OR_RETURN(const int parent, OpenParent(name));
  PYRO_RETURN_IF_ERROR(Clear(parent, leaf, name));
  return entry.type == Entry::Type::kSymlink ? AddSymlink(parent, leaf, entry)
                                             : AddRegular(parent, leaf, entry);
}

Status TreeExtractor::AddRegular(int parent, const std::string& leaf, const Entry& entry) {
  const sys::UniqueFd fd(
      ::openat(parent, leaf.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return Failure(errno, "create", entry.name);
  meter_.CountContent(static_cast<std::uint64_t>(entry.size));
  return ExtractContent(fd.get(), entry, reader_, where_ + "/" + entry.name);
}

Status TreeExtractor::AddSymlink(int parent, const std::string& leaf, const Entry& entry) {
  if (entry.target.empty() || entry.target.size() > kMaxNameBytes) {
    return reader_.Bad(
        fmt::format("symbolic link '{}' has no usable target", Printable(entry.name)));
  }
  if (::symlinkat(entry.target.c_str(), parent, leaf.c_str()) != 0) {
    return Failure(errno, "create", entry.name);
  }
  timespec times[2];
  SetTimes(times, entry.seconds, entry.nanoseconds);
  if (::utimensat(parent, leaf.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    return Failure(errno, "set the time of", entry.name);
  }
  return OkStatus();
}

Status TreeExtractor::AddHardLink(const std::string& name, const Entry& entry) {
  const auto refuse = [&] {
    return reader_.Bad(fmt::format("hard link '{}' does not lead to a file of the archive",
                                   Printable(entry.name)));
  };
  PYRO_ASSIGN_OR_RETURN(const std::string target, CleanName(entry.target, reader_.bad()));
  if (target.empty() || target == name) return refuse();
  PYRO_ASSIGN_OR_RETURN(const int target_parent, OpenParent(target));
  const sys::UniqueFd from(::fcntl(target_parent, F_DUPFD_CLOEXEC, 0));
  if (!from.valid()) return Failure(errno, "open", entry.name);
  const std::string target_leaf(LeafOf(target));
  struct stat info {};
  if (::fstatat(from.get(), target_leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
      S_ISDIR(info.st_mode)) {
    return refuse();
  }
  const std::string leaf(LeafOf(name));
  PYRO_ASSIGN_OR_RETURN(const int parent, OpenParent(name));
  PYRO_RETURN_IF_ERROR(Clear(parent, leaf, name));
  // Without AT_SYMLINK_FOLLOW: a link to a symbolic link is one more name of that link.
  if (::linkat(from.get(), target_leaf.c_str(), parent, leaf.c_str(), 0) != 0) {
    return Failure(errno, "link", entry.name);
  }
  return OkStatus();
}

Status TreeExtractor::AddDirectory(const std::string& name, const Entry& entry) {
  if (!name.empty()) {
    const std::string leaf(LeafOf(name));
    PYRO_ASSIGN_OR_RETURN(const int parent, OpenParent(name));
    struct stat info {};
    const bool there = ::fstatat(parent, leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISDIR(info.st_mode)) PYRO_RETURN_IF_ERROR(Clear(parent, leaf, name));
    PYRO_RETURN_IF_ERROR(MakeDirectory(parent, leaf, name));
  }
  directories_[name] = {entry.mode & kDirectoryMode, true, entry.seconds, entry.nanoseconds};
  return OkStatus();
}

Status TreeExtractor::MakeDirectory(int parent, const std::string& leaf, const std::string& name) {
  if (::mkdirat(parent, leaf.c_str(), 0700) != 0) {
    if (errno == EEXIST) return OkStatus();
    return Failure(errno, "create directory", name);
  }
  kept_bytes_ += name.size() + kBytesPerDirectory;
  if (kept_bytes_ > kMaxKeptNameBytes) return MakeError(ErrorCode::kLimit, "too many directories");
  directories_.try_emplace(name);
  return OkStatus();
}

Result<int> TreeExtractor::OpenParent(const std::string& name) {
  const std::string parent = ParentOf(name);
  if (parent.empty()) return root_;
  return OpenDirectory(parent);
}

// Directories are never removed or replaced, so that the one opened last stays valid.
Result<int> TreeExtractor::OpenDirectory(const std::string& name) {
  if (open_.valid() && open_name_ == name) return open_.get();
  sys::UniqueFd fd;
  int at = root_;
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string leaf = name.substr(begin, end - begin);
    PYRO_RETURN_IF_ERROR(MakeDirectory(at, leaf, name.substr(0, end)));
    sys::UniqueFd next(::openat(at, leaf.c_str(), kOpenDirectory));
    if (!next.valid()) {
      if (errno != ELOOP && errno != ENOTDIR) return Failure(errno, "open", name.substr(0, end));
      return reader_.Bad(fmt::format("'{}' is used as a directory but is not one",
                                     Printable(name.substr(0, end))));
    }
    fd = std::move(next);
    at = fd.get();
    begin = end + 1;
  }
  open_ = std::move(fd);
  open_name_ = name;
  return open_.get();
}

// As tar does it: a later entry of the same name replaces the one before.
Status TreeExtractor::Clear(int parent, const std::string& leaf, const std::string& name) {
  if (::unlinkat(parent, leaf.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
  if (errno == EISDIR || errno == EPERM) {
    return reader_.Bad(fmt::format("entry '{}' would replace a directory", Printable(name)));
  }
  return Failure(errno, "replace", name);
}

Error TreeExtractor::Failure(int number, std::string_view operation,
                             const std::string& name) const {
  return sys::ErrnoError(number, operation, where_ + "/" + name);
}

Status ExtractContent(int fd, const Entry& entry, TarReader& reader, const std::string& where) {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const auto piece, reader.Read());
    if (!piece) break;
    std::string_view bytes = piece->bytes;
    for (off_t offset = piece->offset; !bytes.empty();) {
      const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return sys::ErrnoError(errno, "write", where);
      bytes.remove_prefix(static_cast<std::size_t>(n));
      offset += n;
    }
  }
  timespec times[2];
  SetTimes(times, entry.seconds, entry.nanoseconds);
  // A hole at the end is still missing.
  if (::ftruncate(fd, entry.size) != 0) return sys::ErrnoError(errno, "extend", where);
  if (::fchmod(fd, entry.mode & kFileMode) != 0 || ::futimens(fd, times) != 0) {
    return sys::ErrnoError(errno, "set the mode of", where);
  }
  return OkStatus();
}

Status ApplyDirectories(int root, const DirectoryStates& directories, const std::string& where) {
  // In reverse order a directory comes after all entries below it, and can still be entered for
  // them.
  for (auto it = directories.rbegin(); it != directories.rend(); ++it) {
    const auto& [name, state] = *it;
    sys::UniqueFd fd(::fcntl(root, F_DUPFD_CLOEXEC, 0));
    for (std::size_t begin = 0; fd.valid() && begin < name.size();) {
      const std::size_t end = std::min(name.find('/', begin), name.size());
      fd = sys::UniqueFd(
          ::openat(fd.get(), name.substr(begin, end - begin).c_str(), kOpenDirectory));
      begin = end + 1;
    }
    if (!fd.valid() || !ApplyState(fd.get(), state)) {
      return sys::ErrnoError(errno, "set the mode of", where + "/" + name);
    }
  }
  return OkStatus();
}

Status PlaceDirectory(int directory, const std::string& name, DirectoryStates& directories,
                      const std::string& where, const std::function<bool()>& rename) {
  DirectoryState own;
  if (const auto found = directories.find(name); found != directories.end()) {
    own = found->second;
    directories.erase(found);
  }
  DirectoryStates below;
  const std::string prefix = name.empty() ? "" : name + "/";
  for (auto it = directories.lower_bound(prefix);
       it != directories.end() && it->first.starts_with(prefix); it = directories.erase(it)) {
    below.insert_or_assign(it->first.substr(prefix.size()), it->second);
  }
  const std::string path = name.empty() ? where : where + "/" + name;
  PYRO_RETURN_IF_ERROR(ApplyDirectories(directory, below, path));
  // What a kill leaves of a stage has to be readable for the one that removes it.
  constexpr unsigned kReadable = 0500;
  bool applied = (own.mode & kReadable) == kReadable;
  if (applied && !ApplyState(directory, own))
    return sys::ErrnoError(errno, "set the mode of", path);
  bool moved = rename();
  // A directory that goes into another one is written to.
  if (!moved && errno == EACCES && applied && (own.mode & 0200) == 0) {
    applied = false;
    moved = ::fchmod(directory, own.mode | 0200) == 0 && rename();
  }
  if (!moved) return sys::ErrnoError(errno, "rename", path);
  if (applied || ApplyState(directory, own)) return OkStatus();
  return sys::ErrnoError(errno, "set the mode of", path);
}

}  // namespace pyro::archive
