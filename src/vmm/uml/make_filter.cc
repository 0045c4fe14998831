// Writes the seccomp filter of a guest's kernel in user mode to standard output. Runs at build
// time.
//
// The kernel needs these calls in ptrace mode, and no others. Its filter cannot see paths or
// processes: the jail has no file but the kernel's own and no process but the kernel's. Calls of
// the guest's programs do not reach the filter: the kernel takes each before the host does. Only
// those of the vsyscall page do, which old programs use: no tracer sees them.

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "jail/filters/filter_table.h"

namespace {

using pyro::jail::FilterTable;

// Every flag of clone(2) that makes a namespace.
constexpr std::uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                      CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

void AllowFilesAndMemory(FilterTable& filter) {
  filter.Allow({SCMP_SYS(read),       SCMP_SYS(write),    SCMP_SYS(readv),     SCMP_SYS(writev),
                SCMP_SYS(pread64),    SCMP_SYS(pwrite64), SCMP_SYS(lseek),     SCMP_SYS(close),
                SCMP_SYS(dup),        SCMP_SYS(openat),   SCMP_SYS(open),      SCMP_SYS(fstat),
                SCMP_SYS(newfstatat), SCMP_SYS(stat),     SCMP_SYS(statfs),    SCMP_SYS(readlink),
                SCMP_SYS(readlinkat), SCMP_SYS(fsync),    SCMP_SYS(fdatasync), SCMP_SYS(fallocate),
                SCMP_SYS(mmap),       SCMP_SYS(mprotect), SCMP_SYS(munmap),    SCMP_SYS(madvise),
                SCMP_SYS(brk)});
  filter.AllowWith(SCMP_SYS(fcntl), 1, {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_SETSIG});
  filter.AllowWith(SCMP_SYS(ioctl), 1, {TCGETS, TIOCGWINSZ});
  // The kernel's directory for its control socket, which it has none of.
  filter.Refuse(EACCES, {SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
                         SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
                         SCMP_SYS(rmdir), SCMP_SYS(getdents64)});
}

void AllowProcesses(FilterTable& filter) {
  filter.Allow({SCMP_SYS(execve),          SCMP_SYS(exit),       SCMP_SYS(exit_group),
                SCMP_SYS(wait4),           SCMP_SYS(kill),       SCMP_SYS(tgkill),
                SCMP_SYS(getpid),          SCMP_SYS(getppid),    SCMP_SYS(gettid),
                SCMP_SYS(getpgrp),         SCMP_SYS(getpgid),    SCMP_SYS(setpgid),
                SCMP_SYS(getrlimit),       SCMP_SYS(setrlimit),  SCMP_SYS(prlimit64),
                SCMP_SYS(uname),           SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address),
                SCMP_SYS(set_robust_list), SCMP_SYS(rseq),       SCMP_SYS(getrandom)});
  // A session of its own would have a full share of the processors.
  filter.Refuse(EPERM, {SCMP_SYS(setsid)});
  // Where the guest's own processes run: the kernel keeps a program on its own processor.
  filter.Allow({SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity)});
  filter.AllowWithout(SCMP_SYS(clone), 0, kNamespaces);
  filter.Refuse(ENOSYS, {SCMP_SYS(clone3)});
  filter.AllowWith(SCMP_SYS(prctl), 0, {PR_SET_PDEATHSIG});
  filter.AllowWith(
      SCMP_SYS(ptrace), 0,
      {PTRACE_TRACEME, PTRACE_SETOPTIONS, PTRACE_CONT, PTRACE_KILL, PTRACE_SYSCALL, PTRACE_SYSEMU,
       PTRACE_SYSEMU_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_GETFPREGS, PTRACE_SETFPREGS,
       PTRACE_GETREGSET, PTRACE_SETREGSET, PTRACE_GETSIGINFO, PTRACE_PEEKUSER, PTRACE_POKEUSER});
}

void AllowEvents(FilterTable& filter) {
  filter.Allow({SCMP_SYS(rt_sigaction),
                SCMP_SYS(rt_sigprocmask),
                SCMP_SYS(rt_sigreturn),
                SCMP_SYS(rt_sigsuspend),
                SCMP_SYS(sigaltstack),
                SCMP_SYS(restart_syscall),
                SCMP_SYS(pause),
                SCMP_SYS(timer_create),
                SCMP_SYS(timer_settime),
                SCMP_SYS(timer_gettime),
                SCMP_SYS(timer_delete),
                SCMP_SYS(clock_gettime),
                SCMP_SYS(clock_nanosleep),
                SCMP_SYS(nanosleep),
                SCMP_SYS(gettimeofday),
                SCMP_SYS(time),
                SCMP_SYS(getcpu),
                SCMP_SYS(epoll_create),
                SCMP_SYS(epoll_create1),
                SCMP_SYS(epoll_ctl),
                SCMP_SYS(epoll_wait),
                SCMP_SYS(epoll_pwait),
                SCMP_SYS(poll),
                SCMP_SYS(ppoll)});
  // Packets of a socket that is connected already. A new one has no peer but itself: in the jail no
  // socket has a name that it could send to.
  filter.Allow({SCMP_SYS(sendmsg), SCMP_SYS(recvmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg)});
  filter.AllowWith(SCMP_SYS(socketpair), 0, {AF_UNIX});
}

}  // namespace

int main() {
  FilterTable filter;
  AllowFilesAndMemory(filter);
  AllowProcesses(filter);
  AllowEvents(filter);
  if (filter.Write(STDOUT_FILENO)) return 0;
  std::fputs("the seccomp filter cannot be made\n", stderr);
  return 1;
}
