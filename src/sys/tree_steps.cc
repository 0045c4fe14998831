#include "sys/tree_steps.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/failpoint.h"

namespace pyro::sys {
namespace {

constexpr int kOpenLevel = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t kNewDirectory = 0700;      // Until it is filled.
constexpr mode_t kMissingDirectory = 0755;  // Of one on the way, which has no step.

std::string_view ParentOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return path.substr(0, slash == path.npos ? 0 : slash);
}

std::string LeafOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(path.substr(slash == path.npos ? 0 : slash + 1));
}

// Sets errno.
bool LeadsUp(std::string_view name) {
  errno = EINVAL;
  return name == "..";
}

// The directory of that path; "" is the root itself.
UniqueFd OpenDirectories(int root, std::string_view path, bool make) {
  UniqueFd at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  while (at.valid() && !path.empty()) {
    const std::string name(path.substr(0, path.find('/')));
    path.remove_prefix(name.size() == path.size() ? name.size() : name.size() + 1);
    if (LeadsUp(name)) return UniqueFd();
    UniqueFd next(::openat(at.get(), name.c_str(), kOpenLevel));
    if (!next.valid() && errno == ENOENT && make) {
      if (::mkdirat(at.get(), name.c_str(), kMissingDirectory) == 0 || errno == EEXIST) {
        next = UniqueFd(::openat(at.get(), name.c_str(), kOpenLevel));
      }
    }
    at = std::move(next);
  }
  return at;
}

std::int64_t CtimeOf(const struct stat& info) {
  return static_cast<std::int64_t>(info.st_ctim.tv_sec) * 1'000'000'000 + info.st_ctim.tv_nsec;
}

class StepWork {
 public:
  StepWork(int root, int stage, const std::string& where)
      : root_(root), stage_(stage), where_(where) {}

  // nullopt: it is done.
  Result<std::optional<StepRefusal>> Do(const TreeStep& step) {
    const bool removes = step.what == TreeStep::What::kRemove;
    PYRO_ASSIGN_OR_RETURN(const int parent, Parent(step.path, !removes));
    if (parent < 0) return removes && gone_ ? Done() : Refuse(StepRefusal::kInTheWay);
    const std::string leaf = LeafOf(step.path);
    struct stat there {};
    bool is = ::fstatat(parent, leaf.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    bool cleared = false;
    if (!is && errno != ENOENT) return Failure("look at", step.path);
    if (is && S_ISDIR(there.st_mode)) {
      if (step.what == TreeStep::What::kDirectory) return SetMode(parent, leaf, there, step);
      if (::unlinkat(parent, leaf.c_str(), AT_REMOVEDIR) != 0) {
        if (errno == ENOTEMPTY || errno == EEXIST || errno == EBUSY) {
          return Refuse(StepRefusal::kInTheWay);
        }
        return Failure("remove", step.path);
      }
      if (removes) return Done();
      is = false;
      cleared = true;
    }
    // Changed or gone; what is to be removed may be gone.
    const bool same =
        is ? static_cast<std::int64_t>(there.st_ino) == step.inode && CtimeOf(there) == step.ctime
           : removes || cleared || step.inode == 0;
    if (!same) return Refuse(StepRefusal::kChanged);
    if (removes) {
      if (is && ::unlinkat(parent, leaf.c_str(), 0) != 0 && errno != ENOENT) {
        return Failure("remove", step.path);
      }
      return Done();
    }
    if (step.what == TreeStep::What::kPlace)
      return Place(parent, leaf, is ? &there : nullptr, step);
    if (is && ::unlinkat(parent, leaf.c_str(), 0) != 0) return Failure("replace", step.path);
    if (::mkdirat(parent, leaf.c_str(), kNewDirectory) != 0) return Failure("make", step.path);
    return Done();
  }

  // Of a directory that was filled.
  Status Finish(const TreeStep& step) {
    const UniqueFd fd = OpenDirectories(root_, step.path, false);
    if (!fd.valid()) return OkStatus();  // Another process has moved it.
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return Failure("look at", step.path);
    const mode_t mode = (info.st_mode & 07000) | static_cast<mode_t>(step.mode);
    if ((info.st_mode & 07777) == mode || ::fchmod(fd.get(), mode) == 0) return OkStatus();
    return Failure("set the mode of", step.path);
  }

 private:
  using Outcome = std::optional<StepRefusal>;
  static Outcome Done() { return std::nullopt; }
  static Outcome Refuse(StepRefusal why) { return why; }

  Error Failure(std::string_view what, const std::string& path) const {
    return ErrnoError(errno, what, where_ + "/" + path);
  }

  // -1: the way leads through what is no directory, or to nothing.
  Result<int> Parent(const std::string& path, bool make) {
    const std::string_view parent = ParentOf(path);
    if (open_.valid() && open_path_ == parent) return open_.get();
    open_ = OpenDirectories(root_, parent, make);
    open_path_ = parent;
    if (open_.valid()) return open_.get();
    gone_ = errno == ENOENT;
    if (gone_ || errno == ENOTDIR || errno == ELOOP) return -1;
    return Failure("open the directory of", path);
  }

  // So that it can be filled; Finish() gives the right one.
  Result<Outcome> SetMode(int parent, const std::string& leaf, const struct stat& there,
                          const TreeStep& step) {
    if ((there.st_mode & kNewDirectory) == kNewDirectory) return Done();
    // fchmodat(2) would follow a link that has taken its place meanwhile.
    const UniqueFd fd(
        ::openat(parent, leaf.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
      return Refuse(StepRefusal::kChanged);
    }
    if (fd.valid() && ChangeMode(fd.get(), (there.st_mode & 07777) | kNewDirectory)) return Done();
    return Failure("set the mode of", step.path);
  }

  Result<Outcome> Place(int parent, const std::string& leaf, const struct stat* old,
                        const TreeStep& step) {
    const UniqueFd from =
        stage_ < 0 ? UniqueFd() : OpenDirectories(stage_, ParentOf(step.path), false);
    struct stat info {};
    if (!from.valid() || ::fstatat(from.get(), leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))) {
      return Refuse(StepRefusal::kNotStaged);
    }
    if (old != nullptr && (old->st_uid != info.st_uid || old->st_gid != info.st_gid)) {
      // A user who may not do that owns the new file.
      const bool given =
          ::fchownat(from.get(), leaf.c_str(), old->st_uid, old->st_gid, AT_SYMLINK_NOFOLLOW) == 0;
      if (!given && errno != EPERM && errno != EINVAL) return Failure("give away", step.path);
    }
    if (::renameat(from.get(), leaf.c_str(), parent, leaf.c_str()) == 0) return Done();
    return Failure("replace", step.path);
  }

  const int root_;
  const int stage_;
  const std::string& where_;
  std::string open_path_;
  UniqueFd open_;
  bool gone_ = false;  // The last Parent() led to nothing.
};

}  // namespace

bool ChangeMode(int fd, mode_t mode) {
  return ::chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode) == 0;
}

UniqueFd OpenBelow(int root, std::string_view path, int flags) {
  const UniqueFd parent = OpenDirectories(root, ParentOf(path), false);
  if (!parent.valid() || LeadsUp(LeafOf(path))) return UniqueFd();
  return UniqueFd(::openat(parent.get(), LeafOf(path).c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
}

Result<std::vector<RefusedStep>> CarryOutSteps(int root, int stage,
                                               const std::vector<TreeStep>& steps,
                                               const std::string& where) {
  std::vector<RefusedStep> refused;
  StepWork work(root, stage, where);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    PYRO_ASSIGN_OR_RETURN(const auto why, work.Do(steps[i]));
    if (why) refused.push_back({i, *why});
    PYRO_FAILPOINT("sync.step");
  }
  // Those below others first: a mode may shut a directory.
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (step->what == TreeStep::What::kDirectory) PYRO_RETURN_IF_ERROR(work.Finish(*step));
  }
  return refused;
}

}  // namespace pyro::sys
