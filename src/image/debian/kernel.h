// Debian's kernel package: the kernel image, the modules that a guest needs before it has a root
// file system, and the tree of all modules for that root.

#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "image/progress.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

struct KernelFiles {
  std::string release;
  std::string package;
  std::string package_version;
  std::vector<std::string> modules;  // File names, in load order.
  std::filesystem::path tree;        // In `scratch`: all modules, with the indices of depmod.
};

// Unpacks the .deb into `scratch` (made, left behind) and copies the image to `version_dir`/vmlinuz
// and the modules with all they depend on to `version_dir`/modules, decompressed. Both lib/modules
// and usr/lib/modules of `scratch` lead to the package's modules. Reports the phase "kernel".
// kDataLoss: the package lacks a file or is damaged. kNoSpace. kCancelled.
Result<KernelFiles> ExtractKernel(const ToolPaths& tools, const std::filesystem::path& package,
                                  const std::filesystem::path& scratch,
                                  const std::filesystem::path& version_dir,
                                  const ProgressFn& progress, Cancellation cancel);

// The paths in the output of `modprobe --show-depends`, in order, each with the suffix of its
// compression; built-in modules have none.
std::vector<std::filesystem::path> ParseShowDepends(std::string_view text);

}  // namespace pyro::image
