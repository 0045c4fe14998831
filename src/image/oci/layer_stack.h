// The disks of an image, made of its layers or found in the store.

#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "image/oci/fetch.h"
#include "image/oci/layer_store.h"
#include "image/progress.h"
#include "image/root_namespace.h"
#include "image/store/manifest.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

inline constexpr std::size_t kMaxLeftOutLines = 200;

// A value: the disks of a version, with their digests where they are known.
struct ImageDisks {
  FileRecord base;
  std::vector<FileRecord> layers;     // On the base, the lowest first.
  std::vector<std::string> left_out;  // As SealedImage has it, at most kMaxLeftOutLines and one.
  bool lacks_devices = false;         // Some of it are device nodes.
};

// Makes the disks of `image` in `version_dir`: one for each group of layers, two at a time, except
// those that `store` has. If a layer needs files of those below it, they are one disk with it.
// Temporary files are in `work_dir`, and some of the unpacked trees stay there: see
// RemoveBuildTree. The lock of the store is held. Reports the phases "extract"
// and "seal". Errors as UnpackAndSeal.
Result<ImageDisks> MakeImageDisks(const ToolPaths& tools, const RootNamespace& root,
                                  const FetchedImage& image, const LayerStore& store,
                                  const std::filesystem::path& work_dir,
                                  const std::filesystem::path& version_dir,
                                  const ProgressFn& progress, Cancellation cancel);

}  // namespace pyro::image
