// The choice of the machine that a guest runs on.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/context.h"
#include "pyro/engine.h"
#include "state/instance/instance_record.h"
#include "vmm/accelerator.h"

namespace pyro::engine {

// What a machine was asked for, and by whom.
struct MachineWish {
  MachineKind kind = MachineKind::kAuto;
  std::string from;  // For people: "this call", a variable, or a path. Empty: there is no wish.
  bool made_before =
      false;  // By an instance, whose wall never becomes thinner: auto is KVM or TCG.
};

// Of a new guest: that of the call, else PYRO_MACHINE, else the configuration. kInvalidArgument:
// the variable or the file makes no sense, or the machine cannot have so many CPUs.
Result<MachineWish> WishOf(const Context& context, const VmOptions& options);

// Of an instance that was made before. kUnavailable: this pyro does not know its machine.
Result<MachineWish> WishOf(const Context& context, const state::InstanceRecord& instance);

// What an instance that is made with this wish remembers: the machine's name, or nothing if auto
// comes to KVM or TCG. kInvalidArgument: as CheckCpus().
Result<std::string> RememberedMachine(const Context& context, const MachineWish& wish,
                                      std::int64_t vcpu_count);

// The name of what an instance runs on; before its first start, of what it was made for. Empty:
// nothing was named, or it runs on the host.
std::string MachineOf(const state::InstanceRecord& instance);

// What a guest gets.
struct MachineChoice {
  vmm::Accelerator accelerator = vmm::Accelerator::kTcg;
  std::string reason;      // One sentence for people.
  std::string decided_by;  // As in DoctorChoice.
};

std::string_view NameOf(const MachineChoice& choice);

// As vmm::ChooseAccelerator for auto, which takes seconds the first time. Where that is not KVM:
// user mode, if the user has allowed it and it works. kGuestUnavailable: the machine that was asked
// for does not work on this host; the hint says what makes it work.
Result<MachineChoice> ChooseMachine(const Context& context, const MachineWish& wish);

// kInvalidArgument: a guest on that machine cannot have so many CPUs.
Status CheckCpus(vmm::Accelerator accelerator, std::int64_t count);

// Says once per state directory, after a command that was slow without need on `machine`, what user
// mode would gain and what it would cost.
void AdviseUsermode(const Context& context, std::string_view machine, std::int64_t duration_ms,
                    const CallIo& io);

// The same without running anything; empty: it is not certain yet.
std::string KnownMachine(const Context& context);

vmm::AcceleratorOptions AcceleratorOptionsFor(const Context& context);

// What works on this host, with a reason and a remedy for what does not.
std::vector<DoctorMachine> MachinesHere(const Context& context);

}  // namespace pyro::engine
