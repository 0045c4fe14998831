#include "mcp/http/http_ladder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "mcp/protocol/base64.h"

namespace pyro::mcp {
namespace {

constexpr const char* kMeta = R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",)"
                              R"("io.modelcontextprotocol/clientCapabilities":{}})";

std::string Body(const std::string& method, const std::string& params = "") {
  return R"({"jsonrpc":"2.0","id":"q","method":")" + method + R"(","params":{)" + params +
         (params.empty() ? "" : ",") + kMeta + "}}";
}

HttpRequest Good(const std::string& method = "tools/list", const std::string& params = "") {
  return {.method = "POST",
          .path = "/mcp",
          .headers = {{"host", "127.0.0.1:7777"},
                      {"content-type", "application/json; charset=utf-8"},
                      {"accept", "application/json, text/event-stream"},
                      {"mcp-protocol-version", "2026-07-28"},
                      {"mcp-method", method}},
          .body = Body(method, params)};
}

HttpRequest With(HttpRequest request, const std::string& name, const std::string& value) {
  std::erase_if(request.headers, [&](const auto& header) { return header.first == name; });
  request.headers.emplace_back(name, value);
  return request;
}

HttpRequest Without(HttpRequest request, const std::string& name) {
  std::erase_if(request.headers, [&](const auto& header) { return header.first == name; });
  return request;
}

HttpRequest WithBody(HttpRequest request, std::string body) {
  request.body = std::move(body);
  return request;
}

HttpRequest To(HttpRequest request, std::string method, std::string path) {
  request.method = std::move(method);
  request.path = std::move(path);
  return request;
}

const LadderServer& Server() {
  static const LadderServer server{
      .refusal = [](const Request& request, const RequestScope&) -> std::optional<RpcError> {
        if (request.method == "nothing/such") {
          return RpcError{.code = kMethodNotFound, .message = "no", .http_status = 404};
        }
        if (StringOr(request.params, "name") == "sampler") {
          return MissingCapabilityError(Json::parse(R"({"sampling":{}})"));
        }
        return std::nullopt;
      },
      .tool_headers =
          [](const Request&) {
            return std::map<std::string, std::string>{{"Region", "region"}, {"Level", "level"}};
          }};
  return server;
}

// Both parts of the ladder. nullopt: it was climbed.
std::optional<HttpAnswer> Climb(const HttpRequest& request, const HttpPolicy& policy) {
  if (auto answer = CheckHead(request, policy)) return answer;
  if (request.method != "POST") return std::nullopt;
  const Classified classified = ClassifyPost(request, Server());
  if (const auto* answer = std::get_if<HttpAnswer>(&classified)) return *answer;
  return std::nullopt;
}

struct Rung {
  const char* name;
  HttpRequest request;
  int status;
  int code;
  const char* id = "\"q\"";
};

TEST(HttpLadderTest, EachRungAnswersAsTheProtocolSays) {
  const HttpPolicy policy{.path = "/mcp", .bearer_token = "", .allowed_hosts = {}};
  const std::string v = "mcp-protocol-version";
  const HttpRequest call = With(Good("tools/call", R"("name":"add")"), "mcp-name", "add");
  const auto meta = [](const char* inner) {
    return std::string(R"({"jsonrpc":"2.0","id":"q","method":"tools/list","params":{"_meta":{)") +
           inner + "}}}";
  };
  const Rung rungs[] = {
      {"evil host", With(Good(), "host", "evil.example"), 403, kServerError, "null"},
      {"no host", Without(Good(), "host"), 403, kServerError, "null"},
      {"host with junk", With(Good(), "host", "localhost:80@evil"), 403, kServerError, "null"},
      {"evil origin", With(Good(), "origin", "http://evil.example"), 403, kServerError, "null"},
      {"null origin", With(Good(), "origin", "null"), 403, kServerError, "null"},
      {"origin that begins well", With(Good(), "origin", "http://localhost.evil.example"), 403,
       kServerError, "null"},
      {"path", To(Good(), "POST", "/other"), 404, kServerError, "null"},
      {"method", To(Good(), "PUT", "/mcp"), 405, kServerError, "null"},
      {"content type", With(Good(), "content-type", "text/plain"), 415, kServerError, "null"},
      {"no content type", Without(Good(), "content-type"), 415, kServerError, "null"},
      {"accept lacks json", With(Good(), "accept", "text/event-stream"), 406, kServerError, "null"},
      {"accept lacks streams", With(Good(), "accept", "application/json"), 406, kServerError,
       "null"},
      {"GET accepts no stream", With(To(Good(), "GET", "/mcp"), "accept", "text/html"), 406,
       kServerError, "null"},
      {"not JSON", WithBody(Good(), "{"), 400, kParseError, "null"},
      {"too deep", WithBody(Good(), std::string(100, '[')), 400, kParseError, "null"},
      {"batch", WithBody(Good(), "[" + Body("tools/list") + "]"), 400, kInvalidRequest, "null"},
      {"no message", WithBody(Good(), "{}"), 400, kInvalidRequest, "null"},
      {"header and body disagree", With(Good(), v, "2025-11-25"), 400, kHeaderMismatch},
      {"method header", With(Good(), "mcp-method", "tools/call"), 400, kHeaderMismatch},
      {"value of a header is case-sensitive", With(Good(), "mcp-method", "Tools/List"), 400,
       kHeaderMismatch},
      {"header without _meta",
       WithBody(Good(), R"({"jsonrpc":"2.0","id":"q","method":"tools/list"})"), 400,
       kInvalidParams},
      {"no capabilities",
       WithBody(Good(), meta(R"("io.modelcontextprotocol/protocolVersion":"2026-07-28")")), 400,
       kInvalidParams},
      {"version that is not served",
       With(WithBody(Good(), meta(R"("io.modelcontextprotocol/protocolVersion":"2099-01-01",
                                     "io.modelcontextprotocol/clientCapabilities":{})")),
            v, "2099-01-01"),
       400, kUnsupportedVersion},
      {"no version header", Without(Good(), v), 400, kHeaderMismatch},
      {"no method header", Without(Good(), "mcp-method"), 400, kHeaderMismatch},
      {"no name header", Without(call, "mcp-name"), 400, kHeaderMismatch},
      {"wrong name header", With(call, "mcp-name", "sub"), 400, kHeaderMismatch},
      {"name badly encoded", With(call, "mcp-name", "=?base64?YWRk=?="), 400, kHeaderMismatch},
      {"unknown method", Good("nothing/such"), 404, kMethodNotFound},
      {"capability", With(Good("tools/call", R"("name":"sampler")"), "mcp-name", "sampler"), 400,
       kMissingCapability},
      {"parameter without its header",
       With(Good("tools/call", R"("name":"add","arguments":{"region":"eu"})"), "mcp-name", "add"),
       400, kHeaderMismatch},
      {"header without its parameter", With(call, "mcp-param-region", "eu"), 400, kHeaderMismatch},
  };
  for (const Rung& rung : rungs) {
    const auto answer = Climb(rung.request, policy);
    ASSERT_TRUE(answer) << rung.name;
    EXPECT_EQ(answer->status, rung.status) << rung.name;
    const Json body = Json::parse(answer->body);
    EXPECT_EQ(body["error"]["code"], rung.code) << rung.name;
    EXPECT_EQ(ToJsonLine(body["id"]), rung.id) << rung.name;
  }
}

TEST(HttpLadderTest, WhatIsRightClimbsToTheTop) {
  const HttpPolicy policy{.path = "/mcp", .bearer_token = "", .allowed_hosts = {"pyro.local"}};
  const auto call = [](const char* arguments) {
    return With(Good("tools/call", std::string(R"("name":"add","arguments":)") + arguments),
                "mcp-name", "add");
  };
  const HttpRequest climbers[] = {
      Good(),
      With(Good(), "host", "[::1]:7777"),
      With(Good(), "host", "LOCALHOST"),
      With(Good(), "host", "Pyro.Local:1"),
      With(Good(), "origin", "https://localhost:9999"),
      With(Good(), "accept", "*/*"),
      With(Good(), "accept", "application/*;q=0.1 , TEXT/event-stream"),
      With(Good("tools/call", R"("name":"add")"), "mcp-name", "=?base64?YWRk?="),
      With(call(R"({"region":"eu"})"), "mcp-param-region", "eu"),
      With(call(R"({"level":42})"), "mcp-param-level", "42.0"),
      With(call(R"({"level":42.0})"), "mcp-param-level", "42"),
      To(Good(), "GET", "/mcp"),
      To(Good(), "DELETE", "/mcp"),
  };
  for (const HttpRequest& request : climbers) {
    const auto answer = Climb(request, policy);
    EXPECT_FALSE(answer) << (answer ? answer->body : "") << request.body;
  }
}

TEST(HttpLadderTest, TheTokenIsAskedForBeforeAnythingIsTold) {
  const HttpPolicy policy{.path = "/mcp", .bearer_token = "0123456789abcdef", .allowed_hosts = {}};
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcdeF", "Basic 0123456789abcdef",
        "Bearer 0123456789abcdef0", "0123456789abcdef"}) {
    const auto answer = Climb(With(To(Good(), "POST", "/other"), "authorization", wrong), policy);
    ASSERT_TRUE(answer) << wrong;
    EXPECT_EQ(answer->status, 401) << wrong;
    EXPECT_EQ(answer->headers.at(0).first, "WWW-Authenticate");
  }
  EXPECT_EQ(Climb(Good(), policy)->status, 401);
  EXPECT_FALSE(Climb(With(Good(), "authorization", "bearer 0123456789abcdef"), policy));
  // A refused client looks here, without a token, for a place to get one: there is none.
  const auto looked = Climb(To(Good(), "GET", "/.well-known/oauth-protected-resource"), policy);
  EXPECT_EQ(looked->status, 404);
}

TEST(HttpLadderTest, TheEraIsDecidedForEachMessage) {
  const auto classify = [](HttpRequest request) { return ClassifyPost(request, Server()); };
  EXPECT_TRUE(std::holds_alternative<ModernMessage>(classify(Good())));
  const HttpRequest legacy = Without(Good(), "mcp-protocol-version");
  for (
      const char* body :
      {R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}})",
       R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})", R"({"jsonrpc":"2.0","method":"x"})",
       R"({"jsonrpc":"2.0","id":1,"result":{}})"}) {
    EXPECT_TRUE(std::holds_alternative<LegacyMessage>(classify(WithBody(legacy, body)))) << body;
  }
  // A client that has tried the new era and then opens the old one is no broken client.
  EXPECT_TRUE(std::holds_alternative<LegacyMessage>(
      classify(WithBody(Good(), R"({"jsonrpc":"2.0","id":1,"method":"initialize","params":{}})"))));
}

TEST(HttpLadderTest, HeaderValuesAreLiteralUnlessWhollyEncoded) {
  EXPECT_EQ(DecodeHeaderValue("plain"), "plain");
  EXPECT_EQ(DecodeHeaderValue("=?base64?w6Q=?="), "ä");
  EXPECT_EQ(DecodeHeaderValue("=?base64?w6Q="), "=?base64?w6Q=");
  EXPECT_EQ(DecodeHeaderValue("w6Q=?="), "w6Q=?=");
  EXPECT_EQ(DecodeHeaderValue("=?BASE64?w6Q=?="), "=?BASE64?w6Q=?=");
  EXPECT_EQ(DecodeHeaderValue("=?base64?"
                              "?="),
            "");
  EXPECT_FALSE(DecodeHeaderValue("=?base64?w6Q?="));
  EXPECT_FALSE(DecodeHeaderValue("=?base64?w6-=?="));
}

}  // namespace
}  // namespace pyro::mcp
