// Stands in the place of a guest's kernel in user mode that has been taken over: it tries every way
// out of its jail, and prints the result of each on the console that its command line names, or on
// standard output: "WAY done" if the host did it, "WAY refused", or "WAY killed". No way does any
// harm where it is open; all the same, root is to run this in the jail only.
//
// Arguments: as for the kernel, and "secret=PATH", a file of the host, and "outsider=PID".

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr pid_t kNoProcess = 0x7ffffffe;

std::string Argument(int argc, char** argv, const char* name, const char* otherwise) {
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], name, std::strlen(name)) == 0) return argv[i] + std::strlen(name);
  }
  return otherwise;
}

// True if the host took the call for an order, even if it could not obey.
template <typename... Arguments>
bool Call(long number, Arguments... arguments) {
  return ::syscall(number, arguments...) >= 0;
}

// The ABIs whose numbers mean other calls than those of x86-64.
bool CallOldAbi() {
  long result = 20;  // getpid
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  return result > 0;
}

bool CallX32Abi() { return ::syscall(0x40000000L + SYS_getpid) > 0; }

bool OpenForWriting(const std::string& path) {
  return ::open(path.c_str(), O_RDWR | O_CLOEXEC) >= 0;
}

// Every file that it was given to read, by a path and by a path of the descriptor.
bool WriteWhatIsShared() {
  for (int fd = 3; fd < 32; ++fd) {
    struct stat status {};
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || (flags & O_ACCMODE) != O_RDONLY || ::fstat(fd, &status) != 0) continue;
    if (S_ISREG(status.st_mode) && OpenForWriting("/proc/self/fd/" + std::to_string(fd))) {
      return true;
    }
  }
  for (const char* path : {"/vm/base", "/vm/linux", "/vm/initrd"}) {
    if (OpenForWriting(path)) return true;
  }
  return false;
}

using Way = std::pair<const char*, std::function<bool()>>;

std::vector<Way> FileWays(const std::string& secret) {
  static const char* const kNew = "/memory/new";
  return {
      {"read-secret", [secret] { return ::open(secret.c_str(), O_RDONLY | O_CLOEXEC) >= 0; }},
      {"read-passwd", [] { return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0; }},
      {"write-shared", WriteWhatIsShared},
      {"write-core-pattern", [] { return OpenForWriting("/proc/sys/kernel/core_pattern"); }},
      {"write-sysrq", [] { return OpenForWriting("/proc/sysrq-trigger"); }},
      {"open-kmsg", [] { return ::open("/dev/kmsg", O_RDONLY | O_CLOEXEC) >= 0; }},
      {"chmod", [] { return Call(SYS_chmod, "/vm/linux", 0777); }},
      {"fchmod", [] { return Call(SYS_fchmod, -1, 0777); }},
      {"chown", [] { return Call(SYS_chown, "/vm/linux", 0, 0); }},
      {"link", [] { return Call(SYS_link, "/vm/linux", kNew); }},
      {"symlink", [] { return Call(SYS_symlink, "/memory", kNew); }},
      {"rename", [] { return Call(SYS_rename, "/vm/linux", kNew); }},
      {"mknod", [] { return Call(SYS_mknod, kNew, S_IFBLK | 0600, 0); }},
      {"mkdir", [] { return Call(SYS_mkdir, kNew, 0700); }},
      {"unlink", [] { return Call(SYS_unlink, "/vm/linux"); }},
      {"truncate", [] { return Call(SYS_truncate, "/vm/linux", 0); }},
      {"list",
       [] {
         char bytes[512];
         return Call(SYS_getdents64, 0, bytes, sizeof bytes);
       }},
      {"open-by-handle", [] { return Call(SYS_open_by_handle_at, -1, nullptr, 0); }},
      {"execveat", [] { return Call(SYS_execveat, -1, "", nullptr, nullptr, 0); }},
      {"memfd", [] { return Call(SYS_memfd_create, "x", 0); }},
      {"sendfile", [] { return Call(SYS_sendfile, 1, 0, nullptr, 0); }},
      {"splice", [] { return Call(SYS_splice, 0, nullptr, 1, nullptr, 0, 0); }},
      {"inotify", [] { return Call(SYS_inotify_init1, 0); }},
      {"fanotify", [] { return Call(SYS_fanotify_init, 0, 0); }},
      {"pipe-size", [] { return ::fcntl(1, F_SETPIPE_SZ, 1 << 20) >= 0; }},
      {"terminal-input", [] { return ::ioctl(0, TIOCSTI, "x") == 0; }},
  };
}

std::vector<Way> NamespaceWays() {
  return {
      {"socket-inet", [] { return Call(SYS_socket, AF_INET, SOCK_STREAM, 0); }},
      {"socket-unix", [] { return Call(SYS_socket, AF_UNIX, SOCK_STREAM, 0); }},
      {"socket-netlink", [] { return Call(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
      {"socket-packet", [] { return Call(SYS_socket, AF_PACKET, SOCK_RAW, 0); }},
      {"socketpair-other",
       [] {
         int fds[2];
         return Call(SYS_socketpair, AF_TIPC, SOCK_STREAM, 0, fds);
       }},
      {"bind", [] { return Call(SYS_bind, 3, nullptr, 0); }},
      {"connect", [] { return Call(SYS_connect, 3, nullptr, 0); }},
      {"listen", [] { return Call(SYS_listen, 3, 1); }},
      {"setsockopt", [] { return Call(SYS_setsockopt, 3, SOL_SOCKET, SO_PASSCRED, nullptr, 0); }},
      {"unshare-user", [] { return Call(SYS_unshare, CLONE_NEWUSER); }},
      {"clone-user", [] { return Call(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0); }},
      {"clone-network", [] { return Call(SYS_clone, CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0); }},
      {"clone3", [] { return Call(SYS_clone3, nullptr, 0); }},
      {"setns", [] { return Call(SYS_setns, 3, 0); }},
      {"mount", [] { return Call(SYS_mount, "none", "/memory", "tmpfs", 0, nullptr); }},
      {"umount", [] { return Call(SYS_umount2, "/memory", 2); }},
      {"pivot-root", [] { return Call(SYS_pivot_root, "/memory", "/memory"); }},
      {"chroot", [] { return Call(SYS_chroot, "/memory"); }},
      {"open-tree", [] { return Call(SYS_open_tree, -1, "/", 1); }},
      {"fsopen", [] { return Call(SYS_fsopen, "tmpfs", 0); }},
      {"move-mount", [] { return Call(SYS_move_mount, -1, "", -1, "", 0); }},
  };
}

std::vector<Way> ProcessWays(pid_t outsider) {
  return {
      {"signal-outsider", [outsider] { return ::kill(outsider, 0) == 0; }},
      {"ptrace-seize",
       [outsider] { return ::ptrace(PTRACE_SEIZE, outsider, nullptr, nullptr) == 0; }},
      {"ptrace-attach", [] { return ::ptrace(PTRACE_ATTACH, kNoProcess, nullptr, nullptr) == 0; }},
      {"ptrace-poke", [] { return ::ptrace(PTRACE_POKEDATA, kNoProcess, nullptr, nullptr) == 0; }},
      {"vm-read",
       [] {
         iovec io{};
         return Call(SYS_process_vm_readv, ::getppid(), &io, 1, &io, 1, 0);
       }},
      {"vm-write",
       [] {
         iovec io{};
         return Call(SYS_process_vm_writev, ::getppid(), &io, 1, &io, 1, 0);
       }},
      {"pidfd-open", [] { return Call(SYS_pidfd_open, ::getpid(), 0); }},
      {"pidfd-getfd", [] { return Call(SYS_pidfd_getfd, -1, 0, 0); }},
      {"kcmp", [] { return Call(SYS_kcmp, ::getpid(), ::getpid(), 0, 0, 0); }},
      {"queue-signal", [] { return Call(SYS_rt_sigqueueinfo, ::getpid(), 0, nullptr); }},
      {"setuid", [] { return Call(SYS_setuid, ::getuid()); }},
      {"setgroups", [] { return Call(SYS_setgroups, 0, nullptr); }},
      {"capset", [] { return Call(SYS_capset, nullptr, nullptr); }},
      {"prctl", [] { return Call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0); }},
      {"personality", [] { return Call(SYS_personality, 0xffffffff); }},
      {"seccomp", [] { return Call(SYS_seccomp, 2, 0, nullptr); }},
      {"priority", [] { return Call(SYS_setpriority, 0, 0, 0); }},
      {"scheduler", [] { return Call(SYS_sched_setscheduler, 0, -1, nullptr); }},
      {"shared-memory", [] { return Call(SYS_shmget, 0, 4096, 0600 | 01000); }},
      {"message-queue", [] { return Call(SYS_msgget, 0, 0600 | 01000); }},
      {"old-abi", CallOldAbi},
      {"x32-abi", CallX32Abi},
  };
}

std::vector<Way> KernelWays() {
  return {
      {"bpf",
       [] {
         bpf_attr attr{};
         return Call(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
       }},
      {"perf",
       [] {
         perf_event_attr attr{};
         return Call(SYS_perf_event_open, &attr, 0, -1, -1, 0);
       }},
      {"io-uring",
       [] {
         io_uring_params params{};
         return Call(SYS_io_uring_setup, 1, &params);
       }},
      {"userfaultfd", [] { return Call(SYS_userfaultfd, 0); }},
      {"keyctl", [] { return Call(SYS_keyctl, 0, -3, 0); }},
      {"add-key", [] { return Call(SYS_add_key, "user", "x", "x", 1, -3); }},
      {"request-key", [] { return Call(SYS_request_key, "user", "x", nullptr, 0); }},
      {"module", [] { return Call(SYS_finit_module, -1, "", 0); }},
      {"kexec", [] { return Call(SYS_kexec_load, 0, 1, nullptr, 0x10); }},
      {"iopl", [] { return Call(SYS_iopl, 0); }},
      {"ldt", [] { return Call(SYS_modify_ldt, 0, nullptr, 0); }},
      {"syslog", [] { return Call(SYS_syslog, 10, nullptr, 0); }},
      {"hostname", [] { return Call(SYS_sethostname, "x", -1); }},
      {"clock", [] { return Call(SYS_clock_settime, 0, nullptr); }},
      {"swap", [] { return Call(SYS_swapoff, ""); }},
      {"quota", [] { return Call(SYS_quotactl, 0, nullptr, 0, nullptr); }},
      {"accounting", [] { return Call(SYS_acct, "/no/such/file"); }},
      {"landlock", [] { return Call(SYS_landlock_create_ruleset, nullptr, 0, 1); }},
  };
}

// In a child: a way that is met with death ends only that.
const char* Try(const Way& way) {
  const pid_t child = ::fork();
  if (child < 0) return "unknown";
  if (child == 0) ::_exit(way.second() ? 0 : 1);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGSYS ? "killed" : "unknown";
  return WEXITSTATUS(status) == 0 ? "done" : "refused";
}

}  // namespace

int main(int argc, char** argv) {
  const int console = std::atoi(Argument(argc, argv, "con0=null,fd:", "1").c_str());
  const std::string secret = Argument(argc, argv, "secret=", "/");
  const pid_t outsider = std::atoi(Argument(argc, argv, "outsider=", "1").c_str());
  for (const auto& ways :
       {FileWays(secret), NamespaceWays(), ProcessWays(outsider), KernelWays()}) {
    for (const Way& way : ways) {
      const std::string line = std::string(way.first) + " " + Try(way) + "\n";
      if (::write(console, line.data(), line.size()) < 0) return 1;
    }
  }
  return 0;
}
