// The mirrors that this host's own configuration of pip, npm, cargo and apt names, and the routes
// that lead there. Pure: the caller reads the files.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "downloads/routes.h"
#include "pyro/result.h"

namespace pyro::downloads {

inline constexpr std::size_t kMaxSettingsFileBytes = 256 * 1024;

// The value that counts for an install; empty: the text has none.
// pip.conf: index-url.
std::string PipIndexIn(std::string_view text);
// .npmrc: registry. One with ${VARIABLES} counts for nothing.
std::string NpmRegistryIn(std::string_view text);
// config.toml: the registry that is in the place of crates-io, if it is a sparse one, without
// "sparse+". Only tables such as [source.NAME] are looked into, as cargo's documents write them.
std::string CargoIndexIn(std::string_view text);

// Empty: the configuration names none.
struct Mirrors {
  std::string pip_index;  // ".../simple/"
  std::string npm_registry;
  std::string cargo_index;
  // "deb URI SUITE COMPONENTS", as image::AptSetup describes them.
  std::vector<std::string> apt_sources;
};

// Adds, for each mirror, the way from the usual host to it and from its own name to itself.
// Returns a sentence for each one that cannot be used; none shows a password.
Result<std::vector<std::string>> AddMirrors(const Mirrors& mirrors, Routes& routes);

}  // namespace pyro::downloads
