// The one disk of an image that this user cannot unpack, made by a guest.

#pragma once

#include <filesystem>

#include "image/oci/builder_guest.h"
#include "image/oci/fetch.h"
#include "image/oci/layer_stack.h"
#include "image/progress.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// Makes base.ext4 in `version_dir` of all layers. Temporary files are in `work_dir`. The disk is
// not shared with other images. Errors: kMissingTool: no mke2fs. kDataLoss: a layer is damaged or
// contradicts those below it. kLimit: it is larger than kMaxBlankBytes. Otherwise as
// BuilderGuest::Build.
Result<ImageDisks> MakeDiskInGuest(const ToolPaths& tools, BuilderGuest& guest,
                                   const GuestEnvironment& environment, const FetchedImage& image,
                                   const std::filesystem::path& work_dir,
                                   const std::filesystem::path& version_dir,
                                   const ProgressFn& progress, Cancellation cancel);

}  // namespace pyro::image
