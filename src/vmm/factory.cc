#include "vmm/factory.h"

#include <utility>

#include "base/try.h"
#include "vmm/qemu/qemu_vmm.h"
#include "vmm/uml/uml_vmm.h"

namespace pyro::vmm {

VmmFactory SystemVmm(std::filesystem::path usermode_kernel) {
  const auto create = [kernel = std::move(usermode_kernel)](
                          Accelerator accelerator) -> Result<std::unique_ptr<Vmm>> {
    if (accelerator == Accelerator::kUsermode) {
      PYRO_ASSIGN_OR_RETURN(std::unique_ptr<Vmm> vmm, uml::UmlVmm::Create(kernel));
      return vmm;
    }
    PYRO_ASSIGN_OR_RETURN(std::unique_ptr<Vmm> vmm, qemu::QemuVmm::Create());
    return vmm;
  };
  return {.name = "qemu", .create = create};
}

}  // namespace pyro::vmm
