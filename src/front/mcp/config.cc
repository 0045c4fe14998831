#include "front/mcp/config.h"

#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"

namespace pyro::mcp_server {
namespace {

// Builds take long; what takes longer still goes into the background. Claude Code: milliseconds.
constexpr int kCallLimitSeconds = 600;

struct Start {
  const std::string& program;
  const std::vector<std::string>& arguments;
  const std::map<std::string, std::string>& environment;
};

Json Stdio(const Start& start) {
  Json server = {{"command", start.program}, {"args", start.arguments}};
  if (!start.environment.empty()) server["env"] = start.environment;
  return server;
}

std::string UnderKey(const char* key, Json server) {
  return ToPrettyJson(Json{{key, {{"pyro", std::move(server)}}}});
}

std::string CommandLine(const Start& start) {
  std::vector<std::string> words = {start.program};
  words.insert(words.end(), start.arguments.begin(), start.arguments.end());
  return ShellJoin(words);
}

ClientConfig ForClaudeCode(const Start& start) {
  Json server = Stdio(start);
  server["type"] = "stdio";
  server["timeout"] = kCallLimitSeconds * 1000;
  return {
      UnderKey("mcpServers", std::move(server)),
      fmt::format("into .mcp.json of a project, or by: claude mcp add --transport stdio pyro -- {}",
                  CommandLine(start))};
}

// A TOML basic string: JSON's escapes are all it knows of them.
std::string Toml(const std::string& text) { return ToJsonLine(Json(text)); }

ClientConfig ForCodex(const Start& start) {
  std::string arguments;
  for (const std::string& word : start.arguments) {
    arguments += (arguments.empty() ? "" : ", ") + Toml(word);
  }
  std::string text = fmt::format(
      "[mcp_servers.pyro]\ncommand = {}\nargs = [{}]\nstartup_timeout_sec = 30\ntool_timeout_sec = "
      "{}\n",
      Toml(start.program), arguments, kCallLimitSeconds);
  if (!start.environment.empty()) {
    text += "\n[mcp_servers.pyro.env]\n";
    for (const auto& [name, value] : start.environment) {
      text += fmt::format("{} = {}\n", name, Toml(value));
    }
  }
  return {text, fmt::format("into ~/.codex/config.toml, or by: codex mcp add pyro -- {}",
                            CommandLine(start))};
}

ClientConfig ForCursor(const Start& start) {
  return {UnderKey("mcpServers", Stdio(start)),
          "into .cursor/mcp.json of a project, or ~/.cursor/mcp.json for all"};
}

ClientConfig ForVsCode(const Start& start) {
  Json server = Stdio(start);
  server["type"] = "stdio";
  return {UnderKey("servers", std::move(server)), "into .vscode/mcp.json of a workspace"};
}

ClientConfig ForClaudeDesktop(const Start& start) {
  return {UnderKey("mcpServers", Stdio(start)),
          "into claude_desktop_config.json (Settings, Developer, Edit Config), then restart the "
          "client"};
}

struct Client {
  std::string_view name;
  ClientConfig (*make)(const Start&);
  std::string_view profile;
};

// A coding agent works in a task: the other tools would only cost its attention.
constexpr Client kClients[] = {
    {"claude-code", ForClaudeCode, "task"},
    {"codex", ForCodex, "task"},
    {"cursor", ForCursor, "task"},
    {"vscode", ForVsCode, "task"},
    {"claude-desktop", ForClaudeDesktop, "full"},
};

}  // namespace

const std::vector<std::string_view>& ConfigurableClients() {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> made;
    for (const Client& client : kClients) made.push_back(client.name);
    return made;
  }();
  return names;
}

std::string_view ProfileFor(std::string_view client) {
  for (const Client& one : kClients) {
    if (one.name == client) return one.profile;
  }
  return "full";
}

Result<ClientConfig> MakeClientConfig(std::string_view client, const std::string& program,
                                      const std::vector<std::string>& arguments,
                                      const std::map<std::string, std::string>& environment) {
  std::string known;
  for (const Client& one : kClients) {
    if (one.name == client) {
      ClientConfig config = one.make({program, arguments, environment});
      if (!config.text.ends_with('\n')) config.text += '\n';
      return config;
    }
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("there is no client '{}'", Printable(client, 64)),
                   "known are " + known);
}

}  // namespace pyro::mcp_server
