// What a directory holds, as a stream of records.

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/file_work.h"
#include "base/try.h"
#include "pyro/types.h"
#include "sys/files.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kRecordsAtOnce = 64 * 1024;
constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

class Lister {
 public:
  Lister(const wire::FileRequest& request, int out)
      : root_(request.path), out_(out), left_(request.limit), depth_(request.depth) {}

  Result<wire::FileEnd> Run() {
    sys::UniqueFd directory(::open(root_.c_str(), kOpenDirectory));
    if (!directory.valid()) return FileErrno(root_);
    PYRO_RETURN_IF_ERROR(List(std::move(directory), "", 1));
    PYRO_RETURN_IF_ERROR(Flush(1));
    wire::FileEnd end;
    end.truncated = truncated_;
    return end;
  }

 private:
  Status List(sys::UniqueFd directory, const std::string& path, std::int64_t level) {
    // More than may still be told: the first of them by name are wanted.
    PYRO_ASSIGN_OR_RETURN(const auto in, ReadNames(directory.get(), kMaxListedFiles, Whole(path)));
    truncated_ = truncated_ || in.more;
    for (const std::string& name : in.names) {
      const std::string whole = path.empty() ? name : path + "/" + name;
      struct stat info {};
      if (::fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) continue;  // It was removed meanwhile.
        return FileErrno(Whole(whole));
      }
      if (left_ == 0 || whole.size() > wire::kMaxPathBytes) {
        truncated_ = true;
        return OkStatus();
      }
      --left_;
      records_ += wire::FileRecord(EntryOf(directory.get(), name, info, whole));
      PYRO_RETURN_IF_ERROR(Flush(kRecordsAtOnce));
      if (!S_ISDIR(info.st_mode) || level >= depth_) continue;
      sys::UniqueFd below(::openat(directory.get(), name.c_str(), kOpenDirectory | O_NOFOLLOW));
      if (!below.valid() && (errno == ENOENT || errno == ENOTDIR)) continue;
      if (!below.valid()) return FileErrno(Whole(whole));
      PYRO_RETURN_IF_ERROR(List(std::move(below), whole, level + 1));
    }
    return OkStatus();
  }

  std::string Whole(const std::string& path) const {
    return path.empty() ? root_ : root_ + "/" + path;
  }

  Status Flush(std::size_t least) {
    if (records_.size() < least) return OkStatus();
    if (const Status sent = sys::WriteAll(out_, records_); !sent) {
      return FileError(sent.error().sys_errno, root_);
    }
    records_.clear();
    return OkStatus();
  }

  const std::string root_;
  const int out_;
  std::int64_t left_;
  const std::int64_t depth_;
  bool truncated_ = false;
  std::string records_;
};

}  // namespace

Result<NamesIn> ReadNames(int directory, std::int64_t most, const std::string& path) {
  DIR* const stream = ::fdopendir(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
  if (stream == nullptr) return FileErrno(path);
  NamesIn in;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    in.more = static_cast<std::int64_t>(in.names.size()) == most;
    if (in.more) break;
    in.names.emplace_back(name);
  }
  ::closedir(stream);
  std::sort(in.names.begin(), in.names.end());
  return in;
}

Result<wire::FileEnd> ListOperation(const wire::FileRequest& request, const FileStreams& streams) {
  return Lister(request, streams.out).Run();
}

}  // namespace pyro::agent
