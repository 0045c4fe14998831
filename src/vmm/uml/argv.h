// The command line of a guest's kernel in user mode, from a specification: pure, so that every word
// of it is under test.

#pragma once

#include <string>
#include <vector>

#include "vmm/vmm.h"

namespace pyro::vmm::uml {

// The exit code of a kernel that was told to restart; 0 is that of a power-off.
inline constexpr int kRestartExitCode = 10;

// What the kernel has open, by the numbers in its process; -1: not given.
struct KernelFiles {
  int channel = -1;       // To the agent, a stream socket.
  int console = -1;       // The writing end of a pipe.
  std::string initrd;     // A path in its jail.
  std::string base_disk;  // A path in its jail, or "@5" for descriptor 5; empty: none.
  int data_disk = -1;
  std::vector<std::string> layer_disks;  // Each as base_disk.
  int network = -1;                      // A SOCK_SEQPACKET socket.
};

// argv of the kernel; `program` is its path in the jail.
std::vector<std::string> KernelArguments(const std::string& program, const MachineSpec& spec,
                                         const KernelFiles& files);

}  // namespace pyro::vmm::uml
