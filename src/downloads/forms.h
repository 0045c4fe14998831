// Which paths of a registry are downloads, and which of them never change. Pure.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pyro::downloads {

// The names are those of the file download-hosts.
enum class Kind { kApt, kPypi, kPypiFiles, kNpm, kIndex, kCrates };

std::string_view Name(Kind kind);
std::optional<Kind> ParseKind(std::string_view name);

enum class Lifetime {
  kFixed,  // The same bytes for ever: it is kept.
  kIndex,  // It changes: its source is asked whether it did.
};

// `path`: as in a Url, below the URL of a route, without a '/' at its beginning. nullopt: it is no
// download of this kind, so that nothing is asked for it.
std::optional<Lifetime> LifetimeOf(Kind kind, std::string_view path);

// The SHA-256 that the path itself promises, as apt's by-hash does; empty: it promises none.
std::string_view PromisedSha256(Kind kind, std::string_view path);

}  // namespace pyro::downloads
