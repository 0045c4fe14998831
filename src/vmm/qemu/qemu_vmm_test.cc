// QEMU as it really runs: what it is kept from, and what it tells when it fails.

#include "vmm/qemu/qemu_vmm.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/text.h"
#include "jail/testing/processes.h"
#include "sys/files.h"
#include "sys/test_directory.h"
#include "vmm/testing/test_guest.h"

namespace pyro::vmm::qemu {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }

class QemuVmmTest : public testing::Test {
 protected:
  void SetUp() override {
    auto vmm = QemuVmm::Create();
    if (!vmm) PYRO_SKIP_OR_FAIL(vmm.error().message);
    vmm_ = std::move(*vmm);
    auto spec = TestGuestSpec();
    if (!spec) PYRO_SKIP_OR_FAIL(spec.error().message);
    spec_ = std::move(*spec);
  }

  void Start() {
    auto machine = vmm_->Start(std::move(spec_), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    machine_ = std::move(*machine);
    channel_ = machine_->TakeGuestChannel();
  }

  std::string ReadLine() { return ReadGuestLine(channel_.get()); }
  std::string Ask(const std::string& line) { return AskGuest(channel_.get(), line); }

  pid_t QemuPid() { return jail::ChildOf(machine_->jail_process_id()); }

  std::string Proc(const std::string& name) { return jail::ProcText(QemuPid(), name); }
  std::string Status(const std::string& field) { return jail::ProcStatus(QemuPid(), field); }

  std::unique_ptr<QemuVmm> vmm_;
  MachineSpec spec_;
  std::unique_ptr<Machine> machine_;
  sys::UniqueFd channel_;
};

TEST_F(QemuVmmTest, TheProcessHasNoPrivilegeAndCanGainNone) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(Status("NoNewPrivs"), "1");
  EXPECT_EQ(Status("Seccomp"), "2");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
    EXPECT_EQ(Status(set), "0000000000000000") << set;
  }
  EXPECT_FALSE(Status("Uid").starts_with("0")) << Status("Uid");
  EXPECT_FALSE(Status("Gid").starts_with("0")) << Status("Gid");
  if (::geteuid() == 0) {
    EXPECT_EQ(Status("Groups"), "");
  }
  EXPECT_TRUE(jail::StandsBack(QemuPid(), kGuestNiceness));
  EXPECT_NE(Proc("limits").find("Max core file size        0                    0"),
            std::string::npos);
}

TEST_F(QemuVmmTest, AGuestThatGetsNowhereCanBeLookedAt) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  const MachineLook look = machine_->Look();
  EXPECT_TRUE(look.monitor.starts_with("QEMU ")) << look.monitor;
  EXPECT_EQ(look.monitor.find("QEMU  "), std::string::npos) << "no version: " << look.monitor;
  EXPECT_NE(look.monitor.find("processor max"), std::string::npos) << look.monitor;
  EXPECT_GT(look.processor.count(), 0);
}

// Two at once go on from one memory; neither sees what the other writes, nor does the file.
TEST_F(QemuVmmTest, ClonesShareMemoryAndNoChange) {
  const sys::TestDirectory directory;
  const std::filesystem::path file = directory.path() / "memory";
  {
    FreezeFiles files;
    files.memory = *sys::OpenFile(file, O_RDWR | O_CREAT);
    ASSERT_EQ(::fchmod(files.memory.get(), 0666), 0);
    files.state = *sys::OpenFile(directory.path() / "state", O_RDWR | O_CREAT);
    spec_.freeze_to = std::move(files);
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(ReadLine(), "ready");
    ASSERT_EQ(Ask("keep template"), "template");
    ASSERT_TRUE(machine_->Freeze(Soon()).ok());
    machine_.reset();
    ASSERT_EQ(::chmod(file.c_str(), 0444), 0);
  }
  auto before = sys::ReadFile(file, std::size_t{512} << 20);
  ASSERT_TRUE(before.ok());
  std::vector<std::unique_ptr<Machine>> machines;
  std::vector<sys::UniqueFd> channels;
  for (const char* word : {"left", "right"}) {
    auto spec = TestGuestSpec();
    ASSERT_TRUE(spec.ok());
    FrozenGuest frozen;
    frozen.memory = *sys::OpenFile(file, O_RDONLY);
    frozen.state = *sys::OpenFile(directory.path() / "state", O_RDONLY);
    spec->resume_from = std::move(frozen);
    auto machine = vmm_->Start(std::move(*spec), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    channel_ = (*machine)->TakeGuestChannel();
    EXPECT_EQ(Ask("kept"), "template");
    EXPECT_EQ(Ask(std::string("keep ") + word), word);
    machines.push_back(std::move(*machine));
    channels.push_back(std::move(channel_));
  }
  for (const char* word : {"left", "right"}) {
    channel_ = std::move(channels[word[0] == 'l' ? 0 : 1]);
    EXPECT_EQ(Ask("kept"), word);
  }
  auto after = sys::ReadFile(file, std::size_t{512} << 20);
  ASSERT_TRUE(after.ok());
  EXPECT_TRUE(*before == *after);
}

TEST_F(QemuVmmTest, AFrozenGuestLearnsTheSizeOfItsDataDisk) {
  const sys::TestDirectory directory;
  constexpr std::int64_t kFrozenBytes = 16 << 20;
  {
    FreezeFiles files;
    files.memory = *sys::OpenFile(directory.path() / "memory", O_RDWR | O_CREAT);
    ASSERT_EQ(::fchmod(files.memory.get(), 0666), 0);
    files.state = *sys::OpenFile(directory.path() / "state", O_RDWR | O_CREAT);
    spec_.freeze_to = std::move(files);
    spec_.data_disk = FileOfSize(kFrozenBytes);
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(ReadLine(), "ready");
    ASSERT_TRUE(machine_->Freeze(Soon()).ok());
    machine_.reset();
  }
  for (const off_t bytes : {8 << 20, 64 << 20}) {
    spec_ = *TestGuestSpec();
    spec_.data_disk = FileOfSize(bytes);
    spec_.resume_from.emplace();
    spec_.resume_from->memory = *sys::OpenFile(directory.path() / "memory", O_RDONLY);
    spec_.resume_from->state = *sys::OpenFile(directory.path() / "state", O_RDONLY);
    spec_.resume_from->data_disk_bytes = kFrozenBytes;
    ASSERT_NO_FATAL_FAILURE(Start());
    const std::string wanted = fmt::format("vda rw {}", bytes / 512);
    const Deadline deadline = Soon();
    std::string disks = Ask("disks");
    while (disks != wanted && !deadline.Expired()) disks = Ask("disks");
    EXPECT_EQ(disks, wanted);
  }
}

TEST_F(QemuVmmTest, EveryNamespaceIsItsOwn) {
  ASSERT_NO_FATAL_FAILURE(Start());
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
    const std::filesystem::path theirs = fmt::format("/proc/{}/ns/{}", QemuPid(), name);
    std::error_code error;
    const auto link = std::filesystem::read_symlink(theirs, error);
    ASSERT_FALSE(error) << name;
    EXPECT_NE(link, std::filesystem::read_symlink(fmt::format("/proc/self/ns/{}", name))) << name;
  }
}

TEST_F(QemuVmmTest, TheNetworkNamespaceIsEmpty) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::vector<std::string> devices;
  const std::string table = Proc("net/dev");
  for (const std::string_view line : Split(table, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) devices.emplace_back(TrimSpace(line.substr(0, colon)));
  }
  EXPECT_EQ(devices, std::vector<std::string>{"lo"});
  EXPECT_EQ(Proc("net/route").find("\n", Proc("net/route").find("\n") + 1), std::string::npos);
}

// Nothing of a file system that holds anything of the user's is writable, and nothing is mounted
// that is not QEMU's.
TEST_F(QemuVmmTest, OnlyItsOwnFilesAreMountedAndReadOnly) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string table = Proc("mountinfo");
  int files = 0;
  for (const std::string_view line : Split(table, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ' ');
    if (fields.size() < 6) continue;
    const std::string_view target = fields[4];
    const bool own = target == "/" || target.starts_with("/proc") || target.starts_with("/dev");
    if (own) continue;
    ++files;
    EXPECT_TRUE(target.starts_with("/usr/") || target.starts_with("/lib") ||
                target == "/etc/ld.so.cache")
        << line;
    EXPECT_TRUE(fields[5].starts_with("ro,")) << line;
    EXPECT_NE(fields[5].find("nosuid"), std::string_view::npos) << line;
  }
  EXPECT_GT(files, 10);
  const std::filesystem::path root = fmt::format("/proc/{}/root", QemuPid());
  for (const char* absent :
       {"home", "root", "tmp", "var", "run", "work", "usr/bin/sh", "etc/passwd"}) {
    std::error_code error;
    EXPECT_FALSE(std::filesystem::exists(root / absent, error)) << absent;
  }
}

TEST_F(QemuVmmTest, DisksComeInOrderAndTheBaseCannotBeWritten) {
  const sys::UniqueFd base = FileOfSize(8 << 20);
  auto read_only = sys::OpenFile(fmt::format("/proc/self/fd/{}", base.get()), O_RDONLY);
  ASSERT_TRUE(read_only.ok());
  spec_.base_disk = std::move(*read_only);
  spec_.data_disk = FileOfSize(16 << 20);
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  EXPECT_EQ(Ask("disks"), "vda ro 16384 vdb rw 32768");
  EXPECT_EQ(Ask("spoil"), "refused");
}

TEST_F(QemuVmmTest, LayersAreDisksBehindTheOtherTwoAndCannotBeWritten) {
  const auto read_only = [](int size) {
    const sys::UniqueFd file = FileOfSize(size);
    auto opened = sys::OpenFile(fmt::format("/proc/self/fd/{}", file.get()), O_RDONLY);
    EXPECT_TRUE(opened.ok());
    return std::move(*opened);
  };
  spec_.base_disk = read_only(8 << 20);
  spec_.data_disk = FileOfSize(16 << 20);
  std::string disks = "vda ro 16384 vdb rw 32768";
  for (std::size_t layer = 0; layer < kMaxLayerDisks; ++layer) {
    spec_.layer_disks.push_back(read_only(static_cast<int>(layer + 1) << 20));
    disks += fmt::format(" vd{} ro {}", static_cast<char>('c' + layer), (layer + 1) * 2048);
  }
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  EXPECT_EQ(Ask("disks"), disks);
}

TEST_F(QemuVmmTest, AFullHostDiskIsAnErrorInTheGuestAndDoesNotPauseIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount a small file system for this test";
  sys::TestDirectory directory;
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(::mount("small", directory.path().c_str(), "tmpfs", 0, "size=256k"), 0);
  auto disk = sys::OpenFile(directory.path() / "data.img", O_RDWR | O_CREAT);
  ASSERT_TRUE(disk.ok());
  ASSERT_EQ(::ftruncate(disk->get(), 16 << 20), 0);
  const sys::UniqueFd base = FileOfSize(1 << 20);
  auto read_only = sys::OpenFile(fmt::format("/proc/self/fd/{}", base.get()), O_RDONLY);
  ASSERT_TRUE(read_only.ok());
  spec_.base_disk = std::move(*read_only);
  spec_.data_disk = std::move(*disk);
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  EXPECT_EQ(Ask("fill"), "full");
  EXPECT_EQ(Ask("echo alive"), "alive");
  machine_.reset();
  ::umount2(directory.path().c_str(), MNT_DETACH);
}

TEST_F(QemuVmmTest, WithoutANetworkThereIsNoDevice) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  EXPECT_EQ(Ask("devices"), "lo ");
}

TEST_F(QemuVmmTest, WithOneThereIsOne) {
  auto pair = sys::MakeSocketPair();
  ASSERT_TRUE(pair.ok());
  spec_.network = NetworkCard{.fd = std::move(pair->second), .mac = "52:54:00:12:34:56"};
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(ReadLine(), "ready");
  EXPECT_EQ(Ask("devices"), "eth0 lo ");
}

TEST_F(QemuVmmTest, ABadKernelIsReportedInQemusWords) {
  spec_.kernel = FileOf("this is no kernel");
  auto machine = vmm_->Start(std::move(spec_), Soon());
  ASSERT_FALSE(machine.ok());
  EXPECT_EQ(machine.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_NE(machine.error().message.find("kernel"), std::string::npos) << machine.error().message;
}

TEST_F(QemuVmmTest, FilesThatOnlyTheirOwnerReadsStillBoot) {
  ASSERT_EQ(::fchmod(spec_.initrd.get(), 0600), 0);
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_EQ(ReadLine(), "ready");
}

TEST_F(QemuVmmTest, AKernelPanicIsAReset) {
  spec_.initrd = FileOf("no archive at all");
  ASSERT_NO_FATAL_FAILURE(Start());
  auto exit = machine_->Wait(Soon());
  ASSERT_TRUE(exit.ok()) << exit.error().message;
  EXPECT_EQ(exit->end, MachineEnd::kReset) << exit->detail;
  auto console = sys::ReadAll(machine_->TakeConsole().get(), 1 << 20);
  ASSERT_TRUE(console.ok());
  EXPECT_NE(console->find("Kernel panic"), std::string::npos) << *console;
}

TEST_F(QemuVmmTest, AnOutsidersKillIsReported) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_EQ(::kill(QemuPid(), SIGKILL), 0);
  auto exit = machine_->Wait(Soon());
  ASSERT_TRUE(exit.ok()) << exit.error().message;
  EXPECT_EQ(exit->end, MachineEnd::kKilled) << exit->detail;
}

TEST_F(QemuVmmTest, WithItsJailDiesQemu) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const sys::UniqueFd qemu(static_cast<int>(::syscall(SYS_pidfd_open, QemuPid(), 0)));
  ASSERT_TRUE(qemu.valid());
  ASSERT_EQ(::kill(machine_->jail_process_id(), SIGKILL), 0);
  auto exit = machine_->Wait(Soon());
  ASSERT_TRUE(exit.ok()) << exit.error().message;
  EXPECT_EQ(exit->end, MachineEnd::kKilled) << exit->detail;
  // By the time that the jail is seen to have ended.
  pollfd entry = {.fd = qemu.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 1);
}

}  // namespace
}  // namespace pyro::vmm::qemu
