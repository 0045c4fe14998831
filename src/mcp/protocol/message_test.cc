#include "mcp/protocol/message.h"

#include <gtest/gtest.h>

#include "mcp/protocol/eras.h"
#include "mcp/stdio/line_reader.h"

namespace pyro::mcp {
namespace {

Message Parsed(const char* text) { return ParseMessage(Json::parse(text)); }

TEST(MessageTest, IdsKeepTheirType) {
  for (const char* id : {"1", "\"1\"", "-7", "18446744073709551615", "\"\""}) {
    const auto message =
        Parsed((std::string(R"({"jsonrpc":"2.0","method":"ping","id":)") + id + "}").c_str());
    const auto* request = std::get_if<Request>(&message);
    ASSERT_NE(request, nullptr) << id;
    EXPECT_EQ(ToJsonLine(request->id), id);
  }
}

TEST(MessageTest, TellsRequestsNotificationsAndResponsesApart) {
  EXPECT_TRUE(std::holds_alternative<Notification>(Parsed(R"({"jsonrpc":"2.0","method":"x"})")));
  EXPECT_TRUE(std::holds_alternative<Response>(Parsed(R"({"jsonrpc":"2.0","id":1,"result":{}})")));
  const auto failed = Parsed(R"({"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}})");
  ASSERT_TRUE(std::holds_alternative<Response>(failed));
  EXPECT_EQ(std::get<Response>(failed).error->message, "no");
}

TEST(MessageTest, RefusesEverythingElse) {
  for (const char* text :
       {"[]", "1", "null", "{}", R"({"jsonrpc":"1.0","id":1,"method":"x"})",
        R"([{"jsonrpc":"2.0","id":1,"method":"x"}])", R"({"jsonrpc":"2.0","id":null,"method":"x"})",
        R"({"jsonrpc":"2.0","id":1.5,"method":"x"})", R"({"jsonrpc":"2.0","id":1e30,"method":"x"})",
        R"({"jsonrpc":"2.0","id":{},"method":"x"})", R"({"jsonrpc":"2.0","id":1,"method":2})",
        R"({"jsonrpc":"2.0","id":1,"method":"x","params":[]})", R"({"jsonrpc":"2.0","id":1})",
        R"({"jsonrpc":"2.0","id":1,"result":{},"error":{}})", R"({"jsonrpc":"2.0","result":{}})"}) {
    const Message message = Parsed(text);
    const auto* bad = std::get_if<BadMessage>(&message);
    ASSERT_NE(bad, nullptr) << text;
    EXPECT_EQ(bad->error.code, kInvalidRequest) << text;
  }
}

TEST(ErasTest, InitializeNeverFailsForItsVersion) {
  EXPECT_EQ(NegotiateLegacy("2024-11-05"), "2024-11-05");
  EXPECT_EQ(NegotiateLegacy("2025-06-18"), "2025-06-18");
  EXPECT_EQ(NegotiateLegacy("2026-07-28"), "2025-11-25");
  EXPECT_EQ(NegotiateLegacy("1999-01-01"), "2025-11-25");
  EXPECT_EQ(NegotiateLegacy(""), "2025-11-25");
}

TEST(ErasTest, MissingCapabilitiesAreNamedAsDeeplyAsTheyAreMissing) {
  const auto missing = [](const char* required, const char* declared) {
    return ToJsonLine(MissingCapabilities(Json::parse(required), Json::parse(declared)));
  };
  EXPECT_EQ(missing(R"({"sampling":{}})", "{}"), R"({"sampling":{}})");
  EXPECT_EQ(missing(R"({"sampling":{}})", R"({"sampling":{"tools":{}}})"), "{}");
  EXPECT_EQ(missing(R"({"extensions":{"a":{}}})", R"({"extensions":{"b":{}}})"),
            R"({"extensions":{"a":{}}})");
}

TEST(LineReaderTest, LinesComeOutHoweverTheyCameIn) {
  const std::string text = "one\r\ntwo\n\nthree\n";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineReader reader(100);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < text.size(); i += step) {
      reader.Feed(std::string_view(text).substr(i, step));
      while (auto line = reader.Next()) lines.push_back(line->text);
    }
    EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "", "three"})) << step;
  }
}

TEST(LineReaderTest, TooLongALineIsReportedOnceAndTheNextIsRead) {
  for (const std::size_t step : {1U, 7U, 100U}) {
    LineReader reader(10);
    const std::string text = std::string(55, 'x') + "\nshort\n";
    std::vector<std::string> lines;
    int too_long = 0;
    for (std::size_t i = 0; i < text.size(); i += step) {
      reader.Feed(std::string_view(text).substr(i, step));
      while (auto line = reader.Next()) {
        if (line->too_long)
          ++too_long;
        else
          lines.push_back(line->text);
      }
    }
    EXPECT_EQ(too_long, 1) << step;
    EXPECT_EQ(lines, std::vector<std::string>{"short"}) << step;
  }
}

}  // namespace
}  // namespace pyro::mcp
