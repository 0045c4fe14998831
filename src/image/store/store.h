// The environments installed in the cache directory.

#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "image/debian/builder.h"
#include "image/progress.h"
#include "image/store/manifest.h"
#include "pyro/result.h"

namespace pyro::image {

// One immutable version on disk. A value; its files stay until they are pruned.
struct InstalledEnvironment {
  std::string name;                            // debian:12
  std::string digest;                          // ContentDigest of the manifest.
  std::filesystem::path directory;             // Of this version.
  std::filesystem::path base_image;            // EROFS, read-only.
  std::filesystem::path kernel;                // A bzImage.
  std::vector<std::filesystem::path> modules;  // In load order.
  std::uint64_t size_bytes = 0;                // Of all its files.
  Manifest manifest;
};

enum class InstallState { kNotInstalled, kInstalled, kBroken };

struct EnvironmentSummary {
  std::string name;
  std::string description;
  InstallState state = InstallState::kNotInstalled;
  bool outdated = false;  // Installed, without a package that the catalog's recipe names.
  std::string digest;     // This and the fields below are empty unless it is installed.
  std::string built_at;
  std::uint64_t size_bytes = 0;
};

struct PullResult {
  InstalledEnvironment environment;
  bool built = false;  // False: it was installed already.
};

enum class PullMode { kIfNeeded, kRebuild };
enum class CheckDepth { kSizes, kDigests };
enum class PruneScope {
  kLeftovers,  // Broken, interrupted and superseded environments.
  kAll,        // Also every installed environment.
};

struct PrunedItem {
  std::string name;    // Of the environment.
  std::string what;    // "version", "interrupted pull", "initramfs", ...
  std::string digest;  // Short, of a version; else empty.
  std::uint64_t bytes = 0;
};

struct PruneReport {
  std::vector<PrunedItem> removed;
  std::vector<std::string> skipped;  // Environments that are being pulled right now.
  std::uint64_t bytes_freed = 0;
};

// Safe for many processes at once: changes are made under one lock per environment and seen whole
// or not at all. An object belongs to one thread.
class EnvironmentStore {
 public:
  // `cache_dir` need not exist; a relative path counts from the present working directory. The
  // builder is borrowed and must outlive the store.
  EnvironmentStore(const std::filesystem::path& cache_dir, Builder& builder);

  // The whole catalog, in its order. Never fails: an unreadable environment counts as broken.
  std::vector<EnvironmentSummary> List() const;

  // The version that new guests use. Costs one small file and a stat per file, no hashing.
  // kNotFound: no such environment, or not installed. kDataLoss: installed but broken; Pull repairs
  // it.
  Result<InstalledEnvironment> Find(std::string_view name) const;

  // A version by its digest, current or superseded. Errors as Find.
  Result<InstalledEnvironment> FindVersion(std::string_view name, std::string_view digest) const;

  // Find, with every file hashed if asked for. kDataLoss names the file that differs.
  Result<InstalledEnvironment> Inspect(std::string_view name, CheckDepth depth) const;

  // Builds and installs an environment that is missing, broken or outdated. If another process is
  // pulling the same one, waits for it and takes its result. kCancelled, kNoSpace and the builder's
  // errors leave the installed version unchanged.
  Result<PullResult> Pull(std::string_view name, PullMode mode, const ProgressFn& progress,
                          Cancellation cancel);

  // Never touches a version whose digest is in `in_use`, nor an environment that is being pulled.
  Result<PruneReport> Prune(PruneScope scope, const std::set<std::string>& in_use);

 private:
  std::filesystem::path Folder(std::string_view name) const;

  std::filesystem::path environments_;
  Builder& builder_;
};

}  // namespace pyro::image
