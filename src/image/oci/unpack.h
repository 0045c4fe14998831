// The layers of a fetched image as a file system for guests, with the owners, modes, capabilities
// and times of the image.

#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "image/oci/fetch.h"
#include "image/progress.h"
#include "image/root_namespace.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

struct SealedImage {
  std::vector<std::string> left_out;  // One line each, for people: what the guest will not have.
};

// Whether some of the lines are about device nodes.
bool LacksDevices(const std::vector<std::string>& left_out);

// Gets the unpacked tree.
using TreeFn = std::function<Status(const std::filesystem::path& tree)>;

// Unpacks `image` below `work_dir` and makes `base_erofs` of it, both inside of `root`, and removes
// the tree again. `before_seal`, if given, changes the tree before that. Reports the phases
// "extract" and "seal". After a failure a tree may be left in `work_dir`: see RemoveBuildTree.
// kMissingTool. kPermissionDenied: the image has users that the namespace lacks. kDataLoss: a layer
// is damaged or contradicts those below it. kNoSpace. kCancelled.
Result<SealedImage> UnpackAndSeal(const ToolPaths& tools, const RootNamespace& root,
                                  const FetchedImage& image, const std::filesystem::path& work_dir,
                                  const std::filesystem::path& base_erofs,
                                  const TreeFn& before_seal, const ProgressFn& progress,
                                  Cancellation cancel);

}  // namespace pyro::image
