// A Builder that makes tiny files at once, or does what a test asks for.

#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "image/debian/builder.h"
#include "sys/files.h"

namespace pyro::image {

class FakeBuilder final : public Builder {
 public:
  std::string content = "base 1";  // Another content makes another version.
  std::string left_out;            // A package that an older recipe did not name.
  int builds = 0;
  std::function<Status(const std::filesystem::path& work_dir)> before_files;

  Result<Manifest> Build(const CatalogEntry& entry, const std::filesystem::path& work_dir,
                         const std::filesystem::path& version_dir, const ProgressFn& progress,
                         Cancellation) override {
    ++builds;
    if (progress) progress({"install", "", 0.5});
    std::ofstream(work_dir / "scratch") << "scratch";
    if (before_files) {
      if (Status status = before_files(work_dir); !status) return std::move(status).error();
    }
    std::filesystem::create_directory(version_dir / "modules");
    std::ofstream(version_dir / "base.erofs") << content;
    std::ofstream(version_dir / "vmlinuz") << "kernel";
    std::ofstream(version_dir / "modules" / "virtio.ko") << "first";
    std::ofstream(version_dir / "modules" / "erofs.ko") << "second";
    Manifest manifest;
    manifest.environment = entry.name;
    manifest.catalog_version = kCatalogVersion;
    manifest.base.name = "base.erofs";
    manifest.kernel.name = "vmlinuz";
    manifest.modules = {{"virtio.ko", 0, {}}, {"erofs.ko", 0, {}}};
    for (const std::string_view package : entry.packages) {
      if (package != left_out) manifest.packages.push_back({std::string(package), "1", "amd64"});
    }
    return manifest;
  }

  Status Discard(const std::filesystem::path& work_dir) override {
    return sys::RemoveTree(work_dir);
  }

  std::vector<std::string> MissingTools() const override { return missing_tools; }
  std::vector<std::string> missing_tools;
};

}  // namespace pyro::image
