// pyro-mcp-conformance [--http PORT [--token TOKEN] [--limit NAME=VALUE]...]: the fixtures, served.
// Without --http over stdin and stdout. For tests; never installed.

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "mcp/http/http_server.h"
#include "mcp/server/server.h"
#include "mcp/stdio/stdio_server.h"
#include "mcp/testing/fixture.h"

namespace {

using pyro::mcp::HttpOptions;
using pyro::mcp::HttpServer;
using pyro::mcp::Server;
using pyro::mcp::ServerOptions;

struct Arguments {
  bool http = false;
  HttpOptions options;
  ServerOptions server;
};

// NAME=VALUE. false: there is no such limit.
bool SetLimit(Arguments& arguments, std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = text.substr(0, equals);
  const auto value = pyro::ParseInt(text.substr(equals + 1));
  if (!value || *value < 0) return false;
  const auto count = static_cast<std::size_t>(*value);
  const std::chrono::milliseconds time(*value);
  auto& http = arguments.options.limits;
  if (name == "body_bytes")
    http.body_bytes = count;
  else if (name == "connections")
    http.connections = count;
  else if (name == "sessions")
    http.sessions = count;
  else if (name == "session_idle")
    http.session_idle = time;
  else if (name == "read_timeout")
    http.read_timeout = time;
  else if (name == "write_timeout")
    http.write_timeout = time;
  else if (name == "keep_alive")
    http.keep_alive = time;
  else if (name == "stream_after")
    http.stream_after = time;
  else if (name == "listens")
    arguments.server.limits.listens = count;
  else if (name == "workers")
    arguments.server.limits.workers = count;
  else if (name == "queued_calls")
    arguments.server.limits.queued_calls = count;
  else if (name == "calls_per_second")
    arguments.server.limits.calls_per_second = count;
  else if (name == "page_size")
    arguments.server.limits.page_size = count;
  else
    return false;
  return true;
}

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const std::string value = argv[i + 1];
    if (flag == "--http") {
      const auto port = pyro::ParseInt(value);
      if (!port || *port < 0 || *port > 65535) return false;
      arguments.http = true;
      arguments.options.port = static_cast<std::uint16_t>(*port);
    } else if (flag == "--token") {
      arguments.options.bearer_token = value;
    } else if (flag == "--address") {
      arguments.options.address = value;
    } else if (flag != "--limit" || !SetLimit(arguments, value)) {
      return false;
    }
  }
  return argc % 2 == 1;
}

int Report(const pyro::Status& status) {
  if (status) return 0;
  std::fprintf(stderr, "pyro-mcp-conformance: %s\n", status.error().message.c_str());
  // A handler that does not return would be waited for.
  if (status.error().code == pyro::ErrorCode::kTimedOut) ::_exit(3);
  return 1;
}

int ServeUntilStopped(Arguments arguments, int stop_fd, Server& server,
                      pyro::Result<pyro::mcp::StdioOptions> stdio) {
  if (!arguments.http) {
    stdio->stop_fd = stop_fd;
    return Report(pyro::mcp::ServeStdio(server, *std::move(stdio)));
  }
  auto http = HttpServer::Listen(server, std::move(arguments.options));
  if (!http) return Report(http.error());
  std::printf("%s\n", (*http)->url().c_str());
  std::fflush(stdout);
  return Report((*http)->Run(stop_fd));
}

int Serve(Arguments arguments, int stop_fd) {
  pyro::Result<pyro::mcp::StdioOptions> stdio;
  if (!arguments.http) stdio = pyro::mcp::TakeStdio();
  if (!stdio) return Report(stdio.error());
  Server server(arguments.server);
  auto store = std::make_shared<pyro::mcp::testing::MemoryTaskStore>();
  store->SetListener([&](const auto& state) { server.NotifyTask(state); });
  pyro::mcp::testing::AddAll(server, store);
  const int code = ServeUntilStopped(std::move(arguments), stop_fd, server, std::move(stdio));
  store->Stop();  // It speaks to the server.
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  arguments.server = {.name = "pyro-mcp-conformance", .version = "1.0.0"};
  arguments.server.instructions = "Fixtures for tests.";
  arguments.server.logging = true;
  if (!Parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: pyro-mcp-conformance [--http PORT] [--token T] [--limit N=V]...\n");
    return 2;
  }
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTERM);
  sigaddset(&stop, SIGINT);
  ::sigprocmask(SIG_BLOCK, &stop, nullptr);
  const int stop_fd = ::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
  return Serve(std::move(arguments), stop_fd);
}
