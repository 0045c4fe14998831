#include <utility>

#include <fmt/format.h>

#include "base/try.h"
#include "mcp/protocol/message.h"
#include "mcp/testing/fixture.h"

namespace pyro::mcp::testing {
namespace {

Resource Fixed(ResourceContents contents, std::string name) {
  Resource resource;
  resource.info = {.uri = contents.uri,
                   .name = std::move(name),
                   .title = {},
                   .description = "A resource for testing.",
                   .mime_type = contents.mime_type,
                   .size = {}};
  resource.read = [contents = std::move(contents)](
                      CallContext&, const std::string&,
                      const UriVariables&) -> Result<std::vector<ResourceContents>> {
    return std::vector<ResourceContents>{contents};
  };
  return resource;
}

Result<std::vector<ResourceContents>> ReadData(CallContext&, const std::string& uri,
                                               const UriVariables& variables) {
  Json data = FixtureJson(R"({"templateTest": true})");
  data["id"] = variables.at("id");
  data["data"] = "Data for ID: " + variables.at("id");
  return std::vector<ResourceContents>{
      {.uri = uri, .mime_type = "application/json", .text = ToJsonLine(data), .blob = {}}};
}

using Arguments = std::map<std::string, std::string>;

PromptResult Says(std::vector<Json> contents) {
  PromptResult result;
  for (Json& content : contents) {
    result.messages.push_back({PromptMessage::Role::kUser, std::move(content)});
  }
  return result;
}

PromptArgument Required(std::string name) {
  return {.name = name,
          .title = {},
          .description = "Argument " + name + ".",
          .required = true,
          .complete = [](CallContext&, const std::string&, const Arguments&)
              -> Result<std::vector<std::string>> { return std::vector<std::string>{}; }};
}

Prompt Saying(std::string name, std::vector<PromptArgument> arguments, PromptHandler handler) {
  return {.name = std::move(name),
          .title = {},
          .description = "A prompt for testing.",
          .arguments = std::move(arguments),
          .handler = std::move(handler)};
}

Result<PromptResult> AskFirst(CallContext& call, const Arguments&) {
  const Json schema = FixtureJson(R"({"type": "object",
      "properties": {"context": {"type": "string"}}, "required": ["context"]})");
  PYRO_ASSIGN_OR_RETURN(const InputAnswers answers,
                        call.RequestInput({{"user_context", Elicit("What about?", schema)}}));
  return Says({TextContent("Context: " + ToJsonLine(answers.at("user_context")))});
}

}  // namespace

void AddResources(Server& server) {
  MustAdd(server.AddResource(Fixed({.uri = "test://static-text",
                                    .mime_type = "text/plain",
                                    .text = "This is the content of the static text resource.",
                                    .blob = {}},
                                   "Static text")));
  MustAdd(server.AddResource(Fixed({.uri = "test://static-binary",
                                    .mime_type = "image/png",
                                    .text = {},
                                    .blob = FixtureBytes(kPngBase64)},
                                   "Static binary")));
  MustAdd(server.AddResource(Fixed(
      {.uri = "test://watched-resource", .mime_type = "text/plain", .text = "Watched.", .blob = {}},
      "Watched")));
  ResourceTemplate data;
  data.uri_template = "test://template/{id}/data";
  data.name = "Data";
  data.description = "A template for testing.";
  data.mime_type = "application/json";
  data.read = ReadData;
  MustAdd(server.AddResourceTemplate(std::move(data)));
}

void AddPrompts(Server& server) {
  MustAdd(server.AddPrompt(
      Saying("test_simple_prompt", {}, [](CallContext&, const Arguments&) -> Result<PromptResult> {
        return Says({TextContent("This is a simple prompt for testing.")});
      })));
  MustAdd(server.AddPrompt(
      Saying("test_prompt_with_arguments", {Required("arg1"), Required("arg2")},
             [](CallContext&, const Arguments& arguments) -> Result<PromptResult> {
               return Says({TextContent(fmt::format("Prompt with arguments: arg1='{}', arg2='{}'",
                                                    arguments.at("arg1"), arguments.at("arg2")))});
             })));
  MustAdd(server.AddPrompt(
      Saying("test_prompt_with_embedded_resource", {Required("resourceUri")},
             [](CallContext&, const Arguments& arguments) -> Result<PromptResult> {
               return Says({EmbeddedResource({.uri = arguments.at("resourceUri"),
                                              .mime_type = "text/plain",
                                              .text = "Embedded resource content for testing.",
                                              .blob = {}}),
                            TextContent("Please process the embedded resource above.")});
             })));
  MustAdd(server.AddPrompt(Saying(
      "test_prompt_with_image", {}, [](CallContext&, const Arguments&) -> Result<PromptResult> {
        return Says({ImageContent(FixtureBytes(kPngBase64), "image/png"),
                     TextContent("Please analyze the image above.")});
      })));
  MustAdd(server.AddPrompt(Saying("test_input_required_result_prompt", {}, AskFirst)));
}

}  // namespace pyro::mcp::testing
