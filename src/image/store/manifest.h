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
  std::vector<std::string> layers;  // Their digests as fetched, the lowest first.
  std::uint64_t layer_bytes = 0;    // Of all layers as fetched.
  ImageConfig config;
  std::vector<std::string> left_out;  // One line each, for people.
};

// A value.
struct Manifest {
  std::string environment;
  std::string catalog_version;
  std::string built_at;             // RFC 3339, UTC.
  FileRecord base;                  // In the version's directory.
  FileRecord kernel;                // In the version's directory.
  std::vector<FileRecord> modules;  // In its modules/, in the order in which they must be loaded.
  std::string kernel_release;       // `uname -r` in the guest.
  std::string kernel_package;
  std::string kernel_package_version;
  std::vector<PackageRecord> packages;
  std::vector<std::string> apt_sources;      // One line each, without credentials.
  std::map<std::string, std::string> tools;  // Name to version of each tool that built it.
  std::optional<ImageRecord> image;          // Of an environment that was pulled from an image.
};

// Identifies the content: SHA-256 over the names and digests of base, kernel and modules. 64
// hexadecimal digits.
std::string ContentDigest(const Manifest& manifest);

std::string FormatManifest(const Manifest& manifest);

// kDataLoss: longer than kMaxManifestBytes, not JSON, another schema, a field missing or out of its
// limits, a file name that is more than a name.
Result<Manifest> ParseManifest(std::string_view text);

}  // namespace pyro::image
