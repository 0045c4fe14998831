// Processes as a test sees them from outside of their jails.

#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

namespace pyro::jail {

// The first child of `parent`; -1: it has none. By way of all processes: not every kernel lists
// them.
pid_t ChildOf(pid_t parent);

// The content of /proc/`pid`/`name`, at most 1 MiB; what cannot be read is a failure of the test.
std::string ProcText(pid_t pid, const std::string& name);

// The value of a line of /proc/`pid`/status; "?": there is no such line.
std::string ProcStatus(pid_t pid, const std::string& field);

// Whether the process has at least this niceness, and its session, too, if the kernel has one of
// sessions and this is root's process: from others it takes few changes in a second.
bool StandsBack(pid_t pid, int niceness);

inline constexpr uid_t kPlainUser = 61100;

// Runs `body`, if this is root's process then in one of kPlainUser, and returns what it returned.
std::string AsPlainUser(const std::function<std::string()>& body);

}  // namespace pyro::jail
