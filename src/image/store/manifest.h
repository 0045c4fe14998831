// manifest.json: the files of an installed environment and their origin.
//
// Every `pyro run` reads it, and another user may have built the environment: the parser treats it
// as input from outside.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/oci/config.h"
#include "pyro/result.h"

namespace pyro::image {

inline constexpr int kManifestSchema = 1;
inline constexpr std::size_t kMaxManifestBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxModules = 64;
inline constexpr std::size_t kMaxLayerFiles = 13;  // As a machine has disks for them.

struct FileRecord {
  std::string name;        // A plain file name: never a separator, "." or "..".
  std::uint64_t size = 0;  // In bytes.
  std::string sha256;      // 64 lower-case hexadecimal digits.
};

struct PackageRecord {
  std::string name;
  std::string version;
  std::string architecture;
};

// Where an environment comes from whose root file system was an OCI image, and what that asks for.
struct ImageRecord {
  std::string source;           // As a person types it: oci:registry.example/team/app:1
  std::string source_digest;    // The registry's, of an index too, or of the archive's manifest.
  std::string manifest_digest;  // Of the image as fetched.
  std::string config_digest;    // Of its configuration; earlier manifests lack it.
  std::vector<std::string> layers;  // Their digests as fetched, the lowest first.
  std::uint64_t layer_bytes = 0;    // Of all layers as fetched.
  ImageConfig config;
  std::vector<std::string> left_out;  // One line each, for people.
};

// A command that ran in the task which became an environment. Neither its variables nor its stdin
// are told. A value; all texts are printable.
struct CommitStep {
  std::int64_t sequence = 0;  // In the task's journal.
  std::string command;        // As a shell would read it, cut to kMaxStepBytes.
  std::string cwd;
  std::string user;     // Empty: root.
  std::string outcome;  // As Name(Outcome); empty: it was running.
  std::int64_t exit_code = 0;
  std::string started_at;  // RFC 3339, UTC.
};
inline constexpr std::size_t kMaxCommitSteps = 500;
inline constexpr std::size_t kMaxStepBytes = 1000;

// How an environment was made of a task. A value.
struct CommitRecord {
  std::string task_id;
  std::string task_name;           // May be empty.
  std::string environment;         // The task's own,
  std::string environment_digest;  // and its version.
  std::string committed_at;        // RFC 3339, UTC.
  bool workspace = false;          // With the content of /workspace.
  bool configured = false;         // The configuration of its image counts for commands.
  std::vector<CommitStep> steps;   // The first kMaxCommitSteps, in their order.
  std::uint64_t more_steps = 0;    // Beyond those.
};

// A value.
struct Manifest {
  std::string environment;
  std::string catalog_version;
  std::string built_at;             // RFC 3339, UTC.
  FileRecord base;                  // In the version's directory.
  std::vector<FileRecord> layers;   // There, too: disks that lie on the base, the lowest first.
  FileRecord kernel;                // In the version's directory.
  std::vector<FileRecord> modules;  // In its modules/, in the order in which they must be loaded.
  std::string kernel_release;       // `uname -r` in the guest.
  std::string kernel_package;
  std::string kernel_package_version;
  std::vector<PackageRecord> packages;
  std::vector<std::string> apt_sources;      // One line each, without credentials.
  std::map<std::string, std::string> tools;  // Name to version of each tool that built it.
  std::optional<ImageRecord> image;          // Of one that was pulled from an image, or committed.
  std::optional<CommitRecord> commit;        // Of one that was committed.
};

// Identifies the content: SHA-256 over the names and digests of base, layers, kernel and modules,
// and over the digest of an image's configuration. 64 hexadecimal digits.
std::string ContentDigest(const Manifest& manifest);

std::string FormatManifest(const Manifest& manifest);

// kDataLoss: longer than kMaxManifestBytes, not JSON, another schema, a field missing or out of its
// limits, a file name that is more than a name.
Result<Manifest> ParseManifest(std::string_view text);

}  // namespace pyro::image
