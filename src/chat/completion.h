// The chat completions of OpenAI-compatible endpoints, as far as one tool needs them.
//
// A model's text is input from outside: every length is bounded, and only fields checked here are
// used.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "pyro/calls.h"
#include "pyro/result.h"

namespace pyro::chat {

inline constexpr std::size_t kMaxReplyBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMaxContentBytes = 256 * 1024;
inline constexpr std::size_t kMaxArgumentsBytes = 256 * 1024;
inline constexpr std::size_t kMaxNameBytes = 256;
inline constexpr std::size_t kMaxToolCalls = 16;

struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  // JSON, as the model wrote it.
};

// One turn of the model: text, calls of tools, or both.
struct Reply {
  std::string content;
  std::vector<ToolCall> calls;
};

// kProtocol: no chat completion. kLimit: longer than the limits above.
Result<Reply> ParseReply(std::string_view body);

// The endpoint's own error message, in one line fit for a terminal; empty if there is none.
std::string ErrorText(std::string_view body);

// Whether a model may ask for the network. It may never ask to run on the host, or name a machine.
enum class Network { kRefused, kAllowed };

// The arguments of vm_run. kInvalidArgument: a sentence and a hint that the model can act on.
Result<RunRequest> ParseVmRun(std::string_view arguments, Network network);

// The description of the tool for the model.
Json VmRunTool(Network network);

// Messages of a conversation.
Json Message(std::string_view role, std::string_view content);
Json AssistantMessage(const Reply& reply);
Json ToolMessage(const ToolCall& call, const Json& result);

// The body of a request.
std::string Request(std::string_view model, const Json& messages, const Json& tool);

}  // namespace pyro::chat
