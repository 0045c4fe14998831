// The first root of a guest: the agent as /init and the kernel modules it loads before it has any
// other.

#pragma once

#include <filesystem>

#include "environment/store.h"
#include "pyro/result.h"

namespace pyro::environment {

// Returns the initramfs for this environment and this agent, made if it is not there: an
// uncompressed newc cpio with /init, /modules/NN-name.ko in load order, /dev with console and null,
// /proc and /sys. It lies beside the environment's version directory, is complete or absent, and is
// found again by the digests of its parts; those of older agents are removed, but for the latest
// few. Any number of processes may call this at once. kNotFound: no such agent. kNoSpace.
Result<std::filesystem::path> EnsureInitramfs(const InstalledEnvironment& environment,
                                              const std::filesystem::path& agent);

}  // namespace pyro::environment
