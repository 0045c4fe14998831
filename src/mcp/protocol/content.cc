#include "mcp/protocol/content.h"

#include "mcp/protocol/base64.h"

namespace pyro::mcp {
namespace {

Json Block(std::string_view type) {
  Json block = Json::object();
  block["type"] = type;
  return block;
}

Json Encoded(std::string_view type, std::string_view bytes, std::string_view mime_type) {
  Json block = Block(type);
  block["data"] = EncodeBase64(bytes);
  block["mimeType"] = mime_type;
  return block;
}

}  // namespace

Json ResourceContentsJson(const ResourceContents& contents) {
  Json json = Json::object();
  json["uri"] = contents.uri;
  if (!contents.mime_type.empty()) json["mimeType"] = contents.mime_type;
  if (contents.blob) {
    json["blob"] = EncodeBase64(*contents.blob);
  } else {
    json["text"] = contents.text.value_or("");
  }
  return json;
}

Json TextContent(std::string_view text) {
  Json block = Block("text");
  block["text"] = text;
  return block;
}

Json ImageContent(std::string_view bytes, std::string_view mime_type) {
  return Encoded("image", bytes, mime_type);
}

Json AudioContent(std::string_view bytes, std::string_view mime_type) {
  return Encoded("audio", bytes, mime_type);
}

Json EmbeddedResource(const ResourceContents& contents) {
  Json block = Block("resource");
  block["resource"] = ResourceContentsJson(contents);
  return block;
}

Json ResourceLinkContent(const ResourceLink& link) {
  Json block = Block("resource_link");
  block["uri"] = link.uri;
  block["name"] = link.name;
  if (!link.title.empty()) block["title"] = link.title;
  if (!link.description.empty()) block["description"] = link.description;
  if (!link.mime_type.empty()) block["mimeType"] = link.mime_type;
  if (link.size) block["size"] = *link.size;
  return block;
}

}  // namespace pyro::mcp
