#include "state/own_directory.h"

#include <grp.h>
#include <pwd.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/errno_error.h"

namespace pyro::state {
namespace fs = std::filesystem;

namespace {

// lstat(2) follows a link whose name ends with a slash.
std::string WithoutEnd(std::string name) {
  while (name.size() > 1 && (name.ends_with('/') || name.ends_with("/."))) name.pop_back();
  return name;
}

constexpr std::size_t kMaxAccountBytes = std::size_t{1} << 20;  // A group may have many members.

// As getpwuid_r and getgrgid_r are called. `use` is called with what was found.
template <typename Entry, typename Look, typename Use>
bool WithAccount(Look look, unsigned id, Use use) {
  for (std::size_t size = 4096; size <= kMaxAccountBytes; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry{};
    Entry* found = nullptr;
    const int failed = look(id, &entry, buffer.data(), buffer.size(), &found);
    if (failed == 0) return found != nullptr && use(*found);
    if (failed != ERANGE && failed != EINTR) return false;
  }
  return false;
}

bool IsPrivateGroup(gid_t group) {
  if (group == 0) return false;  // Accounts of the system have it as their primary one.
  return WithAccount<struct passwd>(&::getpwuid_r, ::geteuid(), [&](const struct passwd& user) {
    const std::string_view name = user.pw_name;
    if (user.pw_gid != group) return false;
    return WithAccount<struct group>(&::getgrgid_r, group, [&](const struct group& found) {
      if (name != found.gr_name) return false;
      for (char** member = found.gr_mem; *member != nullptr; ++member) {
        if (name != *member) return false;
      }
      return true;
    });
  });
}

}  // namespace

bool OthersMayWrite(const fs::path& path, const struct stat& info) {
  if ((info.st_mode & S_IWOTH) != 0) return true;
  if ((info.st_mode & S_IWGRP) == 0) return false;
  // With a list the group's bits are those of all whom the list names.
  const ssize_t list = ::getxattr(path.c_str(), "system.posix_acl_access", nullptr, 0);
  if (list >= 0 || (errno != ENODATA && errno != ENOTSUP)) return true;
  return !IsPrivateGroup(info.st_gid);
}

Status CheckOwnDirectory(const fs::path& path) {
  const std::string plain = WithoutEnd(path.native());
  const std::string name = Printable(plain, 400);
  struct stat info {};
  // Of the link in its place as well: its owner decides where it leads.
  for (const auto look : {&::lstat, &::stat}) {
    if (look(plain.c_str(), &info) != 0) {
      return errno == ENOENT ? OkStatus() : Status(sys::ErrnoError(errno, "stat", plain));
    }
    if (info.st_uid != ::geteuid() && info.st_uid != 0) {
      return MakeError(ErrorCode::kPermissionDenied,
                       fmt::format("'{}' is not used: it belongs to another user", name),
                       "call pyro as that user, or choose a directory of your own");
    }
  }
  if (!S_ISDIR(info.st_mode) || !OthersMayWrite(plain, info)) return OkStatus();
  // A directory of all, such as /tmp, must stay one.
  const bool own = info.st_uid == ::geteuid() && (info.st_mode & S_ISVTX) == 0;
  return MakeError(ErrorCode::kPermissionDenied,
                   fmt::format("'{}' is not used: other users may write there", name),
                   own ? fmt::format("look at its content, then: chmod go-w '{}'", name)
                       : "choose a directory of your own, such as one below it");
}

}  // namespace pyro::state
