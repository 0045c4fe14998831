// A guest in user mode as it really runs: what its kernel is kept from, and what becomes of its
// disks.

#include "vmm/uml/uml_vmm.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "jail/testing/processes.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "vmm/testing/test_guest.h"
#include "vmm/uml/processes.h"

namespace pyro::vmm::uml {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class UmlVmmTest : public testing::Test {
 protected:
  void SetUp() override {
    auto vmm = UmlVmm::Create(std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) /
                              "pyro-usermode-kernel");
    if (!vmm) PYRO_SKIP_OR_FAIL(vmm.error().message);
    vmm_ = std::move(*vmm);
    auto spec = UsermodeGuestSpec();
    if (!spec) PYRO_SKIP_OR_FAIL(spec.error().message);
    spec_ = std::move(*spec);
  }

  void Start() {
    auto machine = vmm_->Start(std::move(spec_), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    machine_ = std::move(*machine);
    channel_ = machine_->TakeGuestChannel();
  }

  void Boot() {
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(ReadGuestLine(channel_.get()), "ready");
    auto guest = FindGuestProcesses(machine_->jail_process_id());
    ASSERT_TRUE(guest.ok()) << guest.error().message;
    guest_ = std::move(*guest);
  }

  void AddDisks(sys::UniqueFd data) {
    const sys::UniqueFd base = FileOfSize(8 << 20);
    auto read_only = sys::OpenFile(fmt::format("/proc/self/fd/{}", base.get()), O_RDONLY);
    ASSERT_TRUE(read_only.ok());
    spec_.base_disk = std::move(*read_only);
    spec_.data_disk = std::move(data);
  }

  std::string Ask(const std::string& line) { return AskGuest(channel_.get(), line); }

  MachineExit WaitForEnd() {
    auto exit = machine_->Wait(Soon());
    EXPECT_TRUE(exit.ok()) << (exit ? "" : exit.error().message);
    return exit ? *exit : MachineExit();
  }

  std::unique_ptr<UmlVmm> vmm_;
  MachineSpec spec_;
  std::unique_ptr<Machine> machine_;
  sys::UniqueFd channel_;
  GuestProcesses guest_;
};

TEST_F(UmlVmmTest, TheProbeBootsAGuestThatTurnsItselfOff) {
  const auto outcome =
      vmm_->RunProbe(Accelerator::kUsermode, {}, {.patience = std::chrono::seconds(60)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome->correct) << outcome->failure;
}

TEST_F(UmlVmmTest, TheKernelAndEveryProgramAreBehindTheFilterAndHaveNoPrivilege) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  std::vector<pid_t> all = guest_.programs;
  ASSERT_FALSE(all.empty());
  all.push_back(guest_.kernel);
  for (const pid_t pid : all) {
    EXPECT_EQ(jail::ProcStatus(pid, "NoNewPrivs"), "1");
    EXPECT_EQ(jail::ProcStatus(pid, "Seccomp"), "2");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      EXPECT_EQ(jail::ProcStatus(pid, set), "0000000000000000") << set;
    }
    EXPECT_FALSE(jail::ProcStatus(pid, "Uid").starts_with("0")) << jail::ProcStatus(pid, "Uid");
    EXPECT_TRUE(jail::StandsBack(pid, kGuestNiceness));
    for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
      std::error_code error;
      const auto link =
          std::filesystem::read_symlink(fmt::format("/proc/{}/ns/{}", pid, name), error);
      ASSERT_FALSE(error) << name;
      EXPECT_NE(link, std::filesystem::read_symlink(fmt::format("/proc/self/ns/{}", name))) << name;
    }
  }
}

TEST_F(UmlVmmTest, OnlyItsOwnFilesAreThere) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  const std::string table = jail::ProcText(guest_.kernel, "mountinfo");
  int files = 0;
  for (const std::string_view line : Split(table, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ' ');
    if (fields.size() < 6) continue;
    const std::string_view target = fields[4];
    if (target == "/" || target.starts_with("/proc") || target.starts_with("/dev")) continue;
    ++files;
    EXPECT_TRUE(target == "/memory" || target.starts_with("/vm/")) << line;
    EXPECT_TRUE(target == "/memory" || fields[5].starts_with("ro,")) << line;
  }
  EXPECT_GT(files, 0);
}

// A program could read what is left of its kernel in its process, and could let it grow.
TEST_F(UmlVmmTest, AProgramHasTheGuestsMemoryAndNothingOfItsKernels) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_FALSE(guest_.programs.empty());
  for (const pid_t pid : guest_.programs) {
    const std::string maps = jail::ProcText(pid, "maps");
    for (const std::string_view line : Split(maps, '\n')) {
      if (line.empty() || line.ends_with("[vsyscall]")) continue;  // The host gives that to each.
      EXPECT_NE(line.find(" /memory/"), std::string_view::npos) << line;
    }
  }
}

// A handover between two processors of the host takes ten times one that stays on a processor.
TEST_F(UmlVmmTest, AProgramStaysOnOneProcessorWithItsKernel) {
  cpu_set_t processors;
  ASSERT_EQ(::sched_getaffinity(0, sizeof processors, &processors), 0);
  if (CPU_COUNT(&processors) < 2) GTEST_SKIP() << "one processor";
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_FALSE(guest_.programs.empty());
  for (const pid_t pid : guest_.programs) {
    ASSERT_EQ(::sched_getaffinity(pid, sizeof processors, &processors), 0);
    EXPECT_EQ(CPU_COUNT(&processors), 1);
  }
}

TEST_F(UmlVmmTest, DisksComeInOrderAndTheBaseCannotBeWritten) {
  ASSERT_NO_FATAL_FAILURE(AddDisks(FileOfSize(16 << 20)));
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_EQ(Ask("disks"), "ubda ro 16384 ubdb rw 32768");
  EXPECT_EQ(Ask("spoil"), "refused");
}

TEST_F(UmlVmmTest, LayersAreDisksBehindTheOtherTwoAndCannotBeWritten) {
  ASSERT_NO_FATAL_FAILURE(AddDisks(FileOfSize(16 << 20)));
  std::string disks = "ubda ro 16384 ubdb rw 32768";
  for (std::size_t layer = 0; layer < kMaxLayerDisks; ++layer) {
    const sys::UniqueFd file = FileOfSize(static_cast<int>(layer + 1) << 20);
    auto read_only = sys::OpenFile(fmt::format("/proc/self/fd/{}", file.get()), O_RDONLY);
    ASSERT_TRUE(read_only.ok());
    spec_.layer_disks.push_back(std::move(*read_only));
    disks += fmt::format(" ubd{} ro {}", static_cast<char>('c' + layer), (layer + 1) * 2048);
  }
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_EQ(Ask("disks"), disks);
}

// As the kernel's own format for changes has it, which the guest can write there.
TEST_F(UmlVmmTest, ADiskIsNeverTakenForAListOfChangesToAnotherFile) {
  sys::UniqueFd data = FileOfSize(16 << 20);
  std::string header("OOOM");  // The magic number, then version 3.
  header += std::string("\0\0\0\3", 4) + std::string(4, '\0') + std::string("\0\0\0\1", 4);
  header += std::string("\0\0\2\0", 4) + std::string("\0\0\x10\0", 4) + std::string(4, '\0');
  header += "/proc/kcore";
  ASSERT_EQ(::pwrite(data.get(), header.data(), header.size(), 0),
            static_cast<ssize_t>(header.size()));
  ASSERT_NO_FATAL_FAILURE(AddDisks(std::move(data)));
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_EQ(Ask("disks"), "ubda ro 16384 ubdb rw 32768");
}

TEST_F(UmlVmmTest, AFullHostDiskIsAnErrorInTheGuestAndDoesNotEndIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount a small file system for this test";
  sys::TestDirectory directory;
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(::mount("small", directory.path().c_str(), "tmpfs", 0, "size=256k"), 0);
  auto disk = sys::OpenFile(directory.path() / "data.img", O_RDWR | O_CREAT);
  ASSERT_TRUE(disk.ok());
  ASSERT_EQ(::ftruncate(disk->get(), 16 << 20), 0);
  ASSERT_NO_FATAL_FAILURE(AddDisks(std::move(*disk)));
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_EQ(Ask("fill"), "full");
  EXPECT_EQ(Ask("echo alive"), "alive");
  machine_.reset();
  ::umount2(directory.path().c_str(), MNT_DETACH);
}

// Follows the calls of a process until it makes `call`; false at the deadline.
bool MakesTheCall(pid_t process, unsigned long long call, Deadline deadline) {
  bool seen = false;
  while (!seen && !deadline.Expired()) {
    int status = 0;
    const pid_t stopped = ::waitpid(process, &status, WNOHANG | __WALL);
    if (stopped == 0) {
      ::poll(nullptr, 0, 1);
      continue;
    }
    if (stopped < 0 || !WIFSTOPPED(status)) return false;
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, process, nullptr, &registers);
    seen = registers.orig_rax == call;
    ::ptrace(PTRACE_SYSCALL, process, nullptr, nullptr);
  }
  return seen;
}

// The process that moves the blocks of the disks: a child of the kernel that it does not trace.
pid_t BlockMover(const GuestProcesses& guest) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto pid = ParseInt(entry.path().filename().native());
    if (!pid) continue;
    const auto text = sys::ReadFile(entry.path() / "status", 65536);
    if (text && text->find(fmt::format("\nPPid:\t{}\n", guest.kernel)) != std::string::npos &&
        text->find("\nTracerPid:\t0\n") != std::string::npos) {
      return static_cast<pid_t>(*pid);
    }
  }
  return -1;
}

TEST_F(UmlVmmTest, AFlushInTheGuestReachesTheHostsDisk) {
  ASSERT_NO_FATAL_FAILURE(AddDisks(FileOfSize(16 << 20)));
  ASSERT_NO_FATAL_FAILURE(Boot());
  const pid_t mover = BlockMover(guest_);
  ASSERT_GT(mover, 0);
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, mover, nullptr, nullptr), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, mover, nullptr, nullptr), 0);
  ASSERT_TRUE(sys::WriteAll(channel_.get(), "fill\n").ok());  // Ends with an fsync.
  EXPECT_TRUE(MakesTheCall(mover, SYS_fdatasync, Soon()));
  machine_->Kill();
  int status = 0;  // It is gone once its tracer has seen that.
  while (::waitpid(mover, &status, __WALL) == mover && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
  EXPECT_EQ(WaitForEnd().end, MachineEnd::kKilled);
}

TEST_F(UmlVmmTest, WithoutANetworkThereIsNoDevice) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_EQ(Ask("devices"), "lo ");
}

std::uint64_t TicksOf(pid_t pid) {
  const auto stat = sys::ReadFile(fmt::format("/proc/{}/stat", pid), 4096);
  if (!stat) return 0;
  const auto fields = Split(std::string_view(*stat).substr(stat->rfind(')') + 2), ' ');
  return static_cast<std::uint64_t>(ParseInt(fields.at(11)).value_or(0));
}

TEST_F(UmlVmmTest, APausedGuestDoesNotCompute) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_EQ(Ask("compute"), "computing");
  const auto guest = FindGuestProcesses(machine_->jail_process_id());
  ASSERT_TRUE(guest.ok());
  const auto ticks = [&] {
    std::uint64_t sum = 0;
    for (const pid_t pid : guest->programs) sum += TicksOf(pid);
    return sum;
  };
  const Deadline deadline = Soon();
  while (ticks() < 20 && !deadline.Expired()) ::poll(nullptr, 0, 1);
  ASSERT_GE(ticks(), 20u);
  ASSERT_TRUE(machine_->Pause(Soon()).ok());
  ::poll(nullptr, 0, 50);  // Until each that was running has come to its stop.
  const std::uint64_t before = ticks();
  ::poll(nullptr, 0, 500);
  EXPECT_EQ(ticks(), before);
  ASSERT_TRUE(machine_->Resume(Soon()).ok());
  EXPECT_EQ(Ask("echo alive"), "alive");
  while (ticks() <= before && !deadline.Expired()) ::poll(nullptr, 0, 1);
  EXPECT_GT(ticks(), before);
}

// The host's last words reach a kernel that is ending, which must take no notice of them.
TEST_F(UmlVmmTest, APowerOffIsOneAlsoWhileTheHostTalks) {
  for (int round = 0; round < 40; ++round) {
    auto spec = UsermodeGuestSpec();
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    spec_ = std::move(*spec);
    ASSERT_NO_FATAL_FAILURE(Boot());
    std::string words = "off\n";
    const Deadline deadline = Soon();
    pollfd end = {.fd = machine_->exit_fd(), .events = POLLIN, .revents = 0};
    while (::poll(&end, 1, 0) == 0 && !deadline.Expired()) {
      (void)::send(channel_.get(), words.data(), words.size(), MSG_NOSIGNAL);
      words = "\n";
    }
    const MachineExit exit = WaitForEnd();
    EXPECT_EQ(exit.end, MachineEnd::kPoweredOff) << exit.detail << " in round " << round;
  }
}

TEST_F(UmlVmmTest, AKernelPanicIsAReset) {
  spec_.initrd = FileOf("no archive at all");
  ASSERT_NO_FATAL_FAILURE(Start());
  const MachineExit exit = WaitForEnd();
  EXPECT_EQ(exit.end, MachineEnd::kReset) << exit.detail;
  auto console = sys::ReadAll(machine_->TakeConsole().get(), 1 << 20);
  ASSERT_TRUE(console.ok());
  EXPECT_NE(console->find("Kernel panic"), std::string::npos) << *console;
}

TEST_F(UmlVmmTest, WhatIsNoKernelIsACrash) {
  spec_.kernel = FileOf("this is no kernel");
  ASSERT_NO_FATAL_FAILURE(Start());
  const MachineExit exit = WaitForEnd();
  EXPECT_EQ(exit.end, MachineEnd::kCrashed) << exit.detail;
  EXPECT_NE(exit.diagnostics, "");
}

TEST_F(UmlVmmTest, MoreThanOneCpuIsRefusedWithAWayOut) {
  spec_.vcpus = 2;
  auto machine = vmm_->Start(std::move(spec_), Soon());
  ASSERT_FALSE(machine.ok());
  EXPECT_EQ(machine.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(machine.error().message, "a guest in user mode has one vCPU, not 2");
  EXPECT_NE(machine.error().hint, "");
}

TEST_F(UmlVmmTest, FilesThatOnlyTheirOwnerReadsStillBoot) {
  ASSERT_EQ(::fchmod(spec_.initrd.get(), 0600), 0);
  ASSERT_NO_FATAL_FAILURE(Boot());
}

TEST_F(UmlVmmTest, WithItsJailDiesEveryProcess) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  std::vector<sys::UniqueFd> processes;
  guest_.programs.push_back(guest_.kernel);
  for (const pid_t pid : guest_.programs) {
    processes.emplace_back(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    ASSERT_TRUE(processes.back().valid());
  }
  ASSERT_EQ(::kill(machine_->jail_process_id(), SIGKILL), 0);
  EXPECT_EQ(WaitForEnd().end, MachineEnd::kKilled);
  for (const sys::UniqueFd& process : processes) {
    pollfd entry = {.fd = process.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&entry, 1, 0), 1);
  }
}

TEST_F(UmlVmmTest, AnOutsidersKillOfTheKernelIsReported) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  ASSERT_EQ(::kill(guest_.kernel, SIGKILL), 0);
  const MachineExit exit = WaitForEnd();
  EXPECT_EQ(exit.end, MachineEnd::kKilled) << exit.detail;
}

}  // namespace
}  // namespace pyro::vmm::uml
