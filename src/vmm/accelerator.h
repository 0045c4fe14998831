// The choice of the accelerator for guests, by running a tiny guest under each. A /dev/kvm that
// opens proves nothing: some clouds offer one that interprets the guest's kernel mode, a hundred
// times slower than TCG.

#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "pyro/result.h"
#include "vmm/vmm.h"

namespace pyro::vmm {

// Whether this process may open the device. It opens it for the monitor, which may run as a user
// that may not.
enum class KvmAccess { kAbsent, kDenied, kAllowed };

KvmAccess CheckKvmAccess(const std::filesystem::path& device);
// kGuestUnavailable: that user may not; the hint is the remedy. It does not say how fast KVM is.
Status CheckKvm(const std::filesystem::path& device);

// Whether guests in user mode run here, by starting one. That they do is cached, as a verdict is. A
// failure is not: its cause may be gone the next time, such as a busy host or a limit.
// kMissingTool: their kernel is not installed. kGuestUnavailable: such a guest does not run here.
Status CheckUsermode(const VmmFactory& factory, const std::filesystem::path& cache_file);

struct AcceleratorVerdict {
  Accelerator accelerator = Accelerator::kTcg;
  std::string reason;  // One sentence for people.
  // What the probe's work took of the processor, if its result was right.
  std::optional<std::chrono::milliseconds> kvm;
  std::optional<std::chrono::milliseconds> tcg;
  bool lasts = true;  // False: it rests on a probe that ran out of time, and holds for 10 minutes.

  bool operator==(const AcceleratorVerdict&) const = default;
};

struct AcceleratorOptions {
  std::filesystem::path cache_file;
  std::filesystem::path kvm_device = "/dev/kvm";
  std::string wish;  // The value of PYRO_ACCELERATOR: "tcg", "kvm", "usermode", or empty.
};

// Returns the wish, or the cached verdict if it is still valid. Otherwise it runs the probe twice
// under each accelerator and caches the verdict. Each time lasts 20 s at most, or 60 s once TCG's
// has run out of those. Several processes may do this at once. A cache that cannot be read or
// written is ignored.
// kMissingTool: no monitor or no bwrap. kInvalidArgument: the wish is not an accelerator.
// kGuestUnavailable: the probe fails under every accelerator.
Result<AcceleratorVerdict> ChooseAccelerator(const VmmFactory& factory,
                                             const AcceleratorOptions& options);

// What ChooseAccelerator would say, if that is certain without running anything; writes nothing.
std::optional<Accelerator> KnownAccelerator(const VmmFactory& factory,
                                            const AcceleratorOptions& options);

// The parts of it, for tests.

// The inputs of a verdict. It is valid only while they are the same.
Json VerdictKey(const std::filesystem::path& monitor, KvmAccess access);

// KVM if its probe was right and did not take twice as long as TCG's. Errors as above.
Result<AcceleratorVerdict> JudgeProbes(const ProbeOutcome& kvm, const ProbeOutcome& tcg);

std::string FormatVerdict(const AcceleratorVerdict& verdict, const Json& key);

// nullopt: broken, of another format, or for another key.
std::optional<AcceleratorVerdict> ParseVerdict(std::string_view text, const Json& key);

}  // namespace pyro::vmm
