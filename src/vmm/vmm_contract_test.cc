// What vmm.h promises, held against every implementation.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/host.h"
#include "vmm/fake/fake_vmm.h"
#include "vmm/fake/process_vmm.h"
#include "vmm/qemu/qemu_vmm.h"
#include "vmm/testing/test_guest.h"
#include "vmm/uml/uml_vmm.h"
#include "vmm/vmm.h"

namespace pyro::vmm {
namespace {

Deadline Soon() { return Deadline::After(std::chrono::seconds(60)); }
Deadline Now() { return Deadline::After(std::chrono::milliseconds(0)); }

// One implementation, with a guest that obeys the words of guest_init.cc.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual Result<std::unique_ptr<Vmm>> Prepare() = 0;
  virtual Result<MachineSpec> Spec() = 0;
  // Lets the guest act on what it has been sent. Real ones act by themselves.
  virtual void Act() {}
  virtual Accelerator accelerator() const { return Accelerator::kTcg; }
  virtual bool can_freeze() const { return true; }
};

class QemuSubject final : public Subject {
 public:
  Result<std::unique_ptr<Vmm>> Prepare() override {
    auto vmm = qemu::QemuVmm::Create();
    if (!vmm) return std::move(vmm).error();
    return std::unique_ptr<Vmm>(std::move(*vmm));
  }
  Result<MachineSpec> Spec() override { return TestGuestSpec(); }
};

class UmlSubject final : public Subject {
 public:
  Result<std::unique_ptr<Vmm>> Prepare() override {
    auto vmm = uml::UmlVmm::Create(std::filesystem::path(sys::Environment("PYRO_TEST_BIN")) /
                                   "pyro-usermode-kernel");
    if (!vmm) return std::move(vmm).error();
    return std::unique_ptr<Vmm>(std::move(*vmm));
  }
  Result<MachineSpec> Spec() override { return UsermodeGuestSpec(); }
  Accelerator accelerator() const override { return Accelerator::kUsermode; }
  bool can_freeze() const override { return false; }
};

class FakeSubject final : public Subject {
 public:
  Result<std::unique_ptr<Vmm>> Prepare() override {
    auto vmm = std::make_unique<FakeVmm>();
    vmm_ = vmm.get();
    return std::unique_ptr<Vmm>(std::move(vmm));
  }

  Result<MachineSpec> Spec() override {
    MachineSpec spec;
    spec.kernel = FileOf("kernel");
    spec.initrd = FileOf("initrd");
    return spec;
  }

  void Act() override {
    FakeGuest guest = vmm_->guests().back();
    if (guest.ended() || guest.paused()) return;
    if (!greeted_) Say(guest, "ready");
    greeted_ = true;
    pollfd entry = {.fd = guest.channel(), .events = POLLIN, .revents = 0};
    char c = 0;
    while (!guest.ended() && ::poll(&entry, 1, 0) > 0 && ::read(guest.channel(), &c, 1) == 1) {
      if (c != '\n') {
        line_.push_back(c);
        continue;
      }
      if (line_ == "off") guest.End(MachineEnd::kPoweredOff);
      if (line_ == "reset") guest.End(MachineEnd::kReset);
      if (line_.starts_with("echo ")) Say(guest, line_.substr(5));
      if (line_.starts_with("print ")) guest.PrintToConsole(line_.substr(6) + "\r\n");
      line_.clear();
    }
  }

 private:
  static void Say(const FakeGuest& guest, const std::string& line) {
    ASSERT_GT(::write(guest.channel(), (line + "\n").data(), line.size() + 1), 0);
  }

  FakeVmm* vmm_ = nullptr;
  bool greeted_ = false;
  std::string line_;
};

class ProcessSubject final : public Subject {
 public:
  Result<std::unique_ptr<Vmm>> Prepare() override {
    auto programs = sys::ProgramDirectory();
    if (!programs) return std::move(programs).error();
    return std::unique_ptr<Vmm>(std::make_unique<ProcessVmm>(*programs / "vmm_process_guest"));
  }

  Result<MachineSpec> Spec() override {
    MachineSpec spec;
    spec.kernel = FileOf("kernel");
    spec.initrd = FileOf("initrd");
    return spec;
  }
};

// What a guest is frozen to.
struct FrozenFiles {
  sys::UniqueFd memory = FileOf("");
  sys::UniqueFd state = FileOf("");

  FreezeFiles ToFreeze() const {
    return {.memory = Again(memory, O_RDWR), .state = Again(state, O_RDWR)};
  }
  FrozenGuest ToResume() const {
    return {.memory = Again(memory, O_RDONLY), .state = Again(state, O_RDONLY)};
  }
  static sys::UniqueFd Again(const sys::UniqueFd& file, int flags) {
    auto again = sys::OpenFile("/proc/self/fd/" + std::to_string(file.get()), flags);
    EXPECT_TRUE(again.ok());
    return again ? std::move(*again) : sys::UniqueFd();
  }
};

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Subject>()> make;
};

class VmmContractTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    subject_ = GetParam().make();
    auto vmm = subject_->Prepare();
    if (!vmm) PYRO_SKIP_OR_FAIL(vmm.error().message);
    vmm_ = std::move(*vmm);
    auto spec = subject_->Spec();
    if (!spec) PYRO_SKIP_OR_FAIL(spec.error().message);
    spec_ = std::move(*spec);
  }

  void Start() {
    auto machine = vmm_->Start(std::move(spec_), Soon());
    ASSERT_TRUE(machine.ok()) << machine.error().message;
    machine_ = std::move(*machine);
    channel_ = machine_->TakeGuestChannel();
    console_ = machine_->TakeConsole();
  }

  void Boot() {
    ASSERT_NO_FATAL_FAILURE(Start());
    ASSERT_EQ(ReadUntil(channel_.get(), "ready\n", Soon()), "ready\n");
  }

  // Reads until the text ends in `end`, or is at its end, or the deadline passes.
  std::string ReadUntil(int fd, std::string_view end, Deadline deadline) {
    std::string text;
    while (!text.ends_with(end)) {
      subject_->Act();
      pollfd entries[] = {{.fd = fd, .events = POLLIN, .revents = 0},
                          {.fd = console_.get(), .events = 0, .revents = 0}};
      if (fd != console_.get()) entries[1].events = POLLIN;
      ::poll(entries, 2, deadline.PollTimeout());
      char c = 0;
      if (entries[1].revents != 0) {
        char bytes[4096];
        const ssize_t n = ::read(console_.get(), bytes, sizeof bytes);
        if (n > 0) console_text_.append(bytes, static_cast<std::size_t>(n));
        if (n == 0) console_.Reset();
      }
      if (entries[0].revents != 0) {
        if (::read(fd, &c, 1) != 1) break;
        text.push_back(c);
      } else if (deadline.Expired()) {
        break;
      }
    }
    return text;
  }

  void Send(const std::string& line) {
    ASSERT_EQ(::write(channel_.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    subject_->Act();
  }

  bool HasExited() {
    pollfd entry = {.fd = machine_->exit_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) == 1;
  }

  std::unique_ptr<Subject> subject_;
  std::unique_ptr<Vmm> vmm_;
  MachineSpec spec_;
  std::unique_ptr<Machine> machine_;
  sys::UniqueFd channel_;
  sys::UniqueFd console_;
  std::string console_text_;  // What it held while something else was waited for.
};

TEST_P(VmmContractTest, ChannelAndConsoleCarryWhatTheGuestSays) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  Send("echo hello\n");
  EXPECT_EQ(ReadUntil(channel_.get(), "hello\n", Soon()), "hello\n");
  Send("print marker\n");
  const std::string console = ReadUntil(console_.get(), "marker\r\n", Soon());
  EXPECT_TRUE(console.ends_with("marker\r\n")) << console;
}

TEST_P(VmmContractTest, DescriptorsAreGivenOnce) {
  ASSERT_NO_FATAL_FAILURE(Start());
  EXPECT_TRUE(channel_.valid());
  EXPECT_TRUE(console_.valid());
  EXPECT_FALSE(machine_->TakeGuestChannel().valid());
  EXPECT_FALSE(machine_->TakeConsole().valid());
}

TEST_P(VmmContractTest, PowerOffIsReportedAndClosesTheChannel) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  EXPECT_FALSE(HasExited());
  Send("off\n");
  EXPECT_EQ(ReadUntil(channel_.get(), "never", Soon()), "");
  for (int i = 0; i < 2; ++i) {
    auto exit = machine_->Wait(Soon());
    ASSERT_TRUE(exit.ok()) << exit.error().message;
    EXPECT_EQ(exit->end, MachineEnd::kPoweredOff)
        << exit->detail << exit->diagnostics
        << (console_.valid() ? ReadUntil(console_.get(), "never", Soon()) : "") << console_text_;
  }
  EXPECT_TRUE(HasExited());
}

TEST_P(VmmContractTest, ResetEndsTheMachine) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  Send("reset\n");
  auto exit = machine_->Wait(Soon());
  ASSERT_TRUE(exit.ok()) << exit.error().message;
  EXPECT_EQ(exit->end, MachineEnd::kReset) << exit->detail;
}

TEST_P(VmmContractTest, KillIsReportedAndMayBeRepeated) {
  ASSERT_NO_FATAL_FAILURE(Start());
  machine_->Kill();
  machine_->Kill();
  auto exit = machine_->Wait(Soon());
  ASSERT_TRUE(exit.ok()) << exit.error().message;
  EXPECT_EQ(exit->end, MachineEnd::kKilled) << exit->detail;
  machine_->Kill();
}

TEST_P(VmmContractTest, PausedGuestAnswersOnlyWhenResumed) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(machine_->Pause(Soon()).ok());
  Send("echo late\n");
  EXPECT_EQ(ReadUntil(channel_.get(), "\n", Deadline::After(std::chrono::milliseconds(300))), "");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(machine_->Resume(Soon()).ok());
  EXPECT_EQ(ReadUntil(channel_.get(), "\n", Soon()), "late\n");
}

TEST_P(VmmContractTest, AGuestThatCannotBeFrozenIsNotStartedForIt) {
  const FrozenFiles files;
  EXPECT_EQ(vmm_->FrozenMachineKey(spec_).ok(), subject_->can_freeze());
  spec_.freeze_to = files.ToFreeze();
  const auto machine = vmm_->Start(std::move(spec_), Soon());
  ASSERT_EQ(machine.ok(), subject_->can_freeze());
  if (!machine) {
    EXPECT_EQ(machine.error().code, ErrorCode::kWrongState) << machine.error().message;
  }
}

TEST_P(VmmContractTest, AFrozenGuestGoesOnInOthersOneAfterTheOther) {
  if (!subject_->can_freeze()) GTEST_SKIP() << "its guests cannot be frozen";
  const FrozenFiles files;
  spec_.freeze_to = files.ToFreeze();
  ASSERT_NO_FATAL_FAILURE(Boot());
  const Status frozen = machine_->Freeze(Soon());
  ASSERT_TRUE(frozen.ok()) << frozen.error().message;
  Send("echo never\n");
  EXPECT_EQ(ReadUntil(channel_.get(), "\n", Deadline::After(std::chrono::milliseconds(300))), "");
  machine_->Kill();
  ASSERT_TRUE(machine_->Wait(Soon()).ok());
  for (const char* word : {"one", "two"}) {
    auto spec = subject_->Spec();
    ASSERT_TRUE(spec.ok());
    spec_ = std::move(*spec);
    spec_.kernel.Reset();  // Not needed any more.
    spec_.initrd.Reset();
    spec_.resume_from = files.ToResume();
    ASSERT_NO_FATAL_FAILURE(Start());
    Send(std::string("echo ") + word + "\n");
    // No second greeting: it has said that before.
    EXPECT_EQ(ReadUntil(channel_.get(), "\n", Soon()), std::string(word) + "\n");
  }
}

TEST_P(VmmContractTest, AMachineThatWasNotStartedToBeFrozenGoesOn) {
  ASSERT_NO_FATAL_FAILURE(Boot());
  const Status frozen = machine_->Freeze(Soon());
  ASSERT_FALSE(frozen.ok());
  EXPECT_EQ(frozen.error().code, ErrorCode::kWrongState);
  Send("echo still\n");
  EXPECT_EQ(ReadUntil(channel_.get(), "\n", Soon()), "still\n");
}

TEST_P(VmmContractTest, AStateThatIsNoneIsAGuestThatDoesNotStart) {
  const FrozenFiles files;
  ASSERT_TRUE(sys::WriteAll(files.state.get(), std::string(5000, 'x')).ok());
  ASSERT_EQ(::ftruncate(files.memory.get(), off_t{spec_.memory_mib} << 20), 0);
  spec_.resume_from = files.ToResume();
  auto machine = vmm_->Start(std::move(spec_), Soon());
  ASSERT_FALSE(machine.ok());
  EXPECT_EQ(machine.error().code,
            subject_->can_freeze() ? ErrorCode::kGuestUnavailable : ErrorCode::kWrongState)
      << machine.error().message;
}

TEST_P(VmmContractTest, TheMachineTellsItsAccelerator) {
  ASSERT_NO_FATAL_FAILURE(Start());
  auto status = machine_->QueryAccelerator(Soon());
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(status->in_use, subject_->accelerator());
}

TEST_P(VmmContractTest, WaitTimesOutWhileItRuns) {
  ASSERT_NO_FATAL_FAILURE(Start());
  auto exit = machine_->Wait(Now());
  ASSERT_FALSE(exit.ok());
  EXPECT_EQ(exit.error().code, ErrorCode::kTimedOut);
}

TEST_P(VmmContractTest, CallsAfterTheEndSayThatItIsGone) {
  ASSERT_NO_FATAL_FAILURE(Start());
  machine_->Kill();
  ASSERT_TRUE(machine_->Wait(Soon()).ok());
  for (int i = 0; i < 2; ++i) {
    Status status = machine_->Pause(Soon());
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kGuestUnavailable) << status.error().message;
  }
}

TEST_P(VmmContractTest, DestroyingTheMachineEndsIt) {
  ASSERT_NO_FATAL_FAILURE(Start());
  sys::UniqueFd exit_fd(::fcntl(machine_->exit_fd(), F_DUPFD_CLOEXEC, 3));
  machine_.reset();
  pollfd entry = {.fd = exit_fd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&entry, 1, 0), 1);
}

TEST_P(VmmContractTest, ImpossibleSpecificationsAreRefused) {
  const std::function<void(MachineSpec&)> spoilers[] = {
      [](MachineSpec& spec) { spec.vcpus = 0; },
      [](MachineSpec& spec) { spec.memory_mib = 1; },
      [](MachineSpec& spec) { spec.kernel.Reset(); },
      [](MachineSpec& spec) { spec.kernel_arguments = {"two words"}; },
      [](MachineSpec& spec) { spec.resume_from.emplace(); },
      [](MachineSpec& spec) { spec.freeze_to.emplace(); },
      [](MachineSpec& spec) {  // Memory that others could see change.
        spec.resume_from = FrozenGuest{.memory = FileOf(""), .state = FileOf("")};
      },
      [](MachineSpec& spec) { spec.kernel_arguments = {std::string(2000, 'x')}; },
      [](MachineSpec& spec) {
        spec.network = NetworkCard{.fd = FileOf(""), .mac = "52:54:00:12:34:56,script=/x"};
      },
      [](MachineSpec& spec) {  // Layers lie on a base, and behind a data disk.
        spec.layer_disks.push_back(sys::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
      },
      [](MachineSpec& spec) {
        for (std::size_t disk = 0; disk <= kMaxLayerDisks + 1; ++disk) {
          sys::UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
          (disk == 0 ? spec.base_disk : spec.layer_disks.emplace_back()) = std::move(file);
        }
        spec.data_disk = FileOf("");
      },
      [](MachineSpec& spec) {  // One that the guest could write.
        spec.base_disk = sys::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        spec.data_disk = FileOf("");
        spec.layer_disks.push_back(FileOf(""));
      },
  };
  for (const auto& spoil : spoilers) {
    auto spec = subject_->Spec();
    ASSERT_TRUE(spec.ok());
    spoil(*spec);
    auto machine = vmm_->Start(std::move(*spec), Soon());
    ASSERT_FALSE(machine.ok());
    EXPECT_EQ(machine.error().code, ErrorCode::kInvalidArgument) << machine.error().message;
  }
}

std::string KindName(const testing::TestParamInfo<Kind>& info) { return info.param.name; }

#ifdef PYRO_CONTRACT_QEMU
INSTANTIATE_TEST_SUITE_P(Qemu, VmmContractTest,
                         testing::Values(Kind{"Qemu",
                                              [] { return std::make_unique<QemuSubject>(); }}),
                         KindName);
#elif defined(PYRO_CONTRACT_UML)
INSTANTIATE_TEST_SUITE_P(Uml, VmmContractTest,
                         testing::Values(Kind{"Uml",
                                              [] { return std::make_unique<UmlSubject>(); }}),
                         KindName);
#elif defined(PYRO_CONTRACT_PROCESS)
INSTANTIATE_TEST_SUITE_P(Process, VmmContractTest,
                         testing::Values(Kind{"Process",
                                              [] { return std::make_unique<ProcessSubject>(); }}),
                         KindName);
#else
INSTANTIATE_TEST_SUITE_P(Fake, VmmContractTest,
                         testing::Values(Kind{"Fake",
                                              [] { return std::make_unique<FakeSubject>(); }}),
                         KindName);
#endif

}  // namespace
}  // namespace pyro::vmm
