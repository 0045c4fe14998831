// A client's configuration that starts pyro as its MCP server.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::mcp_server {

struct ClientConfig {
  std::string text;   // The snippet, in the form of the client's file.
  std::string where;  // For people: the file, and another way to the same.
};

// "claude-code", "codex", "cursor", "vscode", "claude-desktop".
const std::vector<std::string_view>& ConfigurableClients();

// The profile for a client if the user names none: "task" for coding agents, else "full".
std::string_view ProfileFor(std::string_view client);

// `program` is the absolute path of pyro, `arguments` what follows it, `environment` what it needs
// set. kInvalidArgument: no such client.
Result<ClientConfig> MakeClientConfig(std::string_view client, const std::string& program,
                                      const std::vector<std::string>& arguments,
                                      const std::map<std::string, std::string>& environment);

}  // namespace pyro::mcp_server
