// QEMU's program, the files that it needs, and its start in a jail.

#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "jail/jail.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "vmm/qemu/argv.h"
#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// kMissingTool with the command that installs it.
Result<std::filesystem::path> FindQemu();

struct QemuLaunch {
  std::vector<std::string> argv;
  std::vector<sys::UniqueFd> pass;  // Become 3, 4, …
  Accelerator accelerator = Accelerator::kTcg;
  std::filesystem::path kvm_device = "/dev/kvm";  // Opened here for a QEMU that is to use KVM.
  std::string identity;
  int vcpus = 1;
  int memory_mib = 0;  // Of the guest; 0: none of QEMU's processes is bounded.
  // Files that QEMU opens by path, seen read-only.
  std::vector<jail::JailSpec::Alias> files;
  // A file that QEMU opens for writing although it may change only its own copy; empty: none.
  std::string private_memory;
};

// Errors as JailedProcess::Spawn(), and that of a KVM device which this process cannot open.
Result<jail::JailedProcess> LaunchQemu(QemuLaunch launch, Deadline deadline);

// The inputs of a frozen guest from QEMU and this host, as lines of text: the program, the
// processor, and the whole command line, with placeholders for the parts that differ from guest to
// guest. `spec` needs no files.
Result<std::string> FrozenMachineKey(const std::filesystem::path& program, const MachineSpec& spec);

// A version of QEMU such as 7.2, as 702. nullopt: not what `qemu-system-x86_64 --version` prints.
std::optional<int> ParseQemuVersion(std::string_view text);

// The threads in which this QEMU can translate code for several processors of a guest. Runs QEMU
// for its version, if the guest has them and is emulated; kOne if that fails.
TranslatingThreads ThreadsFor(const std::filesystem::path& program, const MachineSpec& spec);

// The rate of this host's time stamp counter in kHz, measured against the clock for about 10 ms; 0
// if it has none that can be relied on.
std::uint64_t MeasureTscKhz();

}  // namespace pyro::vmm::qemu
