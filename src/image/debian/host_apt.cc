#include "image/debian/host_apt.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/catalog.h"
#include "sys/files.h"

namespace pyro::image {
namespace {

constexpr std::size_t kMaxSourcesFile = 1 << 20;
constexpr std::string_view kSignedBy = "Signed-By";
constexpr std::string_view kDebianKeys = "debian-archive-";  // How its key files' names begin.

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// apt prints the placeholder of an unknown field unchanged.
std::string Known(std::string_view field) {
  return std::string(field.starts_with("$(") ? std::string_view() : TrimSpace(field));
}

std::string_view Canonical(std::string_view option) {
  for (const std::string_view name : {kSignedBy, std::string_view("Trusted")}) {
    if (EqualIgnoringCase(option, name)) return name;
  }
  return {};
}

using Options = std::vector<std::pair<std::string, std::string>>;

// deb [signed-by=/a.gpg trusted=yes] http://… suite component
Options OneLineOptions(std::string_view line) {
  Options options;
  const auto open = line.find('[');
  const auto close = line.find(']');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return options;
  for (const auto word : Split(line.substr(open + 1, close - open - 1), ' ')) {
    const auto equals = word.find('=');
    if (equals == std::string_view::npos) continue;
    const auto name = Canonical(word.substr(0, equals));
    if (!name.empty()) options.emplace_back(name, word.substr(equals + 1));
  }
  return options;
}

std::vector<std::vector<std::string_view>> Stanzas(std::string_view text) {
  std::vector<std::vector<std::string_view>> stanzas;
  bool inside = false;
  for (const auto line : Split(text, '\n')) {
    if (line.starts_with('#')) continue;
    if (TrimSpace(line).empty()) {
      inside = false;
      continue;
    }
    if (!inside) stanzas.emplace_back();
    inside = true;
    stanzas.back().push_back(line);
  }
  return stanzas;
}

Options StanzaOptions(const std::vector<std::string_view>& lines) {
  Options options;
  bool wanted = false;
  for (const auto line : lines) {
    if (line.front() == ' ' || line.front() == '\t') {
      if (wanted) options.back().second += fmt::format("\n{}", line);
      continue;
    }
    const auto colon = line.find(':');
    const auto name = Canonical(line.substr(0, colon));
    wanted = !name.empty() && colon != std::string_view::npos;
    if (wanted) options.emplace_back(name, TrimSpace(line.substr(colon + 1)));
  }
  return options;
}

Options OptionsOf(const IndexTarget& target) {
  const auto colon = target.source_entry.rfind(':');
  if (colon == std::string::npos) return {};
  const auto number = ParseInt(std::string_view(target.source_entry).substr(colon + 1));
  const std::filesystem::path file = target.source_entry.substr(0, colon);
  const auto text = sys::ReadFile(file, kMaxSourcesFile);
  if (!text || !number || *number < 1) return {};
  return SourceOptions(*text, file.extension() == ".sources", static_cast<std::size_t>(*number));
}

// `keys`: the Signed-By of all targets, in place of what the host's entries say about trust.
AptSetup MakeSetup(const std::vector<IndexTarget>& targets, const std::string& keys) {
  AptSetup setup;
  setup.extension = ".sources";
  for (const auto& target : targets) {
    const std::string head = fmt::format("Types: deb\nURIs: {}\nSuites: {}\nComponents: {}\n",
                                         target.uri, target.release, target.component);
    setup.sources += head;
    setup.image_sources += StripCredentials(head);
    for (const auto& [name, value] :
         keys.empty() ? OptionsOf(target) : Options{{std::string(kSignedBy), keys}}) {
      setup.sources += fmt::format("{}: {}\n", name, value);
      const std::string in_image = name == kSignedBy ? SignedByInImage(value) : value;
      if (!in_image.empty()) setup.image_sources += fmt::format("{}: {}\n", name, in_image);
    }
    setup.sources += '\n';
    setup.image_sources += '\n';
    setup.described.push_back(StripCredentials(
        fmt::format("deb {} {} {}", target.uri, target.release, target.component)));
  }
  return setup;
}

// The files with which Debian's keyring package lets apt accept one release.
Result<std::string> KeysOf(std::string_view release, const std::filesystem::path& keyrings) {
  std::string keys;
  for (const char* part : {"automatic", "security-automatic", "stable"}) {
    const auto file = keyrings / fmt::format("{}{}-{}.gpg", kDebianKeys, release, part);
    if (::access(file.c_str(), R_OK) != 0) {
      return MakeError(ErrorCode::kMissingTool,
                       fmt::format("this host has no keys of Debian '{}'", release),
                       "install them: sudo apt update && sudo apt install debian-archive-keyring");
    }
    keys += fmt::format("{}{}", keys.empty() ? "" : " ", file.native());
  }
  return keys;
}

Result<AptSetup> SetupFromFile(const std::filesystem::path& file) {
  auto text = sys::ReadFile(file, kMaxSourcesFile);
  if (!text) {
    Error error = std::move(text).error();
    error.hint = "PYRO_APT_SOURCES must name a sources.list or a .sources file";
    return error;
  }
  AptSetup setup;
  setup.sources = *text;
  setup.image_sources = StripCredentials(*text);
  const bool deb822 = file.extension() == ".sources";
  setup.extension = deb822 ? ".sources" : ".list";
  for (const auto line : Split(setup.image_sources, '\n')) {
    if (line.find("://") == std::string_view::npos && line.find(":/") == std::string_view::npos)
      continue;
    if (!line.starts_with('#') && !line.starts_with(' '))
      setup.described.push_back(Printable(line, 400));
  }
  return setup;
}

}  // namespace

const char* const kIndexTargetFormat =
    "$(REPO_URI)\t$(RELEASE)\t$(CODENAME)\t$(COMPONENT)\t$(ORIGIN)\t$(SOURCESENTRY)";

std::vector<IndexTarget> ParseIndexTargets(std::string_view text) {
  std::vector<IndexTarget> targets;
  for (const auto line : Split(text, '\n')) {
    const auto fields = Split(line, '\t');
    if (fields.size() != 6) continue;
    targets.push_back({Known(fields[0]), Known(fields[1]), Known(fields[2]), Known(fields[3]),
                       Known(fields[4]), Known(fields[5])});
  }
  return targets;
}

std::vector<IndexTarget> SelectTargets(const std::vector<IndexTarget>& targets,
                                       std::string_view release) {
  const auto serves = [](const IndexTarget& target, std::string_view suite) {
    return target.component == "main" && (target.codename == suite || target.release == suite);
  };
  const bool origin_known = std::any_of(targets.begin(), targets.end(), [&](const auto& target) {
    return target.origin == "Debian" && serves(target, release);
  });
  const std::array<std::string, 3> suites = {std::string(release),
                                             fmt::format("{}-updates", release),
                                             fmt::format("{}-security", release)};
  std::vector<IndexTarget> selected;
  std::set<std::string> seen;
  for (const auto& suite : suites) {
    for (const auto& target : targets) {
      const bool trusted = target.origin == "Debian" || (!origin_known && target.origin.empty());
      if (!trusted || !serves(target, suite)) continue;
      if (seen.insert(target.uri + " " + target.release).second) selected.push_back(target);
    }
    if (selected.empty()) return {};  // Updates alone make no system.
  }
  return selected;
}

Borrowed BorrowTargets(const std::vector<IndexTarget>& targets, std::string_view release) {
  const auto name_of = [](const IndexTarget& target) {
    return target.codename.empty() ? target.release : target.codename;
  };
  const auto in_catalog = [](std::string_view name) {
    return std::any_of(Catalog().begin(), Catalog().end(),
                       [&](const CatalogEntry& entry) { return entry.release == name; });
  };
  for (const auto& candidate : targets) {
    const std::string own = name_of(candidate);
    const bool debian =
        candidate.origin == "Debian" || (candidate.origin.empty() && in_catalog(own));
    // The name of updates, security updates and backports has a hyphen.
    if (!debian || own.find('-') != std::string::npos) continue;
    auto selected = SelectTargets(targets, own);
    if (selected.empty()) continue;
    for (auto& target : selected) {
      // One of the two names is that for which it was selected.
      const std::string& name = target.codename.starts_with(own) ? target.codename : target.release;
      target.release = fmt::format("{}{}", release, name.substr(own.size()));
      target.codename = target.release;
    }
    return {own, std::move(selected)};
  }
  return {};
}

std::string SignedByInImage(std::string_view signed_by) {
  if (signed_by.find("-----BEGIN") != std::string_view::npos) return std::string(signed_by);
  std::string kept;
  while (!signed_by.empty()) {
    const auto end = std::min(signed_by.find_first_of(" \t\n,"), signed_by.size());
    std::filesystem::path word = signed_by.substr(0, end);
    signed_by.remove_prefix(std::min(end + 1, signed_by.size()));
    const bool is_file = word.is_absolute();
    if (word.empty() || (is_file && (word.parent_path() != kKeyrings ||
                                     !word.filename().native().starts_with(kDebianKeys)))) {
      continue;
    }
    if (is_file && word.extension() == ".pgp") word.replace_extension(".gpg");
    kept += fmt::format("{}{}", kept.empty() ? "" : " ", word.native());
  }
  return kept;
}

std::vector<std::pair<std::string, std::string>> SourceOptions(std::string_view text, bool deb822,
                                                               std::size_t number) {
  if (!deb822) {
    const auto lines = Split(text, '\n');
    return number <= lines.size() ? OneLineOptions(lines[number - 1]) : Options();
  }
  const auto stanzas = Stanzas(text);
  return number <= stanzas.size() ? StanzaOptions(stanzas[number - 1]) : Options();
}

std::string SelectAptOptions(std::string_view apt_config_dump) {
  constexpr std::array<std::string_view, 9> kWanted = {
      "Acquire::http::",    "Acquire::https::",  "Acquire::ftp::",
      "Acquire::Retries ",  "Acquire::ForceIPv", "Acquire::Check-",
      "Acquire::Languages", "Acquire::By-Hash ", "Acquire::Max-ValidTime "};
  std::string selected;
  for (const auto line : Split(apt_config_dump, '\n')) {
    const bool wanted = std::any_of(kWanted.begin(), kWanted.end(), [&](std::string_view prefix) {
      return line.starts_with(prefix);
    });
    // apt prints a node without a value of its own as an empty string, which has no effect.
    if (wanted && !line.ends_with(" \"\";")) selected += fmt::format("{}\n", line);
  }
  return selected;
}

std::string StripCredentials(std::string_view text) {
  std::string stripped;
  while (true) {
    const auto scheme = text.find("://");
    if (scheme == std::string_view::npos) break;
    stripped += text.substr(0, scheme + 3);
    text.remove_prefix(scheme + 3);
    const auto authority = text.substr(0, text.find_first_of("/ \t\r\n\"'"));
    const auto at = authority.rfind('@');
    if (at != std::string_view::npos) text.remove_prefix(at + 1);
  }
  stripped += text;
  return stripped;
}

namespace {

Result<std::vector<IndexTarget>> ReadTargets(const ToolPaths& tools, Cancellation cancel,
                                             std::vector<std::string> options) {
  std::vector<std::string> argv = {"apt-get", "indextargets", "--format", kIndexTargetFormat,
                                   "Created-By: Packages"};
  argv.insert(argv.end(), options.begin(), options.end());
  PYRO_ASSIGN_OR_RETURN(const std::string listed, Capture(tools, std::move(argv), cancel));
  return ParseIndexTargets(listed);
}

Result<AptSetup> SetupFromHost(const ToolPaths& tools, std::string_view release,
                               const std::filesystem::path& keyrings, Cancellation cancel) {
  PYRO_ASSIGN_OR_RETURN(auto targets, ReadTargets(tools, cancel, {}));
  if (const auto own = SelectTargets(targets, release); !own.empty()) return MakeSetup(own, {});
  // apt names what it has not fetched only where it need not tell what that says of itself.
  PYRO_ASSIGN_OR_RETURN(const auto unfetched, ReadTargets(tools, cancel, {"--no-release-info"}));
  targets.insert(targets.end(), unfetched.begin(), unfetched.end());
  if (const auto own = SelectTargets(targets, release); !own.empty()) return MakeSetup(own, {});
  Borrowed borrowed = BorrowTargets(targets, release);
  if (borrowed.targets.empty()) {
    return MakeError(
        ErrorCode::kNotFound, fmt::format("this host's apt has no source of Debian '{}'", release),
        fmt::format("add one to /etc/apt/sources.list.d, or let PYRO_APT_SOURCES name a "
                    "sources.list with a line such as: deb MIRROR {} main",
                    release));
  }
  PYRO_ASSIGN_OR_RETURN(const std::string keys, KeysOf(release, keyrings));
  AptSetup setup = MakeSetup(borrowed.targets, keys);
  setup.own_release = std::move(borrowed.own_release);
  return setup;
}

}  // namespace

Result<AptSetup> ReadHostApt(const ToolPaths& tools, std::string_view release,
                             const std::filesystem::path& sources_override, Cancellation cancel,
                             const std::filesystem::path& keyrings) {
  PYRO_ASSIGN_OR_RETURN(AptSetup setup, sources_override.empty()
                                            ? SetupFromHost(tools, release, keyrings, cancel)
                                            : SetupFromFile(sources_override));
  PYRO_ASSIGN_OR_RETURN(const std::string dump, Capture(tools, {"apt-config", "dump"}, cancel));
  setup.apt_options = SelectAptOptions(dump);
  return setup;
}

}  // namespace pyro::image
