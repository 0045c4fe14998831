// The environments that pyro can build, each a recipe: a Debian release and a list of packages.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "pyro/version.h"

namespace pyro::image {

inline constexpr std::string_view kCatalogVersion = PYRO_VERSION;

struct CatalogEntry {
  std::string_view name;                   // What a person types: debian:12
  std::string_view description;            // One line, for `env list`.
  std::string_view release;                // Debian's code name.
  std::vector<std::string_view> packages;  // Beside Debian's essential set and apt.
  std::uint64_t build_bytes;               // Disk needed while it is built, everything included.
};

// In the order in which they are shown. Lives forever.
const std::vector<CatalogEntry>& Catalog();

// kNotFound with the names that exist in the hint. The pointer lives forever.
Result<const CatalogEntry*> FindCatalogEntry(std::string_view name);

// "debian:12-base" as a folder name: "debian-12-base".
std::string DirectoryName(std::string_view environment);

}  // namespace pyro::image
