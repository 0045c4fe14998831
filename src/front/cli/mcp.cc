// pyro mcp serve | config

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/text.h"
#include "base/try.h"
#include "front/cli/call.h"
#include "front/cli/commands.h"
#include "front/cli/output.h"
#include "front/cli/signals.h"
#include "front/cli/values.h"
#include "front/mcp/config.h"
#include "pyro/mcp_server.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kMinTokenBytes = 16;
constexpr std::size_t kMaxTokenBytes = 4096;

struct McpFlags {
  std::string profile = "full";
  std::string proposed;  // By `config`; empty: what suits the client.
  std::int64_t answer_seconds = kDefaultAnswerSeconds;
  std::int64_t spares = McpOptions().spares;
  std::vector<std::string> secrets;
  std::string http;
  std::string token_file;
  std::vector<std::string> allowed_hosts;
  std::string client;
};

using Flags = std::shared_ptr<McpFlags>;

Error BadAddress(const std::string& text) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("'{}' is no address to listen on", Printable(text, 80)),
                   "write PORT, ADDRESS:PORT or [ADDRESS]:PORT, such as 127.0.0.1:7777");
}

// PORT, ADDRESS:PORT, [ADDRESS]:PORT.
Status ParseAddress(const std::string& text, McpHttpOptions& options) {
  std::string port = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string::npos) {
    options.address = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (options.address.starts_with('[') && options.address.ends_with(']')) {
      options.address = options.address.substr(1, options.address.size() - 2);
    } else if (options.address.find(':') != std::string::npos) {
      return BadAddress(text);
    }
    if (options.address.empty()) return BadAddress(text);
  }
  const auto number = ParseInt(port);
  if (!number || *number < 0 || *number > 65535) return BadAddress(text);
  options.port = static_cast<std::uint16_t>(*number);
  return OkStatus();
}

// A secret that others can read is not secret.
Result<std::string> ReadToken(const std::string& path) {
  // A pipe without a writer would be waited for.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat info {};
  std::string token(kMaxTokenBytes + 1, '\0');
  ssize_t size = -1;
  const bool opened = fd >= 0 && ::fstat(fd, &info) == 0;
  const bool regular = opened && S_ISREG(info.st_mode);
  if (regular) size = ::read(fd, token.data(), token.size());
  if (fd >= 0) ::close(fd);
  if (opened && !regular) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("the token file '{}' is no regular file", Printable(path, 200)),
                     "write the token to a file with mode 0600");
  }
  if (size < 0) {
    return MakeError(ErrorCode::kNotFound,
                     fmt::format("the token file '{}' cannot be read", Printable(path, 200)),
                     "make it with: (umask 077; head -c 32 /dev/urandom | base64 > FILE)");
  }
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return MakeError(
        ErrorCode::kPermissionDenied,
        fmt::format("the token file '{}' belongs to another user", Printable(path, 200)),
        "make a new token in a file of your own, with mode 0600");
  }
  if ((info.st_mode & 077) != 0) {
    return MakeError(
        ErrorCode::kPermissionDenied,
        fmt::format("others may read or write the token file '{}'", Printable(path, 200)),
        "make a new token in a file of your own, with mode 0600");
  }
  token.resize(static_cast<std::size_t>(size));
  token = std::string(TrimSpace(token));
  const bool printable =
      token.find_first_not_of(
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=") ==
      std::string::npos;
  if (token.size() < kMinTokenBytes || token.size() > kMaxTokenBytes || !printable) {
    return MakeError(ErrorCode::kInvalidArgument, "the token file holds no usable token",
                     "one line of 16 to 4096 characters of letters, digits and -._~+/=");
  }
  return token;
}

int ServeHttp(Engine& engine, const Context& context, const McpOptions& mcp,
              const McpFlags& flags) {
  McpHttpOptions options;
  if (const Status status = ParseAddress(flags.http, options); !status) {
    return Fail(status.error(), context);
  }
  if (!flags.token_file.empty()) {
    auto token = ReadToken(flags.token_file);
    if (!token) return Fail(token.error(), context);
    options.token = std::move(*token);
  }
  options.allowed_hosts = flags.allowed_hosts;
  options.on_listening = [](const std::string& url) {
    Talk(fmt::format("pyro: the MCP server listens at {}\n", url));
  };
  const Status status = ServeMcpOnHttp(engine, mcp, options, CatchSignals());
  if (!status && status.error().code == ErrorCode::kTimedOut) ::_exit(kExitOk);
  return status ? kExitOk : Fail(status.error(), context);
}

int Serve(Engine& engine, const Context& context, const McpFlags& flags) {
  const auto profile = ParseMcpProfile(flags.profile);
  if (!profile) {
    return Fail(MakeError(ErrorCode::kInvalidArgument,
                          fmt::format("there is no profile '{}'", Printable(flags.profile, 40)),
                          "there are vm-run, task and full"),
                context);
  }
  const McpOptions options{*profile, flags.answer_seconds, flags.spares, flags.secrets};
  if (!flags.http.empty()) return ServeHttp(engine, context, options, flags);
  if (!flags.token_file.empty() || !flags.allowed_hosts.empty()) {
    return Fail(MakeError(ErrorCode::kInvalidArgument,
                          "--token-file and --allow-host are about HTTP", "give --http, too"),
                context);
  }
  if (::isatty(STDIN_FILENO) == 1) {
    Talk(
        "pyro: this speaks JSON-RPC with an MCP client on stdin and stdout; 'pyro mcp config "
        "CLIENT' shows how to set one up\n");
  }
  const Status status = ServeMcpOnStdio(engine, options, CatchSignals());
  // A call that does not end in time must not delay the client; its leftovers are reaped later.
  if (!status && status.error().code == ErrorCode::kTimedOut) ::_exit(kExitOk);
  return status ? kExitOk : Fail(status.error(), context);
}

int Config(const Context& context, const McpFlags& flags) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return Fail(MakeError(ErrorCode::kInternal, "the path of this program cannot be found"),
                context);
  }
  std::vector<std::string> arguments = {"mcp", "serve"};
  const std::string profile =
      flags.proposed.empty() ? std::string(mcp_server::ProfileFor(flags.client)) : flags.proposed;
  if (profile != "full") {
    arguments.emplace_back("--profile");
    arguments.push_back(profile);
  }
  // Clients start their servers with an environment that is almost empty.
  std::map<std::string, std::string> environment;
  for (const char* name :
       {"PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR", "PYRO_LIBEXEC_DIR"}) {
    if (const char* value = std::getenv(name); value != nullptr) environment[name] = value;
  }
  const auto config =
      mcp_server::MakeClientConfig(flags.client, program.native(), arguments, environment);
  if (!config) return Fail(config.error(), context);
  Print(config->text);
  const int code = CheckPrinted(context, "send it elsewhere, or free some space");
  if (code == kExitOk) Talk(config->where + "\n");
  return code;
}

CLI::Option* AddProfile(CLI::App* command, std::string& profile) {
  return AddChoice(command, "--profile", profile, {"vm-run", "task", "full"},
                   "Offer these tools: vm-run (vm_run alone), task (task_*), full");
}

void AddServe(CLI::App& mcp, Context& context, const Flags& flags) {
  CLI::App* serve =
      mcp.add_subcommand("serve", "Serve an agent: tools that run commands in microVMs");
  AddProfile(serve, flags->profile)->capture_default_str();
  AddNumber(serve, "--answer-seconds", flags->answer_seconds, {.least = 1, .most = 3600},
            "Answer a call after N seconds, 1 to 3600, if its command still runs")
      ->capture_default_str();
  AddNumber(serve, "--spares", flags->spares, {.least = 0, .most = kMaxSpares},
            "Keep N guests of debian:12 waiting for calls, 0 to 64, if the host has the memory")
      ->capture_default_str();
  serve->add_option("--http", flags->http, "Listen on this address instead of stdin and stdout")
      ->type_name("[ADDRESS:]PORT");
  serve
      ->add_option("--token-file", flags->token_file,
                   "With --http: demand the token in this file, mode 0600, of clients")
      ->type_name("FILE");
  serve
      ->add_option("--allow-host", flags->allowed_hosts,
                   "With --http: accept this name in Host and Origin, as localhost is")
      ->type_name("NAME")
      ->allow_extra_args(false);
  serve
      ->add_option("--secret", flags->secrets,
                   "Let models use it by its NAME; as of 'pyro run', with --for HOST")
      ->type_name("SECRET")
      ->allow_extra_args(false);
  serve->footer(
      "Without --http it speaks with the one client that started it, until that\n"
      "closes stdin. Without a token it listens on loopback addresses only, and offers\n"
      "no tool that reads or writes files of this host.\n\n"
      "Example:\n  pyro mcp serve --profile task");
  serve->callback([&context, flags] {
    context.reaps = false;
    context.action = [&context, flags](Engine& engine) { return Serve(engine, context, *flags); };
  });
}

void AddConfig(CLI::App& mcp, Context& context, const Flags& flags) {
  CLI::App* config = mcp.add_subcommand("config", "Print the configuration that a client needs");
  std::string names;
  for (const std::string_view name : mcp_server::ConfigurableClients()) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  config->add_option("client", flags->client, names)->required()->type_name("CLIENT");
  AddProfile(config, flags->proposed);
  config->footer(
      "Without --profile it proposes task for coding agents, else full.\n\nExample:\n  pyro mcp config claude-code > .mcp.json");
  config->callback([&context, flags] {
    context.reaps = false;
    context.action = [&context, flags](Engine&) { return Config(context, *flags); };
  });
}

}  // namespace

void AddMcp(CLI::App& app, Context& context) {
  CLI::App* mcp = app.add_subcommand("mcp", "Serve AI agents over the Model Context Protocol");
  mcp->require_subcommand(1);
  mcp->footer(
      "Example:\n  pyro mcp config claude-code > .mcp.json\n\n'pyro mcp COMMAND --help' tells "
      "more.");
  const Flags flags = std::make_shared<McpFlags>();
  AddServe(*mcp, context, flags);
  AddConfig(*mcp, context, flags);
}

}  // namespace pyro::cli
