#include "vmm/accelerator.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/fields.h"
#include "base/text.h"
#include "base/try.h"
#include "jail/jail.h"
#include "sys/files.h"
#include "sys/host.h"
#include "sys/process_state.h"

namespace pyro::vmm {
namespace {

using std::chrono::milliseconds;

constexpr int kVerdictFormat = 4;
constexpr std::size_t kMaxCacheBytes = 64 * 1024;
constexpr std::int64_t kMaxReasonBytes = 1000;
// In the order of KvmAccess.
constexpr std::array<std::string_view, 3> kAccessNames = {"absent", "denied", "allowed"};
constexpr Field kVerdictFields[] = {
    Row<AcceleratorVerdict, &AcceleratorVerdict::accelerator>("accelerator"),
    Row<AcceleratorVerdict, &AcceleratorVerdict::reason>("reason").To(kMaxReasonBytes),
    Row<AcceleratorVerdict, &AcceleratorVerdict::kvm>("kvm_ms").To(3600 * 1000),
    Row<AcceleratorVerdict, &AcceleratorVerdict::tcg>("tcg_ms").To(3600 * 1000),
    Row<AcceleratorVerdict, &AcceleratorVerdict::lasts>("lasts"),
};
constexpr milliseconds kPatience{20'000};
// For the probes after one of TCG that ran out of it. TCG does not hang: the host is so busy.
constexpr milliseconds kPatienceOnABusyHost{60'000};
// How long a verdict holds that does not last. Without this, each call on a host where KVM hangs
// would wait for that again.
constexpr std::chrono::minutes kUntilTriedAgain{10};
constexpr int kProbeRuns = 2;  // The better one counts: a busy host may disturb one.
// The probe's loop is what TCG does best; a guest's kernel gains far more from KVM. A KVM that
// interprets takes a hundred times as long.
constexpr int kClearlySlower = 2;
constexpr milliseconds kMeasuringError{50};

Error NoKvm(KvmAccess access, const std::filesystem::path& device) {
  const std::string& name = device.native();
  std::string why = fmt::format("{} does not exist", name);
  std::string remedy =
      "switch virtualization on in the firmware, or nested virtualization on the host above";
  if (access != KvmAccess::kAbsent && sys::IsFullRoot()) {
    why = fmt::format("root may not open {} here", name);
    remedy = "let the container or the control group that pyro runs in use the device";
  } else if (access != KvmAccess::kAbsent) {
    why = fmt::format("this user may not open {}", name);
    remedy = "sudo usermod --append --groups kvm $USER, then log in again";
  }
  return MakeError(ErrorCode::kGuestUnavailable, std::move(why), std::move(remedy));
}

// The same in all cases: at what price, and the way out.
std::string DeniedReason(const Error& error) {
  return fmt::format("{}; without KVM, computing takes 10 to 25 times as long; to get it: {}",
                     error.message, error.hint);
}

// What runs out of patience is tried again; any other failure is the accelerator's. Makes the
// patience longer on a busy host.
Result<ProbeOutcome> RunProbeTwice(const Vmm& vmm, Accelerator accelerator,
                                   const std::filesystem::path& device, ProbeLimits& limits) {
  ProbeOutcome best;
  for (int run = 0; run < kProbeRuns; ++run) {
    PYRO_ASSIGN_OR_RETURN(ProbeOutcome outcome, vmm.RunProbe(accelerator, device, limits));
    if (!outcome.correct && !outcome.out_of_patience) return outcome;
    if (!outcome.correct && accelerator == Accelerator::kTcg) {
      limits.patience = kPatienceOnABusyHost;
    }
    const bool better = outcome.correct && outcome.processor < best.processor;
    if (!best.correct || better) best = std::move(outcome);
  }
  return best;
}

Result<AcceleratorVerdict> FindOut(const Vmm& vmm, const AcceleratorOptions& options,
                                   KvmAccess access) {
  if (access != KvmAccess::kAllowed) {
    return AcceleratorVerdict{.accelerator = Accelerator::kTcg,
                              .reason = DeniedReason(NoKvm(access, options.kvm_device)),
                              .kvm = std::nullopt,
                              .tcg = std::nullopt};
  }
  ProbeLimits limits{.patience = kPatience};
  PYRO_ASSIGN_OR_RETURN(const ProbeOutcome tcg,
                        RunProbeTwice(vmm, Accelerator::kTcg, options.kvm_device, limits));
  if (tcg.correct) limits.processor = kClearlySlower * tcg.processor + kMeasuringError;
  PYRO_ASSIGN_OR_RETURN(const ProbeOutcome kvm,
                        RunProbeTwice(vmm, Accelerator::kKvm, options.kvm_device, limits));
  return JudgeProbes(kvm, tcg);
}

std::optional<AcceleratorVerdict> CachedVerdict(const std::filesystem::path& file,
                                                const Json& key) {
  struct stat status {};
  const bool there = ::stat(file.c_str(), &status) == 0;
  const Result<std::string> text = sys::ReadFile(file, kMaxCacheBytes);
  std::optional<AcceleratorVerdict> verdict = text ? ParseVerdict(*text, key) : std::nullopt;
  if (!verdict || verdict->lasts) return verdict;
  const std::chrono::seconds age(there ? std::time(nullptr) - status.st_mtim.tv_sec : -1);
  return age.count() >= 0 && age < kUntilTriedAgain ? verdict : std::nullopt;
}

void Cache(const std::filesystem::path& file, AcceleratorVerdict verdict, const Json& key) {
  if (verdict.reason.size() > kMaxReasonBytes) verdict.reason.resize(kMaxReasonBytes);
  static_cast<void>(sys::WriteFileAtomically(file, FormatVerdict(verdict, key)));
}

}  // namespace

KvmAccess CheckKvmAccess(const std::filesystem::path& device) {
  struct stat status {};
  if (::stat(device.c_str(), &status) != 0) return KvmAccess::kAbsent;
  return ::access(device.c_str(), R_OK | W_OK) == 0 ? KvmAccess::kAllowed : KvmAccess::kDenied;
}

Status CheckKvm(const std::filesystem::path& device) {
  const KvmAccess access = CheckKvmAccess(device);
  return access == KvmAccess::kAllowed ? OkStatus() : Status(NoKvm(access, device));
}

Status CheckUsermode(const VmmFactory& factory, const std::filesystem::path& cache_file) {
  PYRO_RETURN_IF_ERROR(jail::CheckJailUser());
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<Vmm> vmm, factory.create(Accelerator::kUsermode));
  const Json key = VerdictKey(vmm->program(), KvmAccess::kAbsent);
  const std::optional<AcceleratorVerdict> cached = CachedVerdict(cache_file, key);
  if (cached && cached->accelerator == Accelerator::kUsermode) return OkStatus();
  const auto outcome = vmm->RunProbe(Accelerator::kUsermode, {}, {.patience = kPatience});
  if (!outcome) {
    Error error = outcome.error();
    if (error.code != ErrorCode::kMissingTool) error.code = ErrorCode::kGuestUnavailable;
    return error;
  }
  if (!outcome->correct) {
    return MakeError(ErrorCode::kGuestUnavailable,
                     fmt::format("a tiny guest in user mode {}", outcome->failure),
                     "choose the machine tcg");
  }
  Cache(cache_file,
        {.accelerator = Accelerator::kUsermode,
         .reason = "",
         .kvm = std::nullopt,
         .tcg = std::nullopt},
        key);
  return OkStatus();
}

Json VerdictKey(const std::filesystem::path& monitor, KvmAccess access) {
  struct stat status {};
  static_cast<void>(::stat(monitor.c_str(), &status));
  Result<std::string> boot = sys::BootId();
  return {{"boot_id", boot ? *boot : ""},
          {"kernel", sys::KernelRelease()},
          {"monitor", monitor.native()},
          {"monitor_bytes", static_cast<std::int64_t>(status.st_size)},
          {"monitor_modified", static_cast<std::int64_t>(status.st_mtim.tv_sec)},
          {"kvm", kAccessNames.at(static_cast<std::size_t>(access))},
          {"uid", static_cast<std::int64_t>(::geteuid())}};
}

Result<AcceleratorVerdict> JudgeProbes(const ProbeOutcome& kvm, const ProbeOutcome& tcg) {
  AcceleratorVerdict verdict;
  if (kvm.correct) verdict.kvm = kvm.processor;
  if (tcg.correct) verdict.tcg = tcg.processor;
  if (!kvm.correct && !tcg.correct) {
    return MakeError(ErrorCode::kGuestUnavailable,
                     fmt::format("no accelerator works: a tiny guest under TCG {}; under KVM it {}",
                                 tcg.failure, kvm.failure));
  }
  if (!kvm.correct) {
    verdict.reason = fmt::format("a tiny guest under KVM {}; under TCG it took {} ms", kvm.failure,
                                 tcg.processor.count());
    verdict.lasts = !kvm.out_of_patience;
  } else if (!tcg.correct) {
    verdict.accelerator = Accelerator::kKvm;
    verdict.reason = fmt::format("a tiny guest took {} ms under KVM; under TCG it {}",
                                 kvm.processor.count(), tcg.failure);
    verdict.lasts = !tcg.out_of_patience;
  } else {
    const bool slower = kvm.processor > kClearlySlower * tcg.processor + kMeasuringError;
    verdict.accelerator = slower ? Accelerator::kTcg : Accelerator::kKvm;
    verdict.reason = fmt::format("a tiny guest took {} ms under KVM and {} ms under TCG",
                                 kvm.processor.count(), tcg.processor.count());
  }
  if (!verdict.lasts) {
    verdict.reason +=
        fmt::format("; this may be a busy host, and pyro tries again after {} minutes",
                    kUntilTriedAgain.count());
  }
  return verdict;
}

std::string FormatVerdict(const AcceleratorVerdict& verdict, const Json& key) {
  Json json = FieldsToJson(kVerdictFields, &verdict);
  json["format"] = kVerdictFormat;
  json["key"] = key;
  return ToPrettyJson(json) + "\n";
}

std::optional<AcceleratorVerdict> ParseVerdict(std::string_view text, const Json& key) {
  const Result<Json> json = ParseJson(text, kMaxCacheBytes);
  if (!json || !GetInt(*json, "format", kVerdictFormat, kVerdictFormat)) return std::nullopt;
  if (json->value("key", Json()) != key) return std::nullopt;
  AcceleratorVerdict verdict;
  if (!ReadFields(kVerdictFields, *json, &verdict)) return std::nullopt;
  return verdict;
}

Result<AcceleratorVerdict> ChooseAccelerator(const VmmFactory& factory,
                                             const AcceleratorOptions& options) {
  if (!options.wish.empty()) {
    Result<Accelerator> wished = ParseAccelerator(options.wish);
    if (!wished) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("PYRO_ACCELERATOR is '{}'", Printable(options.wish)),
                       "use tcg, kvm or usermode, or leave it unset");
    }
    return AcceleratorVerdict{
        .accelerator = *wished,
        .reason = fmt::format("PYRO_ACCELERATOR={} asks for it", options.wish),
        .kvm = std::nullopt,
        .tcg = std::nullopt};
  }
  // No accelerator is at fault if nothing can be started in a jail.
  PYRO_RETURN_IF_ERROR(jail::CheckJailUser());
  PYRO_ASSIGN_OR_RETURN(const std::unique_ptr<Vmm> vmm, factory.create(Accelerator::kTcg));
  const KvmAccess access = CheckKvmAccess(options.kvm_device);
  const Json key = VerdictKey(vmm->program(), access);
  if (std::optional<AcceleratorVerdict> cached = CachedVerdict(options.cache_file, key))
    return *cached;
  PYRO_ASSIGN_OR_RETURN(AcceleratorVerdict verdict, FindOut(*vmm, options, access));
  Cache(options.cache_file, verdict, key);
  return verdict;
}

std::optional<Accelerator> KnownAccelerator(const VmmFactory& factory,
                                            const AcceleratorOptions& options) {
  if (!options.wish.empty()) {
    const Result<Accelerator> wished = ParseAccelerator(options.wish);
    return wished ? std::optional(*wished) : std::nullopt;
  }
  const Result<std::unique_ptr<Vmm>> vmm = factory.create(Accelerator::kTcg);
  if (!vmm) return std::nullopt;
  const KvmAccess access = CheckKvmAccess(options.kvm_device);
  if (const auto cached =
          CachedVerdict(options.cache_file, VerdictKey((*vmm)->program(), access))) {
    return cached->accelerator;
  }
  return access == KvmAccess::kAllowed ? std::nullopt : std::optional(Accelerator::kTcg);
}

}  // namespace pyro::vmm
