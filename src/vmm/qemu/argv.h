// The command line of QEMU 7.2 or later, from a specification: pure, so that every word of it is
// under test.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// The access of QEMU's process to a file: by an inherited descriptor, or by a path in its jail.
struct FileAccess {
  int descriptor = -1;  // -1: not given, or by path.
  std::string path;

  bool given() const { return descriptor >= 0 || !path.empty(); }
  // For QEMU to open: the path, or that of the descriptor.
  std::string OpenPath() const;
};

// The descriptors of QEMU, by their numbers in QEMU's process; -1: not given.
struct MachineFiles {
  int monitor = -1;  // QMP, a stream socket.
  int channel = -1;  // To the agent, a stream socket.
  int console = -1;  // The writing end of a pipe.
  FileAccess kernel;
  FileAccess initrd;
  FileAccess base_disk;
  std::vector<FileAccess> layer_disks;
  int data_disk = -1;
  int network = -1;
  FileAccess memory;  // Given for a guest that is frozen, or to be frozen.
  int state = -1;     // Given for a guest that is frozen.
};

// The threads that translate the code of a guest with several processors under TCG.
enum class TranslatingThreads { kOne, kOneForEach };

// What this host, and the QEMU on it, do to a command line.
struct HostFacts {
  // Frequency of the time stamp counter that the guest will see. 0: unknown, the guest's kernel
  // measures it.
  std::uint64_t tsc_khz = 0;
  TranslatingThreads threads = TranslatingThreads::kOne;
};

// The words for the guest's kernel. Under TCG the frequency is stated: measuring it against an
// emulated timer goes wrong on a busy host, and then the boot hangs.
std::string KernelCommandLine(const MachineSpec& spec, const HostFacts& host);

// argv of a machine; `program` is QEMU's path as seen from where it runs.
std::vector<std::string> MachineArguments(const std::string& program, const MachineSpec& spec,
                                          const MachineFiles& files, const HostFacts& host);

// argv of a bare machine that runs the firmware image behind descriptor `firmware`. What the guest
// writes to its debug port goes to descriptor `signs`, a socket.
std::vector<std::string> ProbeArguments(const std::string& program, Accelerator accelerator,
                                        int firmware, int signs);

}  // namespace pyro::vmm::qemu
