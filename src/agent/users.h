// The guest's users and groups, from its own files.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "pyro/result.h"
#include "sys/child_process.h"

namespace pyro::agent {

inline constexpr std::size_t kMaxUserFileBytes = 1024 * 1024;

struct User {
  sys::Credentials ids;
  std::string name;   // Of a uid without an entry: the number; of 0 root.
  std::string home;   // Without an entry, or with none in it: /; of 0 without one /root.
  std::string shell;  // Empty: the entry names none, or there is none.
};

// An error of which the command's end tells: base/command.h has the numbers.
Error NoStart(int number, std::string message);

// `spec`: NAME or UID, optionally with :GROUP or :GID. Without a group the user has the groups of
// the files; with one, that one alone. A number needs no entry: the group is then 0. `passwd` and
// `group` are the texts of the files, each line by line; lines that are malformed are left out.
// The number of the error is kNoUser, kNoGroup, or kBadUsers: the user is in too many groups.
Result<User> ParseUser(std::string_view spec, std::string_view passwd, std::string_view group);

// The same of /etc/passwd and /etc/group; files that are missing are empty. kBadUsers also: one is
// no regular file, or has more than kMaxUserFileBytes.
Result<User> FindUser(std::string_view spec, const std::string& directory = "/etc");

}  // namespace pyro::agent
