#include "agent/boot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "agent/console.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "wire/files.h"

namespace pyro::agent {
namespace {

constexpr const char* kModuleDirectory = "/modules";
constexpr const char* kPortDirectory = "/sys/class/virtio-ports";
constexpr std::string_view kPortName = "pyro.0";
constexpr const char* kUsermodePort = "/dev/hostport";
constexpr std::chrono::seconds kDeviceWait(20);

// Sorted; empty when there is no such directory. readdir rather than std::filesystem, which would
// double what the program carries.
std::vector<std::string> List(const char* directory) {
  std::vector<std::string> names;
  DIR* const handle = ::opendir(directory);
  if (handle == nullptr) return names;
  while (const dirent* entry = ::readdir(handle)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  ::closedir(handle);
  std::sort(names.begin(), names.end());
  return names;
}

void LoadModule(const std::string& path) {
  const sys::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() || ::syscall(SYS_finit_module, file.get(), "", 0) != 0) {
    if (errno != EEXIST) ConsoleLine(sys::ErrnoError(errno, "load", path).message);
  }
}

// A line of modules.devname, such as "tun net/tun c10:200".
void MakeModuleNode(std::string_view line) {
  const auto words = Split(line, ' ');
  if (words.size() != 3 || words[2].empty()) return;  // A comment.
  const auto numbers = Split(words[2].substr(1), ':');
  const auto device_major = ParseInt(numbers.front());
  const auto device_minor = ParseInt(numbers.back());
  if (!device_major || !device_minor) return;
  const std::string path = fmt::format("/dev/{}", words[1]);
  ::mkdir(path.substr(0, path.rfind('/')).c_str(), 0755);
  const mode_t type = words[2].front() == 'b' ? S_IFBLK : S_IFCHR;
  ::mknod(path.c_str(), type | 0600,
          ::makedev(static_cast<unsigned>(*device_major), static_cast<unsigned>(*device_minor)));
}

std::string FindPort() {
  if (::access(kUsermodePort, F_OK) == 0) return kUsermodePort;
  for (const std::string& entry : List(kPortDirectory)) {
    const auto name = sys::ReadFile(fmt::format("{}/{}/name", kPortDirectory, entry), 256);
    if (name.ok() && TrimSpace(*name) == kPortName) return "/dev/" + entry;
  }
  return {};
}

}  // namespace

Status Mount(const char* source, const char* target, const char* type, unsigned long flags,
             const char* options) {
  ::mkdir(target, 0755);  // If that fails, the mount fails too.
  if (::mount(source, target, type, flags, options) != 0) {
    return sys::ErrnoError(errno, "mount", target);
  }
  return OkStatus();
}

void MakePlace(const char* path) {
  struct stat info {};
  if (::mkdir(path, 0755) == 0 || ::lstat(path, &info) != 0 || S_ISDIR(info.st_mode)) return;
  ::unlink(path);
  ::mkdir(path, 0755);
}

Status MountKernelFileSystems() {
  PYRO_RETURN_IF_ERROR(Mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755"));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd console,
                        sys::OpenFile("/dev/console", O_RDWR | O_NOCTTY));
  for (int fd = 0; fd <= 2; ++fd) {
    if (::dup2(console.get(), fd) < 0) return sys::ErrnoError(errno, "open the console");
  }
  PYRO_RETURN_IF_ERROR(Mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr));
  return Mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
}

void LoadModules() {
  for (const std::string& name : List(kModuleDirectory)) {
    if (name.ends_with(".ko")) LoadModule(fmt::format("{}/{}", kModuleDirectory, name));
  }
}

Result<sys::UniqueFd> OpenHostPort(DeviceWatch& devices) {
  std::string path;
  const auto found = [&path] {
    path = FindPort();
    return !path.empty() && ::access(path.c_str(), F_OK) == 0;
  };
  if (!devices.Until(found, Deadline::After(kDeviceWait))) {
    return MakeError(ErrorCode::kNotFound, fmt::format("there is no port '{}'", kPortName),
                     "are the modules virtio_mmio and virtio_console loaded?");
  }
  return sys::OpenFile(path, O_RDWR | O_NONBLOCK);
}

const char* DiskPath(GuestDisk disk) {
  const bool base = disk == GuestDisk::kBase;
  if (::access("/dev/ubda", F_OK) == 0) return base ? "/dev/ubda" : "/dev/ubdb";
  return base ? "/dev/vda" : "/dev/vdb";
}

namespace {

constexpr int kMaxLayers = 13;
constexpr const char* kFilledDirectory = "/filled";

// The disks that lie on the base: the host says how many. 0 in the guests of the catalog.
int LayerCount() {
  const char* const word = ::getenv("pyro_layers");
  const auto count = ParseInt(word == nullptr ? "0" : word);
  return count && *count > 0 && *count <= kMaxLayers ? static_cast<int>(*count) : 0;
}

std::string LayerDisk(int layer) {
  const std::string first = DiskPath(GuestDisk::kBase);
  return first.substr(0, first.size() - 1) + static_cast<char>('b' + layer);
}

std::string LayerDirectory(int layer) { return fmt::format("{}/{}", kLayersDirectory, layer); }

// One that a guest has filled: that guest's own files lie beside the image's tree.
Status MountFilledDisk(const char* disk, const char* directory) {
  PYRO_RETURN_IF_ERROR(Mount(disk, kFilledDirectory, "ext4", MS_RDONLY, nullptr));
  const std::string tree = fmt::format("{}/{}", kFilledDirectory, wire::kImageTree);
  return Mount(tree.c_str(), directory, nullptr, MS_BIND, nullptr);
}

Status MountDisk(const char* disk, const char* directory) {
  Status status = Mount(disk, directory, "erofs", MS_RDONLY, nullptr);
  // Not of that type.
  if (!status && status.error().sys_errno == EINVAL) status = MountFilledDisk(disk, directory);
  return status;
}

}  // namespace

std::string LowerOptions() {
  const int layers = LayerCount();
  if (layers == 0) return fmt::format("lowerdir={}", kBaseDirectory);
  std::string options = "userxattr,lowerdir=";
  for (int layer = layers; layer > 0; --layer) options += LayerDirectory(layer) + ":";
  return options + LayerDirectory(0);
}

Status MountBase(DeviceWatch& devices) {
  const int layers = LayerCount();
  const std::string base = DiskPath(GuestDisk::kBase);
  const std::string last = layers == 0 ? base : LayerDisk(layers);
  const auto found = [&] {
    return ::access(base.c_str(), F_OK) == 0 && ::access(last.c_str(), F_OK) == 0;
  };
  if (!devices.Until(found, Deadline::After(kDeviceWait))) {
    return MakeError(ErrorCode::kNotFound, fmt::format("there is no disk '{}'", last),
                     "are the modules virtio_mmio and virtio_blk loaded?");
  }
  if (layers == 0) return MountDisk(base.c_str(), kBaseDirectory);
  ::mkdir(kLayersDirectory, 0755);
  PYRO_RETURN_IF_ERROR(MountDisk(base.c_str(), LayerDirectory(0).c_str()));
  for (int layer = 1; layer <= layers; ++layer) {
    PYRO_RETURN_IF_ERROR(MountDisk(LayerDisk(layer).c_str(), LayerDirectory(layer).c_str()));
  }
  return Mount("overlay", kBaseDirectory, "overlay", MS_RDONLY, LowerOptions().c_str());
}

void MakeModuleNodes() {
  const auto names = sys::ReadFile(
      fmt::format("{}/usr/lib/modules/{}/modules.devname", kBaseDirectory, sys::KernelRelease()),
      std::size_t{64} << 10);
  if (!names) return;
  for (const std::string_view line : Split(*names, '\n')) MakeModuleNode(line);
  // As udev has it: for all users, also where the driver is built in, as fuse is in Debian 13. The
  // kernel asks for rights when they are used.
  for (const char* path : {"/dev/fuse", "/dev/net/tun"}) ::chmod(path, 0666);
}

Status AwaitDataDisk(std::int64_t bytes, DeviceWatch& devices) {
  const std::string path = fmt::format("/sys/class/block/{}/size",
                                       std::string_view(DiskPath(GuestDisk::kData)).substr(5));
  const std::string sectors = fmt::format("{}\n", bytes / 512);
  const auto known = [&] { return sys::ReadFile(path, 64).value_or("") == sectors; };
  return devices.Until(known, Deadline::After(kDeviceWait));
}

}  // namespace pyro::agent
