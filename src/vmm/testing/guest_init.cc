// The program that the tests' guests run as PID 1: loads the modules of /modules in the order of
// their names, then obeys one word a line on the channel to the host.
//
//   echo TEXT    answers TEXT
//   print TEXT   writes TEXT to the console
//   disks        answers "vda ro 123 vdb rw 456", sizes in sectors
//   devices      answers the names in /sys/class/net
//   spoil        answers "refused" when vda cannot be opened for writing, else "written"
//   off, reset   ends the machine

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
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
    if (!disk.starts_with("vd")) continue;
    const std::string base = "/sys/block/" + disk;
    answer += (answer.empty() ? "" : " ") + disk;
    answer += ReadLine(base + "/ro") == "1" ? " ro " : " rw ";
    answer += ReadLine(base + "/size");
  }
  return answer;
}

std::string Obey(const std::string& line) {
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
  if (line == "spoil") {
    const int fd = ::open("/dev/vda", O_WRONLY | O_CLOEXEC);
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
      ::usleep(1000);  // Nobody has the other end.
    } else if (c == '\n') {
      Say(channel, Obey(line));
      line.clear();
    } else {
      line.push_back(c);
    }
  }
}
