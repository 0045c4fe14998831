// The virtual machine monitor: makes guests out of a kernel, an initramfs and two disks, and says
// how each ended.
//
// Everything here belongs to one thread. Nothing blocks but the calls that take a Deadline or say
// how long they may take; whatever has to be waited for has a descriptor, for the caller's event
// loop to watch.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::vmm {

enum class Accelerator { kTcg, kKvm };

// "tcg" or "kvm".
std::string_view AcceleratorName(Accelerator accelerator);
// kInvalidArgument for any other name.
Result<Accelerator> ParseAccelerator(std::string_view name);

inline constexpr int kMaxVcpus = 64;
inline constexpr int kMinMemoryMib = 128;
inline constexpr int kMaxMemoryMib = 1024 * 1024;
inline constexpr std::size_t kMaxKernelArgumentBytes = 1024;  // All extra ones together.

// One virtio network card. `fd` is a connected stream socket that carries Ethernet frames, each
// after its length as four bytes, big-endian. See network.h for what is at the other end.
struct NetworkCard {
  sys::UniqueFd fd;
  std::string mac;  // "52:54:00:12:34:56".
};

// Where a guest is to be frozen, so that others can go on from there.
struct FreezeFiles {
  sys::UniqueFd memory;  // Empty, open for reading and writing: becomes the guest's memory.
  sys::UniqueFd state;   // Empty, open for writing: gets the devices' state by Machine::Freeze().
};

// A guest that was frozen. Any number may go on from it at once: each sees the memory as it was and
// keeps what it changes to itself.
struct FrozenGuest {
  sys::UniqueFd memory;  // Open for reading only. Must not change while a guest lives on it.
  sys::UniqueFd state;   // Open for reading, at its start; shared with no other machine.
  // Open for reading, if the guest had its data disk mounted: what was on it. The machine that goes
  // on needs a data disk that holds the same.
  sys::UniqueFd disk;
};

// Everything a guest gets. Descriptors are taken.
struct MachineSpec {
  int vcpus = 1;
  int memory_mib = 1024;
  sys::UniqueFd kernel;  // A bzImage, open for reading. Not used by a guest that was frozen.
  sys::UniqueFd initrd;  // Open for reading. Likewise.
  sys::UniqueFd
      base_disk;  // vda, raw, open for reading only; shared by many guests. May be absent.
  sys::UniqueFd
      data_disk;  // The next disk (vdb), raw, open for reading and writing. May be absent.
  std::optional<NetworkCard> network;  // Absent: the guest has no network device at all.
  Accelerator accelerator = Accelerator::kTcg;
  // At most one of the two. A frozen guest needs the rest of the specification as it was when it
  // was frozen, but for the content of the data disk and what is behind the network card.
  std::optional<FreezeFiles> freeze_to;
  std::optional<FrozenGuest> resume_from;
  // Words added to the kernel's command line; printable ASCII without spaces or quotes.
  std::vector<std::string> kernel_arguments;
  // Selects the unprivileged user that the machine runs as when the caller is root; see jail.h. The
  // VM's id.
  std::string identity;
};

// kInvalidArgument, naming the first field that no machine can have.
Status ValidateSpec(const MachineSpec& spec);

enum class MachineEnd {
  kPoweredOff,  // The guest turned itself off.
  kReset,  // The guest asked for a reset, as a kernel does after a panic; the machine ends instead.
  kKilled,   // Kill() was called, or somebody else sent SIGKILL.
  kCrashed,  // The monitor itself failed, or never came up.
};

std::string_view MachineEndName(MachineEnd end);

struct MachineExit {
  MachineEnd end = MachineEnd::kCrashed;
  std::string detail;  // One sentence, for people: "qemu exited with code 1".
  std::string
      diagnostics;  // The beginning and end of what the monitor printed; bounded, may be empty.
};

// What the running machine says of itself.
struct AcceleratorStatus {
  bool kvm_present = false;
  bool kvm_enabled = false;
  Accelerator in_use() const { return kvm_enabled ? Accelerator::kKvm : Accelerator::kTcg; }
};

// A started machine. Destroying it kills it and waits until it is gone.
class Machine {
 public:
  virtual ~Machine() = default;

  // The stream to the agent in the guest, non-blocking. What is written before the guest opens its
  // port is kept for it. Not valid after the first call.
  virtual sys::UniqueFd TakeGuestChannel() = 0;

  // Where the guest's console comes out, non-blocking, to be read to its end. A guest whose console
  // nobody reads waits in its console driver; nothing else does. Not valid after the first call.
  virtual sys::UniqueFd TakeConsole() = 0;

  // Readable once the machine has ended. Borrowed: valid while this object lives.
  virtual int exit_fd() const = 0;

  // The jail that the guest runs in, as this host sees it: with it dies the guest. -1: there is
  // none.
  virtual pid_t jail_process_id() const = 0;

  // Stops and continues the guest's CPUs. Both return at once when it already is so.
  // kGuestUnavailable: the machine has ended. kTimedOut, kProtocol: the monitor cannot be relied on
  // any more.
  virtual Status Pause(Deadline deadline) = 0;
  virtual Status Resume(Deadline deadline) = 0;

  // Writes the state of a machine that was started with `freeze_to`. From then on it stands still
  // for good; its memory is all in the file once the machine has ended. kWrongState: started
  // without `freeze_to`. Else errors as for Pause(), and kInternal: the monitor could not.
  virtual Status Freeze(Deadline deadline) = 0;

  // Asks the running machine, whatever was wished for in the spec. Errors as for Pause().
  virtual Result<AcceleratorStatus> QueryAccelerator(Deadline deadline) = 0;

  // SIGKILL: nothing is flushed. Returns at once; exit_fd() tells when it is done. Fine if it has
  // ended.
  virtual void Kill() = 0;

  // kTimedOut: it is still running. After the first success repeats the same answer.
  virtual Result<MachineExit> Wait(Deadline deadline) = 0;
};

// One run of a tiny guest that only shows whether an accelerator works.
struct ProbeOutcome {
  bool correct = false;
  std::chrono::milliseconds duration{0};  // From starting the jail to its end.
  std::string failure;  // Why it was not correct: "did not finish within 2000 ms".
};

class Vmm {
 public:
  virtual ~Vmm() = default;

  // The monitor's program on this host.
  virtual std::filesystem::path program() const = 0;

  // Returns once the machine runs and the monitor answers; the guest is then still booting, or
  // goes on where it was frozen. On failure nothing is left running, and the error's message ends
  // with what the monitor said. kMissingTool: the monitor or its jail is not installed.
  // kInvalidArgument: see ValidateSpec(). kTimedOut: the deadline passed. kGuestUnavailable: the
  // monitor refused to start.
  virtual Result<std::unique_ptr<Machine>> Start(MachineSpec spec, Deadline deadline) = 0;

  // What a frozen guest depends on of the monitor and of this host, as lines of text: the same text
  // means that a guest frozen before can go on now. `spec` needs no files.
  virtual Result<std::string> FrozenMachineKey(const MachineSpec& spec) const = 0;

  // Runs the probe guest once, for up to `limit`. kMissingTool: the jail is not installed.
  virtual Result<ProbeOutcome> RunProbe(Accelerator accelerator,
                                        const std::filesystem::path& kvm_device,
                                        std::chrono::milliseconds limit) const = 0;
};

// Which monitor guests run under. What starts guests, or has to know what they depend on, gets one
// of these from its `main`; see factory.h.
struct VmmFactory {
  std::string name;  // "qemu".
  // kMissingTool, with the command that installs it.
  std::function<Result<std::unique_ptr<Vmm>>()> create;
};

}  // namespace pyro::vmm
