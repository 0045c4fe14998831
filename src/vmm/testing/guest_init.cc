// The program that the tests' guests run as PID 1: loads the modules of /modules in the order of
// their names, then obeys one word a line on the channel to the host.
//
//   echo TEXT    answers TEXT
//   print TEXT   writes TEXT to the console
//   disks        answers "vda ro 123 vdb rw 456", sizes in sectors
//   devices      answers the names in /sys/class/net
//   compute      starts a process that computes for ever, and answers its name
//   spoil        answers "refused" when vda cannot be opened for writing, else "written"
//   net          sets eth0 up as pyro's guests have it: 10.0.2.15/24, gateway 10.0.2.2
//   fetch A P    answers the first line that TCP port P of address A says, or "none"
//   fill         writes 4 MiB to vdb and answers "full" if that fails, else "filled"
//   off, reset   ends the machine

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

std::vector<std::string> List(const char* directory) {
  std::vector<std::string> names;
  DIR* dir = ::opendir(directory);
  if (dir == nullptr) return names;
  while (const dirent* entry = ::readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  return names;
}

std::string ReadLine(const std::string& path) {
  char text[256] = {};
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "?";
  const ssize_t count = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  std::string line(text, count > 0 ? static_cast<std::size_t>(count) : 0);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

void Prepare() {
  ::mount("dev", "/dev", "devtmpfs", 0, nullptr);
  ::mkdir("/proc", 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mkdir("/sys", 0755);
  ::mount("sys", "/sys", "sysfs", 0, nullptr);
  for (const std::string& name : List("/modules")) {
    const int fd = ::open(("/modules/" + name).c_str(), O_RDONLY | O_CLOEXEC);
    if (::syscall(SYS_finit_module, fd, "", 0) != 0) std::perror(name.c_str());
    ::close(fd);
  }
}

int OpenChannel() {
  while (true) {
    const int usermode = ::open("/dev/hostport", O_RDWR | O_CLOEXEC);
    if (usermode >= 0) return usermode;
    for (const std::string& port : List("/sys/class/virtio-ports")) {
      if (ReadLine("/sys/class/virtio-ports/" + port + "/name") != "pyro.0") continue;
      const int fd = ::open(("/dev/" + port).c_str(), O_RDWR | O_CLOEXEC);
      if (fd >= 0) return fd;
    }
    ::usleep(1000);
  }
}

std::string Disks() {
  std::string answer;
  for (const std::string& disk : List("/sys/block")) {
    if (!disk.starts_with("vd") && !disk.starts_with("ubd")) continue;
    const std::string base = "/sys/block/" + disk;
    answer += (answer.empty() ? "" : " ") + disk;
    answer += ReadLine(base + "/ro") == "1" ? " ro " : " rw ";
    answer += ReadLine(base + "/size");
  }
  return answer;
}

sockaddr_in Address(const char* text, int port = 0) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, text, &address.sin_addr);
  return address;
}

std::string SetUpNetwork() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  std::strcpy(request.ifr_name, ::access("/sys/class/net/vec0", F_OK) == 0 ? "vec0" : "eth0");
  const auto set = [&](unsigned long what, const char* text) {
    const sockaddr_in address = Address(text);
    std::memcpy(&request.ifr_addr, &address, sizeof address);
    return ::ioctl(fd, what, &request) == 0;
  };
  bool ok = set(SIOCSIFADDR, "10.0.2.15") && set(SIOCSIFNETMASK, "255.255.255.0");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  ok = ok && ::ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  rtentry route = {};
  const sockaddr_in any = Address("0.0.0.0");
  const sockaddr_in gateway = Address("10.0.2.2");
  std::memcpy(&route.rt_dst, &any, sizeof any);
  std::memcpy(&route.rt_genmask, &any, sizeof any);
  std::memcpy(&route.rt_gateway, &gateway, sizeof gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  ok = ok && ::ioctl(fd, SIOCADDRT, &route) == 0;
  ::close(fd);
  return ok ? "up" : "failed";
}

std::string Fetch(const std::string& where) {
  const std::size_t space = where.find(' ');
  const sockaddr_in address =
      Address(where.substr(0, space).c_str(), std::atoi(where.c_str() + space + 1));
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit = {.tv_sec = 5, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  char text[256] = {};
  std::string answer = "none";
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::read(fd, text, sizeof text - 1) > 0) {
    answer = text;
    answer = answer.substr(0, answer.find('\n'));
  }
  ::close(fd);
  return answer;
}

int OpenDisk(const std::string& letter) {
  const int fd = ::open(("/dev/vd" + letter).c_str(), O_WRONLY | O_CLOEXEC);
  return fd >= 0 ? fd : ::open(("/dev/ubd" + letter).c_str(), O_WRONLY | O_CLOEXEC);
}

std::string Fill() {
  const int fd = OpenDisk("b");
  const std::string block(64 * 1024, 'x');
  bool ok = fd >= 0;
  for (int i = 0; ok && i < 64; ++i) ok = ::write(fd, block.data(), block.size()) > 0;
  ok = ok && ::fsync(fd) == 0;
  ::close(fd);
  return ok ? "filled" : "full";
}

std::string Obey(const std::string& line) {
  static std::string kept;
  if (line.starts_with("keep ")) return kept = line.substr(5);
  if (line == "kept") return kept;
  if (line.starts_with("echo ")) return line.substr(5);
  if (line.starts_with("print ")) {
    std::printf("%s\n", line.substr(6).c_str());
    std::fflush(stdout);
    return "printed";
  }
  if (line == "disks") return Disks();
  if (line == "devices") {
    std::string answer;
    for (const std::string& name : List("/sys/class/net")) answer += name + " ";
    return answer;
  }
  if (line == "fill") return Fill();
  if (line == "compute") {
    if (::fork() == 0) {
      for (;;) asm volatile("" ::: "memory");
    }
    return "computing";
  }
  if (line == "net") return SetUpNetwork();
  if (line.starts_with("fetch ")) return Fetch(line.substr(6));
  if (line == "spoil") {
    const int fd = OpenDisk("a");
    if (fd < 0) return "refused";
    const char zeros[4096] = {};
    const bool written = ::write(fd, zeros, sizeof zeros) > 0 && ::fsync(fd) == 0;
    ::close(fd);
    return written ? "written" : "refused";
  }
  if (line == "off") ::reboot(RB_POWER_OFF);
  if (line == "reset") ::reboot(RB_AUTOBOOT);
  return "what?";
}

void Say(int fd, const std::string& line) {
  const std::string text = line + "\n";
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count > 0) done += static_cast<std::size_t>(count);
  }
}

}  // namespace

int main() {
  Prepare();
  const int channel = OpenChannel();
  Say(channel, "ready");
  std::string line;
  while (true) {
    char c = 0;
    if (::read(channel, &c, 1) != 1) {
      ::usleep(1000);  // No process has the other end.
    } else if (c == '\n') {
      Say(channel, Obey(line));
      line.clear();
    } else {
      line.push_back(c);
    }
  }
}
