#include "engine/testing/engine_fixture.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "engine/local_engine.h"
#include "image/testing/fake_builder.h"
#include "image/testing/fake_image_builder.h"
#include "state/pool/spare_pool.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/unique_fd.h"
#include "sys/unix_socket.h"
#include "sys/wait_for.h"
#include "vmm/fake/fake_vmm.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

class WorldBuilder final : public image::Builder {
 public:
  explicit WorldBuilder(const FakeWorld& world) : world_(world) { fake_.content = world.base; }

  Result<image::Manifest> Build(const image::CatalogEntry& entry, const fs::path& work_dir,
                                const fs::path& version_dir, const image::ProgressFn& progress,
                                image::Cancellation cancel) override {
    if (!world_.build) return world_.build.error();
    fake_.before_files = [this, cancel](const fs::path&) {
      return world_.building ? world_.building(cancel.fd) : OkStatus();
    };
    auto manifest = fake_.Build(entry, work_dir, version_dir, progress, cancel);
    std::ofstream(version_dir / "vmlinuz") << world_.kernel;
    return manifest;
  }
  Status Discard(const fs::path& work_dir) override { return fake_.Discard(work_dir); }
  std::vector<std::string> MissingTools() const override { return world_.missing_tools; }

 private:
  const FakeWorld& world_;
  image::FakeBuilder fake_;
};

// What is at the other end of a socket; 0: no process.
pid_t PeerOf(const fs::path& path) {
  const auto socket = sys::ConnectUnix(path);
  if (!socket) return 0;
  ucred peer{};
  socklen_t size = sizeof peer;
  PYRO_CHECK(::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
  return peer.pid;
}

// Waits until a process has ended, which is no child of ours.
void AwaitEnd(const sys::UniqueFd& process) {
  const Deadline limit = Deadline::After(std::chrono::minutes(1));
  PYRO_CHECK(sys::WaitFor(process.get(), POLLIN, limit) == sys::Waited::kReady);
}

sys::UniqueFd ProcessFd(pid_t pid) {
  sys::UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  PYRO_CHECK(process.valid());
  return process;
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  const std::string number = std::to_string(pid);
  std::ifstream file("/proc/" + number + "/task/" + number + "/children");
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;) children.push_back(child);
  return children;
}

}  // namespace

Context FakeContext(Engine::Directories directories, const FakeWorld& world) {
  fs::path kvm = directories.state.parent_path() / "kvm";
  return {.state = std::move(directories.state),
          .cache = std::move(directories.cache),
          .configuration = std::move(directories.configuration),
          .vmm = {.name = "fake",
                  .create = [&world](vmm::Accelerator one) -> Result<std::unique_ptr<vmm::Vmm>> {
                    const bool usermode = one == vmm::Accelerator::kUsermode;
                    const Status& found = usermode ? world.usermode : world.monitor;
                    if (!found) return found.error();
                    return std::unique_ptr<vmm::Vmm>(std::make_unique<vmm::FakeVmm>());
                  }},
          .clock = world.clock,
          .builder = [&world] { return std::make_unique<WorldBuilder>(world); },
          .image_builder =
              [&world](image::BuilderGuest&) {
                auto images = std::make_unique<image::FakeImageBuilder>();
                images->config = world.image;
                return images;
              },
          .kvm_device = std::move(kvm),
          .slow = std::chrono::milliseconds(0)};
}

EngineFixture::EngineFixture() {
  const auto programs = sys::ProgramDirectory();
  PYRO_CHECK(programs.ok());
  ::setenv("PYRO_LIBEXEC_DIR", (*programs / "fake").c_str(), 1);
  ::setenv("PYRO_ACCELERATOR", "tcg", 1);
  ::setenv("PYRO_WARM_START", "0", 1);
  ::unsetenv("PYRO_MACHINE");
  // A disk that no guest looks at: making a real one takes longer than everything else.
  const fs::path blank = cache_ / "blank" / "ext4-1-10240m.img";
  fs::create_directories(blank.parent_path());
  std::ofstream(blank) << "blank";
  engine_ = std::make_unique<LocalEngine>(FakeContext(Directories(), world_));
}

EngineFixture::~EngineFixture() {
  world_.build = world_.monitor = OkStatus();
  if (auto tasks = engine_->ListTasks()) {
    for (const TaskInfo& task : *tasks) (void)engine_->DeleteTask(task.task_id);
  }
  if (auto vms = engine_->ListVms()) {
    for (const VmInfo& vm : *vms) (void)engine_->DeleteVm(vm.vm_id);
  }
  // This waits for a process that still fills a pool.
  for (const auto& pool : state::ListSparePools(state_)) {
    VmOptions options;
    options.environment = pool.environment;
    options.vcpu_count = pool.vcpu_count;
    options.mem_mib = pool.mem_mib;
    (void)engine_->KeepSpares(options, 0);
    for (const auto& spare : state::ListSpares(pool.directory)) {
      if (PeerOf(spare / "control.sock") > 0) KillAt(spare / "control.sock");
    }
  }
}

void EngineFixture::StartWarm() { ::unsetenv("PYRO_WARM_START"); }

Command EngineFixture::Shell(std::string script) {
  Command command;
  command.script = std::move(script);
  return command;
}

VmOptions EngineFixture::Vm() {
  VmOptions options;
  options.environment = "debian:12";
  return options;
}

TaskOptions EngineFixture::Task() {
  TaskOptions options;
  options.environment = "debian:12";
  return options;
}

fs::path EngineFixture::DirectoryOf(const std::string& id) const {
  return state_ / (id.starts_with("vm_") ? "vms" : "tasks") / id;
}

pid_t EngineFixture::SupervisorOf(const std::string& id) const {
  return PeerOf(DirectoryOf(id) / "control.sock");
}

void EngineFixture::KillSupervisor(const std::string& id) const {
  KillAt(DirectoryOf(id) / "control.sock");
}

void EngineFixture::KillAt(const fs::path& socket) {
  const pid_t pid = PeerOf(socket);
  PYRO_CHECK(pid > 0);
  const sys::UniqueFd process = ProcessFd(pid);
  ::kill(pid, SIGKILL);
  AwaitEnd(process);
}

void EngineFixture::KillGuest(const std::string& id) const {
  const pid_t pid = SupervisorOf(id);
  PYRO_CHECK(pid > 0);
  const sys::UniqueFd process = ProcessFd(pid);
  for (const pid_t guest : ChildrenOf(pid)) ::kill(guest, SIGKILL);
  AwaitEnd(process);
}

void EngineFixture::ReplaceKernel(std::string_view six_letters) const {
  const fs::path kernel = cache_ / "environments" / "debian-12" / "current" / "vmlinuz";
  ::chmod(kernel.c_str(), 0600);
  std::ofstream(kernel) << six_letters;
}

}  // namespace pyro::engine
