// The seam between a supervisor and the processes that it starts beside itself.

#pragma once

#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// Each outlives the supervisor, which does not wait for it. Failing is silent.
class Helpers {
 public:
  virtual ~Helpers() = default;

  // Makes the template of a guest that is configured so.
  virtual void StartTemplateMaker(const wire::SupervisorConfig& config) = 0;

  // Fills the pool of this spare, which was taken.
  virtual void StartSpareFiller(const wire::SupervisorConfig& config) = 0;
};

// Further processes of this program.
class OwnHelpers final : public Helpers {
 public:
  void StartTemplateMaker(const wire::SupervisorConfig& config) override;
  void StartSpareFiller(const wire::SupervisorConfig& config) override;
};

}  // namespace pyro::supervisor
