// The folder of one environment, while it is changed.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "image/debian/builder.h"
#include "image/dry_prune.h"
#include "image/progress.h"
#include "pyro/result.h"
#include "sys/file_lock.h"

namespace pyro::image {

// Of the environment's folder, which is made if it is missing. Waits for another holder, and
// reports the phase "wait". kCancelled.
Result<sys::FileLock> LockFolder(const std::filesystem::path& folder, std::string_view name,
                                 const ProgressFn& progress, Cancellation cancel);

// kCancelled, of the pull of `name`.
Error PullStopped(std::string_view name);

// Removes what killed pulls have left. Needs the folder's lock.
void DiscardLeftovers(const std::filesystem::path& folder, Builder& builder);

// Removes an image's folder that holds no version, with its lock file. Needs the lock.
void RemoveIfEmpty(const std::filesystem::path& folder);

// The bytes that removing the tree frees: files that another name has, too, stay on the disk.
// With `dry`, which counts the names, also a file whose names would all be gone.
std::uint64_t UnsharedBytes(const std::filesystem::path& tree, DryPrune* dry = nullptr);

}  // namespace pyro::image
