// Tries to leave its jail in every way that the test names, and prints the result of each: "WAY
// yes" or "WAY no". Arguments: pairs of a way and its target.

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

bool ConnectTcp(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

bool Take(std::size_t bytes) {
  std::vector<char> memory(bytes, 'x');
  return memory[bytes / 2] == 'x';
}

// So many processes at once.
bool Fork(int count) {
  std::vector<pid_t> children;
  bool all = true;
  while (all && children.size() < static_cast<std::size_t>(count)) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) ::pause();
    }
    all = child > 0;
    if (all) children.push_back(child);
  }
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  return all;
}

// A socket without a place in the file system: kept apart by the network namespace alone.
bool ConnectAbstract(const std::string& name) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(sizeof address.sun_family + 1 + name.size());
  return ::connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0;
}

bool Try(const std::string& way, const std::string& what) {
  if (way == "read") return ::open(what.c_str(), O_RDONLY | O_CLOEXEC) >= 0;
  if (way == "write") return ::open(what.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0;
  if (way == "connect") return ConnectTcp(std::atoi(what.c_str()));
  if (way == "abstract") return ConnectAbstract(what);
  if (way == "signal") return ::kill(std::atoi(what.c_str()), 0) == 0;
  if (way == "memory") return Take(std::strtoull(what.c_str(), nullptr, 10) << 20);
  if (way == "fork") return Fork(std::atoi(what.c_str()));
  if (way == "ptrace")
    return ::ptrace(PTRACE_SEIZE, std::atoi(what.c_str()), nullptr, nullptr) == 0;
  if (way == "root") return ::setuid(0) == 0 || ::geteuid() == 0;
  if (way == "mount") return ::mount("none", "/", "tmpfs", 0, nullptr) == 0;
  // Every way in which the owner of a file may reach it: by a path, or by a descriptor's path.
  if (way == "overwrite") {
    const int fd = ::open(what.c_str(), O_RDONLY | O_CLOEXEC);
    ::fchmod(fd, 0666);
    ::chmod(what.c_str(), 0666);
    const std::string again = "/proc/self/fd/" + std::to_string(fd);
    for (const std::string& path : {what, again}) {
      const int writable = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
      if (writable >= 0 && ::pwrite(writable, "x", 1, 0) == 1) return true;
      if (::truncate(path.c_str(), 1) == 0) return true;
    }
    return false;
  }
  if (way == "device") return ::mknod(what.c_str(), S_IFBLK | 0600, 0) == 0;
  if (way == "environment") return ::getenv(what.c_str()) != nullptr;
  if (way == "descriptor") return ::fcntl(std::atoi(what.c_str()), F_GETFD) >= 0;
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    std::printf("%s %s\n", argv[i], Try(argv[i], argv[i + 1]) ? "yes" : "no");
  }
  return 0;
}
