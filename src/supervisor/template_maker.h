// Makes a template: boots a guest up to where all guests of its kind are the same, and freezes it.

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

// Words on the kernel's command line that tell the agent what it boots for: to be frozen with its
// data disk mounted, or without.
inline constexpr char kTemplateWithDisk[] = "pyro_template=disk";
inline constexpr char kTemplateWithoutDisk[] = "pyro_template=no-disk";

// Blocks until it is there, for up to the configuration's boot_timeout and the time it takes to
// write it to disk. Fine if it was there, or if another process is making it. On failure nothing is
// left.
Status MakeTemplate(const wire::SupervisorConfig& config, vmm::Vmm& vmm, const Clock& clock,
                    const std::function<void(std::string_view phase)>& on_phase);

// Makes the template of `config` in a process of its own, which outlives this one. Returns at once;
// a template that cannot be made is done without.
void StartTemplateMaker(wire::SupervisorConfig config);

}  // namespace pyro::supervisor
