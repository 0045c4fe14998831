#include "mcp/server/core.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>

#include "mcp/protocol/tool_result.h"
#include "mcp/server/methods.h"
#include "mcp/server/server.h"
#include "mcp/testing/fixture.h"

namespace pyro::mcp {
namespace {

using testing::FixtureJson;

// What one request was answered.
class CollectingSink final : public Sink {
 public:
  void Send(const Json& message, Kind /*kind*/) override { Add(message, false); }
  void Finish(const Json& response, int http_status) override {
    status_ = http_status;
    Add(response, true);
  }
  void Drop() override { Add(nullptr, true); }

  // Waits for the end; null: it was dropped.
  Json Answer() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_; });
    return messages_.back();
  }
  Json Message(std::size_t index) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return messages_.size() > index; });
    return messages_[index];
  }
  int status() const { return status_; }

 private:
  void Add(const Json& message, bool end) {
    const std::lock_guard lock(mutex_);
    EXPECT_FALSE(ended_) << "nothing comes after the answer: " << message;
    messages_.push_back(message);
    ended_ = end;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Json> messages_;
  bool ended_ = false;
  int status_ = 0;
};

class CoreTest : public ::testing::Test {
 protected:
  CoreTest() {
    testing::AddAll(server_, store_);
    core_.AddPeer(peer_);
  }
  ~CoreTest() override { store_->Stop(); }

  static ServerOptions Options() {
    ServerOptions options;
    options.name = "test";
    options.version = "1";
    options.logging = true;
    options.limits.page_size = 1000;
    return options;
  }

  std::shared_ptr<CollectingSink> Send(RequestScope scope, const std::string& method, Json params,
                                       Json id = 1) {
    auto sink = std::make_shared<CollectingSink>();
    scope.principal = "local";
    last_ = core_.Handle({std::move(id), method, std::move(params)}, std::move(scope), sink);
    return sink;
  }
  std::shared_ptr<CollectingSink> Legacy(const std::string& method, Json params, Json id = 1) {
    return Send(peer_->Scope(peer_), method, std::move(params), std::move(id));
  }
  std::shared_ptr<CollectingSink> Modern(const std::string& method, Json params,
                                         const char* capabilities = "{}") {
    RequestScope scope;
    scope.era = Era::kModern;
    scope.version = kModernVersion;
    scope.capabilities = Json::parse(capabilities);
    return Send(std::move(scope), method, std::move(params));
  }
  static Json Call(const char* tool, Json arguments = Json::object()) {
    Json params = Json::object();
    params["name"] = tool;
    params["arguments"] = std::move(arguments);
    return params;
  }

  Server server_{Options()};
  Core& core_ = server_.core();
  std::shared_ptr<testing::MemoryTaskStore> store_ = std::make_shared<testing::MemoryTaskStore>();
  std::vector<Json> sent_;
  std::shared_ptr<Peer> peer_ =
      std::make_shared<Peer>("local", [this](const Json& message) { sent_.push_back(message); });
  std::shared_ptr<Exchange> last_;
};

TEST_F(CoreTest, InitializeAnswersWithTheClientsVersionOrTheNewest) {
  const Json old =
      Legacy("initialize", FixtureJson(R"({"protocolVersion":"2024-11-05"})"))->Answer();
  EXPECT_EQ(old["result"]["protocolVersion"], "2024-11-05");
  EXPECT_EQ(peer_->Scope(peer_).version, "2024-11-05");
  const Json unknown =
      Legacy("initialize", FixtureJson(R"({"protocolVersion":"2026-07-28"})"))->Answer();
  EXPECT_EQ(unknown["result"]["protocolVersion"], "2025-11-25");
  EXPECT_FALSE(unknown["result"]["capabilities"].contains("tasks"));
  EXPECT_FALSE(unknown["result"].contains("resultType"));
}

TEST_F(CoreTest, AClientIsToldOfOnceItHasItsFirstAnswer) {
  const auto first = std::make_shared<CollectingSink>();
  const auto second = std::make_shared<CollectingSink>();
  int clients = 0;
  ServerOptions options = Options();
  options.on_client = [&] {
    ++clients;
    EXPECT_TRUE(first->Answer().contains("result"));
  };
  Server server(options);
  EXPECT_EQ(clients, 0);
  server.core().Handle({1, "initialize", Json::object()}, peer_->Scope(peer_), first);
  EXPECT_EQ(clients, 1);
  server.core().Handle({2, "initialize", Json::object()}, peer_->Scope(peer_), second);
  EXPECT_TRUE(second->Answer().contains("result"));
  EXPECT_EQ(clients, 1);
}

TEST_F(CoreTest, EveryModernResultSaysWhatItIsAndWhoSaysIt) {
  const Json result = Modern("server/discover", Json::object())->Answer()["result"];
  EXPECT_EQ(result["resultType"], "complete");
  EXPECT_EQ(result["supportedVersions"], Json::array({"2026-07-28"}));
  EXPECT_EQ(result["_meta"][std::string(kServerInfoKey)]["name"], "test");
  EXPECT_TRUE(result["ttlMs"].is_number_unsigned() || result["ttlMs"].is_number_integer());
  EXPECT_TRUE(result["capabilities"]["extensions"].contains(std::string(kTasksExtension)));
}

TEST_F(CoreTest, ErasHaveTheirOwnMethods) {
  for (const char* removed : {"initialize", "ping", "logging/setLevel", "resources/subscribe",
                              "tasks/list", "tasks/result", "no/such"}) {
    const auto sink = Modern(removed, Json::object());
    EXPECT_EQ(sink->Answer()["error"]["code"], kMethodNotFound) << removed;
    EXPECT_EQ(sink->status(), 404) << removed;
  }
  for (const char* later : {"server/discover", "subscriptions/listen", "tasks/get"}) {
    const auto sink = Legacy(later, Json::object());
    EXPECT_EQ(sink->Answer()["error"]["code"], kMethodNotFound) << later;
    EXPECT_EQ(sink->status(), 200) << later;
  }
}

TEST_F(CoreTest, WhatAModelCanMendIsAResultNotAnError) {
  const Json failed = Legacy("tools/call", Call("probe_fail"))->Answer()["result"];
  EXPECT_TRUE(failed["isError"].get<bool>());
  const Json error = Json::parse(failed["content"][0]["text"].get<std::string>())["error"];
  EXPECT_EQ(error["code"], "not_found");
  EXPECT_EQ(error["hint"], "call task_list");
  const Json unfit =
      Legacy("tools/call", Call("probe_flood", FixtureJson(R"({"count": -1})")))->Answer();
  EXPECT_NE(unfit["result"]["content"][0]["text"].get<std::string>().find("count: must be >= 0"),
            std::string::npos);
  EXPECT_EQ(Legacy("tools/call", Call("none"))->Answer()["error"]["code"], kInvalidParams);
}

TEST_F(CoreTest, AHandlerThatThrowsEndsOnlyItsOwnCall) {
  EXPECT_EQ(Legacy("tools/call", Call("probe_throw"))->Answer()["error"]["code"], kInternalError);
  EXPECT_TRUE(Legacy("ping", Json::object())->Answer()["result"].empty());
}

TEST_F(CoreTest, BytesThatAreNoTextDoNotBreakTheLine) {
  const Json answer = Legacy("tools/call", Call("probe_binary"))->Answer();
  EXPECT_TRUE(ParseJson(ToJsonLine(answer)).ok());
}

TEST_F(CoreTest, StructuredContentStandsAloneAndAsText) {
  const Json result = Modern("tools/call", Call("probe_counts"))->Answer()["result"];
  EXPECT_EQ(Json::parse(result["content"][0]["text"].get<std::string>()),
            result["structuredContent"]);
}

TEST_F(CoreTest, OlderClientsGetWhatTheyKnow) {
  ToolResult result = ToolResult::Structured(FixtureJson(R"({"a": 1})"));
  result.content.push_back(ResourceLinkContent({.uri = "pyro://x", .name = "x"}));
  const Json old = ToolResultJson(result, "2025-03-26");
  EXPECT_FALSE(old.contains("structuredContent"));
  EXPECT_EQ(old["content"][0]["type"], "text");
  EXPECT_EQ(ToolResultJson(result, "2025-06-18")["content"][0]["type"], "resource_link");
  EXPECT_FALSE(
      ToolResultJson(ToolResult::Structured(7), "2025-11-25").contains("structuredContent"));
  EXPECT_EQ(ToolResultJson(ToolResult::Structured(7), kModernVersion)["structuredContent"], 7);
}

TEST_F(CoreTest, ACancelledCallIsToldAndNotAnswered) {
  const auto sink = Legacy("tools/call", Call("probe_wait"), "id-7");
  peer_->CancelOne("another", CancelReason::kRequested);
  Notification cancel{"notifications/cancelled", FixtureJson(R"({"requestId": "id-7"})")};
  core_.Handle(cancel, peer_);
  EXPECT_TRUE(sink->Answer().is_null());
  // Its id is free again.
  EXPECT_TRUE(Legacy("ping", Json::object(), "id-7")->Answer().contains("result"));
}

TEST_F(CoreTest, AnIdThatIsBeingAnsweredIsNotTakenTwice) {
  const auto first = Legacy("tools/call", Call("probe_wait"), 5);
  EXPECT_EQ(Legacy("tools/call", Call("probe_wait"), 5)->Answer()["error"]["code"],
            kInvalidRequest);
  RequestScope listening = peer_->Scope(peer_);
  listening.era = Era::kModern;
  EXPECT_TRUE(
      Send(listening, "subscriptions/listen", Json::object(), 5)->Answer().contains("error"));
  // Nor is the first lost by an answer at once to the same id.
  Legacy("ping", Json::object(), 5)->Answer();
  peer_->CancelOne(5, CancelReason::kRequested);
  EXPECT_TRUE(first->Answer().is_null());
}

TEST_F(CoreTest, ProgressGrowsOrIsDropped) {
  Json params = Call("test_tool_with_progress");
  params["_meta"]["progressToken"] = "t";
  const auto sink = Legacy("tools/call", params);
  sink->Answer();
  for (std::size_t i = 0; i < 3; ++i) {
    const Json progress = sink->Message(i)["params"];
    EXPECT_EQ(progress["progressToken"], "t");
    EXPECT_EQ(progress["progress"], 50 * i);
  }
  EXPECT_TRUE(Legacy("tools/call", Call("test_tool_with_progress"))->Message(0).contains("result"))
      << "who did not ask gets none";
}

TEST_F(CoreTest, LogsGoToTheClientThatAsked) {
  EXPECT_TRUE(Modern("tools/call", Call("test_logging_tool"))->Message(0).contains("result"));
  Legacy("logging/setLevel", FixtureJson(R"({"level": "error"})"))->Answer();
  EXPECT_TRUE(Legacy("tools/call", Call("test_logging_tool"))->Message(0).contains("result"));
  Legacy("logging/setLevel", FixtureJson(R"({"level": "info"})"))->Answer();
  EXPECT_EQ(Legacy("tools/call", Call("test_logging_tool"))->Message(0)["params"]["level"], "info");
}

TEST_F(CoreTest, ALegacyClientIsAskedWhileTheCallWaits) {
  Legacy("initialize", FixtureJson(R"({"protocolVersion":"2025-11-25",
      "capabilities":{"sampling":{}}})"))
      ->Answer();
  const auto sink =
      Legacy("tools/call", Call("test_sampling", FixtureJson(R"({"prompt": "hi"})")), 9);
  const Json question = sink->Message(0);
  EXPECT_EQ(question["method"], "sampling/createMessage");
  peer_->Resolve({question["id"], FixtureJson(R"({"content":{"type":"text","text":"yo"}})"), {}});
  EXPECT_EQ(sink->Answer()["result"]["content"][0]["text"], "LLM response: yo");
}

TEST_F(CoreTest, CancellingACallEndsItsQuestion) {
  Legacy("initialize", FixtureJson(R"({"capabilities":{"sampling":{}}})"))->Answer();
  const auto sink =
      Legacy("tools/call", Call("test_sampling", FixtureJson(R"({"prompt": "hi"})")), 9);
  sink->Message(0);
  peer_->CancelOne(9, CancelReason::kRequested);
  EXPECT_TRUE(sink->Answer().is_null());
}

TEST_F(CoreTest, AClientThatCannotBeAskedIsTold) {
  const Json answer =
      Legacy("tools/call", Call("test_sampling", FixtureJson(R"({"prompt": "hi"})")))->Answer();
  EXPECT_TRUE(answer["result"]["isError"].get<bool>());
  const auto modern = Modern("tools/call", Call("test_input_required_result_elicitation"));
  EXPECT_EQ(modern->Answer()["error"]["code"], kMissingCapability);
  EXPECT_EQ(modern->status(), 400);
}

TEST_F(CoreTest, AModernClientComesBackWithAnswersRoundByRound) {
  const char* can = R"({"elicitation": {}})";
  Json params = Call("test_input_required_result_multi_round");
  const Json first = Modern("tools/call", params, can)->Answer()["result"];
  EXPECT_EQ(first["resultType"], "input_required");
  ASSERT_TRUE(first["inputRequests"].contains("step1"));

  params["requestState"] = first["requestState"];
  params["inputResponses"] =
      FixtureJson(R"({"step1": {"action": "accept", "content": {"name": 7}}})");
  const Json again = Modern("tools/call", params, can)->Answer()["result"];
  EXPECT_TRUE(again["inputRequests"].contains("step1")) << "an answer that does not fit is none";

  params["inputResponses"] =
      FixtureJson(R"({"step1": {"action": "accept", "content": {"name": "Ada"}}, "extra": 1})");
  const Json second = Modern("tools/call", params, can)->Answer()["result"];
  EXPECT_TRUE(second["inputRequests"].contains("step2"));
  EXPECT_FALSE(second["inputRequests"].contains("step1"));

  params["requestState"] = second["requestState"];
  params["inputResponses"] = FixtureJson(R"({"step2": {"action": "decline"}})");
  const Json third = Modern("tools/call", params, can)->Answer()["result"];
  EXPECT_EQ(third["resultType"], "complete");
  EXPECT_NE(third["content"][0]["text"].get<std::string>().find("Ada"), std::string::npos);

  params["name"] = "test_input_required_result_elicitation";
  EXPECT_EQ(Modern("tools/call", params, can)->Answer()["error"]["code"], kInvalidParams)
      << "the state is another call's";
}

TEST_F(CoreTest, ListenersHearWhatTheyAskedForAndNothingElse) {
  const auto sink = Modern("subscriptions/listen", FixtureJson(R"({"notifications":
      {"toolsListChanged": true, "resourceSubscriptions": ["test://a"], "bogus": true}})"));
  const Json ack = sink->Message(0);
  EXPECT_EQ(ack["method"], "notifications/subscriptions/acknowledged");
  EXPECT_EQ(ack["params"]["_meta"][std::string(kSubscriptionKey)], 1);
  EXPECT_EQ(ack["params"]["notifications"].size(), 2U);
  server_.NotifyPromptsChanged();
  server_.NotifyResourceUpdated("test://b");
  server_.NotifyResourceUpdated("test://a");
  EXPECT_EQ(sink->Message(1)["params"]["uri"], "test://a");
  EXPECT_EQ(sink->Message(1)["params"]["_meta"][std::string(kSubscriptionKey)], 1);
  last_->Cancel(CancelReason::kShutdown);
  EXPECT_EQ(sink->Answer()["result"]["resultType"], "complete");
}

TEST_F(CoreTest, TheFirstWatcherAndTheLastAreReported) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> seen;
  server_.SetWatchHandler([&](const std::string& uri, Watch watch) {
    const std::lock_guard lock(mutex);
    seen.push_back((watch == Watch::kStarted ? "+" : "-") + uri);
    changed.notify_all();
  });
  const Json uri = FixtureJson(R"({"uri": "test://a"})");
  Legacy("resources/subscribe", uri)->Answer();
  Legacy("resources/subscribe", uri)->Answer();
  Modern("subscriptions/listen",
         FixtureJson(R"({"notifications": {"resourceSubscriptions": ["test://a"]}})"));
  Legacy("resources/unsubscribe", uri)->Answer();
  last_ = nullptr;
  core_.CancelAll(CancelReason::kPeerGone);
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return seen.size() >= 2; });
  EXPECT_EQ(seen, (std::vector<std::string>{"+test://a", "-test://a"}));
}

TEST_F(CoreTest, PagesCoverTheListOnce) {
  ServerOptions options = Options();
  options.limits.page_size = 2;
  Server paged(options);
  testing::AddResources(paged);
  Json params = Json::object();
  std::vector<std::string> uris;
  for (int page = 0; page < 10; ++page) {
    auto sink = std::make_shared<CollectingSink>();
    paged.core().Handle({1, "resources/list", params}, peer_->Scope(peer_), sink);
    const Json result = sink->Answer()["result"];
    for (const Json& each : result["resources"]) uris.push_back(each["uri"]);
    if (!result.contains("nextCursor")) break;
    params["cursor"] = result["nextCursor"];
  }
  EXPECT_EQ(uris, (std::vector<std::string>{"test://static-text", "test://static-binary",
                                            "test://watched-resource"}));
  for (const char* bad : {"", "x", "ZnJvbTotMQ", "ZnJvbTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk"}) {
    EXPECT_EQ(Legacy("tools/list", Json{{"cursor", bad}})->Answer()["error"]["code"],
              kInvalidParams);
  }
}

TEST_F(CoreTest, ResourcesThatAreNotThereAreErrorsOfTheirEra) {
  const Json params = FixtureJson(R"({"uri": "test://none"})");
  EXPECT_EQ(Legacy("resources/read", params)->Answer()["error"]["code"], kResourceNotFound);
  const Json modern = Modern("resources/read", params)->Answer()["error"];
  EXPECT_EQ(modern["code"], kInvalidParams);
  EXPECT_EQ(modern["data"]["uri"], "test://none");
}

TEST_F(CoreTest, TasksAreForClientsThatDeclareThem) {
  const char* can = R"({"extensions": {"io.modelcontextprotocol/tasks": {}}})";
  EXPECT_EQ(Modern("tools/call", Call("failing_job"))->Answer()["error"]["code"],
            kMissingCapability);
  EXPECT_EQ(Modern("tasks/get", FixtureJson(R"({"taskId": "x"})"))->Answer()["error"]["code"],
            kMissingCapability);
  EXPECT_EQ(Modern("tasks/get", FixtureJson(R"({"taskId": "x"})"), can)->Answer()["error"]["code"],
            kInvalidParams);
  const Json made =
      Modern("tools/call", Call("slow_compute", FixtureJson(R"({"seconds": 60})")), can)->Answer();
  EXPECT_EQ(made["result"]["resultType"], "task");
  const Json id = Json{{"taskId", made["result"]["taskId"]}};
  EXPECT_EQ(Modern("tasks/get", id, can)->Answer()["result"]["status"], "working");
  EXPECT_EQ(Modern("tasks/cancel", id, can)->Answer()["result"]["resultType"], "complete");
  EXPECT_EQ(Modern("tasks/get", id, can)->Answer()["result"]["status"], "cancelled");
  EXPECT_EQ(Modern("tasks/cancel", id, can)->Answer()["result"]["resultType"], "complete");
}

TEST_F(CoreTest, TooManyCallsAreRefusedNotQueuedForEver) {
  ServerOptions options = Options();
  options.limits.workers = 1;
  options.limits.queued_calls = 2;
  Server small(options);
  testing::AddProbeTools(small);
  std::vector<std::shared_ptr<Exchange>> exchanges;
  std::vector<std::shared_ptr<CollectingSink>> sinks;
  const auto call = [&](int id, const char* method, const Json& params) {
    sinks.push_back(std::make_shared<CollectingSink>());
    exchanges.push_back(
        small.core().Handle({id, method, params}, peer_->Scope(peer_), sinks.back()));
  };
  Json first = Call("probe_wait");
  first["_meta"]["progressToken"] = 1;
  call(1, "tools/call", first);
  sinks[0]->Message(0);  // It runs.
  for (int id = 2; id <= 4; ++id) call(id, "tools/call", Call("probe_wait"));
  EXPECT_EQ(sinks[3]->Answer()["error"]["code"], kServerError);
  call(5, "resources/list", Json::object());
  EXPECT_TRUE(sinks[4]->Answer().contains("result")) << "reads have workers of their own";
  for (const auto& exchange : exchanges) {
    if (exchange != nullptr) exchange->Cancel(CancelReason::kRequested);
  }
  EXPECT_TRUE(sinks[2]->Answer().is_null());
}

TEST_F(CoreTest, CallsAreLimitedInTime) {
  ServerOptions options = Options();
  options.limits.calls_per_second = 1;
  Server slow(options);
  testing::AddProbeTools(slow);
  int refused = 0;
  for (int i = 0; i < 30; ++i) {
    auto sink = std::make_shared<CollectingSink>();
    slow.core().Handle({i, "tools/call", Call("probe_counts")}, peer_->Scope(peer_), sink);
    if (sink->Answer()["result"].value("isError", false)) ++refused;
  }
  EXPECT_GE(refused, 1);
}

TEST(CatalogTest, RefusesToolsThatClientsWouldDrop) {
  Server server({});
  const auto add = [&](auto change) {
    Tool tool;
    tool.name = "good";
    tool.description = "Good.";
    tool.input_schema = FixtureJson(R"({"type": "object"})");
    tool.handler = [](CallContext&, const Json&) -> Result<ToolResult> { return ToolResult(); };
    change(tool);
    return server.AddTool(std::move(tool));
  };
  EXPECT_FALSE(add([](Tool& tool) { tool.name = ""; }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.name = "a b"; }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.name = std::string(65, 'a'); }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.description = ""; }).ok());
  EXPECT_FALSE(
      add([](Tool& tool) { tool.description = std::string(kMaxDescription + 1, 'a'); }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.input_schema = FixtureJson("{}"); }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.input_schema["prefixItems"] = 1; }).ok());
  EXPECT_FALSE(
      add([](Tool& tool) { tool.output_schema = FixtureJson(R"({"type": "array"})"); }).ok());
  EXPECT_FALSE(add([](Tool& tool) { tool.handler = nullptr; }).ok());
  EXPECT_TRUE(add([](Tool&) {}).ok());
  EXPECT_EQ(add([](Tool&) {}).error().code, ErrorCode::kAlreadyExists);
  EXPECT_TRUE(server.RemoveTool("good"));
  EXPECT_TRUE(add([](Tool& tool) {
                tool.input_schema["prefixItems"] = Json::array();
                tool.schema_check = SchemaCheck::kPassThrough;
              }).ok());
}

TEST(CatalogTest, AResultThatBreaksItsOwnSchemaDoesNotReachTheClient) {
  Server server({});
  Tool tool;
  tool.name = "wrong";
  tool.description = "Gives a string for a number.";
  tool.input_schema = FixtureJson(R"({"type": "object"})");
  tool.output_schema = FixtureJson(
      R"({"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]})");
  tool.handler = [](CallContext&, const Json&) -> Result<ToolResult> {
    return ToolResult::Structured(FixtureJson(R"({"n": "1"})"));
  };
  ASSERT_TRUE(server.AddTool(std::move(tool)).ok());
  auto sink = std::make_shared<CollectingSink>();
  auto peer = std::make_shared<Peer>("local", [](const Json&) {});
  server.core().Handle({1, "tools/call", Json{{"name", "wrong"}}}, peer->Scope(peer), sink);
  EXPECT_TRUE(sink->Answer()["result"]["isError"].get<bool>());
}

}  // namespace
}  // namespace pyro::mcp
