// The host's own package sources, as far as they bring one Debian release, or the mirrors that they
// name, which have other releases too: pyro names no mirror itself.

#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "image/tools.h"
#include "pyro/result.h"

namespace pyro::image {

// The settings with which a bootstrap fetches packages as the host does.
struct AptSetup {
  std::string sources;                 // For mmdebstrap, as configured: may hold credentials.
  std::string image_sources;           // For the image's /etc/apt: without credentials.
  std::string extension;               // Of both: ".sources" (deb822) or ".list".
  std::vector<std::string> described;  // For the manifest, one line each, without credentials.
  std::string apt_options;  // apt.conf: proxy, retries and the like. May hold credentials.
  std::string own_release;  // Of the host, where only its mirrors are used; else empty.
};

inline constexpr const char* kKeyrings = "/usr/share/keyrings";

// Reads the sources through apt itself. Only entries of Debian's own archive for `release`, its
// updates and its security updates are taken; other archives never get into an image. If there is
// none, the mirrors of the host's own release are asked for `release`, and only Debian's keys of
// that release, in `keyrings`, are accepted. With `sources_override` (a sources.list or a .sources
// file, from PYRO_APT_SOURCES) that file is taken as it is. kMissingTool: the host has no apt, or
// not the keys. kNotFound: no source of Debian, or no such file.
Result<AptSetup> ReadHostApt(const ToolPaths& tools, std::string_view release,
                             const std::filesystem::path& sources_override,
                             Cancellation cancel = {},
                             const std::filesystem::path& keyrings = kKeyrings);

// The rest is pure and declared here for its tests.

// One index that apt would fetch. Fields that apt does not know yet (before the first update) are
// empty.
struct IndexTarget {
  std::string uri;
  std::string release;
  std::string codename;
  std::string component;
  std::string origin;
  std::string source_entry;  // FILE:N, N a line (.list) or a stanza (.sources), counted from 1.
};

// Parses the output of `apt-get indextargets` with kIndexTargetFormat.
extern const char* const kIndexTargetFormat;
std::vector<IndexTarget> ParseIndexTargets(std::string_view text);

// Debian's own main component of `release`, RELEASE-updates and RELEASE-security. Targets whose
// origin is not known count only if no target with a known origin serves `release` itself. Each
// once, in order.
std::vector<IndexTarget> SelectTargets(const std::vector<IndexTarget>& targets,
                                       std::string_view release);

struct Borrowed {
  std::string own_release;           // Of the host; empty if the targets have no Debian.
  std::vector<IndexTarget> targets;  // Where its mirrors should have the wanted release.
};

// SelectTargets of the first release of Debian among the targets, with `release` in its place. A
// target whose origin is not known counts if its release is one of the catalog's.
Borrowed BorrowTargets(const std::vector<IndexTarget>& targets, std::string_view release);

// `signed_by` without the key files of the host that an image does not have, and with the names
// that Debian's own have in every release. A key itself is unchanged. Empty if nothing is left.
std::string SignedByInImage(std::string_view signed_by);

// The options of the N-th entry that bear on trust, in deb822 spelling and order: Signed-By (a
// path, or a key with its continuation lines) and Trusted. `text` is a .sources file or, by its
// name, a .list file.
std::vector<std::pair<std::string, std::string>> SourceOptions(std::string_view text, bool deb822,
                                                               std::size_t number);

// The lines of `apt-config dump` that decide how packages are fetched: proxies, timeouts, validity
// checks.
std::string SelectAptOptions(std::string_view apt_config_dump);

// Every scheme://user:password@host becomes scheme://host.
std::string StripCredentials(std::string_view text);

}  // namespace pyro::image
