// Writes the seccomp filter of one of pyro's own programs in a jail to standard output: see
// ../confine.h. Runs at build time.
//
// A filter holds once its program is set up and before it reads a byte from outside. So the tables
// have what the program's loop needs, and nothing of its start. What a library asks for in rare
// cases, and goes on without, is refused; any other call ends the process.

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "jail/filters/filter_table.h"

namespace {

using pyro::jail::FilterTable;

// The rest are flags, such as SOCK_CLOEXEC.
constexpr std::uint64_t kSocketType = 0xf;
// What glibc makes a thread with; a process has other flags.
constexpr std::uint64_t kThread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM |
                                  CLONE_SIGHAND | CLONE_THREAD | CLONE_SETTLS |
                                  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

constexpr scmp_arg_cmp Equals(unsigned argument, std::uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
constexpr scmp_arg_cmp IsType(std::uint64_t type) {
  return {1, SCMP_CMP_MASKED_EQ, kSocketType, type};
}

void AllowMemoryAndTime(FilterTable& filter) {
  filter.Allow({SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise)});
  // No code comes into being.
  filter.AllowWithout(SCMP_SYS(mmap), 2, PROT_EXEC);
  filter.AllowWithout(SCMP_SYS(mprotect), 2, PROT_EXEC);
  filter.Allow({SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
                SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getcpu),
                SCMP_SYS(getrandom), SCMP_SYS(restart_syscall), SCMP_SYS(futex),
                SCMP_SYS(sched_yield), SCMP_SYS(rseq)});
}

void AllowOwnProcess(FilterTable& filter) {
  filter.Allow({SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(rt_sigaction),
                SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(getpid),
                SCMP_SYS(gettid), SCMP_SYS(tgkill), SCMP_SYS(getuid), SCMP_SYS(geteuid),
                SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname)});
  filter.Refuse(EPERM, {SCMP_SYS(prctl), SCMP_SYS(prlimit64), SCMP_SYS(getrlimit),
                        SCMP_SYS(sysinfo), SCMP_SYS(sched_getaffinity)});
}

void AllowDescriptors(FilterTable& filter) {
  filter.Allow({SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
                SCMP_SYS(fstat), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(recvfrom),
                SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(getsockopt),
                SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(shutdown)});
  filter.AllowWith(SCMP_SYS(fcntl), 1, {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC});
  filter.AllowWith(SCMP_SYS(ioctl), 1, {FIONBIO, FIONREAD});
  filter.RefuseIf(ENOTTY, SCMP_SYS(ioctl), {Equals(1, TCGETS)});
}

// Files that a library looks for, which the jail has none of.
void RefuseFiles(FilterTable& filter) {
  filter.Refuse(EACCES, {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(newfstatat),
                         SCMP_SYS(statx), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
                         SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2)});
}

// Those with an address of their own or of another place of this host.
void RefuseLocalSockets(FilterTable& filter) {
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_NETLINK)});
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_INET), IsType(SOCK_RAW)});
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_INET6), IsType(SOCK_RAW)});
}

// For connections that the host's network carries.
void AllowInternetSockets(FilterTable& filter) {
  for (const std::uint64_t family : {AF_INET, AF_INET6}) {
    filter.AllowIf(SCMP_SYS(socket), {Equals(0, family), IsType(SOCK_STREAM)});
    filter.AllowIf(SCMP_SYS(socket), {Equals(0, family), IsType(SOCK_DGRAM)});
  }
  filter.Allow({SCMP_SYS(connect), SCMP_SYS(bind)});
}

void AllowSocketOptions(FilterTable& filter) {
  constexpr std::pair<int, int> kOptions[] = {{SOL_SOCKET, SO_REUSEADDR},
                                              {SOL_SOCKET, SO_KEEPALIVE},
                                              {SOL_SOCKET, SO_OOBINLINE},
                                              {SOL_SOCKET, SO_LINGER},
                                              {SOL_SOCKET, SO_SNDBUF},
                                              {SOL_SOCKET, SO_RCVBUF},
                                              {SOL_SOCKET, SO_BROADCAST},
                                              {IPPROTO_TCP, TCP_NODELAY},
                                              {IPPROTO_TCP, TCP_KEEPIDLE},
                                              {IPPROTO_TCP, TCP_KEEPINTVL},
                                              {IPPROTO_TCP, TCP_KEEPCNT},
                                              {IPPROTO_TCP, TCP_USER_TIMEOUT},
                                              {IPPROTO_IP, IP_TOS},
                                              {IPPROTO_IP, IP_TTL},
                                              {IPPROTO_IP, IP_RECVERR},
                                              {IPPROTO_IP, IP_MTU_DISCOVER},
                                              {IPPROTO_IPV6, IPV6_V6ONLY},
                                              {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
                                              {IPPROTO_IPV6, IPV6_RECVERR},
                                              {IPPROTO_IPV6, IPV6_TCLASS},
                                              {IPPROTO_IPV6, IPV6_MTU_DISCOVER}};
  for (const auto& [level, name] : kOptions) {
    filter.AllowIf(SCMP_SYS(setsockopt), {Equals(1, static_cast<std::uint64_t>(level)),
                                          Equals(2, static_cast<std::uint64_t>(name))});
  }
}

// The connections of served hosts, from the gate to its own listener.
void AllowServed(FilterTable& filter) {
  filter.AllowIf(SCMP_SYS(socket), {Equals(0, AF_UNIX), IsType(SOCK_STREAM)});
  filter.Allow({SCMP_SYS(accept4)});
}

void Relay(FilterTable& filter, bool served) {
  RefuseFiles(filter);
  if (!served) return;
  AllowServed(filter);
  AllowSocketOptions(filter);
  filter.Allow({SCMP_SYS(connect)});
}

// libslirp reads the addresses of resolvers again and again.
void AllowReadingFiles(FilterTable& filter) {
  constexpr std::uint64_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;
  filter.AllowWithout(SCMP_SYS(open), 1, kWriting);
  filter.AllowWithout(SCMP_SYS(openat), 2, kWriting);
  filter.Allow({SCMP_SYS(stat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(lseek)});
  filter.Refuse(EACCES, {SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(access),
                         SCMP_SYS(faccessat), SCMP_SYS(faccessat2)});
}

void Slirp(FilterTable& filter, bool served) {
  AllowReadingFiles(filter);
  AllowInternetSockets(filter);
  AllowSocketOptions(filter);
  RefuseLocalSockets(filter);
  if (served) {
    AllowServed(filter);
  } else {
    filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_UNIX)});
  }
}

// A loop with timers, and threads that look names up.
void Proxy(FilterTable& filter) {
  AllowInternetSockets(filter);
  AllowSocketOptions(filter);
  RefuseLocalSockets(filter);
  // The C library asks a daemon for names first, where there is one.
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_UNIX)});
  filter.Allow({SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
                SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(eventfd2),
                SCMP_SYS(sendmmsg), SCMP_SYS(set_robust_list)});
  filter.AllowWith(SCMP_SYS(clone), 0, {kThread});
  filter.Refuse(ENOSYS, {SCMP_SYS(clone3)});
}

// The files of the cache, the only directory that this jail can write to.
void Downloads(FilterTable& filter) {
  filter.Allow(
      {SCMP_SYS(open),       SCMP_SYS(openat),          SCMP_SYS(stat),      SCMP_SYS(newfstatat),
       SCMP_SYS(statx),      SCMP_SYS(lseek),           SCMP_SYS(pread64),   SCMP_SYS(pwrite64),
       SCMP_SYS(getdents64), SCMP_SYS(rename),          SCMP_SYS(renameat),  SCMP_SYS(renameat2),
       SCMP_SYS(unlink),     SCMP_SYS(unlinkat),        SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),
       SCMP_SYS(rmdir),      SCMP_SYS(ftruncate),       SCMP_SYS(fallocate), SCMP_SYS(fsync),
       SCMP_SYS(fdatasync),  SCMP_SYS(flock),           SCMP_SYS(utimensat), SCMP_SYS(fadvise64),
       SCMP_SYS(fchmod),     SCMP_SYS(access),          SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
       SCMP_SYS(sendfile),   SCMP_SYS(copy_file_range), SCMP_SYS(fstatfs),   SCMP_SYS(statfs)});
  filter.Refuse(EACCES, {SCMP_SYS(readlink), SCMP_SYS(readlinkat)});
  filter.AllowWith(SCMP_SYS(fcntl), 1, {F_GETLK, F_SETLK, F_OFD_GETLK, F_OFD_SETLK});
}

// In front of the filter of a program that is not ours, which allows more than it needs: QEMU's own
// names what it refuses, and ends a thread alone for some of it. The jail applies this one.
void NeverNeeded(FilterTable& filter) {
  filter.Kill({SCMP_SYS(setns),
               SCMP_SYS(ptrace),
               SCMP_SYS(process_vm_readv),
               SCMP_SYS(process_vm_writev),
               SCMP_SYS(pidfd_getfd),
               SCMP_SYS(kcmp),
               SCMP_SYS(execveat),
               SCMP_SYS(personality),
               SCMP_SYS(modify_ldt),
               SCMP_SYS(iopl),
               SCMP_SYS(ioperm),
               SCMP_SYS(keyctl),
               SCMP_SYS(add_key),
               SCMP_SYS(request_key),
               SCMP_SYS(bpf),
               SCMP_SYS(perf_event_open),
               SCMP_SYS(init_module),
               SCMP_SYS(finit_module),
               SCMP_SYS(delete_module),
               SCMP_SYS(kexec_load),
               SCMP_SYS(kexec_file_load),
               SCMP_SYS(reboot),
               SCMP_SYS(swapon),
               SCMP_SYS(swapoff),
               SCMP_SYS(acct),
               SCMP_SYS(quotactl),
               SCMP_SYS(syslog),
               SCMP_SYS(sethostname),
               SCMP_SYS(setdomainname),
               SCMP_SYS(clock_settime),
               SCMP_SYS(settimeofday),
               SCMP_SYS(adjtimex),
               SCMP_SYS(clock_adjtime),
               SCMP_SYS(shmget),
               SCMP_SYS(msgget),
               SCMP_SYS(semget),
               SCMP_SYS(mq_open),
               SCMP_SYS(fanotify_init),
               SCMP_SYS(open_by_handle_at),
               SCMP_SYS(name_to_handle_at),
               SCMP_SYS(mknod),
               SCMP_SYS(mknodat),
               SCMP_SYS(chroot)});
  filter.Refuse(ENOSYS, {SCMP_SYS(io_uring_setup), SCMP_SYS(userfaultfd)});
}

// Its files, sockets and devices are inherited descriptors.
void Emulator(FilterTable& filter) {
  NeverNeeded(filter);
  filter.Kill({SCMP_SYS(unshare), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
               SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen), SCMP_SYS(fspick),
               SCMP_SYS(mount_setattr), SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind),
               SCMP_SYS(listen)});
}

// passt, which builds a jail of its own and reads the host's routes before.
void Translator(FilterTable& filter) {
  NeverNeeded(filter);
  filter.Kill({SCMP_SYS(listen)});
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_UNIX)});
  filter.RefuseIf(EACCES, SCMP_SYS(socket), {Equals(0, AF_VSOCK)});
}

bool Fill(FilterTable& filter, const char* program) {
  const auto is = [program](const char* name) { return std::strcmp(program, name) == 0; };
  AllowMemoryAndTime(filter);
  AllowOwnProcess(filter);
  AllowDescriptors(filter);
  if (is("relay") || is("served-relay")) {
    Relay(filter, is("served-relay"));
  } else if (is("slirp") || is("served-slirp")) {
    Slirp(filter, is("served-slirp"));
  } else if (is("proxy")) {
    Proxy(filter);
    AllowReadingFiles(filter);
  } else if (is("downloads")) {
    Proxy(filter);
    Downloads(filter);
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const char* program = argc == 2 ? argv[1] : "";
  bool made = false;
  const bool emulator = std::strcmp(program, "emulator") == 0;
  if (emulator || std::strcmp(program, "translator") == 0) {
    FilterTable filter(SCMP_ACT_ALLOW);
    emulator ? Emulator(filter) : Translator(filter);
    made = filter.Write(STDOUT_FILENO);
  } else {
    FilterTable filter;
    made = Fill(filter, program) && filter.Write(STDOUT_FILENO);
  }
  if (made) return 0;
  std::fputs("the seccomp filter cannot be made\n", stderr);
  return 1;
}
