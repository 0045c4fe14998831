// The common state of the handlers of pyro's tools.

#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "front/mcp/environment_builds.h"
#include "front/mcp/secrets.h"
#include "front/mcp/spare_keeper.h"
#include "mcp/server/server.h"
#include "pyro/engine.h"
#include "pyro/mcp_server.h"

namespace pyro::mcp_server {

// Thread-safe, as its members are. Must outlive its users; the engine and the server are borrowed.
struct Host {
  Engine& engine;
  mcp::Server& server;
  EnvironmentBuilds& builds;
  SpareKeeper& spares;
  McpProfile profile = McpProfile::kFull;
  bool host_paths = true;  // Tools may read and write paths of this host that a client names.
  // How long a call waits at most for a command, or for an environment; both go on without it.
  std::chrono::milliseconds answer_after{kDefaultAnswerSeconds * 1000};
  OfferedSecrets secrets = {};
};

// What the engine says, in the words of tools instead of those of the command line.
std::string ForModels(std::string text);
Error ForModels(Error error);

// "pyro://tasks/ID", "pyro://tasks/ID/commands/N/stdout".
std::string TaskUri(std::string_view task_id);
std::string StreamUri(std::string_view task_id, std::int64_t sequence, std::string_view stream);

Status AddResources(const Host& host);
Status AddPrompts(const Host& host);

// For models; under mcp::kMaxDescription bytes. `machine`: as Engine::KnownMachine() says.
std::string Instructions(McpProfile profile, std::string_view machine);

}  // namespace pyro::mcp_server
