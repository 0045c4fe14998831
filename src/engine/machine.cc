#include "engine/machine.h"

#include <fcntl.h>

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "engine/local_engine.h"
#include "engine/settings.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::engine {
namespace {

constexpr const char* kVariable = "PYRO_MACHINE";
constexpr const char* kAutoVariable = "PYRO_ACCELERATOR";
constexpr std::string_view kHere = "this host";
constexpr const char* kAdvisedFile = "usermode-advised";

// The first time on a host it starts a guest, which takes a fraction of a second.
Status CheckUsermode(const Context& context) {
  return vmm::CheckUsermode(context.vmm, context.cache / "usermode.json");
}

Result<bool> UserAllowsUsermode(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context.configuration));
  return settings.ValueOf(kWithoutKvm) == Name(MachineKind::kUsermode);
}

bool AutoNamesUsermode() { return sys::Environment(kAutoVariable) == Name(MachineKind::kUsermode); }

vmm::Accelerator AcceleratorOf(MachineKind kind) {
  if (kind == MachineKind::kUsermode) return vmm::Accelerator::kUsermode;
  return kind == MachineKind::kKvm ? vmm::Accelerator::kKvm : vmm::Accelerator::kTcg;
}

Error DoesNotWork(MachineKind kind, const MachineWish& wish, Error why) {
  why.code = ErrorCode::kGuestUnavailable;
  why.message = fmt::format("{} asks for the machine {}, which does not work here: {}", wish.from,
                            Name(kind), why.message);
  return why;
}

Result<MachineWish> WishFor(const Context& context, std::optional<MachineKind> asked) {
  if (asked) return MachineWish{.kind = *asked, .from = "this call"};
  if (const std::string word = sys::Environment(kVariable); !word.empty()) {
    const auto kind = FromName<MachineKind>(word);
    if (kind) return MachineWish{.kind = *kind, .from = kVariable};
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("{} is '{}'", kVariable, Printable(word)),
                     "use auto, kvm, tcg or usermode, or leave it unset");
  }
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context.configuration));
  const auto kind = FromName<MachineKind>(settings.ValueOf("machine"));
  return kind ? MachineWish{.kind = *kind, .from = context.configuration} : MachineWish{};
}

}  // namespace

Status CheckCpus(vmm::Accelerator accelerator, std::int64_t count) {
  if (count <= vmm::MaxVcpus(accelerator)) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("a guest in user mode has one CPU, not {}", count),
                   "ask for one CPU, or for the machine tcg");
}

Result<MachineWish> WishOf(const Context& context, const VmOptions& options) {
  PYRO_ASSIGN_OR_RETURN(MachineWish wish, WishFor(context, options.machine));
  if (wish.kind != MachineKind::kAuto) {
    PYRO_RETURN_IF_ERROR(CheckCpus(AcceleratorOf(wish.kind), options.vcpu_count));
  }
  return wish;
}

Result<MachineWish> WishOf(const Context& context, const state::InstanceRecord& instance) {
  const std::string id = instance.id.str();
  if (instance.machine.empty()) {
    PYRO_ASSIGN_OR_RETURN(MachineWish wish, WishFor(context, std::nullopt));
    if (wish.kind == MachineKind::kUsermode) wish = MachineWish();  // For new guests.
    wish.made_before = true;
    return wish;
  }
  if (const auto kind = FromName<MachineKind>(instance.machine)) {
    return MachineWish{.kind = *kind, .from = id, .made_before = true};
  }
  return MakeError(ErrorCode::kUnavailable,
                   fmt::format("{} was made for the machine '{}', which this pyro does not know",
                               id, Printable(instance.machine)),
                   "use the version of pyro that made it");
}

Result<std::string> RememberedMachine(const Context& context, const MachineWish& wish,
                                      std::int64_t vcpu_count) {
  if (wish.kind != MachineKind::kAuto) return std::string(Name(wish.kind));
  if (!AutoNamesUsermode()) {
    const auto allowed = UserAllowsUsermode(context);
    if (!allowed || !*allowed) return std::string();
  }
  const auto choice = ChooseMachine(context, wish);
  if (!choice || choice->accelerator != vmm::Accelerator::kUsermode) return std::string();
  PYRO_RETURN_IF_ERROR(CheckCpus(choice->accelerator, vcpu_count));
  return std::string(NameOf(*choice));
}

std::string MachineOf(const state::InstanceRecord& instance) {
  if (instance.execution_mode == ExecutionMode::kHostCompat) return "";
  return instance.accelerator.empty() ? instance.machine : instance.accelerator;
}

std::string_view NameOf(const MachineChoice& choice) { return vmm::Name(choice.accelerator); }

vmm::AcceleratorOptions AcceleratorOptionsFor(const Context& context) {
  vmm::AcceleratorOptions options;
  options.cache_file = context.cache / "accelerator.json";
  options.kvm_device = context.kvm_device;
  options.wish = sys::Environment(kAutoVariable);
  return options;
}

Result<MachineChoice> ChooseMachine(const Context& context, const MachineWish& wish) {
  if (wish.kind != MachineKind::kAuto) {
    const Status works = wish.kind == MachineKind::kKvm        ? vmm::CheckKvm(context.kvm_device)
                         : wish.kind == MachineKind::kUsermode ? CheckUsermode(context)
                                                               : OkStatus();
    if (!works) return DoesNotWork(wish.kind, wish, works.error());
    return MachineChoice{AcceleratorOf(wish.kind), fmt::format("{} asks for it", wish.from),
                         wish.from};
  }
  vmm::AcceleratorOptions options = AcceleratorOptionsFor(context);
  if (wish.made_before && AutoNamesUsermode()) options.wish.clear();  // For new guests.
  auto verdict = vmm::ChooseAccelerator(context.vmm, options);
  const bool kvm = verdict && verdict->accelerator == vmm::Accelerator::kKvm;
  if (!kvm && !wish.made_before && options.wish.empty()) {
    PYRO_ASSIGN_OR_RETURN(const bool allowed, UserAllowsUsermode(context));
    if (allowed && CheckUsermode(context)) {
      return MachineChoice{vmm::Accelerator::kUsermode,
                           fmt::format("KVM does not work here, and {} is usermode", kWithoutKvm),
                           context.configuration};
    }
  }
  if (!verdict) return std::move(verdict).error();
  return MachineChoice{verdict->accelerator, std::move(verdict->reason),
                       std::string(options.wish.empty() ? kHere : kAutoVariable)};
}

std::string KnownMachine(const Context& context) {
  const auto wish = WishFor(context, std::nullopt);
  if (!wish) return "";
  if (wish->kind != MachineKind::kAuto) return std::string(Name(wish->kind));
  const vmm::AcceleratorOptions options = AcceleratorOptionsFor(context);
  const auto known = vmm::KnownAccelerator(context.vmm, options);
  if (!known) return "";
  const auto allowed = UserAllowsUsermode(context);
  const bool usermode = allowed && *allowed && *known == vmm::Accelerator::kTcg &&
                        options.wish.empty() && context.vmm.create(vmm::Accelerator::kUsermode);
  return std::string(vmm::Name(usermode ? vmm::Accelerator::kUsermode : *known));
}

std::vector<DoctorMachine> MachinesHere(const Context& context) {
  std::vector<DoctorMachine> machines;
  const auto add = [&](MachineKind kind, const Status& works) {
    DoctorMachine machine;
    machine.name = Name(kind);
    machine.works = works.ok();
    if (!works) machine.reason = works.error().message;
    if (!works) machine.fix = works.error().hint;
    machines.push_back(std::move(machine));
  };
  const auto monitor = context.vmm.create(vmm::Accelerator::kTcg);
  const Status found = monitor ? OkStatus() : Status(monitor.error());
  add(MachineKind::kKvm, found ? vmm::CheckKvm(context.kvm_device) : found);
  add(MachineKind::kTcg, found);
  add(MachineKind::kUsermode, CheckUsermode(context));
  return machines;
}

void AdviseUsermode(const Context& context, std::string_view machine, std::int64_t duration_ms,
                    const CallIo& io) {
  const bool slow = duration_ms >= context.slow.count();
  if (!io.on_advice || !slow || machine != Name(MachineKind::kTcg)) return;
  const auto wish = WishFor(context, std::nullopt);
  if (!wish || !wish->from.empty() || !AcceleratorOptionsFor(context).wish.empty()) return;
  const auto allowed = UserAllowsUsermode(context);
  if (!allowed || *allowed || !CheckUsermode(context)) return;
  // Of several processes one makes the file.
  if (!sys::OpenFile(context.state / kAdvisedFile, O_WRONLY | O_CREAT | O_EXCL)) return;
  io.on_advice(
      "without KVM this host emulates the guest's CPU, 10 to 25 times slower; user mode computes at "
      "nearly the host's speed, but its wall is thinner: the guest's kernel is a process in a jail "
      "on this host; if that is enough for you: pyro config set machine.without_kvm usermode");
}

std::string LocalEngine::KnownAccelerator() {
  const auto known = vmm::KnownAccelerator(context_.vmm, AcceleratorOptionsFor(context_));
  return known ? std::string(vmm::Name(*known)) : "";
}

std::string LocalEngine::KnownMachine() { return engine::KnownMachine(context_); }

}  // namespace pyro::engine
