// Where QEMU is, what it needs to see, and how it is started in a jail.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/time.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "vmm/jail.h"
#include "vmm/vmm.h"

namespace pyro::vmm::qemu {

// kMissingTool with the command that installs it.
Result<std::filesystem::path> FindQemu();

struct QemuLaunch {
  std::vector<std::string> argv;
  std::vector<sys::UniqueFd> pass;  // Become 3, 4, …
  Accelerator accelerator = Accelerator::kTcg;
  std::filesystem::path kvm_device = "/dev/kvm";  // Seen as /dev/kvm by a QEMU that is to use it.
  std::string identity;
};

// Errors as JailedProcess::Spawn().
Result<JailedProcess> LaunchQemu(QemuLaunch launch, Deadline deadline);

// A descriptor that the jailed user may open again through /proc/self/fd: `file` itself, or a copy
// in memory when its mode keeps that user out.
Result<sys::UniqueFd> MakeReopenable(sys::UniqueFd file);

// The rate of this host's time stamp counter in kHz, measured against the clock for about 10 ms; 0
// if it has none that can be relied on.
std::uint64_t MeasureTscKhz();

}  // namespace pyro::vmm::qemu
