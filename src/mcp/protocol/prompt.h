// Prompts: messages that a person picks, with arguments.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "mcp/protocol/call_context.h"
#include "mcp/protocol/resource.h"
#include "pyro/result.h"

namespace pyro::mcp {

struct PromptArgument {
  std::string name;
  std::string title;
  std::string description;
  bool required = false;
  CompletionHandler complete;  // May be empty.
};

struct PromptMessage {
  enum class Role { kUser, kAssistant };
  Role role = Role::kUser;
  Json content;  // One content block.
};

struct PromptResult {
  std::string description;
  std::vector<PromptMessage> messages;
};

// Every required argument is there. kInvalidArgument and kNotFound are the caller's mistakes, any
// other error is an internal one. May block.
using PromptHandler = std::function<Result<PromptResult>(
    CallContext& call, const std::map<std::string, std::string>& arguments)>;

struct Prompt {
  std::string name;
  std::string title;
  std::string description;
  std::vector<PromptArgument> arguments;
  PromptHandler handler;
};

}  // namespace pyro::mcp
