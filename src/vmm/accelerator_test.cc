#include "vmm/accelerator.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <ctime>
#include <functional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/check.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::vmm {
namespace {

using std::chrono::milliseconds;

ProbeOutcome Took(int ms) {
  return {.correct = true, .processor = milliseconds(ms), .failure = {}};
}
ProbeOutcome Failed(std::string why) { return {.correct = false, .failure = std::move(why)}; }

ProbeOutcome RanOut() {
  return {.correct = false, .out_of_patience = true, .failure = "did not finish within 20000 ms"};
}

TEST(AcceleratorTest, KvmWinsUnlessItIsClearlySlower) {
  for (const int kvm : {5, 200, 300, 400}) {
    EXPECT_EQ(JudgeProbes(Took(kvm), Took(200))->accelerator, Accelerator::kKvm) << kvm;
  }
  EXPECT_EQ(JudgeProbes(Took(2000), Took(200))->accelerator, Accelerator::kTcg);
}

TEST(AcceleratorTest, AVerdictThatRestsOnATimeOutDoesNotLast) {
  const auto tcg = JudgeProbes(RanOut(), Took(150));
  EXPECT_EQ(tcg->accelerator, Accelerator::kTcg);
  EXPECT_FALSE(tcg->lasts);
  EXPECT_NE(tcg->reason.find("tries again"), std::string::npos) << tcg->reason;
  const auto kvm = JudgeProbes(Took(40), RanOut());
  EXPECT_EQ(kvm->accelerator, Accelerator::kKvm);
  EXPECT_FALSE(kvm->lasts);
  EXPECT_TRUE(JudgeProbes(Failed("broke"), Took(150))->lasts);
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

TEST(AcceleratorTest, ThatAVerdictDoesNotLastIsStored) {
  const Json key = VerdictKey("/bin/sh", KvmAccess::kAllowed);
  const AcceleratorVerdict verdict = *JudgeProbes(RanOut(), Took(150));
  ASSERT_FALSE(verdict.lasts);
  EXPECT_EQ(ParseVerdict(FormatVerdict(verdict, key), key), verdict);
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

// A monitor whose probes a test describes; it counts them, from 1.
class ProbedVmm final : public Vmm {
 public:
  using Probe = std::function<ProbeOutcome(int count, Accelerator, ProbeLimits)>;

  ProbedVmm(const Probe& probe, int& probes) : probe_(probe), probes_(probes) {}
  std::filesystem::path program() const override { return "/bin/sh"; }
  Result<std::unique_ptr<Machine>> Start(MachineSpec, Deadline) override {
    return MakeError(ErrorCode::kInternal, "starts nothing");
  }
  Result<std::string> FrozenMachineKey(const MachineSpec&) const override {
    return std::string("probed");
  }
  Result<ProbeOutcome> RunProbe(Accelerator accelerator, const std::filesystem::path&,
                                ProbeLimits limits) const override {
    return probe_(++probes_, accelerator, limits);
  }

 private:
  const Probe& probe_;
  int& probes_;
};

class ProbedHostTest : public testing::Test {
 protected:
  ProbedHostTest() {
    options_.cache_file = directory_.path() / "accelerator.json";
    options_.kvm_device = "/dev/null";  // Open to all.
  }

  AcceleratorVerdict Choose() {
    const auto verdict = ChooseAccelerator(factory_, options_);
    PYRO_CHECK(verdict.ok());
    return *verdict;
  }

  void MakeCacheOld() {
    const timespec then{.tv_sec = std::time(nullptr) - 11 * 60, .tv_nsec = 0};
    const timespec times[] = {then, then};
    PYRO_CHECK(::utimensat(AT_FDCWD, options_.cache_file.c_str(), times, 0) == 0);
  }

  ProbedVmm::Probe probe_ = [](int, Accelerator accelerator, ProbeLimits) {
    return Took(accelerator == Accelerator::kKvm ? 40 : 170);
  };
  int probes_ = 0;
  VmmFactory factory_ = {
      .name = "probed", .create = [this](Accelerator) -> Result<std::unique_ptr<Vmm>> {
        return std::unique_ptr<Vmm>(std::make_unique<ProbedVmm>(probe_, probes_));
      }};
  sys::TestDirectory directory_;
  AcceleratorOptions options_;
};

TEST_F(ProbedHostTest, TheVerdictIsFoundOutOnceAndThenCached) {
  for (int i = 0; i < 2; ++i) {
    const AcceleratorVerdict verdict = Choose();
    EXPECT_EQ(verdict.accelerator, Accelerator::kKvm);
    EXPECT_EQ(verdict.reason, "a tiny guest took 40 ms under KVM and 170 ms under TCG");
    EXPECT_EQ(probes_, 4);  // Twice each.
  }
}

TEST_F(ProbedHostTest, AProbeOfKvmThatRunsOutOfTimeIsTriedAgainBeforeTcgIsTaken) {
  bool first = true;
  probe_ = [&](int, Accelerator accelerator, ProbeLimits) {
    if (accelerator == Accelerator::kTcg) return Took(170);
    return std::exchange(first, false) ? RanOut() : Took(40);
  };
  EXPECT_EQ(Choose().accelerator, Accelerator::kKvm);
  EXPECT_TRUE(KnownAccelerator(factory_, options_));
}

TEST_F(ProbedHostTest, AHostThatIsTooBusyOnceDoesNotLoseKvm) {
  bool busy = true;
  probe_ = [&](int, Accelerator accelerator, ProbeLimits) {
    if (accelerator == Accelerator::kTcg) return Took(170);
    return busy ? RanOut() : Took(40);
  };
  EXPECT_EQ(Choose().accelerator, Accelerator::kTcg);
  busy = false;
  MakeCacheOld();
  EXPECT_FALSE(KnownAccelerator(factory_, options_));
  EXPECT_EQ(Choose().accelerator, Accelerator::kKvm);
  MakeCacheOld();
  probes_ = 0;
  EXPECT_EQ(Choose().accelerator, Accelerator::kKvm);  // This one lasts.
  EXPECT_EQ(probes_, 0);
}

TEST_F(ProbedHostTest, AKvmThatHangsIsNotWaitedForByEachCall) {
  probe_ = [](int, Accelerator accelerator, ProbeLimits) {
    return accelerator == Accelerator::kTcg ? Took(170) : RanOut();
  };
  const AcceleratorVerdict first = Choose();
  EXPECT_EQ(first.accelerator, Accelerator::kTcg);
  EXPECT_EQ(probes_, 4);
  EXPECT_EQ(Choose(), first);
  EXPECT_EQ(probes_, 4);
}

TEST_F(ProbedHostTest, BothHaveTheSamePatienceAndASlowKvmEndsSoon) {
  std::vector<ProbeLimits> tcg;
  std::vector<ProbeLimits> kvm;
  probe_ = [&](int, Accelerator accelerator, ProbeLimits limits) {
    (accelerator == Accelerator::kTcg ? tcg : kvm).push_back(limits);
    return accelerator == Accelerator::kTcg ? Took(170) : Failed("took more than 390 ms");
  };
  EXPECT_EQ(Choose().accelerator, Accelerator::kTcg);
  ASSERT_EQ(kvm.size(), 1U);  // That it is slow needs no second run.
  EXPECT_EQ(kvm[0].patience, tcg.at(0).patience);
  EXPECT_EQ(kvm[0].processor, milliseconds(2 * 170 + 50));
  EXPECT_EQ(tcg[0].processor, milliseconds(0));
  EXPECT_TRUE(KnownAccelerator(factory_, options_));
}

TEST_F(ProbedHostTest, AHostTooBusyForTcgsProbeGivesBothLonger) {
  probe_ = [](int, Accelerator accelerator, ProbeLimits limits) {
    if (limits.patience < std::chrono::seconds(30)) return RanOut();
    return Took(accelerator == Accelerator::kKvm ? 40 : 170);
  };
  const AcceleratorVerdict verdict = Choose();
  EXPECT_EQ(verdict.reason, "a tiny guest took 40 ms under KVM and 170 ms under TCG");
  EXPECT_TRUE(verdict.lasts);
}

TEST_F(ProbedHostTest, AVerdictTellsTheLongestTimeThatTcgsProbeWasGiven) {
  probe_ = [](int, Accelerator accelerator, ProbeLimits limits) {
    if (accelerator == Accelerator::kKvm) return Took(40);
    ProbeOutcome ran_out = RanOut();
    const std::chrono::milliseconds patience = limits.patience;
    ran_out.failure = "did not finish within " + std::to_string(patience.count()) + " ms";
    return ran_out;
  };
  EXPECT_NE(Choose().reason.find("60000 ms"), std::string::npos);
}

TEST_F(ProbedHostTest, ThatUserModeWorksIsCachedAndThatItDoesNotIsFoundOutAgain) {
  probe_ = [](int count, Accelerator, ProbeLimits) {
    return count == 1 ? Failed("did not finish") : Took(170);
  };
  const auto cache = directory_.path() / "usermode.json";
  const Status failed = CheckUsermode(factory_, cache);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(failed.error().message, "a tiny guest in user mode did not finish");
  EXPECT_TRUE(CheckUsermode(factory_, cache).ok());
  EXPECT_TRUE(CheckUsermode(factory_, cache).ok());
  EXPECT_EQ(probes_, 2);
}

TEST(AcceleratorTest, AMissingDeviceIsAbsent) {
  EXPECT_EQ(CheckKvmAccess("/dev/no-such-device"), KvmAccess::kAbsent);
  EXPECT_EQ(CheckKvmAccess("/dev/null"), KvmAccess::kAllowed);
}

}  // namespace
}  // namespace pyro::vmm
