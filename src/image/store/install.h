// Reading one version directory, and putting a finished one in its place.

#pragma once

#include <filesystem>
#include <string_view>

#include "image/store/manifest.h"
#include "image/store/store.h"
#include "pyro/result.h"

namespace pyro::image {

// Reads a version directory: the manifest parses, belongs to `name` and to the directory's name,
// every file is a regular one of the right size. kNotFound: no such directory. kDataLoss otherwise.
Result<InstalledEnvironment> LoadVersion(std::string_view name,
                                         const std::filesystem::path& directory);

// Hashes every file against the manifest. kDataLoss names the first that differs.
Status VerifyDigests(const InstalledEnvironment& environment);

// Adds the sizes and digests that are not in `manifest` yet, writes it into `directory`, and makes
// everything there durable and read-only.
Status SealVersion(const std::filesystem::path& directory, Manifest& manifest);

// The last step of SealVersion.
Status WriteManifest(const std::filesystem::path& directory, const Manifest& manifest);

enum class SharedFiles { kKernel, kAll };

// Gives the version directory `directory` (exists) kernel and modules of an installed environment,
// or all its files: as hard links, or as copies where the system allows none. kNotFound: it was
// removed meanwhile.
Status ShareFiles(const InstalledEnvironment& from, SharedFiles what,
                  const std::filesystem::path& directory);

// Moves a sealed version directory to `folder`/<short digest> and points `current` at it, each step
// atomic. A directory of that name (broken, or the same content) is swapped out and left at the old
// place of `sealed`. Needs the folder's lock. Returns where the version is now.
Result<std::filesystem::path> Activate(const std::filesystem::path& folder,
                                       const std::filesystem::path& sealed,
                                       const Manifest& manifest);

// The version directory that `current` names. kNotFound: none. kDataLoss: the link is not one of
// ours.
Result<std::filesystem::path> CurrentVersion(const std::filesystem::path& folder);

}  // namespace pyro::image
