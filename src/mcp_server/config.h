// What a client's configuration has to say to start pyro as its MCP server.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"

namespace pyro::mcp_server {

struct ClientConfig {
  std::string text;   // The snippet, as the client's file has it.
  std::string where;  // For people: which file that is, and what else does the same.
};

// "claude-code", "codex", "cursor", "vscode", "claude-desktop".
const std::vector<std::string_view>& ConfigurableClients();

// `program` is the absolute path of pyro, `arguments` what follows it, `environment` what it needs
// set. kInvalidArgument: no such client.
Result<ClientConfig> MakeClientConfig(std::string_view client, const std::string& program,
                                      const std::vector<std::string>& arguments,
                                      const std::map<std::string, std::string>& environment);

}  // namespace pyro::mcp_server
