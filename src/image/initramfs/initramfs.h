// The first root of a guest: the agent as /init and the kernel modules it loads before it has any
// other.

#pragma once

#include <filesystem>

#include "image/store/store.h"
#include "pyro/result.h"

namespace pyro::image {

// Returns the initramfs for this environment and this agent, and makes it if it is missing: an
// uncompressed newc cpio with /init, /modules/NN-name.ko in load order, /dev with console and null,
// /proc and /sys. It lies beside the environment's version directory, is complete or absent, and is
// named after the digests of its parts. Those of older agents are removed, except the latest few.
// Any number of processes may call this at once. kNotFound: no such agent. kNoSpace.
Result<std::filesystem::path> EnsureInitramfs(const InstalledEnvironment& environment,
                                              const std::filesystem::path& agent);

}  // namespace pyro::image
