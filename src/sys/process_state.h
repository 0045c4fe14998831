// What a process inherits from the one that started it, and what pyro does not leave to chance:
// standard descriptors, dispositions of signals, the signal mask, the umask and resource limits.
//
// docs/troubleshooting.md says for each of them what every program does with it.

#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "pyro/result.h"

namespace pyro::sys {

// For the programs of pyro, before anything else in main(), with one thread:
// - closed standard descriptors become /dev/null, so that no file of ours gets their numbers. A
//   write to such a stdout fails: lost output is an error;
// - SIGCHLD is as the kernel starts processes, SIGPIPE and SIGXFSZ are ignored, no signal is
//   blocked. An ignored SIGINT, SIGHUP or SIGTERM stays ignored: nohup and shells mean it;
// - the umask takes nothing from the owner;
// - soft limits are raised as far as pyro needs and the hard ones allow.
void PrepareProgram();

// For the library in a process that is not pyro's own. As above, but the mask, the umask and all
// limits other than that of open files stay: other code of the process may rely on them.
void PrepareHostProcess();

// A crash of this process writes none of its memory to a file, nor to a program of core_pattern.
void ForbidCore();

// kLimit: this process may not open the files that pyro needs. Names the limit and the command that
// raises it.
Status CheckOpenFiles();

// What one guest takes, for CheckGuestLimits().
struct GuestNeeds {
  std::uint64_t memory_mib = 0;
  std::uint64_t file_bytes = 0;  // Length of the larger of its disk and its memory.
};

// kLimit: a guest would hit a limit of this process. Names the limit, as CheckOpenFiles() does. For
// the program that starts guests, after PrepareProgram().
Status CheckGuestLimits(const GuestNeeds& needs);

// "may write files of at most 1024 KiB (ulimit -f)", or empty when there is no such limit.
std::string FileSizeLimitText();

// True unless this process is root of a user namespace that has no user but itself: that one may
// do no more than the user outside may.
bool RootMayBecomeOthers();

// The effective user is root, and RootMayBecomeOthers().
bool IsFullRoot();

// The effective user is root, not a full one, and is root outside of its user namespace as well. A
// guest would run as a user that owns the host's files.
bool IsRootWithoutOthers();

// Set by container managers and by systemd's NoNewPrivileges=: programs such as newuidmap cannot
// gain the rights that their files have.
bool CannotGainPrivileges();

}  // namespace pyro::sys
