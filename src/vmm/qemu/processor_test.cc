// The emulated processor, compared with what the QEMU of this host offers. A guest of a QEMU with a
// new feature may hang: Linux 6.1 copies memory with `fsrm` in a way that needs `erms`, and never
// comes to an end where the one is there without the other.

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/files.h"
#include "vmm/qemu/argv.h"
#include "vmm/qemu/qemu_program.h"
#include "vmm/qemu/qmp_client.h"
#include "vmm/testing/test_guest.h"

namespace pyro::vmm::qemu {
namespace {

// With all of these a guest of pyro boots and works, under QEMU 7.2 and 10.0. Some names are not
// features of a processor, but choices of QEMU for it.
constexpr std::string_view kJudged =
    "3dnow 3dnowext 3dnowprefetch abm acpi adx aes apic arat avx avx2 bmi1 bmi2 check clflush "
    "clflushopt clwb cmov cmp-legacy cmpccxadd cpuid-0xb cr8legacy cx16 cx8 de f16c "
    "fill-mtrr-mask fma fpu fsgsbase fsrc fsrs full-cpuid-auto-level fxsr fzrm hypervisor i64 "
    "kvm l3-cache lahf-lm legacy-cache lm mca mce migratable mmx mmxext monitor movbe msr mtrr "
    "nx pae pat pclmuldq pclmulqdq pcommit pdpe1gb pge pks pmu pni popcnt pse pse36 rdpid "
    "rdrand rdseed rdtscp sep sha-ni ss sse sse2 sse3 sse4-1 sse4-2 sse4a ssse3 "
    "syscall tcg-cpuid tsc vaes vmware-cpuid-freq wbnoinvd "
    "x-amd-topoext-features-only x-intel-pt-auto-level x-l1-cache-per-thread "
    "x-migrate-smi-count x-vendor-cpuid-only x2apic xd xgetbv1 xsave xsaveerptr xsaveopt";

Deadline InAMinute() { return Deadline::After(std::chrono::seconds(60)); }

// QEMU has up to three spellings for one feature: sse4_1, sse4.1 and sse4-1.
std::string OneSpelling(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '_' || c == '.'; }, '-');
  return name;
}

// What a test learns of the processor that `cpu`, a word for -cpu, comes to.
struct Processor {
  std::string qemu;  // "10.0.13".
  std::set<std::string> on;
  std::set<std::string> off;
};

Result<Processor> AskQemu(const std::string& cpu) {
  PYRO_ASSIGN_OR_RETURN(const std::filesystem::path program, FindQemu());
  PYRO_ASSIGN_OR_RETURN(sys::SocketPair monitor, sys::MakeSocketPair());
  QemuLaunch launch;
  launch.argv = {program,    "-machine",
                 "none",     "-accel",
                 "tcg",      "-display",
                 "none",     "-nodefaults",
                 "-chardev", "socket,id=monitor,fd=3",
                 "-mon",     "chardev=monitor,mode=control"};
  launch.pass.push_back(std::move(monitor.second));
  PYRO_ASSIGN_OR_RETURN(const jail::JailedProcess process,
                        LaunchQemu(std::move(launch), InAMinute()));
  QmpClient client(std::move(monitor.first));
  PYRO_RETURN_IF_ERROR(client.Handshake(InAMinute()));
  std::vector<std::string_view> words = Split(cpu, ',');
  Json model = {{"name", words[0]}, {"props", Json::object()}};
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::size_t equals = words[i].find('=');
    model["props"][std::string(words[i].substr(0, equals))] = words[i].substr(equals + 1) == "on";
  }
  PYRO_ASSIGN_OR_RETURN(
      const Json answer,
      client.Execute("query-cpu-model-expansion", {{"type", "full"}, {"model", std::move(model)}},
                     InAMinute()));
  Processor processor;
  processor.qemu = client.version();
  for (const auto& [name, value] : answer.at("model").at("props").items()) {
    if (value.is_boolean()) (value ? processor.on : processor.off).insert(OneSpelling(name));
  }
  return processor;
}

class ProcessorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto qemu = FindQemu(); !qemu) PYRO_SKIP_OR_FAIL(qemu.error().message);
    const std::vector<std::string> words = MachineArguments("qemu", MachineSpec(), {}, {});
    const auto at = std::find(words.begin(), words.end(), "-cpu");
    ASSERT_LT(at + 1, words.end());
    cpu_ = *(at + 1);
    auto processor = AskQemu(cpu_);
    ASSERT_TRUE(processor.ok()) << processor.error().message;
    processor_ = std::move(*processor);
  }

  std::string cpu_;
  Processor processor_;
};

TEST_F(ProcessorTest, EveryFeatureThatThisQemuGivesAGuestHasBeenJudged) {
  const std::vector<std::string_view> words = Split(kJudged, ' ');
  const std::set<std::string> judged(words.begin(), words.end());
  EXPECT_TRUE(processor_.on.contains("avx2")) << fmt::format("{}", processor_.on);
  std::set<std::string> unjudged;
  std::set_difference(processor_.on.begin(), processor_.on.end(), judged.begin(), judged.end(),
                      std::inserter(unjudged, unjudged.end()));
  EXPECT_TRUE(unjudged.empty()) << fmt::format(
      "QEMU {} gives guests processor features with which no guest of pyro was tried: {}. A kernel "
      "may take one to mean that another is there, one that pyro takes away ({}). Boot a guest of "
      "each environment, and then add it to kJudged here, or to what vmm/qemu/argv.cc takes away.",
      processor_.qemu, fmt::join(unjudged, ", "), cpu_);
}

TEST_F(ProcessorTest, WhatIsTakenAwayIsKnownToThisQemuAndGone) {
  for (const std::string_view word : Split(cpu_, ',')) {
    if (!word.ends_with("=off")) continue;
    const std::string name = OneSpelling(std::string(word.substr(0, word.find('='))));
    EXPECT_TRUE(processor_.off.contains(name)) << "QEMU " << processor_.qemu << ": " << name;
  }
}

}  // namespace
}  // namespace pyro::vmm::qemu
