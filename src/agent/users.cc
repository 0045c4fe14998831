#include "agent/users.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/command.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kMaxGroups = 65536;  // Linux's own limit.
constexpr std::size_t kMaxFieldBytes = 4095;

// (uid_t)-1 means none to every system call.
std::optional<std::uint32_t> ParseId(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == UINT32_MAX) {
    return std::nullopt;
  }
  return id;
}

// The fields of a line; false: there are others, or one is too long.
template <std::size_t kCount>
bool SplitLine(std::string_view line, std::array<std::string_view, kCount>& fields) {
  std::size_t count = 0;
  for (const std::string_view field : Split(line, ':')) {
    if (count == kCount || field.size() > kMaxFieldBytes) return false;
    fields[count++] = field;
  }
  return count == kCount && !fields[0].empty();
}

bool HasNul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// The first entry of that name, or else of that uid.
std::optional<User> UserIn(std::string_view passwd, std::string_view wanted) {
  const std::optional<std::uint32_t> number = ParseId(wanted);
  std::optional<User> by_number;
  for (const std::string_view line : Split(passwd, '\n')) {
    std::array<std::string_view, 7> fields;
    if (HasNul(line) || !SplitLine(line, fields)) continue;
    const auto uid = ParseId(fields[2]);
    const auto gid = ParseId(fields[3]);
    const bool named = fields[0] == wanted;
    if (!uid || !gid || (!named && (by_number || uid != number))) continue;
    User user = {{*uid, *gid, {}},
                 std::string(fields[0]),
                 std::string(fields[5].empty() ? "/" : fields[5]),
                 std::string(fields[6])};
    if (named) return user;
    by_number = std::move(user);
  }
  if (by_number || !number) return by_number;
  if (*number == 0) return User{{0, 0, {}}, "root", "/root", ""};
  return User{{*number, 0, {}}, std::string(wanted), "/", ""};
}

// A line of the groups' file. Its list of members may be as long as the file.
struct GroupLine {
  std::string_view name;
  gid_t gid;
  std::string_view members;
};
std::optional<GroupLine> ParseGroup(std::string_view line) {
  std::array<std::string_view, 4> fields;
  const std::size_t last = line.rfind(':');
  if (last == std::string_view::npos || !SplitLine(line.substr(0, last + 1), fields)) return {};
  const auto gid = ParseId(fields[2]);
  if (!gid) return {};
  return GroupLine{fields[0], *gid, line.substr(last + 1)};
}

// Of a group by name, or else by its number.
std::optional<gid_t> GroupIn(std::string_view group, std::string_view wanted) {
  for (const std::string_view line : Split(group, '\n')) {
    const auto one = ParseGroup(line);
    if (one && one->name == wanted) return one->gid;
  }
  return ParseId(wanted);
}

// Those that have the user among their members, and its own.
std::vector<gid_t> GroupsOf(std::string_view group, const User& user) {
  std::vector<gid_t> groups = {user.ids.gid};
  for (const std::string_view line : Split(group, '\n')) {
    const auto one = ParseGroup(line);
    if (!one) continue;
    const auto members = Split(one->members, ',');
    if (std::find(members.begin(), members.end(), user.name) != members.end()) {
      groups.push_back(one->gid);
    }
  }
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  return groups;
}

// A link is followed, as every program of the guest does.
Result<std::string> ReadUserFile(const std::string& path) {
  const auto file = sys::OpenFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file && file.error().sys_errno == ENOENT) return std::string();
  struct stat info {};
  if (!file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return NoStart(kBadUsers, "a file of users is no regular file");
  }
  auto text = sys::ReadAll(file->get(), kMaxUserFileBytes);
  if (!text) return NoStart(kBadUsers, "a file of users cannot be read");
  return text;
}

}  // namespace

Error NoStart(int number, std::string message) {
  Error error = MakeError(ErrorCode::kNotFound, std::move(message));
  error.sys_errno = number;
  return error;
}

Result<User> ParseUser(std::string_view spec, std::string_view passwd, std::string_view group) {
  const std::size_t colon = spec.find(':');
  std::optional<User> user = UserIn(passwd, spec.substr(0, colon));
  if (!user) return NoStart(kNoUser, "no such user");
  if (colon == std::string_view::npos) {
    user->ids.groups = GroupsOf(group, *user);
  } else {
    const auto gid = GroupIn(group, spec.substr(colon + 1));
    if (!gid) return NoStart(kNoGroup, "no such group");
    user->ids.gid = *gid;
    user->ids.groups = {*gid};
  }
  if (user->ids.groups.size() > kMaxGroups) return NoStart(kBadUsers, "too many groups");
  return std::move(*user);
}

Result<User> FindUser(std::string_view spec, const std::string& directory) {
  PYRO_ASSIGN_OR_RETURN(const std::string passwd, ReadUserFile(directory + "/passwd"));
  PYRO_ASSIGN_OR_RETURN(const std::string group, ReadUserFile(directory + "/group"));
  return ParseUser(spec, passwd, group);
}

}  // namespace pyro::agent
