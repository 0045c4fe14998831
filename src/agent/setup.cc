#include "agent/setup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "agent/boot.h"
#include "agent/change_log.h"
#include "agent/console.h"
#include "agent/data_disk.h"
#include "agent/device_watch.h"
#include "agent/file_systems.h"
#include "agent/network.h"
#include "agent/users.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/random.h"

namespace pyro::agent {
namespace {

// Two guests that woke from one frozen state draw different numbers only from here on.
Status MixEntropy(const wire::GuestSetup& setup) {
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd pool, sys::OpenFile("/dev/urandom", O_RDWR));
  const auto bytes = setup.entropy.size();
  std::vector<int> request(2 + (bytes + sizeof(int) - 1) / sizeof(int));  // A rand_pool_info.
  request[0] = static_cast<int>(bytes * 8);
  request[1] = static_cast<int>(bytes);
  std::memcpy(&request[2], setup.entropy.data(), bytes);
  if (::ioctl(pool.get(), RNDADDENTROPY, request.data()) != 0) {
    return sys::ErrnoError(errno, "add entropy");
  }
  // PID 1 gets no EPERM. ENODATA: the pool is not ready, and reseeds by itself.
  if (::ioctl(pool.get(), RNDRESEEDCRNG) != 0 && errno != ENODATA) {
    return sys::ErrnoError(errno, "reseed the random number generator");
  }
  return OkStatus();
}

// A file that keeps some room on the data disk for the next start: without any, the kernel mounts
// an overlay read-only, and a disk that a command has filled could never be freed again.
constexpr char kReserve[] = "reserve";
constexpr off_t kReserveBytes = 4 << 20;
constexpr off_t kReserveStep = 64 << 10;

void FreeReserve() {
  const std::string path = fmt::format("{}/{}", kDataDirectory, kReserve);
  // Its blocks can be used once that is written.
  if (::unlink(path.c_str()) == 0) ::sync();
}

// As much of it as the disk has room for; a disk that is full already does no harm now.
void KeepReserve(const sys::UniqueFd& data) {
  const sys::UniqueFd file(
      ::openat(data.get(), kReserve, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return;
  for (off_t bytes = kReserveBytes; bytes > 0; bytes -= kReserveStep) {
    if (::fallocate(file.get(), 0, 0, bytes) == 0) return;
  }
}

// Directories of the data disk that the guest sees without the overlay on its root. The kernel
// takes no overlay as the upper layer of another, and containers are made of those.
struct DiskPlace {
  const char* name;    // On the data disk.
  const char* target;  // In the guest's root.
};
constexpr DiskPlace kWorkspace = {"workspace", "/workspace"};
constexpr const char* kDataWorkspace = "/data/workspace";  // The same, before the root is entered.
constexpr DiskPlace kContainers[] = {{"containers", "/var/lib/containers"},
                                     {"containerd", "/var/lib/containerd"},
                                     {"docker", "/var/lib/docker"}};

// Whether the environment has the directory. An older one lacks it, and what a command has put
// there is in the overlay: a mount would hide it from the next start on.
bool BaseHas(const DiskPlace& place) {
  struct stat info {};
  return ::lstat(fmt::format("{}{}", kBaseDirectory, place.target).c_str(), &info) == 0 &&
         S_ISDIR(info.st_mode);
}

// Whether the environment has files in the directory, which a mount would hide.
bool BaseFills(const DiskPlace& place) {
  if (!BaseHas(place)) return false;
  DIR* const handle = ::opendir(fmt::format("{}{}", kBaseDirectory, place.target).c_str());
  if (handle == nullptr) return false;
  int entries = 0;  // Beside "." and "..".
  for (int seen = 0; entries == 0 && ::readdir(handle) != nullptr; ++seen) entries = seen > 1;
  ::closedir(handle);
  return entries != 0;
}

Result<sys::UniqueFd> OpenPlace(const DiskPlace& place) {
  const std::string path = fmt::format("{}/{}", kDataDirectory, place.name);
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
    return sys::ErrnoError(errno, "make", path);
  }
  sys::UniqueFd tree(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return sys::ErrnoError(errno, "open_tree", path);
  return tree;
}

Status MountPlace(const sys::UniqueFd& tree, const DiskPlace& place) {
  if (::move_mount(tree.get(), "", AT_FDCWD, place.target, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return sys::ErrnoError(errno, "mount", place.target);
  }
  return OkStatus();
}

Status MountData() {
  PYRO_RETURN_IF_ERROR(
      Mount(DiskPath(GuestDisk::kData), kDataDirectory, "ext4", MS_NOATIME, kDataDiskOptions));
  FreeReserve();
  for (const char* name : {"upper", "work"}) {
    const std::string path = fmt::format("{}/{}", kDataDirectory, name);
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return sys::ErrnoError(errno, "make", path);
    }
  }
  return OkStatus();
}

}  // namespace

// Ends with the overlay as the root directory of this process and of all that it will start.
Status GuestRoot::EnterRoot() {
  const std::string options = fmt::format("{},upperdir={}/upper,workdir={}/work", LowerOptions(),
                                          kDataDirectory, kDataDirectory);
  PYRO_RETURN_IF_ERROR(Mount("overlay", kNewRoot, "overlay", 0, options.c_str()));
  const bool fills = BaseFills(kWorkspace);
  struct stat used {};
  new_workspace_ = !fills && ::stat(kDataWorkspace, &used) != 0;
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd workspace, OpenPlace(kWorkspace));
  std::vector<std::pair<DiskPlace, sys::UniqueFd>> containers;
  for (const DiskPlace& place : kContainers) {
    if (!BaseHas(place)) continue;
    // Without it, as on a full disk, the guest starts too.
    if (auto tree = OpenPlace(place)) containers.emplace_back(place, std::move(*tree));
  }
  if (::chdir(kNewRoot) != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 ||
      ::chroot(".") != 0 || ::chdir("/") != 0) {
    return sys::ErrnoError(errno, "enter", kNewRoot);
  }
  // From here on a symbolic link of the image leads nowhere but into the image.
  if (!fills) {
    MakePlace(kWorkspace.target);
    PYRO_RETURN_IF_ERROR(MountPlace(workspace, kWorkspace));
  }
  for (const auto& [place, tree] : containers) {
    (void)MountPlace(tree, place);  // A command may have replaced the directory.
  }
  return OkStatus();
}

namespace {

// Replaces the file; a symbolic link in its place, to a daemon's file under /run, is removed.
Status WriteText(const char* path, std::string_view text) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW;
  auto file = sys::OpenFile(path, kFlags, 0644);
  if (!file && file.error().sys_errno == ELOOP) {
    ::unlink(path);
    file = sys::OpenFile(path, kFlags, 0644);
  }
  if (!file) return std::move(file).error();
  return sys::WriteAll(file->get(), text);
}

Status WriteIdentity(const wire::GuestSetup& setup) {
  ::mkdir("/etc", 0755);
  if (::sethostname(setup.hostname.data(), setup.hostname.size()) != 0) {
    return sys::ErrnoError(errno, "sethostname");
  }
  PYRO_RETURN_IF_ERROR(WriteText("/etc/hostname", setup.hostname + "\n"));
  // A file of the guest's user there stays.
  std::string hosts = sys::ReadFile("/etc/hosts", 1 << 20).value_or("127.0.0.1\tlocalhost\n");
  const std::string line = fmt::format("127.0.1.1\t{}\n", setup.hostname);
  if (hosts.find(line) == std::string::npos) {
    if (!hosts.empty() && hosts.back() != '\n') hosts += '\n';
    PYRO_RETURN_IF_ERROR(WriteText("/etc/hosts", hosts + line));
  }
  std::string machine_id;
  for (const std::uint8_t byte : sys::RandomBits()) machine_id += fmt::format("{:02x}", byte);
  return WriteText("/etc/machine-id", machine_id + "\n");
}

// Without a name and an address git commits nothing. A file that is there stays: an image may have
// one, and the user of a kept guest may have written it. A user's or repository's own settings and
// the environment count for more than this file.
Status WriteGitIdentity() {
  constexpr std::string_view kText = "[user]\n\tname = pyro\n\temail = pyro@localhost\n";
  const auto file = sys::OpenFile("/etc/gitconfig", O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (file) return sys::WriteAll(file->get(), kText);
  return file.error().sys_errno == EEXIST ? OkStatus() : Status(file.error());
}

Status SetUpNetwork(const wire::GuestSetup& setup) {
  if (!setup.network) return OkStatus();
  PYRO_RETURN_IF_ERROR(ConfigureNetwork(*setup.network));
  return WriteText("/etc/resolv.conf", fmt::format("nameserver {}\n", setup.network->dns));
}

// A user that the image does not have is told by the first command.
void OwnWorkspace(const std::string& user) {
  const auto found = FindUser(user);
  if (!found || ::chown(kWorkspace.target, found->ids.uid, found->ids.gid) != 0) {
    ConsoleLine("the workspace stays root's");
  }
}

Status Named(const char* step, Status status) {
  if (status) return status;
  Error error = std::move(status).error();
  error.message = fmt::format("{}: {}", step, error.message);
  return error;
}

}  // namespace

Status GuestRoot::Enter() {
  if (data_.valid()) return OkStatus();
  PYRO_RETURN_IF_ERROR(Named("data disk", MountData()));
  PYRO_ASSIGN_OR_RETURN(data_, sys::OpenFile(kDataDirectory, O_PATH | O_DIRECTORY));
  PYRO_RETURN_IF_ERROR(Named("root", EnterRoot()));
  PYRO_RETURN_IF_ERROR(Named("file systems", PlaceFileSystems(file_systems_)));
  if (::mkdir("/tmp", 01777) == 0) ::chmod("/tmp", 01777);
  return OkStatus();
}

Status SetUpGuest(const wire::GuestSetup& setup, DeviceWatch& devices, GuestClock& clock,
                  GuestRoot& root) {
  PYRO_RETURN_IF_ERROR(Named("clock", clock.Set(setup.wall_clock_ns)));
  PYRO_RETURN_IF_ERROR(Named("entropy", MixEntropy(setup)));
  if (setup.data_disk_bytes != 0) {
    PYRO_RETURN_IF_ERROR(Named("data disk", AwaitDataDisk(setup.data_disk_bytes, devices)));
  }
  PYRO_RETURN_IF_ERROR(root.Enter());
  RecoverChangesOfDead(root.data().get());
  if (root.TakeNewWorkspace() && !setup.workspace_user.empty()) {
    OwnWorkspace(setup.workspace_user);
  }
  PYRO_RETURN_IF_ERROR(Named("identity", WriteIdentity(setup)));
  PYRO_RETURN_IF_ERROR(Named("git identity", WriteGitIdentity()));
  PYRO_RETURN_IF_ERROR(Named("network", SetUpNetwork(setup)));
  KeepReserve(root.data());
  return OkStatus();
}

}  // namespace pyro::agent
