#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/server/core.h"
#include "mcp/server/methods.h"
#include "mcp/server/paging.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kMaxCompletions = 100;

using Arguments = std::map<std::string, std::string>;

Json PromptJson(const Prompt& prompt) {
  Json json = Json::object();
  json["name"] = prompt.name;
  if (!prompt.title.empty()) json["title"] = prompt.title;
  json["description"] = prompt.description;
  Json arguments = Json::array();
  for (const PromptArgument& argument : prompt.arguments) {
    Json each = Json::object();
    each["name"] = argument.name;
    if (!argument.title.empty()) each["title"] = argument.title;
    if (!argument.description.empty()) each["description"] = argument.description;
    each["required"] = argument.required;
    arguments.push_back(std::move(each));
  }
  if (!arguments.empty()) json["arguments"] = std::move(arguments);
  return json;
}

// Values that are no strings are left out.
Arguments Strings(const Json* object) {
  Arguments strings;
  if (object == nullptr || !object->is_object()) return strings;
  for (const auto& [name, value] : object->items()) {
    if (value.is_string()) strings.emplace(name, value.get<std::string>());
  }
  return strings;
}

Json PromptResultJson(const PromptResult& result) {
  Json json = Json::object();
  if (!result.description.empty()) json["description"] = result.description;
  Json& messages = json["messages"] = Json::array();
  for (const PromptMessage& message : result.messages) {
    Json each = Json::object();
    each["role"] = message.role == PromptMessage::Role::kUser ? "user" : "assistant";
    each["content"] = message.content;
    messages.push_back(std::move(each));
  }
  return json;
}

// An empty one: this argument has no completion. An error: there is no such prompt or resource.
std::variant<CompletionHandler, RpcError> Completer(Core& core, const Json& ref,
                                                    const std::string& argument) {
  const std::string type = StringOr(ref, "type");
  if (type == "ref/prompt") {
    const auto prompt = core.catalog().FindPrompt(StringOr(ref, "name"));
    if (prompt == nullptr) return InvalidParams("ref names no prompt");
    const auto it = std::find_if(prompt->arguments.begin(), prompt->arguments.end(),
                                 [&](const auto& each) { return each.name == argument; });
    return it == prompt->arguments.end() ? CompletionHandler() : it->complete;
  }
  if (type == "ref/resource") {
    const std::string uri = StringOr(ref, "uri");
    for (const auto& entry : core.catalog().templates()) {
      if (entry->info.uri_template != uri) continue;
      const auto it = entry->info.completions.find(argument);
      return it == entry->info.completions.end() ? CompletionHandler() : it->second;
    }
    if (core.catalog().FindResource(uri) != nullptr) return CompletionHandler();
    return InvalidParams("ref names no resource template");
  }
  return InvalidParams("ref is neither a prompt nor a resource template");
}

}  // namespace

Outcome ListPrompts(Core& core, Call& call) {
  Json list = Json::array();
  for (const auto& prompt : core.catalog().prompts()) list.push_back(PromptJson(*prompt));
  return Page("prompts", std::move(list), call.request().params, core.options().limits.page_size,
              core.options().list_cache);
}

Outcome GetPrompt(Core& core, Call& call) {
  const Json& params = call.request().params;
  const std::string name = StringOr(params, "name");
  const auto prompt = core.catalog().FindPrompt(name);
  if (prompt == nullptr) {
    return InvalidParams(fmt::format("Unknown prompt: {}", Printable(name, 80)));
  }
  const Arguments arguments = Strings(Find(params, "arguments"));
  for (const PromptArgument& argument : prompt->arguments) {
    if (argument.required && arguments.count(argument.name) == 0) {
      return InvalidParams(fmt::format("argument '{}' is required", argument.name));
    }
  }
  const auto result = prompt->handler(call, arguments);
  if (!result) return FromError(result.error());
  Reply reply;
  reply.result = PromptResultJson(*result);
  return reply;
}

Outcome Complete(Core& core, Call& call) {
  const Json& params = call.request().params;
  const Json* ref = Find(params, "ref");
  const Json* argument = Find(params, "argument");
  if (ref == nullptr || argument == nullptr) return InvalidParams("ref or argument is missing");
  auto completer = Completer(core, *ref, StringOr(*argument, "name"));
  if (auto* error = std::get_if<RpcError>(&completer)) return *error;
  const auto& complete = std::get<CompletionHandler>(completer);
  std::vector<std::string> values;
  if (complete) {
    const Json* context = Find(params, "context");
    auto found = complete(call, StringOr(*argument, "value"),
                          Strings(context == nullptr ? nullptr : Find(*context, "arguments")));
    if (!found) return FromError(found.error());
    values = *std::move(found);
  }
  Reply reply;
  Json& completion = reply.result["completion"];
  completion["total"] = values.size();
  completion["hasMore"] = values.size() > kMaxCompletions;
  if (values.size() > kMaxCompletions) values.resize(kMaxCompletions);
  completion["values"] = values;
  return reply;
}

}  // namespace pyro::mcp
