#include "front/mcp/serve.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "front/mcp/journal_tasks.h"
#include "front/mcp/tools.h"
#include "mcp/http/http_server.h"
#include "mcp/stdio/stdio_server.h"
#include "pyro/version.h"

namespace pyro::mcp_server {
namespace {

// Calls that wait for a command hold a worker each.
constexpr std::size_t kWorkers = 64;
// Then a client has waited long enough; processes of a build clear its files away without us.
constexpr std::chrono::seconds kBuildsStop{1};

mcp::ServerOptions ServerOptionsFor(Engine& engine, McpProfile profile, SpareKeeper& spares) {
  mcp::ServerOptions options;
  options.name = "pyro";
  options.title = "pyro";
  options.version = kVersion;
  options.description = "A computer for every agent task: real Linux virtual machines.";
  options.instructions = Instructions(profile, engine.KnownMachine());
  options.limits.workers = kWorkers;
  options.on_client = [&spares] { spares.Wake(); };
  return options;
}

}  // namespace

PyroServer::PyroServer(Engine& engine, const McpOptions& options)
    : builds_(engine),
      spares_(engine, options.spares),
      watcher_(std::make_unique<Watcher>(engine, server_)),
      server_(ServerOptionsFor(engine, options.profile, spares_)) {
  if (options.profile == McpProfile::kVmRun) return;
  server_.SetTaskStore(std::make_shared<JournalTasks>(engine));
}

Result<std::unique_ptr<PyroServer>> PyroServer::Make(Engine& engine, const McpOptions& options,
                                                     HostPaths host_paths) {
  if (options.answer_seconds < 1 || options.answer_seconds > kMaxAnswerSeconds) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("answer_seconds is {}", options.answer_seconds),
                     fmt::format("answer_seconds takes 1 to {}", kMaxAnswerSeconds));
  }
  if (options.spares < 0 || options.spares > kMaxSpares) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("spares is {}", options.spares),
                     fmt::format("spares takes 0 to {}", kMaxSpares));
  }
  PYRO_ASSIGN_OR_RETURN(OfferedSecrets secrets, OfferSecrets(options.secrets));
  std::unique_ptr<PyroServer> made(new PyroServer(engine, options));
  const Host host{engine,
                  made->server_,
                  made->builds_,
                  made->spares_,
                  options.profile,
                  host_paths == HostPaths::kAllowed,
                  std::chrono::seconds(options.answer_seconds),
                  std::move(secrets)};
  PYRO_RETURN_IF_ERROR(AddTools(host));
  PYRO_RETURN_IF_ERROR(AddResources(host));
  PYRO_RETURN_IF_ERROR(AddPrompts(host));
  made->server_.SetWatchHandler(
      [watcher = made->watcher_.get()](const std::string& uri, mcp::Watch watch) {
        watcher->OnWatch(uri, watch);
      });
  return made;
}

Status PyroServer::StopWork() {
  spares_.Stop();
  if (builds_.Stop(Deadline::After(kBuildsStop))) return OkStatus();
  return MakeError(ErrorCode::kTimedOut, "a build did not end when it was stopped");
}

}  // namespace pyro::mcp_server

namespace pyro {

namespace {

bool TimedOut(const Status& status) {
  return !status && status.error().code == ErrorCode::kTimedOut;
}

}  // namespace

std::optional<McpProfile> ParseMcpProfile(std::string_view name) {
  if (name == "vm-run") return McpProfile::kVmRun;
  if (name == "task") return McpProfile::kTask;
  if (name == "full") return McpProfile::kFull;
  return std::nullopt;
}

Status ServeMcpOnStdio(Engine& engine, const McpOptions& options, int stop_fd) {
  PYRO_ASSIGN_OR_RETURN(mcp::StdioOptions stdio, mcp::TakeStdio());
  stdio.stop_fd = stop_fd;
  PYRO_ASSIGN_OR_RETURN(
      auto server, mcp_server::PyroServer::Make(engine, options, mcp_server::HostPaths::kAllowed));
  const Status served = mcp::ServeStdio(server->server(), std::move(stdio));
  const Status stopped = server->StopWork();
  // Its end would wait for the handler or the build that did not return.
  if (TimedOut(served) || TimedOut(stopped)) (void)server.release();
  return served ? stopped : served;
}

Status ServeMcpOnHttp(Engine& engine, const McpOptions& options, const McpHttpOptions& asked,
                      int stop_fd) {
  const auto paths =
      asked.token.empty() ? mcp_server::HostPaths::kRefused : mcp_server::HostPaths::kAllowed;
  PYRO_ASSIGN_OR_RETURN(auto server, mcp_server::PyroServer::Make(engine, options, paths));
  mcp::HttpOptions http;
  http.address = asked.address;
  http.port = asked.port;
  http.bearer_token = asked.token;
  http.allowed_hosts = asked.allowed_hosts;
  PYRO_ASSIGN_OR_RETURN(auto listening, mcp::HttpServer::Listen(server->server(), std::move(http)));
  if (asked.on_listening) asked.on_listening(listening->url());
  const Status served = listening->Run(stop_fd);
  const Status stopped = server->StopWork();
  if (TimedOut(served) || TimedOut(stopped)) {
    (void)listening.release();
    (void)server.release();
  }
  return served ? stopped : served;
}

}  // namespace pyro
