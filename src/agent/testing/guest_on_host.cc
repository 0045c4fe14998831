// pyro-guest-on-host: the guest of a supervisor that tests start on ProcessVmm. The real agent in a
// process of this host, whose commands are plain processes that see this host's programs and a
// /workspace of their own. It bounds nothing and hides nothing: never part of what users run.
//
// What the machine's kernel holds decides how the guest starts: "panic" resets it at once, "silent"
// keeps it from ever greeting.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <semaphore>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "agent/agent.h"
#include "agent/change_log.h"
#include "agent/disk_freeze.h"
#include "agent/file_program.h"
#include "agent/testing/no_trees.h"
#include "agent/tree.h"
#include "base/build_id.h"
#include "base/check.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/random.h"
#include "wire/frame.h"

namespace pyro::agent {
namespace {

namespace fs = std::filesystem;

// As vmm/fake/process_vmm.h has them; the floors of this folder end below it.
constexpr int kChannel = 3;
constexpr int kConsole = 4;
constexpr int kKernel = 5;
constexpr int kDisk = 6;
constexpr int kPoweredOff = 0;
constexpr int kReset = 10;
constexpr int kBroken = 1;

// Without the right to mount: in a user namespace, as its root.
Status TakeMounts() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid == 0) return OkStatus();  // The namespace of mounts came with that of processes.
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return sys::ErrnoError(errno, "unshare");
  const std::pair<const char*, std::string> lines[] = {
      {"/proc/self/setgroups", "deny"},
      {"/proc/self/uid_map", "0 " + std::to_string(uid) + " 1"},
      {"/proc/self/gid_map", "0 " + std::to_string(gid) + " 1"}};
  for (const auto& [path, text] : lines) {
    PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd file, sys::OpenFile(path, O_WRONLY));
    PYRO_RETURN_IF_ERROR(sys::WriteAll(file.get(), text));
  }
  return OkStatus();
}

Status Mount(const char* source, const fs::path& target, const char* type, unsigned long flags) {
  if (::mount(source, target.c_str(), type, flags, nullptr) == 0) return OkStatus();
  return sys::ErrnoError(errno, "mount", target.native());
}

// The workspace of a disk: a directory beside the image, which begins with its name. So a copy of
// the image, as a snapshot is one, has a workspace too. What a copy may name never changes again: a
// guest works in a copy of its own. A guest without an image has no such disk.
class Workspaces {
 public:
  // While the host's root is there.
  static Result<Workspaces> Open() {
    char target[PATH_MAX] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(kDisk);
    Workspaces all;
    if (::readlink(link.c_str(), target, sizeof target - 1) < 0) return all;
    const fs::path disk = target;
    if (disk.filename() != "data.img") return all;
    const fs::path path = disk.parent_path() / "fake-workspaces";
    PYRO_RETURN_IF_ERROR(sys::MakeDirectories(path));
    PYRO_ASSIGN_OR_RETURN(all.directory_, sys::OpenFile(path, O_RDONLY | O_DIRECTORY));
    return all;
  }

  // In the guest's root: gives it its workspace.
  Status Begin() {
    if (!directory_.valid()) return OkStatus();
    std::string name(kNameBytes, '\0');
    if (::pread(kDisk, name.data(), kNameBytes, 0) != kNameBytes || !name.starts_with(kPrefix) ||
        !fs::is_directory(PathOf(name))) {
      name.clear();
    } else {
      // Notes of changes go by inodes, which a copy has not.
      PYRO_RETURN_IF_ERROR(Show(name));
      PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd data, OpenDataOf(name));
      RecoverChangesOfDead(data.get());
      if (::umount2(kWorkspace, MNT_DETACH) != 0) return sys::ErrnoError(errno, "umount");
    }
    PYRO_ASSIGN_OR_RETURN(current_, Copy(name));
    PYRO_RETURN_IF_ERROR(Name(current_));
    return Show(current_);
  }

  // What only the agent sees of the disk.
  Result<sys::UniqueFd> OpenData() const {
    if (current_.empty()) return sys::OpenFile("/root", O_PATH | O_DIRECTORY);
    return OpenDataOf(current_);
  }

  // From now to the thaw the image has the state of now.
  Status Freeze() const {
    if (current_.empty()) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(const std::string frozen, Copy(current_));
    return Name(frozen);
  }
  Status Thaw() const { return current_.empty() ? OkStatus() : Name(current_); }

 private:
  static constexpr const char* kWorkspace = "/workspace";
  static constexpr std::string_view kPrefix = "workspace-";
  static constexpr ssize_t kNameBytes = 26;

  static Status Name(const std::string& name) {
    if (::pwrite(kDisk, name.data(), name.size(), 0) == kNameBytes) return OkStatus();
    return sys::ErrnoError(errno, "write", "data.img");
  }

  fs::path PathOf(const std::string& name) const {
    return fs::path("/proc/self/fd") / std::to_string(directory_.get()) / name;
  }

  Status Show(const std::string& name) const {
    return Mount((PathOf(name) / "files").c_str(), kWorkspace, nullptr, MS_BIND);
  }

  Result<sys::UniqueFd> OpenDataOf(const std::string& name) const {
    return sys::OpenFile(PathOf(name) / "data", O_RDONLY | O_DIRECTORY);
  }

  // An empty one of none.
  Result<std::string> Copy(const std::string& from) const {
    std::string name(kPrefix);
    for (const char byte : sys::RandomBytes(8)) {
      name += fmt::format("{:02x}", static_cast<std::uint8_t>(byte));
    }
    std::error_code error;
    fs::create_directory(PathOf(name), error);
    if (from.empty()) {
      fs::create_directory(PathOf(name) / "files", error);
      fs::create_directory(PathOf(name) / "data", error);
    } else {
      fs::copy(PathOf(from), PathOf(name),
               fs::copy_options::recursive | fs::copy_options::copy_symlinks, error);
    }
    if (error) return sys::ErrnoError(error.value(), "copy", PathOf(from).native());
    return name;
  }

  sys::UniqueFd directory_;
  std::string current_;
};

// This host's directories, and a /workspace, /tmp and /root of its own.
Status EnterRoot() {
  PYRO_RETURN_IF_ERROR(Mount("none", "/", nullptr, MS_REC | MS_PRIVATE));
  const fs::path root = "/tmp";
  PYRO_RETURN_IF_ERROR(Mount("tmpfs", root, "tmpfs", 0));
  std::error_code error;
  for (const char* name : {"bin", "sbin", "lib", "lib32", "lib64", "usr", "etc", "dev", "proc"}) {
    const fs::path from = fs::path("/") / name;
    const fs::path to = root / name;
    if (fs::is_symlink(from, error)) {
      fs::create_symlink(fs::read_symlink(from, error), to, error);
    } else if (fs::is_directory(from, error)) {
      fs::create_directory(to, error);
      PYRO_RETURN_IF_ERROR(Mount(from.c_str(), to, nullptr, MS_BIND | MS_REC));
    }
  }
  for (const char* name : {"workspace", "tmp", "root"}) fs::create_directory(root / name, error);
  if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) return sys::ErrnoError(errno, "chroot");
  return OkStatus();
}

// Carries bytes between the agent and the host, except the agent's first frame: a guest that goes
// on has said its hello before it was frozen.
void PumpWithoutHello(int agent, int host) {
  wire::FrameDecoder decoder;
  char bytes[64 * 1024];
  bool greeted = false;
  while (true) {
    pollfd polls[] = {{agent, POLLIN, 0}, {host, POLLIN, 0}};
    ::poll(polls, 2, -1);
    if (polls[0].revents != 0) {
      const ssize_t n = ::read(agent, bytes, sizeof bytes);
      if (n <= 0) return;
      decoder.Append({bytes, static_cast<std::size_t>(n)});
      // Other frames may have come in one piece with the hello: the host's words were here before.
      while (auto frame = decoder.Next()) {
        if (!*frame) break;
        if (std::exchange(greeted, true) && !sys::WriteAll(host, wire::EncodeFrame(**frame)))
          return;
      }
    }
    if (polls[1].revents != 0) {
      const ssize_t n = ::read(host, bytes, sizeof bytes);
      if (n <= 0 || !sys::WriteAll(agent, {bytes, static_cast<std::size_t>(n)})) return;
    }
  }
}

Status Serve(bool boots) {
  PYRO_RETURN_IF_ERROR(TakeMounts());
  PYRO_ASSIGN_OR_RETURN(Workspaces workspaces, Workspaces::Open());
  PYRO_RETURN_IF_ERROR(EnterRoot());
  PYRO_RETURN_IF_ERROR(workspaces.Begin());
  NoTrees trees;
  AgentOptions options;
  options.build = BuildId();
  options.kernel = sys::KernelRelease();
  options.trees = &trees;
  options.setup = [](const wire::GuestSetup&) { return OkStatus(); };
  std::binary_semaphore moves(1);  // The disk; taken while it is frozen.
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd data, workspaces.OpenData());
  options.data_disk = [&data] { return data.get(); };
  options.sync = [&moves, &data] {
    moves.acquire();
    moves.release();
    RecoverChangesOfDead(data.get());
    return OkStatus();
  };
  DiskFreeze::Calls calls;
  calls.freeze = [&] {
    moves.acquire();
    const Status frozen = workspaces.Freeze();
    if (!frozen) moves.release();
    return frozen;
  };
  calls.thaw = [&] {
    const Status thawed = workspaces.Thaw();
    moves.release();
    return thawed;
  };
  const auto freeze = std::make_shared<DiskFreeze>(std::move(calls));
  std::ranges::move(FreezeAnswerers(freeze), std::back_inserter(options.answerers));
  PYRO_ASSIGN_OR_RETURN(options.file_program, sys::OpenFile("/proc/self/exe", O_RDONLY));
  sys::SocketPair pair;
  if (boots) {
    options.port = sys::UniqueFd(kChannel);
  } else {
    PYRO_ASSIGN_OR_RETURN(pair, sys::MakeSocketPair());
    PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(pair.second.get()));
    // The pump may wait: it has nothing else to do.
    if (::fcntl(kChannel, F_SETFL, 0) != 0) return sys::ErrnoError(errno, "fcntl");
    options.port = std::move(pair.second);
  }
  PYRO_ASSIGN_OR_RETURN(auto agent, Agent::Create(std::move(options)));
  std::thread pump;
  if (!boots) pump = std::thread(PumpWithoutHello, pair.first.get(), kChannel);
  const Status served = agent->Serve();
  agent.reset();  // Closes its end, which ends the pump when all is carried.
  if (pump.joinable()) pump.join();
  return served;
}

int RunGuest(bool boots) {
  const auto kernel = sys::ReadAll(kKernel, 1 << 20);
  if (boots && kernel && kernel->starts_with("panic")) {
    (void)sys::WriteAll(kConsole, "Kernel panic: as the test wants it\n");
    return kReset;
  }
  while (boots && kernel && kernel->starts_with("silent")) ::pause();
  const Status served = Serve(boots);
  if (served) return kPoweredOff;
  (void)sys::WriteAll(kConsole, served.error().message + "\n");
  return kBroken;
}

}  // namespace
}  // namespace pyro::agent

int main(int argc, char** argv) {
  if (argc > 0 && std::string_view(argv[0]) == pyro::agent::kFileProgram) {
    return pyro::agent::FileProgram();
  }
  if (argc > 2) {  // By its name /proc/1/exe.
    return pyro::agent::RunTreeProgram({argv + 1, static_cast<std::size_t>(argc - 1)});
  }
  if (argc != 2) return 2;
  // At once: a guest that is off has nothing to clean up, and no sanitizer looks for its leaks.
  ::_exit(pyro::agent::RunGuest(std::string_view(argv[1]) == "boots"));
}
