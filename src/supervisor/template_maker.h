// Makes a template: boots a guest up to the last point at which all guests of its kind are the
// same, and freezes it.

#pragma once

#include <functional>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"
#include "vmm/vmm.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// All templates together take no more than this on disk; those longest unused go first.
inline constexpr std::uint64_t kMaxTemplateBytes = 4ULL << 30;

// Words on the kernel's command line that tell the agent the purpose of its boot: to be frozen with
// its data disk mounted, or without.
inline constexpr char kTemplateWithDisk[] = "pyro_template=disk";
inline constexpr char kTemplateWithoutDisk[] = "pyro_template=no-disk";

// Blocks until the templates of `config` exist, for each up to the configuration's boot_timeout and
// the time of the write to disk. It is no error if one exists, or if another process is making it.
// On failure no file of that one is left.
Status MakeTemplates(const wire::SupervisorConfig& config, vmm::Vmm& vmm, const Clock& clock,
                     const std::function<void(std::string_view phase)>& on_phase);

// Makes the templates of `config` in a process of its own, which outlives this one. Returns at
// once. If one cannot be made, guests boot without it.
void StartTemplateMaker(wire::SupervisorConfig config);

}  // namespace pyro::supervisor
