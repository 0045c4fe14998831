#include "vmm/accelerator.h"

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::vmm {
namespace {

using std::chrono::milliseconds;

ProbeOutcome Took(int ms) { return {.correct = true, .duration = milliseconds(ms), .failure = {}}; }
ProbeOutcome Failed(std::string why) {
  return {.correct = false, .duration = milliseconds(2000), .failure = std::move(why)};
}

TEST(AcceleratorTest, KvmWinsOnlyWhenSooner) {
  EXPECT_EQ(JudgeProbes(Took(50), Took(200))->accelerator, Accelerator::kKvm);
  EXPECT_EQ(JudgeProbes(Took(300), Took(200))->accelerator, Accelerator::kTcg);
  EXPECT_EQ(JudgeProbes(Took(200), Took(200))->accelerator, Accelerator::kTcg);
}

TEST(AcceleratorTest, AFailedProbeLosesAndItsReasonIsShown) {
  auto verdict = JudgeProbes(Failed("did not finish within 2000 ms"), Took(150));
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict->accelerator, Accelerator::kTcg);
  EXPECT_EQ(verdict->reason,
            "a tiny guest under KVM did not finish within 2000 ms; under TCG it took 150 ms");
  EXPECT_FALSE(verdict->kvm);
  EXPECT_EQ(JudgeProbes(Took(50), Failed("broke"))->accelerator, Accelerator::kKvm);
}

TEST(AcceleratorTest, NothingThatWorksIsAnError) {
  auto verdict = JudgeProbes(Failed("broke"), Failed("broke"));
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.error().code, ErrorCode::kGuestUnavailable);
}

TEST(AcceleratorTest, VerdictsComeBackForTheSameKeyOnly) {
  const Json key = VerdictKey("/bin/sh", KvmAccess::kAllowed);
  const AcceleratorVerdict verdict = {.accelerator = Accelerator::kKvm,
                                      .reason = "because",
                                      .kvm = milliseconds(40),
                                      .tcg = milliseconds(170)};
  const std::string text = FormatVerdict(verdict, key);
  EXPECT_EQ(ParseVerdict(text, key), verdict);
  for (const auto& [field, value] : key.items()) {
    Json other = key;
    other[field] = "changed";
    EXPECT_FALSE(ParseVerdict(text, other)) << field;
  }
  EXPECT_NE(VerdictKey("/bin/sh", KvmAccess::kDenied), key);
}

TEST(AcceleratorTest, BrokenCachesAreNoVerdict) {
  const Json key = VerdictKey("/bin/sh", KvmAccess::kAllowed);
  const std::string good = FormatVerdict({}, key);
  for (std::size_t size = 0; size + 2 < good.size(); ++size) {
    EXPECT_FALSE(ParseVerdict(good.substr(0, size), key)) << size;
  }
  for (const char* text : {"[]", "null", "{\"format\": 2}", "\"x\""}) {
    EXPECT_FALSE(ParseVerdict(text, key)) << text;
  }
  AcceleratorVerdict endless;
  endless.reason = std::string(5000, 'x');
  EXPECT_FALSE(ParseVerdict(FormatVerdict(endless, key), key));
}

// Of a host without any monitor.
const VmmFactory kNone = {.name = "none",
                          .create = [](Accelerator) -> Result<std::unique_ptr<Vmm>> {
                            return MakeError(ErrorCode::kMissingTool, "no monitor");
                          }};

TEST(AcceleratorTest, AWishIsHonouredAndShown) {
  AcceleratorOptions options;
  options.wish = "kvm";
  auto verdict = ChooseAccelerator(kNone, options);
  ASSERT_TRUE(verdict.ok());
  EXPECT_EQ(verdict->accelerator, Accelerator::kKvm);
  EXPECT_EQ(verdict->reason, "PYRO_ACCELERATOR=kvm asks for it");
  options.wish = "warp";
  verdict = ChooseAccelerator(kNone, options);
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.error().code, ErrorCode::kInvalidArgument);
}

TEST(AcceleratorTest, WithoutAWishTheMonitorMustBeThere) {
  sys::TestDirectory directory;
  AcceleratorOptions options;
  options.cache_file = directory.path() / "accelerator.json";
  const auto verdict = ChooseAccelerator(kNone, options);
  ASSERT_FALSE(verdict.ok());
  EXPECT_EQ(verdict.error().code, ErrorCode::kMissingTool);
}

// A monitor that says how long each accelerator takes, and counts how often it was asked.
class ProbedVmm final : public Vmm {
 public:
  explicit ProbedVmm(int& probes) : probes_(probes) {}
  std::filesystem::path program() const override { return "/bin/sh"; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec, Deadline) override {
    return MakeError(ErrorCode::kInternal, "starts nothing");
  }
  Result<std::string> FrozenMachineKey(const MachineSpec&) const override {
    return std::string("probed");
  }
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path&,
                                milliseconds) const override {
    ++probes_;
    if (probes_ == 1 && accelerator == Accelerator::kUsermode) {
      return Failed("did not finish");
    }
    return Took(accelerator == Accelerator::kKvm ? 40 : 170);
  }

 private:
  int& probes_;
};

TEST(AcceleratorTest, TheVerdictIsFoundOutOnceAndThenCached) {
  sys::TestDirectory directory;
  int probes = 0;
  const VmmFactory factory = {.name = "probed",
                              .create = [&](Accelerator) -> Result<std::unique_ptr<Vmm>> {
                                return std::unique_ptr<Vmm>(std::make_unique<ProbedVmm>(probes));
                              }};
  AcceleratorOptions options;
  options.cache_file = directory.path() / "accelerator.json";
  options.kvm_device = "/dev/null";  // Open to all.
  for (int i = 0; i < 2; ++i) {
    const auto verdict = ChooseAccelerator(factory, options);
    ASSERT_TRUE(verdict.ok()) << verdict.error().message;
    EXPECT_EQ(verdict->accelerator, Accelerator::kKvm);
    EXPECT_EQ(verdict->reason, "a tiny guest took 40 ms under KVM and 170 ms under TCG");
    EXPECT_EQ(probes, 4);  // Twice each.
  }
}

TEST(AcceleratorTest, ThatUserModeWorksIsCachedAndThatItDoesNotIsFoundOutAgain) {
  sys::TestDirectory directory;
  int probes = 0;
  const VmmFactory factory = {.name = "probed",
                              .create = [&](Accelerator) -> Result<std::unique_ptr<Vmm>> {
                                return std::unique_ptr<Vmm>(std::make_unique<ProbedVmm>(probes));
                              }};
  const auto cache = directory.path() / "usermode.json";
  const Status failed = CheckUsermode(factory, cache);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(failed.error().message, "a tiny guest in user mode did not finish");
  EXPECT_TRUE(CheckUsermode(factory, cache).ok());
  EXPECT_TRUE(CheckUsermode(factory, cache).ok());
  EXPECT_EQ(probes, 2);
}

TEST(AcceleratorTest, AMissingDeviceIsAbsent) {
  EXPECT_EQ(CheckKvmAccess("/dev/no-such-device"), KvmAccess::kAbsent);
  EXPECT_EQ(CheckKvmAccess("/dev/null"), KvmAccess::kAllowed);
}

}  // namespace
}  // namespace pyro::vmm
