#include "engine/download_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "downloads/store.h"
#include "engine/paths.h"
#include "engine/settings.h"
#include "image/debian/host_apt.h"
#include "image/store/catalog.h"
#include "jail/jail.h"
#include "sys/errno_error.h"
#include "sys/files.h"
#include "sys/host.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGib = 1024ULL * 1024 * 1024;

std::string TextOf(const fs::path& file) {
  return sys::ReadFile(file, downloads::kMaxSettingsFileBytes).value_or("");
}

// A file under the home directory; empty without one.
std::string TextInHome(std::string_view file) {
  const auto home = sys::HomeDirectory();
  return home ? TextOf(*home / file) : std::string();
}

// The first that is not empty.
std::string FirstOf(std::initializer_list<std::string> texts) {
  for (const std::string& text : texts) {
    if (!text.empty()) return text;
  }
  return {};
}

std::string PipIndex() {
  const std::string file = sys::Environment("PIP_CONFIG_FILE");
  const std::string own = file.empty() ? "" : downloads::PipIndexIn(TextOf(file));
  const std::string said = FirstOf({sys::Environment("PIP_INDEX_URL"), own});
  if (!said.empty() || file == "/dev/null") return said;
  return FirstOf({downloads::PipIndexIn(TextInHome(".config/pip/pip.conf")),
                  downloads::PipIndexIn(TextInHome(".pip/pip.conf")),
                  downloads::PipIndexIn(TextOf("/etc/pip.conf")),
                  downloads::PipIndexIn(TextOf("/etc/xdg/pip/pip.conf"))});
}

std::string NpmRegistry() {
  return FirstOf({sys::Environment("NPM_CONFIG_REGISTRY"), sys::Environment("npm_config_registry"),
                  downloads::NpmRegistryIn(TextInHome(".npmrc")),
                  downloads::NpmRegistryIn(TextOf("/etc/npmrc")),
                  downloads::NpmRegistryIn(TextOf("/usr/etc/npmrc"))});
}

std::string CargoIndex() {
  const std::string home = sys::Environment("CARGO_HOME");
  if (!home.empty()) {
    return FirstOf({downloads::CargoIndexIn(TextOf(fs::path(home) / "config.toml")),
                    downloads::CargoIndexIn(TextOf(fs::path(home) / "config"))});
  }
  return FirstOf({downloads::CargoIndexIn(TextInHome(".cargo/config.toml")),
                  downloads::CargoIndexIn(TextInHome(".cargo/config"))});
}

// A guest of the catalog asks where its environment's packages came from. An image asks the usual
// hosts; this host's own sources may name a mirror of them.
std::vector<std::string> AptSources(const image::InstalledEnvironment& environment) {
  if (!environment.manifest.apt_sources.empty()) return environment.manifest.apt_sources;
  const auto own = image::ReadHostApt({}, image::Catalog().front().release,
                                      sys::Environment("PYRO_APT_SOURCES"));
  return own ? own->described : std::vector<std::string>();
}

Result<std::uint64_t> MaxBytes(const Context& context) {
  PYRO_ASSIGN_OR_RETURN(const Settings settings, ReadSettings(context.configuration));
  PYRO_ASSIGN_OR_RETURN(const Setting setting, settings.Get(kCacheSize));
  std::string_view value = setting.value.empty() ? setting.usual : setting.value;
  value.remove_suffix(1);  // "G"
  PYRO_ASSIGN_OR_RETURN(const std::int64_t gib, ParseInt(value));
  return static_cast<std::uint64_t>(gib) * kGib;
}

// With root as the caller the proxy is another user, to whom the store belongs.
Status MakeDirectory(const fs::path& directory) {
  PYRO_RETURN_IF_ERROR(sys::MakeDirectories(directory));
  const auto user = jail::JailCredentials(downloads::kJailIdentity);
  if (!user || ::chown(directory.c_str(), user->uid, user->gid) == 0) return OkStatus();
  return sys::ErrnoError(errno, "chown", directory.native());
}

}  // namespace

fs::path DownloadsDirectory(const Context& context) { return context.cache / "downloads"; }

downloads::Mirrors MirrorsOfHost() {
  return {.pip_index = PipIndex(),
          .npm_registry = NpmRegistry(),
          .cargo_index = CargoIndex(),
          .apt_sources = {}};
}

Result<DownloadPlan> PlanDownloads(const Context& context,
                                   const image::InstalledEnvironment& environment,
                                   const net::Policy* allowed) {
  PYRO_ASSIGN_OR_RETURN(const fs::path file, DownloadHosts());
  PYRO_ASSIGN_OR_RETURN(const std::string text, sys::ReadFile(file, downloads::kMaxRoutesBytes));
  PYRO_ASSIGN_OR_RETURN(downloads::Routes routes, downloads::Routes::Parse(text));
  downloads::Mirrors mirrors = MirrorsOfHost();
  mirrors.apt_sources = AptSources(environment);
  PYRO_ASSIGN_OR_RETURN(const auto left_out, downloads::AddMirrors(mirrors, routes));
  DownloadPlan plan{.directory = DownloadsDirectory(context),
                    .routes = routes.Format(),
                    .hosts = {},
                    .only_cached = {},
                    .notes = left_out};
  PYRO_ASSIGN_OR_RETURN(plan.max_bytes, MaxBytes(context));
  PYRO_RETURN_IF_ERROR(MakeDirectory(plan.directory));
  for (const auto& [name, port] : routes.Servers()) {
    if (!net::CanonicalName(name)) continue;  // An address needs no name, and has no route.
    plan.hosts.push_back({.name = name, .port = port});
    const bool open = allowed != nullptr && allowed->AskName(name, port) == net::Reason::kNone;
    if (open) continue;
    plan.only_cached += fmt::format("{}{}", plan.only_cached.empty() ? "" : " ",
                                    net::FormatServedHost(plan.hosts.back()));
  }
  return plan;
}

Status AddDownloads(const Context& context, const image::InstalledEnvironment& environment,
                    wire::SupervisorConfig& config, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(net::Policy policy, net::Policy::Parse(config.network_rules));
  PYRO_ASSIGN_OR_RETURN(const DownloadPlan plan,
                        PlanDownloads(context, environment, config.network ? &policy : nullptr));
  for (const std::string& note : plan.notes) {
    if (io.on_notice) io.on_notice(note);
  }
  // Without any of its own, the guest reaches these hosts alone; a policy that is open has them.
  if (!config.network || policy.closed()) {
    for (const net::ServedHost& host : plan.hosts) {
      PYRO_ASSIGN_OR_RETURN(const net::Rule rule,
                            net::ParseRule(true, net::FormatServedHost(host)));
      PYRO_RETURN_IF_ERROR(policy.Add(rule));
    }
  }
  std::vector<std::string> hosts;
  for (const net::ServedHost& host : plan.hosts) hosts.push_back(net::FormatServedHost(host));
  config.network = true;
  config.network_rules = policy.Format();
  config.download_routes = plan.routes;
  config.download_hosts = fmt::format("{}", fmt::join(hosts, " "));
  config.only_cached = plan.only_cached;
  config.downloads_directory = plan.directory;
  config.downloads_max_bytes = static_cast<std::int64_t>(plan.max_bytes);
  return OkStatus();
}

Status PruneDownloads(const Context& context, DownloadsToPrune which, bool dry,
                      PrunedEnvironments& pruned) {
  downloads::StoreOptions options{.root = DownloadsDirectory(context), .clock = &context.clock};
  downloads::PrunedDownloads freed;
  freed.dry = dry;
  if (which == DownloadsToPrune::kAboveLimit) {
    PYRO_ASSIGN_OR_RETURN(options.max_bytes, MaxBytes(context));
    PYRO_RETURN_IF_ERROR(downloads::Store(options).MakeRoom(false, freed));
  } else if (which == DownloadsToPrune::kAll) {
    PYRO_RETURN_IF_ERROR(downloads::Store(options).MakeRoom(true, freed));
  } else {
    PYRO_ASSIGN_OR_RETURN(freed, downloads::Store(options).Prune(false));
  }
  if (freed.files == 0) return OkStatus();
  pruned.removed.push_back({.environment = "downloads",
                            .what = fmt::format("{} files", freed.files),
                            .digest = {},
                            .bytes = freed.bytes});
  pruned.bytes_freed += freed.bytes;
  return OkStatus();
}

}  // namespace pyro::engine
