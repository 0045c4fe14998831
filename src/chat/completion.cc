#include "chat/completion.h"

#include <utility>

#include <fmt/format.h>

#include "api/json.h"
#include "base/lines.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::chat {
namespace {

constexpr const char* kTool = "vm_run";

Error NoCompletion(std::string_view why) {
  return MakeError(ErrorCode::kProtocol,
                   fmt::format("the endpoint's answer is no chat completion: {}", why),
                   "the address must be of an OpenAI-compatible API, and end before "
                   "/chat/completions");
}

Error TooLong(std::string_view what) {
  return MakeError(ErrorCode::kLimit, fmt::format("the model's {} is too long", what),
                   "try another model");
}

const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

const Json* MessageOf(const Json& body) {
  const Json* choices = Member(body, "choices");
  if (choices == nullptr || !choices->is_array() || choices->empty()) return nullptr;
  return Member(choices->front(), "message");
}

Result<std::string> OptionalText(const Json& object, const char* key, std::size_t max_bytes) {
  const Json* found = Member(object, key);
  if (found == nullptr) return std::string();
  if (!found->is_string()) return NoCompletion(fmt::format("'{}' is not a string", key));
  const auto& text = found->get_ref<const std::string&>();
  if (text.size() > max_bytes) return TooLong(key);
  return text;
}

Result<ToolCall> ParseCall(const Json& form, std::size_t index) {
  const Json* function = Member(form, "function");
  if (function == nullptr) return NoCompletion("a tool call has no function");
  ToolCall call;
  PYRO_ASSIGN_OR_RETURN(call.id, OptionalText(form, "id", kMaxNameBytes));
  if (call.id.empty()) call.id = fmt::format("call_{}", index);
  PYRO_ASSIGN_OR_RETURN(call.name, OptionalText(*function, "name", kMaxNameBytes));
  // Some endpoints give the object itself instead of its text.
  const Json* arguments = Member(*function, "arguments");
  if (arguments != nullptr && arguments->is_object()) {
    call.arguments = ToJsonLine(*arguments);
    if (call.arguments.size() > kMaxArgumentsBytes) return TooLong("arguments");
    return call;
  }
  PYRO_ASSIGN_OR_RETURN(call.arguments, OptionalText(*function, "arguments", kMaxArgumentsBytes));
  return call;
}

Error BadArgument(std::string message, std::string hint) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message), std::move(hint));
}

Json Integer(std::string_view description, std::int64_t fallback) {
  return {{"type", "integer"}, {"description", description}, {"default", fallback}};
}

}  // namespace

Result<Reply> ParseReply(std::string_view body) {
  if (body.size() > kMaxReplyBytes) return TooLong("answer");
  auto json = ParseJson(body, kMaxReplyBytes);
  if (!json) return NoCompletion(json.error().message);
  const Json* message = MessageOf(*json);
  if (message == nullptr || !message->is_object()) return NoCompletion("it has no message");
  Reply reply;
  PYRO_ASSIGN_OR_RETURN(reply.content, OptionalText(*message, "content", kMaxContentBytes));
  const Json* calls = Member(*message, "tool_calls");
  if (calls == nullptr) return reply;
  if (!calls->is_array()) return NoCompletion("'tool_calls' is not a list");
  if (calls->size() > kMaxToolCalls) return TooLong("list of tool calls");
  for (const Json& form : *calls) {
    PYRO_ASSIGN_OR_RETURN(ToolCall call, ParseCall(form, reply.calls.size()));
    reply.calls.push_back(std::move(call));
  }
  return reply;
}

std::string ErrorText(std::string_view body) {
  std::string text(body.substr(0, 300));
  if (const auto json = ParseJson(body, kMaxReplyBytes)) {
    const Json* error = Member(*json, "error");
    const Json* message = error != nullptr ? Member(*error, "message") : nullptr;
    if (message != nullptr && message->is_string()) text = message->get<std::string>();
    if (error != nullptr && error->is_string()) text = error->get<std::string>();
  }
  return PrintableLines(text, 300);
}

Result<RunRequest> ParseVmRun(std::string_view arguments, Network network) {
  if (arguments.size() > kMaxArgumentsBytes) {
    return BadArgument("the arguments are too long", "give a shorter command");
  }
  const auto json = ParseJson(arguments, kMaxArgumentsBytes);
  if (!json || !json->is_object()) {
    return BadArgument("the arguments are not a JSON object",
                       R"(call vm_run with {"environment": "debian:12", "command": "…"})");
  }
  // A model does not choose a thinner wall than its user.
  for (const char* name : {"allow_host_compat", "machine"}) {
    if (json->contains(name)) {
      return BadArgument(fmt::format("vm_run has no argument '{}'", name),
                         "see the tool's parameters");
    }
  }
  RunRequest request;
  const Status read = api::FromJson(*json, request);
  if (!read) {
    const std::string& hint = read.error().hint;
    return BadArgument(Printable(read.error().message),
                       hint.empty() ? "see the tool's parameters" : hint);
  }
  if (request.network && network == Network::kRefused) {
    return BadArgument("network is not allowed here", "work without a network");
  }
  return request;
}

Json VmRunTool(Network network) {
  Json properties = {
      {"environment",
       {{"type", "string"},
        {"description", "What the machine's disk holds"},
        {"enum",
         {"debian:12", "debian:12-base", "debian:12-build", "debian:13", "debian:13-base",
          "debian:13-build"}}}},
      {"command", {{"type", "string"}, {"description", "A command for bash, run in /workspace"}}},
      {"timeout_seconds",
       Integer("Kill the command after this number of seconds", kDefaultTimeoutSeconds)},
      {"vcpu_count", Integer("CPUs", VmOptions{}.vcpu_count)},
      {"mem_mib", Integer("Memory in MiB", VmOptions{}.mem_mib)},
  };
  if (network == Network::kAllowed) {
    properties["network"] = {{"type", "boolean"},
                             {"description", "Let the machine reach the outside"},
                             {"default", false}};
  }
  return {{"type", "function"},
          {"function",
           {{"name", kTool},
            {"description",
             "Run one command in a fresh Linux virtual machine, which is thrown away afterwards. "
             "Returns stdout, stderr and exit_code."},
            {"parameters",
             {{"type", "object"},
              {"properties", properties},
              {"required", {"environment", "command"}},
              {"additionalProperties", false}}}}}};
}

Json Message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

Json AssistantMessage(const Reply& reply) {
  Json message = Message("assistant", reply.content);
  for (const ToolCall& call : reply.calls) {
    message["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return message;
}

Json ToolMessage(const ToolCall& call, const Json& result) {
  Json message = Message("tool", ToJsonLine(result));
  message["tool_call_id"] = call.id;
  return message;
}

std::string Request(std::string_view model, const Json& messages, const Json& tool) {
  return ToJsonLine({{"model", model},
                     {"messages", messages},
                     {"tools", Json::array({tool})},
                     {"stream", false}});
}

}  // namespace pyro::chat
