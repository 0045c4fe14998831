// The probe guest in earnest, under QEMU.

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/host.h"
#include "sys/test_directory.h"
#include "vmm/accelerator.h"
#include "vmm/factory.h"
#include "vmm/qemu/probe.h"
#include "vmm/qemu/qemu_program.h"
#include "vmm/testing/test_guest.h"

namespace pyro::vmm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class AcceleratorProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto qemu = qemu::FindQemu(); !qemu) PYRO_SKIP_OR_FAIL(qemu.error().message);
    options_.cache_file = directory_.path() / "accelerator.json";
  }

  sys::TestDirectory directory_;
  AcceleratorOptions options_;
};

TEST_F(AcceleratorProbeTest, ComesOutRightUnderTcg) {
  auto outcome =
      qemu::RunProbe(*qemu::FindQemu(), Accelerator::kTcg, "/dev/kvm", {.patience = seconds(60)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_TRUE(outcome->correct) << outcome->failure;
  EXPECT_GT(outcome->processor.count(), 0);
}

TEST_F(AcceleratorProbeTest, AGuestThatComputesForLongerThanItsLimitIsStopped) {
  auto outcome = qemu::RunProbe(*qemu::FindQemu(), Accelerator::kTcg, "/dev/kvm",
                                {.patience = seconds(60), .processor = milliseconds(1)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_FALSE(outcome->correct);
  EXPECT_FALSE(outcome->out_of_patience);
  EXPECT_EQ(outcome->failure, "took more than 1 ms");
}

TEST_F(AcceleratorProbeTest, AGuestThatQemuHasStoppedIsNotWaitedFor) {
  ::chmod(directory_.path().c_str(), 0755);
  const auto program = directory_.path() / "qemu";
  ASSERT_TRUE(std::filesystem::copy_file(*sys::ProgramDirectory() / "vmm_stopped_qemu", program));
  auto outcome = qemu::RunProbe(program, Accelerator::kTcg, "/dev/kvm", {.patience = seconds(60)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_FALSE(outcome->correct);
  EXPECT_FALSE(outcome->out_of_patience);
  EXPECT_EQ(outcome->failure, "was stopped (KVM internal error. Suberror: 1)");
}

// Each of the busy loops takes the processor from the probe; its own work stays the same.
TEST_F(AcceleratorProbeTest, ABusyHostDoesNotLengthenTheWork) {
  std::array<milliseconds, 3> quiet{};
  std::array<milliseconds, 3> busy{};
  for (std::size_t i = 0; i < quiet.size(); ++i) {
    for (auto* times : {&quiet, &busy}) {
      std::atomic<bool> over = false;
      std::vector<std::thread> loops(times == &busy ? 4 * std::thread::hardware_concurrency() : 0);
      for (std::thread& loop : loops)
        loop = std::thread([&over] {
          while (!over) {
          }
        });
      auto outcome = qemu::RunProbe(*qemu::FindQemu(), Accelerator::kTcg, "/dev/kvm",
                                    {.patience = seconds(60)});
      over = true;
      for (std::thread& loop : loops) loop.join();
      ASSERT_TRUE(outcome.ok() && outcome->correct);
      (*times)[i] = outcome->processor;
    }
  }
  std::sort(quiet.begin(), quiet.end());
  std::sort(busy.begin(), busy.end());
  // On the wall it takes five times as long or more.
  EXPECT_LT(busy[1], 3 * quiet[1]);
}

TEST_F(AcceleratorProbeTest, AnImpossibleDeadlineFails) {
  auto outcome = qemu::RunProbe(*qemu::FindQemu(), Accelerator::kTcg, "/dev/kvm",
                                {.patience = milliseconds(1)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_FALSE(outcome->correct);
  EXPECT_TRUE(outcome->out_of_patience);
}

TEST_F(AcceleratorProbeTest, ADeviceThatIsNoKvmLoses) {
  options_.kvm_device = "/dev/null";
  auto verdict = ChooseAccelerator(SystemVmm({}), options_);
  ASSERT_TRUE(verdict.ok()) << verdict.error().message;
  EXPECT_EQ(verdict->accelerator, Accelerator::kTcg);
  EXPECT_NE(verdict->reason.find("a tiny guest under KVM ended wrongly"), std::string::npos)
      << verdict->reason;
  EXPECT_TRUE(verdict->tcg);
}

TEST_F(AcceleratorProbeTest, TheVerdictIsCachedAndABrokenCacheIsReplaced) {
  options_.kvm_device = "/dev/null";
  auto first = ChooseAccelerator(SystemVmm({}), options_);
  ASSERT_TRUE(first.ok()) << first.error().message;
  auto text = sys::ReadFile(options_.cache_file, 65536);
  ASSERT_TRUE(text.ok());
  auto second = ChooseAccelerator(SystemVmm({}), options_);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(*second, *first);  // Times included: nothing was measured again.

  ASSERT_TRUE(sys::WriteFileAtomically(options_.cache_file, text->substr(0, 40)).ok());
  auto third = ChooseAccelerator(SystemVmm({}), options_);
  ASSERT_TRUE(third.ok());
  auto rewritten = sys::ReadFile(options_.cache_file, 65536);
  ASSERT_TRUE(rewritten.ok());
  const Json key = VerdictKey(*qemu::FindQemu(), CheckKvmAccess(options_.kvm_device));
  EXPECT_EQ(ParseVerdict(*rewritten, key), *third);
}

// QEMU is another user than root, and in no group; so the device is handed in. A KVM that QEMU then
// cannot work with has been opened all the same.
TEST_F(AcceleratorProbeTest, AKvmThatOnlyRootMayOpenRunsRootsGuest) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, whose jail is another user";
  const sys::UniqueFd real(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  struct stat status {};
  if (!real.valid() || ::fstat(real.get(), &status) != 0) GTEST_SKIP() << "there is no KVM here";
  const sys::UniqueFd vm(::ioctl(real.get(), KVM_CREATE_VM, 0));
  if (!vm.valid()) GTEST_SKIP() << "KVM does not work here";
  const auto device = directory_.path() / "kvm";
  ASSERT_EQ(::mknod(device.c_str(), S_IFCHR | 0600, status.st_rdev), 0);
  const sys::UniqueFd own(::open(device.c_str(), O_RDWR | O_CLOEXEC));
  if (!own.valid()) GTEST_SKIP() << "device nodes do not work here";
  auto outcome = qemu::RunProbe(*qemu::FindQemu(), Accelerator::kKvm, device,
                                {.patience = seconds(60), .processor = milliseconds(1)});
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  EXPECT_EQ(outcome->failure.find("Could not access KVM kernel module"), std::string::npos)
      << outcome->failure;
}

// Wherever KVM can be opened at all, the verdict agrees with the probes: it is KVM unless that is
// clearly slower.
TEST_F(AcceleratorProbeTest, KvmIsTakenUnlessItsGuestIsClearlySlower) {
  if (CheckKvmAccess("/dev/kvm") != KvmAccess::kAllowed) GTEST_SKIP() << "/dev/kvm is not ours";
  auto verdict = ChooseAccelerator(SystemVmm({}), options_);
  ASSERT_TRUE(verdict.ok()) << verdict.error().message;
  EXPECT_EQ(verdict->accelerator == Accelerator::kKvm, verdict->kvm.has_value()) << verdict->reason;
  RecordProperty("reason", verdict->reason);
}

}  // namespace
}  // namespace pyro::vmm
