#include "downloads/mirrors.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"

namespace pyro::downloads {
namespace {

constexpr std::string_view kSparse = "sparse+";
constexpr std::string_view kSourceTable = "source.";
constexpr std::string_view kSimple = "simple/";

// KEY = VALUE of a line; nullopt: it is no such line.
std::optional<std::pair<std::string, std::string_view>> KeyAndValue(std::string_view line) {
  const std::size_t at = line.find_first_of("=:");
  if (at == std::string_view::npos) return std::nullopt;
  std::string key(TrimSpace(line.substr(0, at)));
  std::ranges::replace(key, '_', '-');
  return std::pair(std::move(key), TrimSpace(line.substr(at + 1)));
}

bool IsRemark(std::string_view line) {
  return line.empty() || line.front() == '#' || line.front() == ';';
}

std::string_view Unquoted(std::string_view text) {
  const bool quoted = text.size() >= 2 && text.front() == text.back() &&
                      (text.front() == '"' || text.front() == '\'');
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// "value" or 'value', maybe with a remark behind it; empty: it is none.
std::string_view QuotedValue(std::string_view text) {
  if (text.empty() || (text.front() != '"' && text.front() != '\'')) return {};
  const std::size_t end = text.find(text.front(), 1);
  return end == std::string_view::npos ? std::string_view() : text.substr(1, end - 1);
}

// Adds the ways to one mirror.
class WaysTo {
 public:
  WaysTo(std::string_view preset, Kind kind, const Routes& usual, Routes& routes)
      : preset_(preset), kind_(kind), usual_(usual), routes_(routes) {}

  // From where `kind` is usually fetched, below that in `folder`; and from the mirror's own name.
  Status Add(const Url& mirror, const std::vector<std::string_view>& folders = {""}) {
    for (const Route& route : usual_.all()) {
      if (route.kind != kind_ || route.guest.host == mirror.host) continue;
      for (const std::string_view folder : folders) {
        Url guest = route.guest;
        guest.path += folder;
        PYRO_RETURN_IF_ERROR(AddOne(guest, mirror));
      }
    }
    return AddOne(mirror, mirror);
  }

  Status AddOne(const Url& guest, const Url& mirror) {
    return routes_.Add({.preset = std::string(preset_),
                        .kind = kind_,
                        .guest = guest,
                        .source = mirror,
                        .from_settings = true});
  }

 private:
  std::string_view preset_;
  Kind kind_;
  const Routes& usual_;
  Routes& routes_;
};

// With a '/' at its end.
Result<Url> MirrorUrl(std::string_view text) {
  PYRO_ASSIGN_OR_RETURN(Url url, ParseUrl(text));
  if (!url.query.empty()) {
    return MakeError(ErrorCode::kInvalidArgument, "it has a query", "name a mirror without one");
  }
  if (!url.path.ends_with('/')) url.path += '/';
  return url;
}

Status AddPip(const std::string& index, const Routes& usual, Routes& routes) {
  PYRO_ASSIGN_OR_RETURN(Url url, MirrorUrl(index));
  if (!url.path.ends_with("/simple/")) {
    return MakeError(ErrorCode::kInvalidArgument, "its path does not end in /simple/",
                     "name an index of that form");
  }
  url.path.resize(url.path.size() - kSimple.size());
  return WaysTo("@pypi", Kind::kPypi, usual, routes).Add(url);
}

Status AddCargo(const std::string& index, const Routes& usual, Routes& routes) {
  PYRO_ASSIGN_OR_RETURN(const Url url, MirrorUrl(index));
  PYRO_RETURN_IF_ERROR(WaysTo("@crates", Kind::kIndex, usual, routes).Add(url));
  // Its config.json says where crates are: below the same server, or not served.
  Url root = url;
  root.path = "/";
  if (url.path == "/") return OkStatus();
  return WaysTo("@crates", Kind::kCrates, usual, routes).AddOne(root, root);
}

Status AddApt(std::string_view line, const Routes& usual, Routes& routes) {
  const auto words = Split(line, ' ');
  if (words.size() < 3 || words[0] != "deb") {
    return MakeError(ErrorCode::kInvalidArgument, "it is no line of apt", "");
  }
  PYRO_ASSIGN_OR_RETURN(const Url url, MirrorUrl(words[1]));
  const bool security = words[2].ends_with("-security") || words[2].ends_with("/updates");
  const std::vector<std::string_view> folders = {security ? "debian-security/" : "debian/"};
  return WaysTo("@debian", Kind::kApt, usual, routes).Add(url, folders);
}

}  // namespace

std::string PipIndexIn(std::string_view text) {
  std::string global;
  std::string install;
  std::string* section = nullptr;
  for (std::string_view line : Split(text, '\n')) {
    // A line that begins with a space continues a value; no index-url has a second line.
    if (line.starts_with(' ') || line.starts_with('\t')) continue;
    line = TrimSpace(line);
    if (IsRemark(line)) continue;
    if (line.starts_with('[')) {
      section = line == "[global]" ? &global : line == "[install]" ? &install : nullptr;
      continue;
    }
    const auto pair = KeyAndValue(line);
    if (section != nullptr && pair && pair->first == "index-url") *section = pair->second;
  }
  return install.empty() ? global : install;
}

std::string NpmRegistryIn(std::string_view text) {
  std::string registry;
  for (std::string_view line : Split(text, '\n')) {
    line = TrimSpace(line);
    if (IsRemark(line) || line.starts_with('[')) continue;
    const std::size_t at = line.find('=');
    if (at == std::string_view::npos || TrimSpace(line.substr(0, at)) != "registry") continue;
    registry = Unquoted(TrimSpace(line.substr(at + 1)));
  }
  return registry.find("${") == std::string::npos ? registry : std::string();
}

std::string CargoIndexIn(std::string_view text) {
  constexpr int kMostSteps = 8;
  struct Source {
    std::string replace_with;
    std::string registry;
  };
  std::map<std::string, Source, std::less<>> sources;
  Source* section = nullptr;
  for (std::string_view line : Split(text, '\n')) {
    line = TrimSpace(line);
    if (IsRemark(line)) continue;
    if (line.starts_with('[')) {
      const std::string_view name = TrimSpace(line.substr(1, line.find(']') - 1));
      section = nullptr;
      if (name.starts_with(kSourceTable)) {
        section = &sources[std::string(Unquoted(name.substr(kSourceTable.size())))];
      }
      continue;
    }
    const std::size_t at = line.find('=');
    if (section == nullptr || at == std::string_view::npos) continue;
    const std::string_view key = TrimSpace(line.substr(0, at));
    const std::string_view value = QuotedValue(TrimSpace(line.substr(at + 1)));
    if (key == "replace-with") section->replace_with = value;
    if (key == "registry") section->registry = value;
  }
  std::string name = "crates-io";
  for (int i = 0; i < kMostSteps; ++i) {
    const auto found = sources.find(name);
    if (found == sources.end()) return {};
    if (!found->second.replace_with.empty()) {
      name = found->second.replace_with;
      continue;
    }
    const std::string_view registry = found->second.registry;
    // Without it: a git repository, or crates-io itself.
    if (i == 0 || !registry.starts_with(kSparse)) return {};
    return std::string(registry.substr(kSparse.size()));
  }
  return {};
}

Result<std::vector<std::string>> AddMirrors(const Mirrors& mirrors, Routes& routes) {
  const Routes usual = routes;
  std::vector<std::string> left_out;
  const auto note = [&](std::string_view whose, const Status& status) {
    if (status) return;
    left_out.push_back(
        fmt::format("the mirror of this host's {} is not used: {}", whose, status.error().message));
  };
  if (!mirrors.pip_index.empty()) note("pip", AddPip(mirrors.pip_index, usual, routes));
  if (!mirrors.npm_registry.empty()) {
    const auto url = MirrorUrl(mirrors.npm_registry);
    note("npm", url ? WaysTo("@npm", Kind::kNpm, usual, routes).Add(*url) : Status(url.error()));
  }
  if (!mirrors.cargo_index.empty()) note("cargo", AddCargo(mirrors.cargo_index, usual, routes));
  for (const std::string& line : mirrors.apt_sources) note("apt", AddApt(line, usual, routes));
  return left_out;
}

}  // namespace pyro::downloads
