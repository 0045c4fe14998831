#include "image/oci/source.h"

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "image/store/catalog.h"

namespace pyro::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kDigestDigits = 64;
constexpr std::size_t kMaxTagBytes = 128;
constexpr std::string_view kExample = "such as oci:registry.example/team/app:1";

constexpr std::array<std::pair<std::string_view, Transport>, 4> kPrefixes = {{
    {"oci:", Transport::kRegistry},
    {"oci-archive:", Transport::kOciArchive},
    {"docker-archive:", Transport::kDockerArchive},
    {"oci-layout:", Transport::kOciLayout},
}};

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsWordLetter(char c) { return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z'); }

Error BadSource(std::string_view text, std::string_view why, std::string_view hint = kExample) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is no image: {}", Printable(text, kMaxImageNameBytes), why),
                   std::string(hint));
}

// Letters and digits, and between them one point, one or two underscores, or hyphens.
bool IsRepositoryPart(std::string_view part) {
  std::size_t separators = 0;
  if (part.empty() || !IsLowerOrDigit(part.back())) return false;
  for (std::size_t i = 0; i < part.size(); ++i) {
    const char c = part[i];
    if (IsLowerOrDigit(c)) {
      separators = 0;
      continue;
    }
    if (i == 0 || (c != '.' && c != '_' && c != '-')) return false;
    ++separators;
    if (separators > 1 && (part[i - 1] != c || c == '.' || (c == '_' && separators > 2))) {
      return false;
    }
  }
  return true;
}

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTagBytes && (IsWordLetter(tag[0]) || tag[0] == '_') &&
         std::all_of(tag.begin(), tag.end(),
                     [](char c) { return IsWordLetter(c) || c == '_' || c == '.' || c == '-'; });
}

bool NamesRegistry(std::string_view host) {
  return host == "localhost" || host.find_first_of(".:") != std::string_view::npos;
}

bool IsRegistry(std::string_view host) {
  const auto colon = host.find(':');
  const std::string_view name = host.substr(0, colon);
  if (name.empty() || !IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) return false;
  for (const std::string_view label : Split(name, '.')) {
    if (label.empty()) return false;
  }
  if (!std::all_of(name.begin(), name.end(),
                   [](char c) { return IsLowerOrDigit(c) || c == '.' || c == '-'; })) {
    return false;
  }
  if (colon == std::string_view::npos) return true;
  const std::string_view port = host.substr(colon + 1);
  const auto number = ParseInt(port);
  return number && *number >= 1 && *number <= 65535 && port[0] >= '1' && port[0] <= '9';
}

Result<ImageSource> ParseRegistrySource(std::string_view text, std::string_view rest) {
  ImageSource source;
  source.transport = Transport::kRegistry;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    source.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!IsSha256Digest(source.digest)) {
      return BadSource(text, "its digest is not 'sha256:' and 64 digits of 0-9 and a-f",
                       "such as oci:registry.example/team/app@sha256:…");
    }
  }
  if (rest.find("://") != std::string_view::npos || rest.starts_with("//")) {
    return BadSource(text, "a registry has no scheme", kExample);
  }
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos || !NamesRegistry(rest.substr(0, slash))) {
    return BadSource(text, "it names no registry",
                     "name the registry too, such as oci:registry.example/team/app:1");
  }
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos && colon > slash) {
    source.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!IsTag(source.tag)) return BadSource(text, "its tag is not well formed");
  }
  source.location = rest;
  if (!IsRegistry(rest.substr(0, slash))) {
    return BadSource(text, "its registry is not a host name in small letters, with a port or not");
  }
  for (const std::string_view part : Split(rest.substr(slash + 1), '/')) {
    if (!IsRepositoryPart(part)) {
      return BadSource(text,
                       "the parts of its name are not small letters and digits, joined by "
                       "'.', '_' or '-'");
    }
  }
  if (NameOf(source).size() > kMaxImageNameBytes) {
    return BadSource(text, fmt::format("it has more than {} bytes", kMaxImageNameBytes));
  }
  if (!CheckImageName(NameOf(source))) {
    return BadSource(text, "a source or the catalog begins as its registry does",
                     "name the registry by its address, or with its domain");
  }
  return source;
}

Result<ImageSource> ParseFileSource(std::string_view text, std::string_view rest,
                                    Transport transport) {
  ImageSource source;
  source.transport = transport;
  const auto colon = rest.find(':');
  const std::string_view path = rest.substr(0, colon);
  if (path.empty()) return BadSource(text, "it names no file");
  if (text.find('\0') != std::string_view::npos) return BadSource(text, "it has a byte of zero");
  if (colon != std::string_view::npos) {
    source.tag = rest.substr(colon + 1);
    if (source.tag.empty()) {
      return BadSource(text, "nothing follows the last colon",
                       "the path ends at the first colon; behind it stands which image of it");
    }
  }
  std::error_code error;
  const fs::path absolute = fs::absolute(fs::path(path), error);
  if (error) return BadSource(text, "its path cannot be made absolute");
  // A working directory with a colon in its name would end the path too early when it is read back.
  source.location = absolute.lexically_normal();
  if (source.location.find(':') != std::string::npos) {
    return BadSource(text, "a directory above it has a colon in its name", "move or link the file");
  }
  return source;
}

}  // namespace

bool IsImageSource(std::string_view text) {
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](const auto& prefix) { return text.starts_with(prefix.first); });
}

Result<ImageSource> ParseImageSource(std::string_view text) {
  if (text.size() > kMaxImageSourceBytes) {
    return BadSource(text, fmt::format("it has more than {} bytes", kMaxImageSourceBytes));
  }
  for (const auto& [prefix, transport] : kPrefixes) {
    if (!text.starts_with(prefix)) continue;
    const std::string_view rest = text.substr(prefix.size());
    return transport == Transport::kRegistry ? ParseRegistrySource(text, rest)
                                             : ParseFileSource(text, rest, transport);
  }
  return BadSource(text, "it begins with none of oci:, oci-archive:, docker-archive:, oci-layout:");
}

std::string FormatImageSource(const ImageSource& source) {
  const auto* const prefix = std::find_if(kPrefixes.begin(), kPrefixes.end(), [&](const auto& one) {
    return one.second == source.transport;
  });
  return fmt::format("{}{}{}{}{}{}", prefix->first, source.location, source.tag.empty() ? "" : ":",
                     source.tag, source.digest.empty() ? "" : "@", source.digest);
}

Status CheckImageName(std::string_view name) {
  const auto refuse = [&](std::string_view why, std::string hint) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("'{}' is no name for an environment: {}",
                                 Printable(name, kMaxImageNameBytes), why),
                     std::move(hint));
  };
  const auto bad = [&](std::string_view why) {
    return refuse(why, "choose letters, digits and ._/:@- behind a small letter or digit");
  };
  if (name.empty() || name.size() > kMaxImageNameBytes) {
    return bad(fmt::format("it has not 1 to {} bytes", kMaxImageNameBytes));
  }
  if (!IsLowerOrDigit(name[0])) return bad("it does not begin with a small letter or a digit");
  constexpr std::string_view kSigns = "._/:@-";
  const bool known = std::all_of(name.begin(), name.end(), [&](char c) {
    return IsWordLetter(c) || kSigns.find(c) != std::string_view::npos;
  });
  if (!known) return bad("it has other characters");
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty() || part == "..") return bad("one of its parts is empty or '..'");
  }
  if (IsImageSource(name)) return bad("it begins as a source does");
  if (name.starts_with("debian:") || FindCatalogEntry(name)) {
    return refuse("that name is kept for pyro's own environments",
                  fmt::format("choose another one, such as my-{}", name));
  }
  return OkStatus();
}

std::string NameOf(const ImageSource& source) {
  if (source.transport != Transport::kRegistry) return {};
  ImageSource named = source;
  if (named.tag.empty() && named.digest.empty()) named.tag = "latest";
  return FormatImageSource(named).substr(kPrefixes[0].first.size());
}

std::string StemOf(const fs::path& location) {
  std::string name = location.filename();
  if (name.empty()) name = location.parent_path().filename();
  for (const std::string_view ending : {".gz", ".tgz", ".bz2", ".xz", ".zst", ".tar"}) {
    if (name.size() > ending.size() && name.ends_with(ending)) {
      name.resize(name.size() - ending.size());
    }
  }
  return name;
}

bool IsSha256Digest(std::string_view text) {
  if (!text.starts_with(kDigestPrefix)) return false;
  const std::string_view digits = text.substr(kDigestPrefix.size());
  return digits.size() == kDigestDigits && std::all_of(digits.begin(), digits.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace pyro::image
