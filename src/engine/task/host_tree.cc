#include "engine/task/host_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "archive/names.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/tree_steps.h"
#include "sys/wait_for.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;
using Answer = archive::Ignores::Answer;
using HostId = std::pair<dev_t, ino_t>;

char TypeLetter(mode_t mode) {
  if (S_ISREG(mode)) return 'f';
  if (S_ISDIR(mode)) return 'd';
  return S_ISLNK(mode) ? 'l' : 'o';
}

class HostWalk {
 public:
  HostWalk(const HostScan& scan, archive::Ignores& rules) : scan_(scan), rules_(rules) {
    for (const fs::path& path : scan.without) {
      struct stat info {};
      if (::stat(path.c_str(), &info) == 0) without_.insert({info.st_dev, info.st_ino});
    }
  }

  Result<wire::Tree> Run() {
    if (scan_.read_ignores) {
      if (auto text = ReadRules(".dockerignore")) rules_.SetDocker(*text);
      if (auto text = ReadRules(".git/info/exclude")) rules_.SetGitExclude(*text);
    }
    sys::UniqueFd top(::fcntl(scan_.root, F_DUPFD_CLOEXEC, 0));
    PYRO_RETURN_IF_ERROR(Walk(std::move(top), "", 0));
    return std::move(tree_);
  }

 private:
  // nullopt: no such regular file. A little more than counts is read, so that the rest is counted.
  std::optional<std::string> ReadRules(const std::string& path) const {
    const sys::UniqueFd file = sys::OpenBelow(scan_.root, path, O_RDONLY | O_NONBLOCK);
    struct stat info {};
    if (!file.valid() || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return std::nullopt;
    }
    std::string text(archive::kMaxIgnoreFileBytes + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
      const ssize_t n = ::read(file.get(), text.data() + size, text.size() - size);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      size += static_cast<std::size_t>(n);
    }
    text.resize(size);
    return text;
  }

  Error Unreadable(const std::string& path) const {
    return sys::ErrnoError(errno, "read directory", (scan_.where / path).native());
  }

  Result<std::vector<std::string>> NamesIn(const sys::UniqueFd& directory,
                                           const std::string& path) const {
    const int copy = ::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0);
    DIR* const stream = copy < 0 ? nullptr : ::fdopendir(copy);
    if (stream == nullptr) {
      if (copy >= 0) ::close(copy);
      return Unreadable(path);
    }
    ::rewinddir(stream);  // The position is shared with the descriptor.
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      if (names.size() > wire::kMaxTreeEntries) break;
    }
    ::closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
  }

  Status Walk(sys::UniqueFd directory, const std::string& path, std::size_t depth) {
    if (sys::IsReady(scan_.cancel_fd)) return MakeError(ErrorCode::kCancelled, "cancelled");
    if (depth > archive::kMaxDepth) {
      return MakeError(ErrorCode::kLimit,
                       fmt::format("'{}' is too deep", Printable((scan_.where / path).native())),
                       "move what lies so deep, or remove it");
    }
    PYRO_ASSIGN_OR_RETURN(const auto names, NamesIn(directory, path));
    if (scan_.read_ignores && std::binary_search(names.begin(), names.end(), ".gitignore")) {
      const auto text = ReadRules(path.empty() ? ".gitignore" : path + "/.gitignore");
      if (text) rules_.AddGit(path, *text);
    }
    for (const std::string& name : names) {
      PYRO_RETURN_IF_ERROR(Visit(directory, name, path.empty() ? name : path + "/" + name, depth));
    }
    return OkStatus();
  }

  Status Visit(const sys::UniqueFd& directory, const std::string& name, const std::string& path,
               std::size_t depth) {
    struct stat info {};
    if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return OkStatus();
      return sys::ErrnoError(errno, "look at", (scan_.where / path).native());
    }
    const bool is_directory = S_ISDIR(info.st_mode);
    if (without_.contains({info.st_dev, info.st_ino})) rules_.AddPath(path);
    const Answer answer = rules_.Ask(path, is_directory);
    if (answer == Answer::kYes) return OkStatus();
    if (answer == Answer::kNo) PYRO_RETURN_IF_ERROR(Add(directory, name, path, info));
    if (!is_directory) return OkStatus();
    sys::UniqueFd below(
        ::openat(directory.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below.valid()) return Walk(std::move(below), path, depth + 1);
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return OkStatus();
    return Unreadable(path);
  }

  Status Add(const sys::UniqueFd& directory, const std::string& name, const std::string& path,
             const struct stat& info) {
    if (tree_.size() >= wire::kMaxTreeEntries) {
      return MakeError(ErrorCode::kLimit, "the directory has more than a million files");
    }
    wire::TreeEntry entry;
    entry.type = TypeLetter(info.st_mode);
    entry.mode = info.st_mode & 07777;
    entry.size = info.st_size;
    entry.mtime = InNanoseconds(info.st_mtim);
    entry.ctime = InNanoseconds(info.st_ctim);
    entry.inode = static_cast<std::int64_t>(info.st_ino);
    if (entry.type == 'l') {
      char target[PATH_MAX];
      const ssize_t n = ::readlinkat(directory.get(), name.c_str(), target, sizeof target);
      if (n < 0) return OkStatus();
      entry.target.assign(target, static_cast<std::size_t>(n));
    }
    tree_.emplace(path, std::move(entry));
    return OkStatus();
  }

  const HostScan& scan_;
  archive::Ignores& rules_;
  std::set<HostId> without_;
  wire::Tree tree_;
};

}  // namespace

std::int64_t InNanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Result<wire::Tree> ScanHostTree(const HostScan& scan, archive::Ignores& rules) {
  return HostWalk(scan, rules).Run();
}

}  // namespace pyro::engine
