#include "chat/completion.h"

#include <gtest/gtest.h>

namespace pyro::chat {
namespace {

std::string Answer(const Json& message) {
  return ToJsonLine({{"choices", Json::array({{{"message", message}}})}});
}

Json Calling(const Json& function) {
  return {
      {"role", "assistant"},
      {"content", nullptr},
      {"tool_calls", Json::array({{{"id", "c1"}, {"type", "function"}, {"function", function}}})}};
}

TEST(CompletionTest, TextAndCallsAreFound) {
  const auto text = ParseReply(Answer(Message("assistant", "all done")));
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text->content, "all done");
  EXPECT_TRUE(text->calls.empty());
  const auto call = ParseReply(Answer(Calling({{"name", "vm_run"}, {"arguments", "{}"}})));
  ASSERT_TRUE(call.ok());
  ASSERT_EQ(call->calls.size(), 1u);
  EXPECT_EQ(call->calls[0].id, "c1");
  EXPECT_EQ(call->calls[0].name, "vm_run");
  EXPECT_EQ(call->calls[0].arguments, "{}");
}

TEST(CompletionTest, ArgumentsMayBeTheObjectItself) {
  const auto reply =
      ParseReply(Answer(Calling({{"name", "vm_run"}, {"arguments", {{"command", "true"}}}})));
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->calls[0].arguments, R"({"command":"true"})");
}

TEST(CompletionTest, WhatIsNoCompletionIsToldAsSuch) {
  for (const std::string& body :
       {std::string("<html>"), std::string("[]"), std::string("{}"), std::string("null"),
        std::string(R"({"choices": []})"), std::string(R"({"choices": [{"message": 5}]})"),
        std::string(40, '['), Answer({{"content", 5}}), Answer({{"tool_calls", 5}}),
        Answer({{"tool_calls", Json::array({5})}}), Answer(Calling({{"name", 5}})),
        Answer(Calling({{"name", "vm_run"}, {"arguments", 5}}))}) {
    const auto reply = ParseReply(body);
    ASSERT_FALSE(reply.ok()) << body;
    EXPECT_EQ(reply.error().code, ErrorCode::kProtocol) << body;
  }
}

TEST(CompletionTest, EveryLengthIsBounded) {
  Json calls = Json::array();
  for (std::size_t i = 0; i <= kMaxToolCalls; ++i) {
    calls.push_back({{"function", {{"name", "vm_run"}}}});
  }
  for (const std::string& body :
       {std::string(kMaxReplyBytes + 1, ' '),
        Answer({{"content", std::string(kMaxContentBytes + 1, 'x')}}),
        Answer(Calling({{"name", std::string(kMaxNameBytes + 1, 'x')}})),
        Answer(
            Calling({{"name", "vm_run"}, {"arguments", std::string(kMaxArgumentsBytes + 1, 'x')}})),
        Answer({{"tool_calls", calls}})}) {
    const auto reply = ParseReply(body);
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, ErrorCode::kLimit);
  }
}

TEST(VmRunCallTest, ArgumentsAreThoseOfTheTool) {
  const auto call = ParseVmRun(
      R"({"environment": "debian:12", "command": "a | b", "timeout_seconds": 5, "vcpu_count": 2,
          "mem_mib": 512, "ttl_seconds": null, "network": false})",
      Network::kRefused);
  ASSERT_TRUE(call.ok()) << call.error().message;
  EXPECT_EQ(call->environment, "debian:12");
  EXPECT_EQ(call->command.script, "a | b");
  EXPECT_EQ(call->timeout_seconds, 5);
  EXPECT_EQ(call->vcpu_count, 2);
  EXPECT_EQ(call->mem_mib, 512);
  EXPECT_EQ(call->ttl_seconds, 600);
  const auto words =
      ParseVmRun(R"({"environment": "e", "command": ["ls", "-l"]})", Network::kRefused);
  ASSERT_TRUE(words.ok());
  EXPECT_EQ(words->command.argv, (std::vector<std::string>{"ls", "-l"}));
}

TEST(VmRunCallTest, WhatTheToolDoesNotTakeIsRefusedWithAHint) {
  for (const char* arguments :
       {"", "5", "{", R"({"environment": "e"})", R"({"command": "c"})",
        R"({"environment": "e", "command": 5})", R"({"environment": 5, "command": "c"})",
        R"({"environment": "e", "command": ["a", 5]})",
        R"({"environment": "e", "command": "c", "mem_mib": "512"})",
        R"({"environment": "e", "command": "c", "mem_mib": 1e30})",
        R"({"environment": "e", "command": "c", "network": true})",
        R"({"environment": "e", "command": "c", "allow_host_compat": true})",
        R"({"environment": "e", "command": "c", "machine": "usermode"})",
        R"({"environment": "e", "command": "c", "no_such": 1})"}) {
    const auto call = ParseVmRun(arguments, Network::kRefused);
    ASSERT_FALSE(call.ok()) << arguments;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument) << arguments;
    EXPECT_FALSE(call.error().hint.empty()) << arguments;
  }
}

TEST(VmRunCallTest, OnlyTheUserAllowsTheNetworkAndNoModelGetsTheHost) {
  EXPECT_TRUE(
      ParseVmRun(R"({"environment": "e", "command": "c", "network": true})", Network::kAllowed)
          ->network);
  EXPECT_FALSE(ParseVmRun(R"({"environment": "e", "command": "c", "allow_host_compat": true})",
                          Network::kAllowed)
                   .ok());
  EXPECT_EQ(ToJsonLine(VmRunTool(Network::kRefused)).find("network"), std::string::npos);
  EXPECT_NE(ToJsonLine(VmRunTool(Network::kAllowed)).find("network"), std::string::npos);
}

TEST(CompletionTest, AnEndpointsErrorIsOneLineForATerminal) {
  EXPECT_EQ(ErrorText(R"({"error": {"message": "no\nmodel\n"}})"), "no; model");
  EXPECT_EQ(ErrorText(R"({"error": "plain"})"), "plain");
  EXPECT_EQ(ErrorText(" \x1b[31mred"), "\\x1b[31mred");
  EXPECT_LT(ErrorText(std::string(10000, 'x')).size(), 400u);
}

TEST(CompletionTest, AConversationHasTheFormThatEndpointsExpect) {
  Reply reply;
  reply.calls.push_back({"c1", "vm_run", "{}"});
  const Json assistant = AssistantMessage(reply);
  EXPECT_EQ(assistant["role"], "assistant");
  EXPECT_EQ(assistant["tool_calls"][0]["function"]["name"], "vm_run");
  const Json tool = ToolMessage(reply.calls[0], {{"exit_code", 0}});
  EXPECT_EQ(tool["role"], "tool");
  EXPECT_EQ(tool["tool_call_id"], "c1");
  EXPECT_EQ(tool["content"], R"({"exit_code":0})");
  const Json body =
      Json::parse(Request("m", Json::array({assistant, tool}), VmRunTool(Network::kRefused)));
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["stream"], false);
  EXPECT_EQ(body["messages"].size(), 2u);
  EXPECT_EQ(body["tools"][0]["function"]["name"], "vm_run");
  EXPECT_EQ(body["tools"][0]["function"]["parameters"]["required"],
            Json({"environment", "command"}));
}

}  // namespace
}  // namespace pyro::chat
