// Fills a pool of spares (state/pool/spare_pool.h) to its count.

#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// Starts guests, one after the other, until the pool's count waits; returns once they are ready.
// Waits for another process at the same pool. kLimit: the host has too little memory left for one
// more. A pool whose time is over is not filled. `on_spare` gets the number of each before its
// start.
Status FillSparePool(const std::filesystem::path& pool, const Clock& clock,
                     const std::function<void(std::string_view which)>& on_spare = {});

// The same in a process of its own, which outlives the caller. It begins when the spare `taken` has
// ended, so that a short command has the CPUs for itself, or after two seconds. A task's guest does
// not end so soon.
void StartSpareFiller(const std::filesystem::path& state_dir, const std::filesystem::path& pool,
                      const std::string& taken);
void AwaitEndOfSpare(const wire::SupervisorConfig& filler);

}  // namespace pyro::supervisor
