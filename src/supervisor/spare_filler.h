// Keeps a pool of spares (registry/spare_pool.h) as full as it is meant to be.

#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/result.h"

namespace pyro::supervisor {

// Starts guests, one after the other, until as many wait as the pool asks for; returns once they
// are up. Waits for whoever is at the same pool. kLimit: the host has too little memory left for
// one more. A pool whose time is over is left as it is. `on_spare` is told before each which one it
// is.
Status FillSparePool(const std::filesystem::path& pool, const Clock& clock,
                     const std::function<void(std::string_view which)>& on_spare = {});

// The same by a process of its own, whatever becomes of the caller. It begins when the spare
// `taken` has ended, so that a short command has the CPUs for itself, or after two seconds.
void StartSpareFiller(const std::filesystem::path& state_dir, const std::filesystem::path& pool,
                      const std::string& taken);
void AwaitEndOfSpare(const std::filesystem::path& pool, const std::string& spare);

}  // namespace pyro::supervisor
