// What happens below a path, as a stream of records, until its reader is gone.

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/file_work.h"
#include "base/try.h"
#include "sys/files.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {
namespace {

// Of a hostile or a large tree. What is deeper or more is not watched, and that is told as lost.
constexpr std::size_t kMostWatched = 8192;
constexpr std::uint32_t kWatchedEvents = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |
                                         IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF |
                                         IN_MOVE_SELF;

std::optional<FileChange> ChangeOf(std::uint32_t mask) {
  if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0) return FileChange::kCreated;
  if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) return FileChange::kRemoved;
  if ((mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)) != 0) return FileChange::kChanged;
  return std::nullopt;
}

class Watcher {
 public:
  Watcher(const wire::FileRequest& request, int out)
      : root_(request.path), depth_(request.depth), out_(out) {}

  Result<wire::FileEnd> Run() {
    inotify_ = sys::UniqueFd(::inotify_init1(IN_CLOEXEC));
    if (!inotify_.valid()) return FileErrno(root_);
    PYRO_RETURN_IF_ERROR(Watch("", 1));
    Tell(FileChange::kBegan, "", false);
    while (!over_) {
      PYRO_RETURN_IF_ERROR(Send());
      PYRO_RETURN_IF_ERROR(Read());
    }
    PYRO_RETURN_IF_ERROR(Send());
    return wire::FileEnd();
  }

 private:
  struct Watched {
    std::string path;  // From the root on; empty: it.
    std::int64_t level;
  };

  std::string Whole(const std::string& path) const {
    return path.empty() ? root_ : root_ + "/" + path;
  }

  // A path and, as far as the depth says, the directories in it.
  Status Watch(const std::string& path, std::int64_t level) {
    if (watched_.size() >= kMostWatched) {
      Tell(FileChange::kLost, path, true);
      return OkStatus();
    }
    const std::uint32_t only = path.empty() ? 0 : IN_ONLYDIR | IN_DONT_FOLLOW;
    const int id = ::inotify_add_watch(inotify_.get(), Whole(path).c_str(), kWatchedEvents | only);
    if (id < 0) {
      if (path.empty()) return FileErrno(root_);
      if (errno == ENOSPC) Tell(FileChange::kLost, path, true);
      return OkStatus();  // It is gone, or closed to this user.
    }
    watched_[id] = {path, level};
    if (level >= depth_) return OkStatus();
    const sys::UniqueFd directory(
        ::open(Whole(path).c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
    if (!directory.valid()) return OkStatus();  // A file.
    PYRO_ASSIGN_OR_RETURN(const NamesIn in, ReadNames(directory.get(), -1, Whole(path)));
    for (const std::string& name : in.names) {
      struct stat info {};
      if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      const std::string below = path.empty() ? name : path + "/" + name;
      // What came before its directory was watched is new too.
      if (began_) Tell(FileChange::kCreated, below, S_ISDIR(info.st_mode));
      if (S_ISDIR(info.st_mode)) PYRO_RETURN_IF_ERROR(Watch(below, level + 1));
    }
    return OkStatus();
  }

  Status Read() {
    std::vector<char> buffer(64 * 1024);
    const ssize_t n = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (n < 0) return errno == EINTR ? OkStatus() : Status(FileErrno(root_));
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* const name = buffer.data() + at + sizeof event;
      PYRO_RETURN_IF_ERROR(Take(event, event.len > 0 ? name : ""));
      at += sizeof event + event.len;
    }
    return OkStatus();
  }

  Status Take(const inotify_event& event, const std::string& name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) Tell(FileChange::kLost, "", true);
    const auto found = watched_.find(event.wd);
    if (found == watched_.end()) return OkStatus();
    const Watched of = found->second;
    if ((event.mask & IN_IGNORED) != 0) watched_.erase(found);
    if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0 && of.path.empty()) {
      Tell(FileChange::kRemoved, "", false);
      over_ = true;
      return OkStatus();
    }
    const auto change = ChangeOf(event.mask);
    if (!change || IsHiddenName(name)) return OkStatus();
    const bool directory = (event.mask & IN_ISDIR) != 0;
    const std::string path = name.empty() ? of.path : of.path.empty() ? name : of.path + "/" + name;
    if (name.empty() && !of.path.empty()) return OkStatus();  // The directory above tells of it.
    Tell(*change, path, directory);
    if (*change == FileChange::kCreated && directory && of.level < depth_) {
      return Watch(path, of.level + 1);
    }
    return OkStatus();
  }

  void Tell(FileChange change, const std::string& path, bool directory) {
    began_ = true;
    const wire::FileNews news = {change, path.substr(0, wire::kMaxPathBytes), directory};
    std::string record = wire::FileRecord(news);
    // A writer makes many of the same.
    if (record == last_ && !records_.empty()) return;
    records_ += record;
    last_ = std::move(record);
  }

  Status Send() {
    const auto sent = sys::WriteAll(out_, records_);
    records_.clear();
    return sent ? OkStatus() : Status(FileError(sent.error().sys_errno, root_));
  }

  const std::string root_;
  const std::int64_t depth_;
  const int out_;
  sys::UniqueFd inotify_;
  std::map<int, Watched> watched_;
  bool began_ = false;
  bool over_ = false;
  std::string records_;
  std::string last_;
};

}  // namespace

Result<wire::FileEnd> WatchOperation(const wire::FileRequest& request, const FileStreams& streams) {
  return Watcher(request, streams.out).Run();
}

}  // namespace pyro::agent
