// A program inside bubblewrap: namespaces of its own, none of our files, no capability, no way to
// gain one.
//
// The same for every user. If the caller is root, the program runs as a user that owns no file, so
// that it is never root on the host.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/head_tail.h"
#include "base/time.h"
#include "jail/cgroup.h"
#include "pyro/result.h"
#include "sys/child_process.h"
#include "sys/unique_fd.h"

namespace pyro::jail {

// Weakens a jail: the program sees the host's network, including its loopback. Only for the
// programs that carry the guest's network.
enum class JailNetwork { kNone, kAllowHostNetwork };

struct JailSpec {
  std::vector<std::string> argv;  // argv[0] is an absolute path, the same inside and outside.
  // When valid: the program's content, copied into the jail as argv[0]; a path that the jail's user
  // may be kept from is then not needed. Must be reopenable by that user through /proc/self/fd.
  sys::UniqueFd program;
  std::vector<std::string> env;     // NAME=value; nothing is inherited.
  std::vector<sys::UniqueFd> pass;  // Become 3, 4, … in the program.
  sys::UniqueFd stdout_fd;          // /dev/null when not valid.

  // Seen read-only at the same path: files or directories. Those that do not exist are left out.
  // The program's own file and the libraries it is linked with are always there.
  std::vector<std::filesystem::path> read_only;
  // A file seen read-only under another path.
  struct Alias {
    std::filesystem::path source;
    std::string target;
  };
  std::vector<Alias> aliases;
  // A descriptor's content, copied into the jail as a read-only file.
  struct Copy {
    sys::UniqueFd content;
    std::string target;
  };
  std::vector<Copy> copies;

  JailNetwork network = JailNetwork::kNone;
  // A statically linked program needs no loader, and gets none.
  bool is_static = false;
  // When valid: a seccomp filter, as the kernel takes it, that holds for the program from its
  // start.
  sys::UniqueFd filter;
  // When not 0: so many bytes of memory that files in kJailMemory may take.
  std::uint64_t memory_bytes = 0;
  // Linux keeps signals without a handler from PID 1, even its own. False: another process has that
  // place, and the program can end itself by a signal.
  bool is_pid_1 = true;
  // False: the program's memory lies where it does in every other run.
  bool random_addresses = true;
  // The largest file that the program may write; 0: no limit.
  std::uint64_t max_file_bytes = 0;
  // Of all processes of the jail together, by a control group where this user has been given them.
  // Elsewhere the number of processes alone is bounded, by a resource limit.
  Bounds bounds;
  // Selects the unprivileged user if the caller is root: the same text gives the same user.
  std::string identity;
};

inline constexpr char kJailMemory[] = "/memory";

// The user for `identity`: one of 4336 from 61184, a range that no system hands out by itself, and
// in no group. nullopt when the caller is not root: then the jail runs as the caller.
std::optional<sys::Credentials> JailCredentials(std::string_view identity);

// kPermissionDenied: this process is root outside of its user namespace too, and has no other user
// to run a guest as.
Status CheckJailUser();

// What this host must be told before this user may make namespaces: the setting that forbids it.
std::string NamespaceHint();

// Files that the dynamic loader maps for a program, from what `ld.so --list` prints: pure.
std::vector<std::filesystem::path> ParseLoaderList(std::string_view text);

// Numbers that bwrap's own descriptors have in it; it closes them before the program starts.
struct JailDescriptors {
  int info = -1;     // It reports here that it has made its namespaces.
  int program = -1;  // JailSpec::program, if valid.
  int filter = -1;   // JailSpec::filter, if valid.
  int copies = -1;   // The first of JailSpec::copies; the others follow.
  int hold = -1;     // With bounds: it goes on when it has read a byte here.
};

// bwrap's argv, pure. `libraries` are the files of ParseLoaderList().
std::vector<std::string> JailArguments(const std::string& bwrap, const JailSpec& spec,
                                       const std::vector<std::filesystem::path>& libraries,
                                       const JailDescriptors& descriptors);

// The path from which a file can be bound into a jail, if the jail's user is the caller. Such a
// program could give itself the right to write to any descriptor of a file that belongs to the
// caller; through a read-only mount it cannot. nullopt: the caller is root, whose jail is another
// user, or the descriptor has no such path.
std::optional<std::filesystem::path> BindablePath(int fd);

// The path of a program that every user may read and run, and of no secret: it can be bound into
// any jail. nullopt: the descriptor has no such path.
std::optional<std::filesystem::path> PublicProgram(int fd);

// A descriptor that the jailed user may open again through /proc/self/fd: `file` itself, or a copy
// in memory when its mode keeps that user out.
Result<sys::UniqueFd> MakeReopenable(sys::UniqueFd file);

// A program in its jail. Destroying it kills the program and waits until it is gone. Not
// thread-safe.
class JailedProcess {
 public:
  // Returns once the jail is built and the program is about to run in it. A failure to run it shows
  // in its exit status. kMissingTool: no bwrap, or no such program. kTimedOut, kUnavailable: the
  // jail was not ready in time, or ended first; the message has bwrap's own words.
  static Result<JailedProcess> Spawn(JailSpec spec, Deadline deadline);

  JailedProcess(JailedProcess&&) noexcept = default;
  JailedProcess& operator=(JailedProcess&&) = delete;

  // The jail's, as the host sees it: the program is its only child. Signals go through Kill().
  pid_t jail_pid() const { return jail_.pid(); }

  // What the program has taken of the processor so far; 0 if that cannot be seen. Not counted are
  // other processes of the jail.
  std::chrono::milliseconds ProcessorTime() const;

  // Readable once the program and its jail have ended.
  int exit_fd() const { return jail_.exit_fd(); }

  // For one that has ended: its memory was at its bound, and the kernel ended it for that.
  bool EndedForMemory() const { return group_ && group_->EndedForMemory(); }

  // SIGKILL. A program that is gone is no error.
  void Kill();

  // kTimedOut: still running. After the first success repeats the same answer.
  Result<sys::ExitStatus> Wait(Deadline deadline);

  // The beginning and the end of its standard error. Never waits. If the caller does not call this,
  // the program does not wait either: text that exceeds the pipe is lost.
  std::string Diagnostics();

 private:
  JailedProcess(sys::ChildProcess jail, sys::UniqueFd standard_error);
  void DrainStandardError();
  Status AwaitProgram(int info, Deadline deadline);
  void Bound(const Bounds& bounds, const std::optional<sys::Credentials>& credentials);

  // bwrap, which ends with the program and passes its status on. The program is in a PID namespace
  // below bwrap's, so a kill of bwrap kills it too. bwrap's own --die-with-parent works only from
  // the moment at which the program runs.
  // Removed last, when no process is in it.
  std::optional<Cgroup> group_;
  sys::ChildProcess jail_;
  sys::UniqueFd standard_error_;
  HeadTail diagnostics_;
};

}  // namespace pyro::jail
