#include "downloads/forms.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "base/text.h"

namespace pyro::downloads {
namespace {

constexpr std::pair<Kind, std::string_view> kKindNames[] = {
    {Kind::kApt, "apt"}, {Kind::kPypi, "pypi"},   {Kind::kPypiFiles, "pypifiles"},
    {Kind::kNpm, "npm"}, {Kind::kIndex, "index"}, {Kind::kCrates, "crates"}};

// Of pool/: binary packages, and the parts of source packages.
constexpr std::string_view kDebEnds[] = {".deb",     ".udeb",          ".ddeb",     ".dsc",
                                         ".diff.gz", ".debian.tar.xz", ".tar.gz",   ".tar.xz",
                                         ".tar.bz2", ".tar.zst",       ".tar.lzma", ".asc"};
constexpr std::string_view kPythonEnds[] = {".whl", ".whl.metadata", ".tar.gz",
                                            ".zip", ".tar.bz2",      ".tar.gz.metadata"};
constexpr std::size_t kSha256Digits = 64;

bool EndsWithOne(std::string_view text, std::span<const std::string_view> ends) {
  return std::ranges::any_of(ends, [text](auto end) { return text.ends_with(end); });
}

bool IsHex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// From the segment `name` on; empty: there is none.
std::string_view From(std::string_view path, std::string_view name) {
  for (std::size_t at = path.find(name); at != std::string_view::npos;
       at = path.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if ((at == 0 || path[at - 1] == '/') && end < path.size() && path[end] == '/') {
      return path.substr(at);
    }
  }
  return {};
}

std::optional<Lifetime> LifetimeOfApt(std::string_view path) {
  if (path.ends_with('/')) return std::nullopt;
  if (!From(path, "by-hash").empty() && !From(path, "dists").empty()) return Lifetime::kFixed;
  if (!From(path, "dists").empty()) return Lifetime::kIndex;
  if (!From(path, "pool").empty() && EndsWithOne(path, kDebEnds)) return Lifetime::kFixed;
  return std::nullopt;
}

std::optional<Lifetime> LifetimeOfPypi(std::string_view path) {
  if (EndsWithOne(path, kPythonEnds)) return Lifetime::kFixed;
  const auto parts = Split(path, '/');
  // simple/NAME/, or without the last '/', which pip's server redirects.
  const bool is_page =
      parts[0] == "simple" && parts.size() <= 3 && (parts.size() < 3 || parts[2].empty());
  if (is_page) return Lifetime::kIndex;
  if (parts[0] == "pypi" && parts.size() >= 3 && parts.size() <= 4 && parts.back() == "json") {
    return Lifetime::kIndex;
  }
  return std::nullopt;
}

// NAME, @SCOPE/NAME or @SCOPE%2FNAME; then nothing, /VERSION, or /-/FILE.tgz.
std::optional<Lifetime> LifetimeOfNpm(std::string_view path) {
  if (path == "-/npm/v1/keys") return Lifetime::kIndex;
  auto parts = Split(path, '/');
  if (parts[0].starts_with('@') && parts[0].find("%2F") == std::string_view::npos) {
    if (parts.size() < 2 || parts[1] == "-") return std::nullopt;
    parts.erase(parts.begin());
  }
  if (std::ranges::any_of(parts, [](auto part) { return part.empty(); })) return std::nullopt;
  if (parts[0] == "-" || parts[0].starts_with("-/")) return std::nullopt;
  if (parts.size() == 3 && parts[1] == "-" && parts[2].ends_with(".tgz")) return Lifetime::kFixed;
  if (parts.size() <= 2 && parts.back() != "-") return Lifetime::kIndex;
  return std::nullopt;
}

// cargo's layout: 1/a, 2/ab, 3/a/abc, ab/cd/abcd…
std::optional<Lifetime> LifetimeOfCrateIndex(std::string_view path) {
  if (path == "config.json") return Lifetime::kIndex;
  const auto parts = Split(path, '/');
  const std::string_view name = parts.back();
  if (name.empty()) return std::nullopt;
  const bool is_short = parts.size() == 2 && (parts[0] == "1" || parts[0] == "2") &&
                        name.size() == (parts[0] == "1" ? 1U : 2U);
  const bool is_three =
      parts.size() == 3 && parts[0] == "3" && name.size() == 3 && parts[1] == name.substr(0, 1);
  const bool is_long = parts.size() == 3 && name.size() >= 4 && parts[0] == name.substr(0, 2) &&
                       parts[1] == name.substr(2, 2);
  if (is_short || is_three || is_long) return Lifetime::kIndex;
  return std::nullopt;
}

std::optional<Lifetime> LifetimeOfCrate(std::string_view path) {
  const auto parts = Split(path, '/');
  if (std::ranges::any_of(parts, [](auto part) { return part.empty(); })) return std::nullopt;
  // A mirror may have folders above these.
  if (parts.size() >= 2 && parts.back().ends_with(".crate")) return Lifetime::kFixed;
  if (parts.size() >= 3 && parts.back() == "download") return Lifetime::kFixed;
  return std::nullopt;
}

}  // namespace

std::string_view Name(Kind kind) {
  for (const auto& [one, name] : kKindNames) {
    if (one == kind) return name;
  }
  return "";
}

std::optional<Kind> ParseKind(std::string_view name) {
  for (const auto& [kind, text] : kKindNames) {
    if (text == name) return kind;
  }
  return std::nullopt;
}

std::optional<Lifetime> LifetimeOf(Kind kind, std::string_view path) {
  switch (kind) {
    case Kind::kApt:
      return LifetimeOfApt(path);
    case Kind::kPypi:
      return LifetimeOfPypi(path);
    case Kind::kPypiFiles:
      return EndsWithOne(path, kPythonEnds) ? std::optional(Lifetime::kFixed) : std::nullopt;
    case Kind::kNpm:
      return LifetimeOfNpm(path);
    case Kind::kIndex:
      return LifetimeOfCrateIndex(path);
    case Kind::kCrates:
      return LifetimeOfCrate(path);
  }
  return std::nullopt;
}

std::string_view PromisedSha256(Kind kind, std::string_view path) {
  if (kind != Kind::kApt) return {};
  constexpr std::string_view kFolder = "/by-hash/SHA256/";
  const std::size_t at = path.rfind(kFolder);
  if (at == std::string_view::npos) return {};
  const std::string_view hex = path.substr(at + kFolder.size());
  return hex.size() == kSha256Digits && IsHex(hex) ? hex : std::string_view();
}

}  // namespace pyro::downloads
