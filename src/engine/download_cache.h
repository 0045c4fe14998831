// The cache of downloads that guests share, as the engine sets it up: see src/downloads.

#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "downloads/mirrors.h"
#include "engine/context.h"
#include "image/store/store.h"
#include "net/control.h"
#include "net/policy.h"
#include "pyro/engine.h"
#include "pyro/types.h"
#include "wire/supervisor_config.h"

namespace pyro::engine {

// What the proxy of a guest with the cache is told.
struct DownloadPlan {
  std::filesystem::path directory;  // Of the store; it is there.
  std::string routes;               // As downloads::Routes writes them.
  std::vector<net::ServedHost> hosts;
  std::string only_cached;  // Those of them that `allowed` does not allow; with spaces.
  std::uint64_t max_bytes = 0;
  std::vector<std::string> notes;  // Mirrors that cannot be used, a sentence for each.
};

std::filesystem::path DownloadsDirectory(const Context& context);

// For guests of this environment. `allowed` is what the guest may reach apart from the cache;
// nullptr: nothing. kInvalidArgument: a file of the configuration is not right. kMissingTool: pyro
// is not installed whole.
Result<DownloadPlan> PlanDownloads(const Context& context,
                                   const image::InstalledEnvironment& environment,
                                   const net::Policy* allowed);

// For a guest with the cache that starts: what it may reach grows by the hosts of downloads, or
// becomes them. `config` has its network and rules. Errors as of PlanDownloads().
Status AddDownloads(const Context& context, const image::InstalledEnvironment& environment,
                    wire::SupervisorConfig& config, const CallIo& io);

// The mirrors that this user's and this host's files name.
downloads::Mirrors MirrorsOfHost();

// As Engine::PruneEnvironments: leftovers, or with `all` everything.
enum class DownloadsToPrune { kLeftovers, kAboveLimit, kAll };
// `dry`: removes none, and adds what it would. kAboveLimit: leftovers, too.
Status PruneDownloads(const Context& context, DownloadsToPrune which, bool dry,
                      PrunedEnvironments& pruned);

}  // namespace pyro::engine
