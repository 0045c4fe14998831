// pyro as a server of the Model Context Protocol: the engine's calls as tools for agents.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro {

// The tools that the server offers: a small set costs a model fewer tokens.
enum class McpProfile {
  kVmRun,  // vm_run and vm_list_environments.
  kTask,   // vm_list_environments and the task_* tools.
  kFull,   // All of them.
};

// "vm-run", "task", "full".
std::optional<McpProfile> ParseMcpProfile(std::string_view name);

inline constexpr std::int64_t kDefaultAnswerSeconds = 45;
inline constexpr std::int64_t kMaxAnswerSeconds = 3600;

struct McpOptions {
  McpProfile profile = McpProfile::kFull;
  // Seconds, 1 to kMaxAnswerSeconds, after which a call that waits for a task's command answers
  // that the command still runs. Many clients give a call up after 60.
  std::int64_t answer_seconds = kDefaultAnswerSeconds;
  // Guests of the environment debian:12 that wait for calls of vm_run and task_create, 0 to
  // kMaxSpares, once it is installed and a client is there. They end with the server, even if it is
  // killed. Each is started only while the host has twice its memory available.
  std::int64_t spares = 1;
  // As VmOptions::secrets: calls that make guests may name them, and no others.
  std::vector<std::string> secrets = {};
};

struct McpHttpOptions {
  std::string address = "127.0.0.1";  // An IP address.
  std::uint16_t port = 0;             // 0: any free one.
  // If it is empty, only a loopback address is possible, and no tool that reads or writes a path of
  // this host is offered.
  std::string token;
  std::vector<std::string> allowed_hosts;  // Names other than localhost in Host and Origin.
  std::function<void(const std::string& url)> on_listening;
};

// Serves one client on this process's stdin and stdout. The rest of the process loses them: its
// prints go to stderr. Call it before the process prints or starts a thread. Returns when the
// client closes stdin, or `stop_fd` (borrowed; -1: none) becomes readable. Commands of vm_run end
// with it; commands of tasks go on. kTimedOut: a call, or the build of an environment, did not end
// in time; then leave by _exit. kInvalidArgument: answer_seconds is out of range.
Status ServeMcpOnStdio(Engine& engine, const McpOptions& options, int stop_fd = -1);

// Serves any number of clients over Streamable HTTP until `stop_fd` becomes readable. Errors as
// above; kInvalidArgument also: not an IP address, or one that needs a token. kAlreadyExists: the
// port is taken.
Status ServeMcpOnHttp(Engine& engine, const McpOptions& options, const McpHttpOptions& http,
                      int stop_fd = -1);

}  // namespace pyro
