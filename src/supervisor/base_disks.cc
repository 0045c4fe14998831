#include "supervisor/base_disks.h"

#include <fcntl.h>

#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "sys/files.h"

namespace pyro::supervisor {

Status OpenBaseDisks(const wire::SupervisorConfig& config, vmm::MachineSpec& spec) {
  PYRO_ASSIGN_OR_RETURN(spec.base_disk, sys::OpenRegularFile(config.base_disk, O_RDONLY));
  for (const wire::LayerDisk& layer : config.layer_disks) {
    PYRO_ASSIGN_OR_RETURN(sys::UniqueFd disk, sys::OpenRegularFile(layer.path, O_RDONLY));
    spec.layer_disks.push_back(std::move(disk));
  }
  if (!spec.layer_disks.empty()) {
    spec.kernel_arguments.push_back(fmt::format("pyro_layers={}", spec.layer_disks.size()));
  }
  return OkStatus();
}

}  // namespace pyro::supervisor
