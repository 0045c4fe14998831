#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "mcp/server/core.h"
#include "mcp/server/methods.h"
#include "mcp/server/paging.h"

namespace pyro::mcp {
namespace {

Json InfoJson(const ResourceInfo& info) {
  Json json = Json::object();
  json["uri"] = info.uri;
  json["name"] = info.name;
  if (!info.title.empty()) json["title"] = info.title;
  if (!info.description.empty()) json["description"] = info.description;
  if (!info.mime_type.empty()) json["mimeType"] = info.mime_type;
  if (info.size) json["size"] = *info.size;
  return json;
}

Json TemplateJson(const ResourceTemplate& info) {
  Json json = Json::object();
  json["uriTemplate"] = info.uri_template;
  json["name"] = info.name;
  if (!info.title.empty()) json["title"] = info.title;
  if (!info.description.empty()) json["description"] = info.description;
  if (!info.mime_type.empty()) json["mimeType"] = info.mime_type;
  return json;
}

RpcError NoSuchResource(const Call& call, const std::string& uri, const std::string& why) {
  RpcError error{.code = call.era() == Era::kModern ? kInvalidParams : kResourceNotFound,
                 .message = why};
  error.data["uri"] = uri;
  return error;
}

// The URI that the request names, or the error in it.
std::variant<std::string, RpcError> UriOf(const Call& call) {
  const Json* uri = Find(call.request().params, "uri");
  if (uri == nullptr || !uri->is_string() || uri->get_ref<const std::string&>().empty() ||
      uri->get_ref<const std::string&>().size() > kMaxUriBytes) {
    return InvalidParams("uri is missing, or no short string");
  }
  return uri->get<std::string>();
}

Outcome Read(Call& call, const std::string& uri, const ReadHandler& read, const CacheHint& cache,
             const UriVariables& variables) {
  const auto contents = read(call, uri, variables);
  if (!contents) {
    const Error& error = contents.error();
    if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kInvalidArgument) {
      return NoSuchResource(call, uri, error.message);
    }
    return FromError(error);
  }
  Reply reply;
  reply.cache = cache;
  Json& list = reply.result["contents"] = Json::array();
  for (const ResourceContents& each : *contents) list.push_back(ResourceContentsJson(each));
  return reply;
}

}  // namespace

Outcome ListResources(Core& core, Call& call) {
  Json list = Json::array();
  for (const auto& resource : core.catalog().resources()) list.push_back(InfoJson(resource->info));
  CacheHint cache = core.options().list_cache;
  if (const ResourceLister lister = core.catalog().lister()) {
    const auto more = lister(call);
    if (!more) return FromError(more.error());
    for (const ResourceInfo& info : *more) list.push_back(InfoJson(info));
    cache = CacheHint();
  }
  return Page("resources", std::move(list), call.request().params, core.options().limits.page_size,
              cache);
}

Outcome ListResourceTemplates(Core& core, Call& call) {
  Json list = Json::array();
  for (const auto& entry : core.catalog().templates()) list.push_back(TemplateJson(entry->info));
  return Page("resourceTemplates", std::move(list), call.request().params,
              core.options().limits.page_size, core.options().list_cache);
}

Outcome ReadResource(Core& core, Call& call) {
  auto named = UriOf(call);
  if (auto* error = std::get_if<RpcError>(&named)) return *error;
  const std::string& uri = std::get<std::string>(named);
  if (const auto resource = core.catalog().FindResource(uri)) {
    return Read(call, uri, resource->read, resource->cache, {});
  }
  for (const auto& entry : core.catalog().templates()) {
    if (const auto variables = entry->uri.Match(uri)) {
      return Read(call, uri, entry->info.read, entry->info.cache, *variables);
    }
  }
  return NoSuchResource(call, uri, fmt::format("Resource not found: {}", Printable(uri)));
}

Outcome Subscribe(Core& core, Call& call) {
  auto named = UriOf(call);
  if (auto* error = std::get_if<RpcError>(&named)) return *error;
  const std::string& uri = std::get<std::string>(named);
  const auto subscribed =
      call.scope().peer->Subscribe(uri, core.options().limits.watched_per_client);
  if (subscribed == Peer::Subscribed::kTooMany) return InvalidParams("too many subscriptions");
  if (subscribed == Peer::Subscribed::kAdded) core.CountWatch(uri, true);
  return Reply();
}

Outcome Unsubscribe(Core& core, Call& call) {
  auto named = UriOf(call);
  if (auto* error = std::get_if<RpcError>(&named)) return *error;
  const std::string& uri = std::get<std::string>(named);
  if (call.scope().peer->Unsubscribe(uri)) core.CountWatch(uri, false);
  return Reply();
}

}  // namespace pyro::mcp
