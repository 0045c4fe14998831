// The command line of QEMU 7.2 or later, from a specification: pure, so that every word of it is
// under test.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// The numbers that the descriptors have in QEMU's process; -1: not given.
struct DescriptorNumbers {
  int monitor = -1;  // QMP, a stream socket.
  int channel = -1;  // To the agent, a stream socket.
  int console = -1;  // The writing end of a pipe.
  int kernel = -1;
  int initrd = -1;
  int base_disk = -1;
  int data_disk = -1;
  int network = -1;
};

// Frequency of the time stamp counter that the guest will see. 0: unknown, the kernel finds out.
struct TimeStampCounter {
  std::uint64_t khz = 0;
};

// The words for the guest's kernel. Under TCG the frequency is stated: measuring it against an
// emulated timer goes wrong on a busy host, and then the boot hangs.
std::string KernelCommandLine(const MachineSpec& spec, TimeStampCounter tsc);

// argv of a machine; `program` is QEMU's path as seen from where it runs.
std::vector<std::string> MachineArguments(const std::string& program, const MachineSpec& spec,
                                          const DescriptorNumbers& fds, TimeStampCounter tsc);

// argv of a bare machine that runs the firmware image behind descriptor `firmware` and ends with
// the code that it writes to the debug exit port.
std::vector<std::string> ProbeArguments(const std::string& program, Accelerator accelerator,
                                        int firmware);

}  // namespace pyro::vmm::qemu
