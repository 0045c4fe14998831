#include "agent/change_set.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "agent/file_work.h"
#include "base/try.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/unique_fd.h"

namespace pyro::agent {
namespace {

constexpr mode_t kNewFile = 0644;
constexpr mode_t kNewDirectory = 0755;

// 0: the kernel does not tell.
std::uint64_t MountOf(int fd) {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) != 0) return 0;
  return (info.stx_mask & STATX_MNT_ID) != 0 ? info.stx_mnt_id : 0;
}

}  // namespace

Result<ChangeSet> ChangeSet::Begin(const std::string& directory, int data, const Options& options) {
  if (auto left = RecoverChanges(data)) return std::move(*left);
  char resolved[PATH_MAX];
  if (::realpath(directory.c_str(), resolved) == nullptr) return FileErrno(directory);
  ChangeSet set(resolved, data, options);
  set.place_.root = sys::UniqueFd(::open(resolved, O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  if (!set.place_.root.valid() || ::fstat(set.place_.root.get(), &info) != 0) {
    return FileErrno(directory);
  }
  set.mount_ = MountOf(set.place_.root.get());
  set.directories_[""] = {info.st_uid, info.st_gid};
  return set;
}

ChangeSet::~ChangeSet() {
  if (!log_) return;
  if (place_.staging.valid() && !keeps_staging_) RemoveStaging(place_);
  log_->Remove();
}

Error ChangeSet::About(Error error, const std::string& path) const {
  error.path = directory_ == "/" ? "/" + path : path.empty() ? directory_ : directory_ + "/" + path;
  return error;
}

Result<std::optional<struct stat>> ChangeSet::Look(const std::string& path) {
  if (const auto seen = seen_.find(path); seen != seen_.end()) return seen->second;
  const auto [directory, name] = ParentAndName(path);
  const sys::UniqueFd parent = OpenUnder(place_.root.get(), directory, O_PATH | O_DIRECTORY);
  std::optional<struct stat> found;
  if (parent.valid()) {
    if (mount_ != 0 && MountOf(parent.get()) != mount_) return About(FileError(EXDEV, path), path);
    found = StatAt(parent.get(), name);
    if (!found && errno != ENOENT) return About(FileErrno(path), path);
  } else if (errno == ENOTDIR) {
    // A link as the last directory is one in the way, too.
    PYRO_ASSIGN_OR_RETURN(const auto above, Look(directory));
    if (above && S_ISLNK(above->st_mode)) return About(FileError(ELOOP, path), path);
  } else if (errno != ENOENT) {
    return About(FileErrno(path), path);
  }
  seen_[path] = found;
  return found;
}

Result<std::string> ChangeSet::Read(const std::string& path, std::size_t most) {
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  if (!found) return About(FileError(ENOENT, path), path);
  const auto [directory, name] = ParentAndName(path);
  const sys::UniqueFd parent = OpenUnder(place_.root.get(), directory, O_PATH | O_DIRECTORY);
  if (!parent.valid()) return About(FileErrno(path), path);
  if (S_ISLNK(found->st_mode)) {
    std::string target(PATH_MAX, '\0');
    const ssize_t n = ::readlinkat(parent.get(), name.c_str(), target.data(), target.size());
    if (n < 0) return About(FileErrno(path), path);
    target.resize(static_cast<std::size_t>(n));
    return target;
  }
  if (!S_ISREG(found->st_mode)) {
    return About(FileError(S_ISDIR(found->st_mode) ? EISDIR : EINVAL, path), path);
  }
  const sys::UniqueFd file = OpenUnder(parent.get(), name, O_RDONLY | O_NONBLOCK);
  if (!file.valid()) return About(FileErrno(path), path);
  auto content = sys::ReadAll(file.get(), most);
  if (content) return content;
  const int number = content.error().code == ErrorCode::kLimit ? EFBIG : content.error().sys_errno;
  return About(FileError(number, path), path);
}

Status ChangeSet::Stage() {
  if (place_.staging.valid()) return OkStatus();
  place_.name = HiddenName();
  PYRO_ASSIGN_OR_RETURN(log_,
                        ChangeLog::Begin(data_, directory_, place_.name, options_.removes_emptied));
  PYRO_FAILPOINT("files.change.begun");
  if (::mkdirat(place_.root.get(), place_.name.c_str(), 0700) != 0) {
    return About(FileErrno(""), "");
  }
  place_.staging = OpenUnder(place_.root.get(), place_.name, O_RDONLY | O_DIRECTORY);
  return place_.staging.valid() ? OkStatus() : Status(About(FileErrno(""), ""));
}

Result<std::size_t> ChangeSet::Plan(ChangeKind kind, const std::string& path) {
  PYRO_RETURN_IF_ERROR(Stage());
  steps_.push_back({kind, steps_.size(), path, 0});
  return steps_.back().slot;
}

Result<ChangeSet::Owner> ChangeSet::Enter(const std::string& path) {
  if (const auto known = directories_.find(path); known != directories_.end()) {
    return known->second;
  }
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  if (found && !removed_.contains(path)) {
    if (!S_ISDIR(found->st_mode)) {
      const int number = S_ISLNK(found->st_mode) ? ELOOP : ENOTDIR;
      return About(FileError(number, path), path);
    }
    return directories_[path] = {found->st_uid, found->st_gid};
  }
  return PlanDirectory(path, kNewDirectory);
}

Result<ChangeSet::Owner> ChangeSet::PlanDirectory(const std::string& path, std::int64_t mode) {
  PYRO_ASSIGN_OR_RETURN(const Owner owner, Enter(ParentAndName(path).first));
  PYRO_ASSIGN_OR_RETURN(const std::size_t slot, Plan(ChangeKind::kMakeDirectory, path));
  const std::string name = fmt::format("{}", slot);
  const int staging = place_.staging.get();
  if (::mkdirat(staging, name.c_str(), 0700) != 0) return About(FileErrno(path), path);
  // By its descriptor: fchmodat(2) would follow a link that has taken its place.
  const sys::UniqueFd made = OpenUnder(staging, name, O_RDONLY | O_DIRECTORY);
  if (!made.valid() || ::fchown(made.get(), owner.uid, owner.gid) != 0 ||
      ::fchmod(made.get(), static_cast<mode_t>(mode)) != 0) {
    return About(FileErrno(path), path);
  }
  directories_[path] = owner;
  return owner;
}

Status ChangeSet::MakeDirectory(const std::string& path, std::int64_t mode) {
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  if (found && S_ISDIR(found->st_mode) && !removed_.contains(path)) return OkStatus();
  if (found && !removed_.contains(path)) return About(FileError(EEXIST, path), path);
  auto made = PlanDirectory(path, mode == 0 ? kNewDirectory : mode);
  return made ? OkStatus() : Status(made.error());
}

Status ChangeSet::PutFile(const std::string& path, std::int64_t mode, const Fill& fill) {
  PYRO_ASSIGN_OR_RETURN(const Owner owner, Enter(ParentAndName(path).first));
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  const bool replaces = found && !S_ISDIR(found->st_mode) && !removed_.contains(path);
  const bool keeps = found && S_ISREG(found->st_mode);
  PYRO_ASSIGN_OR_RETURN(const std::size_t slot,
                        Plan(replaces ? ChangeKind::kReplace : ChangeKind::kCreate, path));
  const sys::UniqueFd file(::openat(place_.staging.get(), fmt::format("{}", slot).c_str(),
                                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return About(FileErrno(path), path);
  if (Status filled = fill(file.get()); !filled) return About(filled.error(), path);
  const mode_t wanted = mode != 0 ? static_cast<mode_t>(mode)
                        : keeps   ? found->st_mode & 07777
                                  : kNewFile;
  // The owner first: a change of it takes setuid away.
  if (::fchown(file.get(), keeps ? found->st_uid : owner.uid, keeps ? found->st_gid : owner.gid) !=
          0 ||
      ::fchmod(file.get(), wanted) != 0) {
    return About(FileErrno(path), path);
  }
  return FinishPut(path, slot, replaces);
}

Status ChangeSet::PutLink(const std::string& path, const std::string& target) {
  PYRO_ASSIGN_OR_RETURN(const Owner owner, Enter(ParentAndName(path).first));
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  const bool replaces = found && !S_ISDIR(found->st_mode) && !removed_.contains(path);
  PYRO_ASSIGN_OR_RETURN(const std::size_t slot,
                        Plan(replaces ? ChangeKind::kReplace : ChangeKind::kCreate, path));
  const std::string name = fmt::format("{}", slot);
  const int staging = place_.staging.get();
  if (::symlinkat(target.c_str(), staging, name.c_str()) != 0 ||
      ::fchownat(staging, name.c_str(), owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return About(FileErrno(path), path);
  }
  return FinishPut(path, slot, replaces);
}

Status ChangeSet::FinishPut(const std::string& path, std::size_t slot, bool replaces) {
  const auto staged = StatAt(place_.staging.get(), fmt::format("{}", slot));
  if (!staged) return About(FileErrno(path), path);
  steps_[slot].inode = staged->st_ino;
  PYRO_FAILPOINT("files.change.staged");
  // A directory in its place goes before it comes.
  const auto& found = seen_[path];
  if (!replaces && found && !removed_.contains(path)) return Remove(path);
  return OkStatus();
}

Status ChangeSet::Remove(const std::string& path) {
  PYRO_ASSIGN_OR_RETURN(const auto found, Look(path));
  if (!found) return About(FileError(ENOENT, path), path);
  PYRO_ASSIGN_OR_RETURN(removed_[path], Plan(ChangeKind::kRemove, path));
  return OkStatus();
}

Status ChangeSet::TakeAll(const std::vector<ChangeStep>& steps) {
  for (const ChangeStep& step : steps) {
    if (Status taken = TakeStep(place_, step, seen_[step.path]); !taken) {
      Error error = taken.error();
      // What was looked for and is not there was seen.
      if (error.sys_errno == ENOENT || error.sys_errno == EEXIST) error.sys_errno = ESTALE;
      return About(std::move(error), step.path);
    }
    PYRO_FAILPOINT("files.change.step");
  }
  return OkStatus();
}

Status ChangeSet::Commit() {
  if (steps_.empty()) return OkStatus();
  // What is on disk before the first step cannot be half after the guest's death.
  if (::syncfs(place_.staging.get()) != 0) return About(FileErrno(""), "");
  // Files go before directories, directories come before files.
  std::vector<ChangeStep> steps = steps_;
  const auto rank = [&](const ChangeStep& step) {
    if (step.kind == ChangeKind::kRemove) return S_ISDIR(seen_[step.path]->st_mode) ? 1 : 0;
    return step.kind == ChangeKind::kMakeDirectory ? 2 : 3;
  };
  std::stable_sort(steps.begin(), steps.end(),
                   [&](const ChangeStep& a, const ChangeStep& b) { return rank(a) < rank(b); });
  if (Status written = log_->Write(steps); !written) return About(written.error(), "");
  PYRO_FAILPOINT("files.change.noted");
  Status taken = TakeAll(steps);
  if (taken) {
    PYRO_FAILPOINT("files.change.taken");
    taken = log_->Finish();
    if (!taken) taken = About(taken.error(), "");
  }
  if (!taken) {
    const std::vector<LeftStep> left = UndoSteps(place_, steps);
    if (left.empty()) return taken;
    keeps_staging_ = HoldsOld(left);
    return NotUndone(directory_, place_.name, left);
  }
  PYRO_FAILPOINT("files.change.finished");
  if (options_.removes_emptied) RemoveEmptied(place_, steps);
  RemoveStaging(place_);
  PYRO_FAILPOINT("files.change.cleaned");
  log_->Remove();
  log_.reset();
  return OkStatus();
}

}  // namespace pyro::agent
