// The virtual machine monitor: makes guests out of a kernel, an initramfs and disks, and reports
// the end of each.
//
// All objects here belong to one thread. Only calls block that take a Deadline or name their
// longest time. Every event to wait for has a descriptor, for the caller's event loop.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"
#include "pyro/types.h"
#include "sys/unique_fd.h"

namespace pyro::vmm {

// What runs the guest's processor: QEMU in software, QEMU on KVM, or the host's own processor
// under a guest kernel that is itself a process of the host (user mode Linux).
enum class Accelerator { kTcg, kKvm, kUsermode };

// "tcg", "kvm" or "usermode"; empty for a value that is none of them.
std::string_view Name(Accelerator accelerator);
// kInvalidArgument for any other name.
Result<Accelerator> ParseAccelerator(std::string_view name);

// The most vCPUs that a guest may have: kMaxVcpuCount, or 1 in user mode.
int MaxVcpus(Accelerator accelerator);

// The kernel in user mode has 16 disks, a microvm 24 devices.
inline constexpr std::size_t kMaxLayerDisks = 13;

// How much a guest's processes stand back for those of the host (sys::SpawnOptions): each has a
// third of the weight of another program, so that busy guests leave the host usable.
inline constexpr int kGuestNiceness = 5;
inline constexpr std::size_t kMaxKernelArgumentBytes = 1024;  // All extra ones together.

// How Ethernet frames stand on a card's socket: on a stream, each after its length as four bytes,
// big-endian; or each as one packet of a SOCK_SEQPACKET socket, as in user mode.
enum class FrameForm { kStream, kPackets };

FrameForm FrameFormOf(Accelerator accelerator);

// One network card. `fd` is a connected socket that carries Ethernet frames in the form that the
// accelerator needs. See network.h for the other end.
struct NetworkCard {
  sys::UniqueFd fd;
  std::string mac;  // "52:54:00:12:34:56".
};

// The files into which a guest is frozen, so that others can start from there.
struct FreezeFiles {
  sys::UniqueFd memory;  // Empty, open for reading and writing: becomes the guest's memory.
  sys::UniqueFd state;   // Empty, open for writing: gets the devices' state by Machine::Freeze().
};

// A frozen guest. Any number of guests may start from it at once: each sees its memory, and keeps
// its own changes private.
struct FrozenGuest {
  sys::UniqueFd memory;  // Open for reading only. Must not change while a guest runs from it.
  sys::UniqueFd state;   // Open for reading, at its start; shared with no other machine.
  // Open for reading, if the guest had its data disk mounted: its content. The new machine needs a
  // data disk with the same content.
  sys::UniqueFd disk;
  // Of the data disk that the guest had. If the new one has another size, the guest is told once it
  // goes on, and notices a moment later.
  std::int64_t data_disk_bytes = 0;
};

// The specification of a guest. Descriptors are taken.
struct MachineSpec {
  int vcpus = 1;
  int memory_mib = 1024;
  // Open for reading: a bzImage, or in user mode the kernel as a program. Not used by a guest that
  // was frozen.
  sys::UniqueFd kernel;
  sys::UniqueFd initrd;  // Open for reading. Not used by a guest that was frozen.
  // vda (ubda in user mode), raw, open for reading only; shared by many guests. May be absent.
  sys::UniqueFd base_disk;
  // The next disk (vdb, ubdb), raw, open for reading and writing. May be absent.
  sys::UniqueFd data_disk;
  // The disks after these two (vdc, ubdc and on), as base_disk: what lies on the base, the lowest
  // first. At most kMaxLayerDisks, and none without the other two disks.
  std::vector<sys::UniqueFd> layer_disks;
  std::optional<NetworkCard> network;  // Absent: the guest has no network device at all.
  Accelerator accelerator = Accelerator::kTcg;
  // At most one of the two. A frozen guest needs the same specification as when it was frozen,
  // except the content and the size of the data disk and the other end of the network card.
  std::optional<FreezeFiles> freeze_to;
  std::optional<FrozenGuest> resume_from;
  // Words added to the kernel's command line; printable ASCII without spaces or quotes.
  std::vector<std::string> kernel_arguments;
  // Selects the unprivileged user that the machine runs as when the caller is root; see jail.h. The
  // VM's id.
  std::string identity;
};

// kInvalidArgument, naming the first field with an impossible value.
Status ValidateSpec(const MachineSpec& spec);

// The size of the data disk in bytes; 0 without one.
Result<std::int64_t> DataDiskSize(const MachineSpec& spec);
// The same, if the guest was frozen with a data disk of another size; otherwise 0.
Result<std::int64_t> NewDataDiskSize(const MachineSpec& spec);

enum class MachineEnd {
  kPoweredOff,  // The guest turned itself off.
  kReset,  // The guest asked for a reset, as a kernel does after a panic; the machine ends instead.
  kKilled,   // Kill() was called, or another process sent SIGKILL.
  kCrashed,  // The monitor itself failed, or never started.
};

std::string_view MachineEndName(MachineEnd end);

// MachineExit::detail of one whose control group was at its bound.
inline constexpr char kEndedForMemory[] =
    "the machine needed more of the host's memory than its bound, and the host ended it";

struct MachineExit {
  MachineEnd end = MachineEnd::kCrashed;
  std::string detail;  // One sentence, for people: "qemu exited with code 1".
  // The beginning and end of the monitor's output; bounded, may be empty.
  std::string diagnostics;
};

// The running machine's own report.
struct AcceleratorStatus {
  bool kvm_present = false;
  Accelerator in_use = Accelerator::kTcg;
};

// What there is to say of a machine whose guest gets nowhere.
struct MachineLook {
  std::string monitor;  // For people: "QEMU 7.2.22 (tcg, processor max,erms=off)".
  // What the machine has taken of the host's processor. 0: nothing, or it cannot be seen.
  std::chrono::milliseconds processor{0};
};

// A started machine. Destroying it kills it and waits until it is gone.
class Machine {
 public:
  virtual ~Machine() = default;

  // The stream to the agent in the guest, non-blocking. Bytes written before the guest opens its
  // port are kept for it. Not valid after the first call.
  virtual sys::UniqueFd TakeGuestChannel() = 0;

  // The output of the guest's console, non-blocking, to be read to its end. If it is not read, the
  // guest waits in its console driver; nothing else does. Not valid after the first call.
  virtual sys::UniqueFd TakeConsole() = 0;

  // Readable once the machine has ended. Borrowed: valid while this object lives.
  virtual int exit_fd() const = 0;

  // The pid of the guest's jail on this host: the guest dies with it. -1: there is none.
  virtual pid_t jail_process_id() const = 0;

  // Stops and continues the guest's CPUs. Both return at once if the CPUs are in that state
  // already. kGuestUnavailable: the machine has ended. kTimedOut, kProtocol: the monitor cannot be
  // relied on any more.
  virtual Status Pause(Deadline deadline) = 0;
  virtual Status Resume(Deadline deadline) = 0;

  // Writes the state of a machine that was started with `freeze_to`. From then on it stands still
  // for good; all its memory is in the file once the machine has ended. kWrongState: started
  // without `freeze_to`, or a machine that cannot be frozen. Other errors as for Pause(), and
  // kInternal: the monitor failed.
  virtual Status Freeze(Deadline deadline) = 0;

  // Asks the running machine itself, not its specification. Errors as for Pause().
  virtual Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) = 0;

  // Asks no monitor: it may hang as its guest does.
  virtual MachineLook Look() const = 0;

  // SIGKILL, without a flush. Returns at once; exit_fd() tells the end. A machine that has ended is
  // no error.
  virtual void Kill() = 0;

  // kTimedOut: it is still running. After the first success repeats the same answer.
  virtual Result<MachineExit> Wait(Deadline deadline) = 0;
};

// One run of a tiny guest that only shows whether an accelerator works.
struct ProbeOutcome {
  bool correct = false;
  // What the guest's work took of the processor: no longer on a busy host. 0 if not measured.
  std::chrono::milliseconds processor{0};
  bool out_of_patience = false;  // A failure that may be the busy host's, not the accelerator's.
  std::string failure;           // Why it was not correct: "did not finish within 2000 ms".
};

struct ProbeLimits {
  std::chrono::milliseconds patience{0};   // From the start of the jail to the end.
  std::chrono::milliseconds processor{0};  // Of ProbeOutcome::processor; 0: none.
};

class Vmm {
 public:
  virtual ~Vmm() = default;

  // The monitor's program on this host.
  virtual std::filesystem::path program() const = 0;

  // Returns once the machine runs and the monitor answers; the guest is then still booting, or goes
  // on where it was frozen. On failure no process is left, and the error's message ends with the
  // monitor's own words. kMissingTool: the monitor or its jail is not installed. kInvalidArgument:
  // see ValidateSpec(). kTimedOut: the deadline passed. kGuestUnavailable: the monitor refused to
  // start.
  virtual Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) = 0;

  // What a frozen guest depends on of the monitor and of this host, as lines of text: the same text
  // means that a guest frozen before can go on now. `spec` needs no files. kWrongState: guests of
  // this monitor cannot be frozen.
  virtual Result<std::string> FrozenMachineKey(const MachineSpec& spec) const = 0;

  // Runs the probe guest once, within `limits`. kMissingTool: the jail is not installed. Other
  // errors: the jail cannot be built; the hint says why.
  virtual Result<ProbeOutcome> RunProbe(Accelerator accelerator,
                                        const std::filesystem::path& kvm_device,
                                        ProbeLimits limits) const = 0;
};

// Which monitor guests run under. What starts guests, or has to know what they depend on, gets one
// of these from its `main`; see factory.h.
struct VmmFactory {
  std::string name;  // "qemu".
  // The monitor that runs guests under this accelerator. kMissingTool, with the command that
  // installs it.
  std::function<Result<std::unique_ptr<Vmm>>(Accelerator)> create;
};

}  // namespace pyro::vmm
