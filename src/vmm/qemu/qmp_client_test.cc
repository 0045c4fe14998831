// A conversation in which the test is the other side.

#include "vmm/qemu/qmp_client.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "sys/files.h"

namespace pyro::vmm::qemu {
namespace {

constexpr char kGreeting[] =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": "
    "\"Debian\"}, \"capabilities\": []}}\r\n";

Deadline Soon() { return Deadline::After(std::chrono::seconds(20)); }

class QmpClientTest : public testing::Test {
 protected:
  QmpClientTest() : pair_(*sys::MakeSocketPair()), client_(std::move(pair_.first)) {}

  // Answers can be said before they are asked for: the ids are known.
  void Say(std::string_view text) { ASSERT_TRUE(sys::WriteAll(pair_.second.get(), text).ok()); }

  std::string Heard() {
    char bytes[4096];
    const ssize_t count = ::read(pair_.second.get(), bytes, sizeof bytes);
    return std::string(bytes, count > 0 ? static_cast<std::size_t>(count) : 0);
  }

  sys::SocketPair pair_;
  QmpClient client_;
};

TEST_F(QmpClientTest, NegotiatesAndReturnsWhatACommandReturns) {
  Say(kGreeting);
  Say("{\"return\": {}, \"id\": 1}\r\n");
  ASSERT_TRUE(client_.Handshake(Soon()).ok());
  EXPECT_EQ(Heard(), "{\"execute\":\"qmp_capabilities\",\"id\":1}\n");
  EXPECT_EQ(client_.version(), "7.2.22");
  Say("{\"event\": \"STOP\", \"timestamp\": {}}\r\n{\"return\": {\"x\": 5}, \"id\": 2}\r\n");
  auto result = client_.Execute("stop", Json(), Soon());
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ((*result)["x"], 5);
  auto event = client_.TakeEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->name, "STOP");
  EXPECT_FALSE(client_.TakeEvent());
}

TEST_F(QmpClientTest, AGreetingWithoutAVersionIsAGreeting) {
  Say("{\"QMP\": {\"version\": {\"qemu\": 7}, \"capabilities\": []}}\r\n");
  Say("{\"return\": {}, \"id\": 1}\r\n");
  ASSERT_TRUE(client_.Handshake(Soon()).ok());
  EXPECT_EQ(client_.version(), "");
}

TEST_F(QmpClientTest, ARefusalNamesTheCommandAndLeavesTheClientUsable) {
  Say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}, \"id\": 1}\n");
  auto refused = client_.Execute("cont", Json(), Soon());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message, "qemu refused 'cont': not now");
  Say("{\"return\": {}, \"id\": 2}\n");
  EXPECT_TRUE(client_.Execute("cont", Json(), Soon()).ok());
}

TEST_F(QmpClientTest, SilenceTimesOutAndEndsTheConversation) {
  auto result = client_.Execute("stop", Json(), Deadline::After(std::chrono::milliseconds(10)));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kTimedOut);
  Say("{\"return\": {}, \"id\": 1}\n");  // Too late to be told from the next answer.
  EXPECT_EQ(client_.Execute("stop", Json(), Soon()).error().code, ErrorCode::kGuestUnavailable);
}

TEST_F(QmpClientTest, AnswersToNothingAreAProtocolError) {
  Say("{\"return\": {}, \"id\": 99}\n");
  EXPECT_EQ(client_.Execute("stop", Json(), Soon()).error().code, ErrorCode::kProtocol);
}

TEST_F(QmpClientTest, EventsThatCameBeforeTheEndAreStillThere) {
  Say("{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n");
  pair_.second.Reset();
  EXPECT_EQ(client_.Execute("stop", Json(), Soon()).error().code, ErrorCode::kGuestUnavailable);
  auto event = client_.TakeEvent();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->data["reason"], "guest-shutdown");
  EXPECT_FALSE(client_.TakeEvent());
}

}  // namespace
}  // namespace pyro::vmm::qemu
