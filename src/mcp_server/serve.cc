#include "mcp_server/serve.h"

#include <utility>

#include "base/try.h"
#include "mcp/http_server.h"
#include "mcp/stdio_server.h"
#include "mcp_server/journal_tasks.h"
#include "pyro/version.h"

namespace pyro::mcp_server {
namespace {

// Calls that wait for a command hold a worker each.
constexpr std::size_t kWorkers = 64;

mcp::ServerOptions Options(McpProfile profile) {
  mcp::ServerOptions options;
  options.name = "pyro";
  options.title = "pyro";
  options.version = kVersion;
  options.description = "A computer for every agent task: real Linux virtual machines.";
  options.instructions = Instructions(profile);
  options.limits.workers = kWorkers;
  return options;
}

}  // namespace

PyroServer::PyroServer(Engine& engine, McpProfile profile)
    : watcher_(std::make_unique<Watcher>(engine, server_)), server_(Options(profile)) {
  if (profile == McpProfile::kVmRun) return;
  server_.SetTaskStore(std::make_shared<JournalTasks>(engine));
}

Result<std::unique_ptr<PyroServer>> PyroServer::Make(Engine& engine, McpProfile profile,
                                                     HostPaths host_paths) {
  std::unique_ptr<PyroServer> made(new PyroServer(engine, profile));
  const Host host{engine, made->server_, profile, host_paths == HostPaths::kAllowed};
  PYRO_RETURN_IF_ERROR(AddVmTools(host));
  PYRO_RETURN_IF_ERROR(AddTaskTools(host));
  PYRO_RETURN_IF_ERROR(AddResources(host));
  PYRO_RETURN_IF_ERROR(AddPrompts(host));
  made->server_.SetWatchHandler(
      [watcher = made->watcher_.get()](const std::string& uri, mcp::Watch watch) {
        watcher->OnWatch(uri, watch);
      });
  return made;
}

}  // namespace pyro::mcp_server

namespace pyro {

std::optional<McpProfile> ParseMcpProfile(std::string_view name) {
  if (name == "vm-run") return McpProfile::kVmRun;
  if (name == "task") return McpProfile::kTask;
  if (name == "full") return McpProfile::kFull;
  return std::nullopt;
}

Status ServeMcpOnStdio(Engine& engine, McpProfile profile, int stop_fd) {
  PYRO_ASSIGN_OR_RETURN(mcp::StdioOptions stdio, mcp::TakeStdio());
  stdio.stop_fd = stop_fd;
  PYRO_ASSIGN_OR_RETURN(
      auto server, mcp_server::PyroServer::Make(engine, profile, mcp_server::HostPaths::kAllowed));
  const Status status = mcp::ServeStdio(server->server(), std::move(stdio));
  // Its end would wait for the handler that did not return.
  if (!status && status.error().code == ErrorCode::kTimedOut) (void)server.release();
  return status;
}

Status ServeMcpOnHttp(Engine& engine, McpProfile profile, const McpHttpOptions& options,
                      int stop_fd) {
  const auto paths =
      options.token.empty() ? mcp_server::HostPaths::kRefused : mcp_server::HostPaths::kAllowed;
  PYRO_ASSIGN_OR_RETURN(auto server, mcp_server::PyroServer::Make(engine, profile, paths));
  mcp::HttpOptions http;
  http.address = options.address;
  http.port = options.port;
  http.bearer_token = options.token;
  http.allowed_hosts = options.allowed_hosts;
  PYRO_ASSIGN_OR_RETURN(auto listening, mcp::HttpServer::Listen(server->server(), std::move(http)));
  if (options.on_listening) options.on_listening(listening->url());
  const Status status = listening->Run(stop_fd);
  if (!status && status.error().code == ErrorCode::kTimedOut) {
    (void)listening.release();
    (void)server.release();
  }
  return status;
}

}  // namespace pyro
