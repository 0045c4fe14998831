// Makes the files of an environment out of a catalog entry.

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/progress.h"
#include "image/store/catalog.h"
#include "image/store/manifest.h"
#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// The interface between making an environment and storing it: the store uses only this.
class Builder {
 public:
  virtual ~Builder() = default;

  // Fills `version_dir` (exists, empty) with base.erofs, vmlinuz and modules/. Temporary files are
  // in `work_dir` (exists, empty, except perhaps version_dir). The returned manifest lacks only
  // sizes, digests and built_at. On failure both directories may hold files: the caller removes
  // them with Discard.
  virtual Result<Manifest> Build(const CatalogEntry& entry, const std::filesystem::path& work_dir,
                                 const std::filesystem::path& version_dir,
                                 const ProgressFn& progress, Cancellation cancel) = 0;

  // Removes a work directory, whole or left by a build that was killed.
  virtual Status Discard(const std::filesystem::path& work_dir) = 0;

  // What is missing on this host, one hint each; empty when Build can start. Runs nothing.
  virtual std::vector<std::string> MissingTools() const = 0;
};

// Debian by mmdebstrap from the host's own package sources, as root or as a user with sub-ids.
// Errors: those of ReadHostApt, RootNamespace::Create, ExtractKernel and ExplainFailure, and
// kCancelled.
class DebianBuilder final : public Builder {
 public:
  // `sources_override`: see ReadHostApt; empty for the host's own.
  DebianBuilder(ToolPaths tools, std::filesystem::path sources_override)
      : tools_(std::move(tools)), sources_override_(std::move(sources_override)) {}

  Result<Manifest> Build(const CatalogEntry& entry, const std::filesystem::path& work_dir,
                         const std::filesystem::path& version_dir, const ProgressFn& progress,
                         Cancellation cancel) override;
  Status Discard(const std::filesystem::path& work_dir) override;
  std::vector<std::string> MissingTools() const override;

 private:
  ToolPaths tools_;
  std::filesystem::path sources_override_;
};

}  // namespace pyro::image
