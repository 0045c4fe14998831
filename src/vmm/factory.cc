#include "vmm/factory.h"

#include <utility>

#include "base/try.h"
#include "vmm/qemu/qemu_vmm.h"

namespace pyro::vmm {

VmmFactory SystemVmm() {
  return {.name = "qemu", .create = []() -> Result<std::unique_ptr<Vmm>> {
            PYRO_ASSIGN_OR_RETURN(std::unique_ptr<Vmm> vmm, qemu::QemuVmm::Create());
            return vmm;
          }};
}

}  // namespace pyro::vmm
