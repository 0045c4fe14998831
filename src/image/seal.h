// The root file system of guests: a read-only image of a tree.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/progress.h"
#include "image/root_namespace.h"
#include "pyro/result.h"

namespace pyro::image {

// Makes `image` (EROFS) of `tree`, inside of `root`, with the owners that its files have there and
// with their times. Reports the phase "seal". `options` are more options of mkfs.erofs. `work_dir`
// as in RootNamespace::Run. Errors as ExplainFailure; kMissingTool; kCancelled;
// kLimit for a name that mkfs.erofs cannot store.
Status SealTree(const RootNamespace& root, const std::filesystem::path& tree,
                const std::filesystem::path& image, const std::vector<std::string>& options,
                const std::filesystem::path& work_dir, const ProgressFn& progress,
                Cancellation cancel);

}  // namespace pyro::image
