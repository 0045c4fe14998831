#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/protocol/task_json.h"
#include "mcp/protocol/tool_result.h"
#include "mcp/server/core.h"
#include "mcp/server/methods.h"
#include "mcp/server/paging.h"

namespace pyro::mcp {
namespace {

Json ToolJson(const Tool& tool) {
  Json json = Json::object();
  json["name"] = tool.name;
  if (!tool.title.empty()) json["title"] = tool.title;
  json["description"] = tool.description;
  json["inputSchema"] = tool.input_schema;
  if (!tool.output_schema.is_null()) json["outputSchema"] = tool.output_schema;
  // What is as the protocol's own default is left out: every model may pay for the list.
  const auto hint = [&json](const char* name, bool value, bool usual) {
    if (value != usual) json["annotations"][name] = value;
  };
  const ToolAnnotations usual;
  hint("readOnlyHint", tool.annotations.read_only, usual.read_only);
  if (!tool.annotations.read_only) {
    hint("destructiveHint", tool.annotations.destructive, usual.destructive);
    hint("idempotentHint", tool.annotations.idempotent, usual.idempotent);
  }
  hint("openWorldHint", tool.annotations.open_world, usual.open_world);
  if (!tool.meta.is_null()) json["_meta"] = tool.meta;
  return json;
}

// "string", or "string or array" of a property with alternatives.
std::string TypeOf(const Json& property) {
  if (property.contains("type")) return StringOr(property, "type");
  std::string types;
  if (const Json* any = Find(property, "anyOf"); any != nullptr && any->is_array()) {
    for (const Json& one : *any) {
      types += (types.empty() ? "" : " or ") + StringOr(one, "type");
    }
  }
  return types;
}

// "task_exec takes command (string or array, required), …": so that one more call is enough.
std::string Usage(const Tool& tool) {
  const Json* properties = Find(tool.input_schema, "properties");
  if (properties == nullptr || !properties->is_object() || properties->empty()) {
    return tool.name + " takes no arguments";
  }
  std::set<std::string> required;
  if (const Json* names = Find(tool.input_schema, "required"); names != nullptr) {
    required = names->get<std::set<std::string>>();
  }
  std::vector<std::string> known;
  for (const auto& [name, property] : properties->items()) {
    known.push_back(fmt::format("{} ({}{})", name, TypeOf(property),
                                required.contains(name) ? ", required" : ""));
  }
  return fmt::format("{} takes {}", tool.name, fmt::join(known, ", "));
}

Error BadArguments(const Tool& tool, const std::vector<Violation>& violations) {
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("the arguments do not fit: {}", ViolationsText(violations)),
                   Usage(tool));
}

// A result that does not fit its own schema is a bug here, and clients refuse it anyway.
ToolResult Checked(const ToolEntry& entry, ToolResult result) {
  if (!entry.output || result.is_error || result.task) return result;
  if (!result.structured) {
    return ToolResult::Failure(
        MakeError(ErrorCode::kInternal, "the tool gave no structured content, as it should have"));
  }
  const auto violations = entry.output->Validate(*result.structured);
  if (violations.empty()) return result;
  return ToolResult::Failure(MakeError(
      ErrorCode::kInternal,
      fmt::format("the tool's result does not fit its schema: {}", ViolationsText(violations))));
}

Reply ToReply(const Call& call, const ToolResult& result) {
  Reply reply;
  if (result.task && call.MayAnswerWithTask()) {
    reply.result_type = "task";
    reply.result = CreatedTaskJson(*result.task);
    return reply;
  }
  reply.result = ToolResultJson(result, call.protocol_version());
  return reply;
}

}  // namespace

std::string StateBinding(const Request& request, const RequestScope& scope) {
  Json bound = Json::array();
  bound.push_back(scope.principal);
  bound.push_back(request.method);
  for (const char* key : {"name", "uri", "arguments"}) {
    const Json* value = Find(request.params, key);
    bound.push_back(value == nullptr ? Json(nullptr) : *value);
  }
  return ToJsonLine(bound);
}

std::optional<RpcError> ReadAnswers(Core& core, Call& call) {
  const Json& params = call.request().params;
  InputAnswers known;
  if (const Json* state = Find(params, "requestState")) {
    if (!state->is_string()) return InvalidParams("requestState is no string");
    const auto opened = core.sealer().Open(state->get_ref<const std::string&>(),
                                           StateBinding(call.request(), call.scope()));
    if (!opened) return FromError(opened.error());
    if (opened->is_object()) known = opened->get<InputAnswers>();
  }
  InputAnswers given;
  if (const Json* responses = Find(params, "inputResponses")) {
    if (!responses->is_object()) return InvalidParams("inputResponses is no object");
    given = responses->get<InputAnswers>();
  }
  call.SetAnswers(std::move(known), std::move(given));
  return std::nullopt;
}

Outcome ListTools(Core& core, Call& call) {
  Json tools = Json::array();
  for (const auto& entry : core.catalog().tools()) tools.push_back(ToolJson(entry->tool));
  return Page("tools", std::move(tools), call.request().params, core.options().limits.page_size,
              core.options().list_cache);
}

Outcome CallTool(Core& core, Call& call) {
  const Json& params = call.request().params;
  const std::string name = StringOr(params, "name");
  const auto entry = core.catalog().FindTool(name);
  if (entry == nullptr) {
    return InvalidParams(fmt::format("Unknown tool: {}", Printable(name, 80)));
  }
  Json arguments = Json::object();
  if (const Json* given = Find(params, "arguments"); given != nullptr && !given->is_null()) {
    arguments = *given;
  }
  if (!arguments.is_object()) return InvalidParams("arguments is no object");
  if (!core.TakeCallAllowance()) {
    return ToReply(
        call, ToolResult::Failure(MakeError(ErrorCode::kLimit, "too many calls in too short a time",
                                            "wait a second and call again")));
  }
  if (entry->input) {
    const auto violations = entry->input->Validate(arguments);
    if (!violations.empty())
      return ToReply(call, ToolResult::Failure(BadArguments(entry->tool, violations)));
  }
  auto result = entry->tool.handler(call, arguments);
  if (!result) return ToReply(call, ToolResult::Failure(result.error()));
  return ToReply(call, Checked(*entry, *std::move(result)));
}

}  // namespace pyro::mcp
