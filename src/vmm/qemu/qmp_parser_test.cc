#include "vmm/qemu/qmp_parser.h"

#include <gtest/gtest.h>

namespace pyro::vmm::qemu {
namespace {

TEST(QmpParserTest, CutsMessagesOutOfAnySplitOfTheStream) {
  const std::string stream =
      "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n{\"return\": {}, \"id\": 7}\r\n"
      "{\"timestamp\": {}, \"event\": \"STOP\"}\r\n";
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    QmpParser parser;
    std::vector<QmpMessage> messages;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      parser.Feed(std::string_view(stream).substr(at, step));
      while (true) {
        Result<std::optional<QmpMessage>> next = parser.Next();
        ASSERT_TRUE(next.ok()) << next.error().message;
        if (!*next) break;
        messages.push_back(std::move(**next));
      }
    }
    ASSERT_EQ(messages.size(), 3u) << "step " << step;
    EXPECT_EQ(messages[0].kind, QmpMessage::Kind::kGreeting);
    EXPECT_EQ(messages[1].kind, QmpMessage::Kind::kReturn);
    EXPECT_EQ(messages[1].id, 7);
    EXPECT_EQ(messages[2].name, "STOP");
  }
}

TEST(QmpParserTest, ErrorsHaveClassAndDescription) {
  Result<QmpMessage> message = ParseQmpLine(
      R"({"id": 1, "error": {"class": "CommandNotFound", "desc": "no such command"}})");
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->kind, QmpMessage::Kind::kError);
  EXPECT_EQ(message->name, "CommandNotFound");
  EXPECT_EQ(message->text, "no such command");
}

TEST(QmpParserTest, RefusesWhatIsNoMessage) {
  for (const char* line : {"[]", "{}", "1", "{\"error\": 1}", "{\"error\": {\"class\": \"x\"}}",
                           "{\"event\": 5}", "{\"return\": {}, \"id\": -4}", "nonsense"}) {
    Result<QmpMessage> message = ParseQmpLine(line);
    ASSERT_FALSE(message.ok()) << line;
    EXPECT_EQ(message.error().code, ErrorCode::kProtocol) << line;
  }
}

TEST(QmpParserTest, AnEndlessLineIsRefusedAndTheParserStaysBroken) {
  QmpParser parser;
  parser.Feed(std::string(kMaxQmpLineBytes + 1, 'x'));
  EXPECT_FALSE(parser.Next().ok());
  parser.Feed("\n{\"event\": \"STOP\"}\n");
  EXPECT_FALSE(parser.Next().ok());
}

TEST(QmpParserTest, CommandsAreOneLine) {
  EXPECT_EQ(FormatQmpCommand("stop", Json(), 3), "{\"execute\":\"stop\",\"id\":3}\n");
  EXPECT_EQ(FormatQmpCommand("x", Json{{"a", "b\nc"}}, 4),
            "{\"arguments\":{\"a\":\"b\\nc\"},\"execute\":\"x\",\"id\":4}\n");
}

}  // namespace
}  // namespace pyro::vmm::qemu
