#include "vmm/vmm.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::vmm {
namespace {

Status Invalid(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

bool IsPlainWord(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\';
  });
}

bool IsMac(std::string_view text) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (i % 3 == 2 ? c != ':' : !hex) return false;
  }
  return true;
}

bool IsOpenFor(int fd, int mode) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) == mode;
}

Status ValidateFiles(const MachineSpec& spec) {
  if (spec.freeze_to && spec.resume_from) {
    return Invalid("a machine cannot be frozen and resumed at once");
  }
  if (spec.resume_from) {
    if (!IsOpenFor(spec.resume_from->memory.get(), O_RDONLY)) {
      return Invalid("the memory of a frozen guest must be open for reading only");
    }
    if (!spec.resume_from->state.valid()) return Invalid("a frozen guest has a state");
  } else {
    if (!spec.kernel.valid()) return Invalid("a machine needs a kernel");
    if (!spec.initrd.valid()) return Invalid("a machine needs an initramfs");
  }
  if (spec.freeze_to &&
      (!IsOpenFor(spec.freeze_to->memory.get(), O_RDWR) || !spec.freeze_to->state.valid())) {
    return Invalid("a guest is frozen to files that can be written");
  }
  if (spec.base_disk.valid() && !IsOpenFor(spec.base_disk.get(), O_RDONLY)) {
    return Invalid("the base disk must be open for reading only");
  }
  if (spec.data_disk.valid() && !IsOpenFor(spec.data_disk.get(), O_RDWR)) {
    return Invalid("the data disk must be open for reading and writing");
  }
  if (spec.layer_disks.size() > kMaxLayerDisks) {
    return Invalid(fmt::format("a machine has at most {} disks of layers", kMaxLayerDisks));
  }
  if (!spec.layer_disks.empty() && (!spec.base_disk.valid() || !spec.data_disk.valid())) {
    return Invalid("disks of layers need a base disk and a data disk");
  }
  for (const sys::UniqueFd& layer : spec.layer_disks) {
    if (!IsOpenFor(layer.get(), O_RDONLY)) {
      return Invalid("the disk of a layer must be open for reading only");
    }
  }
  return OkStatus();
}

Status ValidateKernelArguments(const MachineSpec& spec) {
  std::size_t bytes = 0;
  for (const std::string& word : spec.kernel_arguments) {
    if (!IsPlainWord(word)) {
      return Invalid(fmt::format("'{}' cannot stand on a kernel command line", Printable(word)));
    }
    bytes += word.size() + 1;
  }
  if (bytes > kMaxKernelArgumentBytes) {
    return Invalid(fmt::format("more than {} bytes of kernel arguments", kMaxKernelArgumentBytes));
  }
  return OkStatus();
}

Status ValidateNetwork(const MachineSpec& spec) {
  if (!spec.network) return OkStatus();
  if (!spec.network->fd.valid()) return Invalid("a network card needs a socket");
  if (!IsMac(spec.network->mac)) {
    return Invalid(fmt::format("'{}' is not a MAC address", Printable(spec.network->mac)));
  }
  return OkStatus();
}

}  // namespace

std::string_view Name(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::kTcg:
      return "tcg";
    case Accelerator::kKvm:
      return "kvm";
    case Accelerator::kUsermode:
      return "usermode";
  }
  return "";
}

Result<Accelerator> ParseAccelerator(std::string_view name) {
  if (name == "tcg") return Accelerator::kTcg;
  if (name == "kvm") return Accelerator::kKvm;
  if (name == "usermode") return Accelerator::kUsermode;
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is not an accelerator", Printable(name)),
                   "use tcg, kvm or usermode");
}

int MaxVcpus(Accelerator accelerator) {
  return accelerator == Accelerator::kUsermode ? 1 : kMaxVcpuCount;
}

FrameForm FrameFormOf(Accelerator accelerator) {
  return accelerator == Accelerator::kUsermode ? FrameForm::kPackets : FrameForm::kStream;
}

std::string_view MachineEndName(MachineEnd end) {
  switch (end) {
    case MachineEnd::kPoweredOff:
      return "powered_off";
    case MachineEnd::kReset:
      return "reset";
    case MachineEnd::kKilled:
      return "killed";
    case MachineEnd::kCrashed:
      return "crashed";
  }
  return "unknown";
}

Status ValidateSpec(const MachineSpec& spec) {
  if (spec.vcpus < 1 || spec.vcpus > kMaxVcpuCount) {
    return Invalid(fmt::format("{} vCPUs is not between 1 and {}", spec.vcpus, kMaxVcpuCount));
  }
  if (spec.memory_mib < kMinMemMib || spec.memory_mib > kMaxMemMib) {
    return Invalid(fmt::format("{} MiB of memory is not between {} and {}", spec.memory_mib,
                               kMinMemMib, kMaxMemMib));
  }
  if (spec.vcpus > MaxVcpus(spec.accelerator)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a guest in user mode has one vCPU, not {}", spec.vcpus),
                     "ask for one vCPU, or for another machine");
  }
  PYRO_RETURN_IF_ERROR(ValidateFiles(spec));
  PYRO_RETURN_IF_ERROR(ValidateKernelArguments(spec));
  return ValidateNetwork(spec);
}

Result<std::int64_t> DataDiskSize(const MachineSpec& spec) {
  if (!spec.data_disk.valid()) return std::int64_t{0};
  struct stat disk {};
  if (::fstat(spec.data_disk.get(), &disk) != 0) return sys::ErrnoError(errno, "stat", "data disk");
  return std::int64_t{disk.st_size};
}

Result<std::int64_t> NewDataDiskSize(const MachineSpec& spec) {
  if (!spec.resume_from) return std::int64_t{0};
  PYRO_ASSIGN_OR_RETURN(const std::int64_t bytes, DataDiskSize(spec));
  return bytes == spec.resume_from->data_disk_bytes ? 0 : bytes;
}

}  // namespace pyro::vmm
