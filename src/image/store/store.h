// The environments installed in the cache directory.

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "image/debian/builder.h"
#include "image/dry_prune.h"
#include "image/oci/fetch.h"
#include "image/oci/image_builder.h"
#include "image/progress.h"
#include "image/store/manifest.h"
#include "pyro/result.h"

namespace pyro::image {

// One immutable version on disk. A value; its files stay until they are pruned.
struct InstalledEnvironment {
  std::string name;                                 // debian:12, registry.example/team/app:1
  std::string digest;                               // ContentDigest of the manifest.
  std::filesystem::path directory;                  // Of this version.
  std::filesystem::path base_image;                 // EROFS, or of an image ext4; read-only.
  std::vector<std::filesystem::path> layer_images;  // The same; on the base, the lowest first.
  std::filesystem::path kernel;                     // A bzImage.
  std::vector<std::filesystem::path> modules;       // In load order.
  std::uint64_t size_bytes = 0;                     // Of all its files.
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
  std::string last_used_at;  // RFC 3339, UTC; empty if no guest has used it yet.
  std::uint64_t size_bytes = 0;
  std::string source;         // As ImageRecord has it; empty unless it was pulled from an image.
  std::string source_digest;  // As ImageRecord has it, too.
};

struct PullRequest {
  std::string source;  // A name of the catalog, or what IsImageSource accepts.
  std::string name;    // The one to install an image as; empty: the one that its source gives.
  FetchOptions fetch;  // Of an image.
};

struct PullResult {
  InstalledEnvironment environment;
  bool built = false;  // False: it was installed already.
};

// Writes the plain tar of a layer, see archive/layer.h, to the descriptor (borrowed). Returns what
// it lacks, one line each, for people.
using LayerFn = std::function<Result<std::vector<std::string>>(int fd)>;

// A value: how a tree was made, and what its layer lacks.
struct CommittedTree {
  CommitRecord record;
  std::vector<std::string> left_out;
};

// As LayerFn, and tells of what the tree is: known when it is read, perhaps long after the wish.
using CommitFn = std::function<Result<CommittedTree>(int fd)>;

// ImageRecord::source of a commit, which no other source begins as.
inline constexpr std::string_view kCommitSource = "commit of task ";
std::string CommitSource(const CommitRecord& commit);

// The catalog's environment whose kernel images use if no other one is installed.
inline constexpr std::string_view kKernelProvider = "debian:12-base";

enum class PullMode { kIfNeeded, kRebuild };
enum class CheckDepth { kSizes, kDigests };
enum class PruneScope {
  kLeftovers,  // Broken, interrupted and superseded environments.
  kAll,        // Also every installed environment.
};

struct PrunedItem {
  std::string name;    // Of the environment; empty if it is of none.
  std::string what;    // "version", "interrupted pull", "initramfs", "unused layers", ...
  std::string digest;  // Short, of a version; else empty.
  std::uint64_t bytes = 0;
};

// Calls `retire` with the digests in use, while no guest can begin to use another one.
using RetireGuard =
    std::function<Status(const std::function<Status(const std::set<std::string>& in_use)>& retire)>;

struct PruneHow {
  RetireGuard guard = {};  // Around the end of each version; empty: there are no other processes.
  bool dry = false;        // Remove nothing, and tell what would be.
};

struct PruneReport {
  std::vector<PrunedItem> removed;
  std::vector<std::string> skipped;  // Environments that are being pulled right now.
  std::uint64_t bytes_freed = 0;
};

// Safe for many processes at once: changes are made under one lock per environment and seen whole
// or not at all. An object belongs to one thread.
//
// Beside the catalog's environments stand those of images, whose names are as CheckImageName says.
// A name is understood with "oci:" before it, and without the ":latest" at its end.
class EnvironmentStore {
 public:
  // `cache_dir` need not exist; a relative path counts from the present working directory. The
  // builders are borrowed and must outlive the store.
  EnvironmentStore(const std::filesystem::path& cache_dir, Builder& builder, ImageBuilder& images);

  // The whole catalog, in its order, then the images by name. Never fails: an unreadable
  // environment counts as broken.
  std::vector<EnvironmentSummary> List() const;

  // The version that new guests use. Costs one small file and a stat per file, no hashing.
  // kNotFound: no such environment, or not installed. kDataLoss: installed but broken; Pull repairs
  // it.
  Result<InstalledEnvironment> Find(std::string_view name) const;

  // A version by its digest, current or superseded. Errors as Find.
  Result<InstalledEnvironment> FindVersion(std::string_view name, std::string_view digest) const;

  // Find, with every file hashed if asked for. kDataLoss names the file that differs.
  Result<InstalledEnvironment> Inspect(std::string_view name, CheckDepth depth) const;

  // Builds and installs an environment that is missing, broken or outdated: an image is outdated if
  // its source has another one now. If another process is pulling the same one, waits for it and
  // takes its result. An image takes its kernel from an environment of the catalog or, if none is
  // installed, from another image; if there is none, kKernelProvider is pulled first.
  // kInvalidArgument: a source or name that breaks its rules. kCancelled, kNoSpace and the
  // builders' errors leave the installed version unchanged.
  Result<PullResult> Pull(const PullRequest& request, PullMode mode, const ProgressFn& progress,
                          Cancellation cancel);

  // Installs the present version of `name` as `new_name` too, without copies of its files. A
  // `new_name` that is installed already gets that version. Errors as Find and CheckImageName.
  Result<InstalledEnvironment> Tag(std::string_view name, std::string_view new_name);

  // Installs what `make` writes as the present version of `name`, with the kernel and the
  // configuration of `parent`. Sets CommitRecord::configured. Calls `make` once no other process
  // changes the environment. Errors: those of CheckImageName, `make`
  // and Pull; the installed version is unchanged then. kMissingTool.
  Result<InstalledEnvironment> Commit(std::string_view name, const InstalledEnvironment& parent,
                                      const CommitFn& make, const ProgressFn& progress,
                                      Cancellation cancel);

  // Writes an installed environment to `out_fd` (borrowed) as an OCI archive: an image as it was
  // pulled, or, where that is not kept, one of a single layer that `make` writes. Returns what the
  // archive lacks. The same version makes the same bytes if `make` does. kNoSpace. kCancelled.
  Result<std::vector<std::string>> Export(const InstalledEnvironment& environment,
                                          const LayerFn& make, int out_fd,
                                          const ProgressFn& progress, Cancellation cancel);

  // Removes all versions of an environment, with layers that no other one has. Returns the bytes
  // freed. kNotFound. kWrongState: a digest of `in_use` is one of its versions. kUnavailable: it is
  // being pulled right now.
  Result<std::uint64_t> Remove(std::string_view name, const std::set<std::string>& in_use,
                               const PruneHow& how = {});

  // Notes that a guest uses it now, for last_used_at. A failure is no reason for a guest not to
  // start, and is not told.
  static void NoteUse(const InstalledEnvironment& environment);

  // Never touches a version whose digest is in `in_use`, nor an environment that is being pulled.
  Result<PruneReport> Prune(PruneScope scope, const std::set<std::string>& in_use,
                            const PruneHow& how = {});

 private:
  std::filesystem::path Folder(std::string_view name) const;
  std::vector<std::string> ImageNames() const;
  Result<InstalledEnvironment> FindExactly(std::string_view name) const;
  Result<PullResult> PullEntry(const CatalogEntry& entry, PullMode mode, const ProgressFn& progress,
                               Cancellation cancel);
  Result<PullResult> PullImage(const PullRequest& request, PullMode mode,
                               const ProgressFn& progress, Cancellation cancel);
  // `ask` is called before a pull of the provider, which its error then spares.
  Result<InstalledEnvironment> KernelProvider(const std::function<Status()>& ask,
                                              const ProgressFn& progress, Cancellation cancel);
  // `complete`: may change the manifest, when all else of it is known.
  Result<InstalledEnvironment> InstallImage(const ImageSource& source, const FetchOptions& options,
                                            const std::string& name,
                                            const InstalledEnvironment& kernel,
                                            const std::filesystem::path& work,
                                            const std::function<void(Manifest&)>& complete,
                                            const ProgressFn& progress, Cancellation cancel);
  // `gone`: versions that count as removed. `dry` may be null.
  std::uint64_t PruneLayers(const std::set<std::filesystem::path>& gone, DryPrune* dry) const;

  std::filesystem::path environments_;
  Builder& builder_;
  ImageBuilder& images_;
};

}  // namespace pyro::image
