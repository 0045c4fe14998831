// pyro's server put together: tools, resources, prompts and MCP tasks of a profile.

#pragma once

#include <memory>

#include "front/mcp/host.h"
#include "front/mcp/watcher.h"
#include "mcp/server/server.h"
#include "pyro/engine.h"
#include "pyro/mcp_server.h"
#include "pyro/result.h"

namespace pyro::mcp_server {

enum class HostPaths { kRefused, kAllowed };

// It starts, probes and pulls nothing until a client has its first answer.
class PyroServer {
 public:
  // `engine` outlives it.
  static Result<std::unique_ptr<PyroServer>> Make(Engine& engine, const McpOptions& options,
                                                  HostPaths host_paths);

  ~PyroServer() { watcher_->Stop(); }

  mcp::Server& server() { return server_; }

  // After the calls have ended: ends the spares, and stops the builds that outlive calls.
  // kTimedOut: one goes on, and needs this object.
  Status StopWork();

 private:
  PyroServer(Engine& engine, const McpOptions& options);

  // Destroyed after the server, which stops the watches and the calls at its end.
  EnvironmentBuilds builds_;
  SpareKeeper spares_;
  std::unique_ptr<Watcher> watcher_;
  mcp::Server server_;
};

}  // namespace pyro::mcp_server
