#include "mcp/server/catalog.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "mcp/protocol/message.h"

namespace pyro::mcp {
namespace {

constexpr std::size_t kMaxName = 64;

Error BadEntry(std::string message) {
  return MakeError(ErrorCode::kInvalidArgument, std::move(message));
}

// True for the names that language models' interfaces accept for a function.
bool IsToolName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
         });
}

Status CheckDescription(const std::string& what, const std::string& description) {
  if (description.empty()) return BadEntry(fmt::format("{} has no description", what));
  if (description.size() > kMaxDescription) {
    return BadEntry(
        fmt::format("{}: the description is longer than {} bytes", what, kMaxDescription));
  }
  return OkStatus();
}

bool IsObjectSchema(const Json& schema) { return StringOr(schema, "type") == "object"; }

std::map<std::string, std::string> HeadersOf(const Json& schema) {
  std::map<std::string, std::string> headers;
  const Json* properties = Find(schema, "properties");
  if (properties == nullptr || !properties->is_object()) return headers;
  for (const auto& [name, property] : properties->items()) {
    const std::string header = StringOr(property, "x-mcp-header");
    if (!header.empty()) headers.emplace(header, name);
  }
  return headers;
}

template <typename Entry, typename Matches>
std::shared_ptr<const Entry> FindIn(const std::vector<std::shared_ptr<const Entry>>& entries,
                                    const Matches& matches) {
  const auto it = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return matches(*entry); });
  return it == entries.end() ? nullptr : *it;
}

}  // namespace

Status Catalog::AddTool(Tool tool) {
  const std::string what = fmt::format("tool '{}'", tool.name);
  if (!IsToolName(tool.name)) {
    return BadEntry(
        fmt::format("{}: a name is 1 to {} letters, digits, '_' and '-'", what, kMaxName));
  }
  PYRO_RETURN_IF_ERROR(CheckDescription(what, tool.description));
  if (!tool.handler) return BadEntry(what + " has no handler");
  if (!IsObjectSchema(tool.input_schema)) {
    return BadEntry(what + ": the input schema's type is not object");
  }
  if (!tool.required_capabilities.is_object())
    return BadEntry(what + ": capabilities are an object");
  auto entry = std::make_shared<ToolEntry>();
  if (tool.schema_check == SchemaCheck::kValidate) {
    PYRO_ASSIGN_OR_RETURN(entry->input, Schema::Compile(tool.input_schema));
  }
  if (!tool.output_schema.is_null()) {
    if (!IsObjectSchema(tool.output_schema)) {
      return BadEntry(what + ": the output schema's type is not object");
    }
    PYRO_ASSIGN_OR_RETURN(entry->output, Schema::Compile(tool.output_schema));
  }
  entry->headers = HeadersOf(tool.input_schema);
  entry->tool = std::move(tool);
  const std::lock_guard lock(mutex_);
  if (FindIn(tools_, [&](auto& other) { return other.tool.name == entry->tool.name; })) {
    return MakeError(ErrorCode::kAlreadyExists, what + " is there already");
  }
  tools_.push_back(std::move(entry));
  return OkStatus();
}

Status Catalog::AddResource(Resource resource) {
  const std::string what = fmt::format("resource '{}'", resource.info.uri);
  if (resource.info.uri.empty() || resource.info.uri.size() > kMaxUriBytes) {
    return BadEntry(what + ": no URI, or too long a one");
  }
  if (resource.info.name.empty()) return BadEntry(what + " has no name");
  if (!resource.read) return BadEntry(what + " has no handler");
  const std::lock_guard lock(mutex_);
  if (FindIn(resources_, [&](auto& other) { return other.info.uri == resource.info.uri; })) {
    return MakeError(ErrorCode::kAlreadyExists, what + " is there already");
  }
  resources_.push_back(std::make_shared<const Resource>(std::move(resource)));
  return OkStatus();
}

Status Catalog::AddTemplate(ResourceTemplate added) {
  const std::string what = fmt::format("resource template '{}'", added.uri_template);
  if (added.name.empty()) return BadEntry(what + " has no name");
  if (!added.read) return BadEntry(what + " has no handler");
  PYRO_ASSIGN_OR_RETURN(UriTemplate uri, UriTemplate::Parse(added.uri_template));
  for (const auto& [name, handler] : added.completions) {
    if (!uri.HasVariable(name)) return BadEntry(fmt::format("{} has no variable '{}'", what, name));
  }
  const std::lock_guard lock(mutex_);
  templates_.push_back(
      std::make_shared<const TemplateEntry>(TemplateEntry{std::move(added), std::move(uri)}));
  return OkStatus();
}

Status Catalog::AddPrompt(Prompt prompt) {
  const std::string what = fmt::format("prompt '{}'", prompt.name);
  if (prompt.name.empty()) return BadEntry(what + ": no name");
  PYRO_RETURN_IF_ERROR(CheckDescription(what, prompt.description));
  if (!prompt.handler) return BadEntry(what + " has no handler");
  const std::lock_guard lock(mutex_);
  if (FindIn(prompts_, [&](auto& other) { return other.name == prompt.name; })) {
    return MakeError(ErrorCode::kAlreadyExists, what + " is there already");
  }
  prompts_.push_back(std::make_shared<const Prompt>(std::move(prompt)));
  return OkStatus();
}

bool Catalog::RemoveTool(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return std::erase_if(tools_, [&](auto& entry) { return entry->tool.name == name; }) > 0;
}

bool Catalog::RemovePrompt(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return std::erase_if(prompts_, [&](auto& prompt) { return prompt->name == name; }) > 0;
}

void Catalog::SetLister(ResourceLister lister) {
  const std::lock_guard lock(mutex_);
  lister_ = std::move(lister);
}

std::shared_ptr<const ToolEntry> Catalog::FindTool(const std::string& name) const {
  return FindIn(tools(), [&](auto& entry) { return entry.tool.name == name; });
}

std::shared_ptr<const Prompt> Catalog::FindPrompt(const std::string& name) const {
  return FindIn(prompts(), [&](auto& prompt) { return prompt.name == name; });
}

std::shared_ptr<const Resource> Catalog::FindResource(const std::string& uri) const {
  return FindIn(resources(), [&](auto& resource) { return resource.info.uri == uri; });
}

Catalog::Offers Catalog::offers() const {
  const std::lock_guard lock(mutex_);
  Offers offers;
  offers.tools = !tools_.empty();
  offers.resources = !resources_.empty() || !templates_.empty() || lister_;
  offers.prompts = !prompts_.empty();
  for (const auto& entry : templates_) {
    if (!entry->info.completions.empty()) offers.completions = true;
  }
  for (const auto& prompt : prompts_) {
    for (const PromptArgument& argument : prompt->arguments) {
      if (argument.complete) offers.completions = true;
    }
  }
  return offers;
}

}  // namespace pyro::mcp
