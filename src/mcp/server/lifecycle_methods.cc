#include <utility>

#include "mcp/server/core.h"
#include "mcp/server/methods.h"

namespace pyro::mcp {

RpcError InvalidParams(std::string message) {
  return {.code = kInvalidParams, .message = std::move(message)};
}

RpcError FromError(const Error& error) {
  const bool mistake =
      error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kNotFound;
  RpcError rpc{.code = mistake ? kInvalidParams : kInternalError, .message = error.message};
  rpc.data["code"] = ErrorCodeName(error.code);
  if (!error.hint.empty()) rpc.data["hint"] = error.hint;
  return rpc;
}

Json Capabilities(Core& core, Era era) {
  const Catalog::Offers offers = core.catalog().offers();
  Json changes = Json::object();
  changes["listChanged"] = true;
  Json capabilities = Json::object();
  if (offers.tools) capabilities["tools"] = changes;
  if (offers.prompts) capabilities["prompts"] = changes;
  if (offers.resources) {
    capabilities["resources"] = changes;
    capabilities["resources"]["subscribe"] = true;
  }
  if (offers.completions) capabilities["completions"] = Json::object();
  if (core.options().logging) capabilities["logging"] = Json::object();
  if (era == Era::kModern && core.task_store() != nullptr) {
    capabilities["extensions"][std::string(kTasksExtension)] = Json::object();
  }
  return capabilities;
}

Outcome Initialize(Core& core, Call& call) {
  const Json& params = call.request().params;
  const std::string version = NegotiateLegacy(StringOr(params, "protocolVersion"));
  const Json* declared = Find(params, "capabilities");
  const Json* info = Find(params, "clientInfo");
  call.scope().peer->Open(version,
                          declared != nullptr && declared->is_object() ? *declared : Json::object(),
                          info == nullptr ? ClientInfo{} : ReadClientInfo(*info));
  Reply reply;
  reply.result["protocolVersion"] = version;
  reply.result["capabilities"] = Capabilities(core, Era::kLegacy);
  reply.result["serverInfo"] = core.server_info();
  if (!core.options().instructions.empty()) {
    reply.result["instructions"] = core.options().instructions;
  }
  return reply;
}

Outcome Ping(Core& /*core*/, Call& /*call*/) { return Reply(); }

Outcome Discover(Core& core, Call& /*call*/) {
  Reply reply;
  reply.cache = core.options().list_cache;
  reply.result["supportedVersions"] = Json::array({kModernVersion});
  reply.result["capabilities"] = Capabilities(core, Era::kModern);
  if (!core.options().instructions.empty()) {
    reply.result["instructions"] = core.options().instructions;
  }
  return reply;
}

Outcome SetLogLevel(Core& /*core*/, Call& call) {
  const auto level = ParseLogLevel(StringOr(call.request().params, "level"));
  if (!level) return InvalidParams("level is no log level");
  call.scope().peer->SetLogLevel(*level);
  return Reply();
}

}  // namespace pyro::mcp
