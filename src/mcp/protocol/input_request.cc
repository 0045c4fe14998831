#include "mcp/protocol/input_request.h"

#include "mcp/protocol/message.h"
#include "mcp/schema/schema.h"

namespace pyro::mcp {
namespace {

constexpr std::string_view kElicit = "elicitation/create";
constexpr std::string_view kSample = "sampling/createMessage";
constexpr std::string_view kRoots = "roots/list";

bool ElicitationFits(const Json& params, const Json& answer) {
  const std::string action = StringOr(answer, "action");
  if (action == "decline" || action == "cancel") return true;
  if (action != "accept") return false;
  const Json* schema = Find(params, "requestedSchema");
  if (schema == nullptr) return true;  // One by URL has no content.
  const Json* content = Find(answer, "content");
  if (content == nullptr) return false;
  Json checked = *schema;
  // A pair of older names for titles that the validator has no use for.
  if (const auto properties = checked.find("properties"); properties != checked.end()) {
    for (auto& property : *properties) {
      if (property.is_object()) property.erase("enumNames");
    }
  }
  const auto compiled = Schema::Compile(std::move(checked));
  return !compiled || compiled->Validate(*content).empty();
}

}  // namespace

InputRequest Elicit(std::string_view message, Json schema) {
  InputRequest request{std::string(kElicit), Json::object()};
  request.params["message"] = message;
  request.params["requestedSchema"] = std::move(schema);
  return request;
}

InputRequest Sample(Json params) { return {std::string(kSample), std::move(params)}; }

InputRequest ListRoots() { return {std::string(kRoots), Json::object()}; }

Json InputRequestJson(const InputRequest& request) {
  Json json = Json::object();
  json["method"] = request.method;
  json["params"] = request.params;
  return json;
}

Json CapabilityOf(const InputRequest& request) {
  Json needed = Json::object();
  if (request.method == kElicit) needed["elicitation"] = Json::object();
  if (request.method == kSample) needed["sampling"] = Json::object();
  if (request.method == kRoots) needed["roots"] = Json::object();
  return needed;
}

bool AnswerFits(const InputRequest& request, const Json& answer) {
  if (!answer.is_object()) return false;
  if (request.method == kElicit) return ElicitationFits(request.params, answer);
  if (request.method == kSample) return answer.contains("content");
  if (request.method == kRoots) {
    const Json* roots = Find(answer, "roots");
    return roots != nullptr && roots->is_array();
  }
  return true;
}

}  // namespace pyro::mcp
