#include "mcp/protocol/message.h"

#include <utility>

namespace pyro::mcp {
namespace {

bool IsId(const Json& id) {
  if (id.is_string()) return id.get_ref<const std::string&>().size() <= kMaxIdBytes;
  return id.is_number_integer();
}

BadMessage BadRequest(Json id, std::string message) {
  return {std::move(id),
          {.code = kInvalidRequest, .message = std::move(message), .http_status = 400}};
}

Message ParseResponse(Json& value, const Json& id) {
  const Json* error = Find(value, "error");
  if (error == nullptr) return Response{id, std::move(value["result"]), std::nullopt};
  const Json* code = Find(*error, "code");
  RpcError failure;
  if (code != nullptr && code->is_number_integer()) failure.code = code->get<int>();
  failure.message = StringOr(*error, "message");
  return Response{id, nullptr, std::move(failure)};
}

}  // namespace

const Json* Find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

std::string StringOr(const Json& object, std::string_view key, std::string_view otherwise) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return std::string(otherwise);
  return value->get<std::string>();
}

RpcError IdInUse() {
  return {.code = kInvalidRequest, .message = "a request of this id is being answered"};
}

Message ParseMessage(Json value) {
  if (value.is_array())
    return BadRequest(nullptr, "batches are not supported: send one message at a time");
  if (!value.is_object()) return BadRequest(nullptr, "a message is a JSON object");
  Json id;
  if (const Json* found = Find(value, "id"); found != nullptr) id = *found;
  const bool has_id = IsId(id);
  if (!has_id) {
    if (value.contains("id")) return BadRequest(nullptr, "an id is a string or an integer");
  }
  if (StringOr(value, "jsonrpc") != "2.0") return BadRequest(id, "jsonrpc is not \"2.0\"");
  const Json* method = Find(value, "method");
  if (method == nullptr) {
    const bool answers = value.contains("result") != value.contains("error");
    if (has_id && answers) return ParseResponse(value, id);
    return BadRequest(id, "neither a request nor a response");
  }
  if (!method->is_string() || method->get_ref<const std::string&>().size() > kMaxMethodBytes) {
    return BadRequest(id, "method is not a short string");
  }
  Json params = Json::object();
  if (const auto it = value.find("params"); it != value.end()) {
    if (!it->is_object()) return BadRequest(id, "params is not an object");
    params = std::move(*it);
  }
  std::string name = method->get<std::string>();
  if (has_id) return Request{std::move(id), std::move(name), std::move(params)};
  return Notification{std::move(name), std::move(params)};
}

Json MakeResponse(const Json& id, Json result) {
  Json message = Json::object();
  message["jsonrpc"] = "2.0";
  message["id"] = id;
  message["result"] = std::move(result);
  return message;
}

Json MakeErrorResponse(const Json& id, const RpcError& error) {
  Json body = Json::object();
  body["code"] = error.code;
  body["message"] = error.message;
  if (!error.data.is_null()) body["data"] = error.data;
  Json message = Json::object();
  message["jsonrpc"] = "2.0";
  message["id"] = id;
  message["error"] = std::move(body);
  return message;
}

Json MakeNotification(std::string_view method, Json params) {
  Json message = Json::object();
  message["jsonrpc"] = "2.0";
  message["method"] = method;
  if (!params.is_null()) message["params"] = std::move(params);
  return message;
}

Json MakeRequest(const Json& id, std::string_view method, Json params) {
  Json message = MakeNotification(method, std::move(params));
  message["id"] = id;
  return message;
}

std::string IdKey(const Json& id) { return ToJsonLine(id); }

}  // namespace pyro::mcp
