#include "ways.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cerrno>
#include <string>
#include <vector>

namespace pyro::escapes {
namespace {

using Process = Takeover;

template <typename Value>
std::string BytesOf(const Value& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

bool Opens(Process& process, const std::string& path, int flags, int mode = 0) {
  return process.Call(SYS_openat, AT_FDCWD, process.PutText(path), flags | O_CLOEXEC, mode) >= 0;
}

long Socket(Process& process, int family, int type, int protocol = 0) {
  return process.Call(SYS_socket, family, type | SOCK_CLOEXEC, protocol);
}

bool Connects(Process& process, int family, int type, const std::string& address) {
  const long fd = Socket(process, family, type);
  return fd >= 0 && process.Call(SYS_connect, fd, process.Put(address), address.size()) == 0;
}

std::string UnixAddress(const std::string& path) {
  std::string bytes = BytesOf(static_cast<sa_family_t>(AF_UNIX));
  return bytes + path;
}

std::string Loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return BytesOf(address);
}

bool Forks(Process& process, std::uint64_t flags) {
  const long child = process.Call(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
  if (child > 0) ::kill(static_cast<pid_t>(child), SIGKILL);
  return child > 0;
}

bool Runs(Process& process, const char* program) {
  const std::uint64_t path = process.PutText(program);
  const std::uint64_t words[] = {path, 0};
  const std::uint64_t argv = process.Put(BytesOf(words));
  const long answer = process.Call(SYS_execve, path, argv, 0);
  return answer == 0 || process.exit_code() == 0;
}

bool RunsFromMemory(Process& process) {
  const long program = process.Call(SYS_memfd_create, process.PutText("x"), 0);
  if (program < 0) return false;
  const std::string script = "#!/bin/true\n";
  if (process.Call(SYS_write, program, process.Put(script), script.size()) < 0) return false;
  const std::uint64_t empty = process.PutText("");
  const std::uint64_t words[] = {empty, 0};
  const long answer =
      process.Call(SYS_execveat, program, empty, process.Put(BytesOf(words)), 0, AT_EMPTY_PATH);
  return answer == 0 || process.exit_code() == 0;
}

constexpr Way kFileWays[] = {
    {"read-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) { return Opens(p, s.secret, O_RDONLY); }},
    {"read-a-file-of-a-task", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) { return Opens(p, s.task_file, O_RDONLY); }},
    {"write-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) { return Opens(p, s.secret, O_WRONLY); }},
    {"make-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Opens(p, s.directory + "/new", O_WRONLY | O_CREAT, 0600);
     }},
    {"list-a-directory", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Opens(p, s.directory, O_RDONLY | O_DIRECTORY);
     }},
    {"make-a-directory", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_mkdir, p.PutText(s.directory + "/made"), 0700) == 0;
     }},
    {"link-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_symlink, p.PutText(s.secret), p.PutText(s.directory + "/link")) == 0;
     }},
    {"rename-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_rename, p.PutText(s.task_file), p.PutText(s.task_file)) == 0;
     }},
    {"truncate-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_truncate, p.PutText(s.secret), 6) == 0;
     }},
    {"change-a-mode", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_chmod, p.PutText(s.secret), 0644) == 0;
     }},
    {"read-the-list-of-users", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return Opens(p, "/etc/passwd", O_RDONLY); }},
    {"make-a-device", Needs::kRoot, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_mknod, p.PutText(s.directory + "/device"), S_IFCHR | 0600, 0x103) == 0;
     }},
    {"change-a-setting-of-the-kernel", Needs::kRoot, false,
     [](Process& p, const Surroundings&) {
       return Opens(p, "/proc/sys/kernel/core_pattern", O_WRONLY);
     }},
    {"read-the-variables-of-a-process", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Opens(p, "/proc/" + std::to_string(s.bystander) + "/environ", O_RDONLY);
     }},
    {"watch-a-file", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       const long fd = p.Call(SYS_inotify_init1, 0);
       return fd >= 0 && p.Call(SYS_inotify_add_watch, fd, p.PutText(s.secret), 2) >= 0;
     }},
};

constexpr Way kProgramWays[] = {
    {"run-a-program", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return Runs(p, "/bin/true"); }},
    {"run-a-program-from-memory", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return RunsFromMemory(p); }},
    {"fork", Needs::kNothing, false, [](Process& p, const Surroundings&) { return Forks(p, 0); }},
    {"signal-a-process", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) { return p.Call(SYS_kill, s.bystander, 0) == 0; }},
    {"trace-a-process", Needs::kNothing, true,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_ptrace, PTRACE_SEIZE, s.bystander, 0, 0) == 0;
     }},
    {"read-the-memory-of-a-process", Needs::kNothing, true,
     [](Process& p, const Surroundings& s) {
       // The bystander is a copy of the test: what lies there in the one does in the other.
       static char bytes[16] = "memory";
       const iovec there{bytes, sizeof bytes};
       const std::uint64_t room = p.Put(std::string(16, '\0'));
       const iovec here{reinterpret_cast<void*>(room), 16};  // NOLINT: of the process
       return p.Call(SYS_process_vm_readv, s.bystander, p.Put(BytesOf(here)), 1,
                     p.Put(BytesOf(there)), 1, 0) == 16;
     }},
    {"hold-a-process", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) { return p.Call(SYS_pidfd_open, s.bystander, 0) >= 0; }},
    {"limit-a-process", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_prlimit64, s.bystander, RLIMIT_CORE, 0,
                     p.Put(std::string(sizeof(rlimit), '\0'))) == 0;
     }},
    {"change-a-priority", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return p.Call(SYS_setpriority, PRIO_PROCESS, s.bystander, 19) == 0;
     }},
    {"shared-memory", Needs::kNothing, false,
     [](Process& p, const Surroundings&) {
       const long id = p.Call(SYS_shmget, 0, 4096, 0600 | 01000);
       if (id >= 0) p.Call(SYS_shmctl, id, 0, 0);
       return id >= 0;
     }},
};

constexpr Way kSocketWays[] = {
    {"connect-to-a-socket-with-a-path", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Connects(p, AF_UNIX, SOCK_STREAM, UnixAddress(s.socket + '\0'));
     }},
    {"connect-to-an-abstract-socket", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Connects(p, AF_UNIX, SOCK_STREAM, UnixAddress('\0' + s.abstract));
     }},
    {"connect-to-the-loopback", Needs::kNothing, false,
     [](Process& p, const Surroundings& s) {
       return Connects(p, AF_INET, SOCK_STREAM, Loopback(s.port));
     }},
    {"listen-on-a-port", Needs::kNothing, false,
     [](Process& p, const Surroundings&) {
       const long fd = Socket(p, AF_INET, SOCK_STREAM);
       const std::string any = Loopback(0);
       return fd >= 0 && p.Call(SYS_bind, fd, p.Put(any), any.size()) == 0 &&
              p.Call(SYS_listen, fd, 1) == 0;
     }},
    {"netlink-socket", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return Socket(p, AF_NETLINK, SOCK_RAW) >= 0; }},
    {"raw-socket", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) {
       return Socket(p, AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0;
     }},
    {"packet-socket", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) { return Socket(p, AF_PACKET, SOCK_RAW, htons(3)) >= 0; }},
    {"socket-of-the-kernels-ciphers", Needs::kNothing, true,
     [](Process& p, const Surroundings&) { return Socket(p, AF_ALG, SOCK_SEQPACKET) >= 0; }},
    {"socket-to-a-virtual-machine", Needs::kNothing, true,
     [](Process& p, const Surroundings&) { return Socket(p, AF_VSOCK, SOCK_STREAM) >= 0; }},
};

constexpr Way kNamespaceWays[] = {
    {"user-namespace", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_unshare, CLONE_NEWUSER) == 0; }},
    {"user-namespace-of-a-child", Needs::kNothing, false,
     [](Process& p, const Surroundings&) { return Forks(p, CLONE_NEWUSER); }},
    {"network-namespace", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_unshare, CLONE_NEWNET) == 0; }},
    {"enter-a-namespace", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) {
       const long fd = p.Call(SYS_openat, AT_FDCWD, p.PutText("/proc/self/ns/uts"), O_RDONLY);
       return fd >= 0 && p.Call(SYS_setns, fd, 0) == 0;
     }},
    {"mount", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) {
       const std::uint64_t type = p.PutText("tmpfs");
       return p.Call(SYS_mount, type, p.PutText("/proc"), type, 0, 0) == 0;
     }},
    {"mount-by-descriptors", Needs::kNamespaces, true,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_fsopen, p.PutText("tmpfs"), 0) >= 0;
     }},
    {"copy-a-mount", Needs::kNamespaces, true,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_open_tree, AT_FDCWD, p.PutText("/"), 1) >= 0;
     }},
    {"change-the-root", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_chroot, p.PutText("/")) == 0; }},
    {"change-the-hosts-name", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_sethostname, p.PutText("x"), 1) == 0;
     }},
};

constexpr Way kPrivilegeWays[] = {
    {"become-root", Needs::kNamespaces, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_setuid, 0) == 0; }},
    {"change-groups", Needs::kRoot, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_setgroups, 0, 0) == 0; }},
    {"change-the-personality", Needs::kNothing, false,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */) >= 0;
     }},
    {"read-the-kernels-log", Needs::kRoot, false,
     [](Process& p, const Surroundings&) { return p.Call(SYS_syslog, 10, 0, 0) >= 0; }},
    {"ports-of-devices", Needs::kRoot, true,
     [](Process& p, const Surroundings&) { return p.Call(SYS_ioperm, 0x80, 1, 1) == 0; }},
    {"join-a-keyring", Needs::kNothing, true,
     [](Process& p, const Surroundings&) { return p.Call(SYS_keyctl, 1, 0) > 0; }},
    {"add-a-key", Needs::kNothing, true,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_add_key, p.PutText("user"), p.PutText("x"), p.PutText("x"), 1, -2) > 0;
     }},
    {"bpf", Needs::kRoot, true,
     [](Process& p, const Surroundings&) {
       bpf_attr attr{};
       attr.map_type = BPF_MAP_TYPE_ARRAY;
       attr.key_size = 4;
       attr.value_size = 4;
       attr.max_entries = 1;
       return p.Call(SYS_bpf, BPF_MAP_CREATE, p.Put(BytesOf(attr)), sizeof attr) >= 0;
     }},
    {"perf", Needs::kRoot, true,
     [](Process& p, const Surroundings&) {
       perf_event_attr attr{};
       attr.type = PERF_TYPE_SOFTWARE;
       attr.size = sizeof attr;
       return p.Call(SYS_perf_event_open, p.Put(BytesOf(attr)), 0, -1, -1, 0) >= 0;
     }},
    {"io-uring", Needs::kNothing, true,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_io_uring_setup, 1, p.Put(BytesOf(io_uring_params{}))) >= 0;
     }},
    {"userfaultfd", Needs::kRoot, true,
     [](Process& p, const Surroundings&) { return p.Call(SYS_userfaultfd, 0) >= 0; }},
    {"local-descriptor-table", Needs::kNothing, true,
     [](Process& p, const Surroundings&) {
       return p.Call(SYS_modify_ldt, 0, p.Put(std::string(16, '\0')), 16) >= 0;
     }},
};

// The kernel of a guest and the translator of QEMU make code.
constexpr Way kCodeWays[] = {
    {"make-code", Needs::kNothing, false,
     [](Process& p, const Surroundings&) {
       const long at = p.Call(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       return at > 0;
     }},
};

std::vector<Way> AllWays() {
  std::vector<Way> all;
  const auto add = [&all](std::span<const Way> ways) {
    all.insert(all.end(), ways.begin(), ways.end());
  };
  add(kFileWays);
  add(kProgramWays);
  add(kSocketWays);
  add(kNamespaceWays);
  add(kPrivilegeWays);
  add(kCodeWays);
  return all;
}

}  // namespace

std::span<const Way> Ways() {
  static const std::vector<Way> kAll = AllWays();
  return kAll;
}

}  // namespace pyro::escapes
