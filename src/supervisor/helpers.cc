#include "supervisor/helpers.h"

#include "supervisor/spare_filler.h"
#include "supervisor/template_maker.h"

namespace pyro::supervisor {

void OwnHelpers::StartTemplateMaker(const wire::SupervisorConfig& config) {
  supervisor::StartTemplateMaker(config);
}

void OwnHelpers::StartSpareFiller(const wire::SupervisorConfig& config) {
  supervisor::StartSpareFiller(config.state_dir, config.spare_pool, config.id);
}

}  // namespace pyro::supervisor
