// Questions over a link, with the test as the supervisor.

#include "engine/instance/supervisor_link.h"

#include <string>

#include <gtest/gtest.h>

#include "engine/testing/session_peer.h"
#include "wire/answers.h"

namespace pyro::engine {
namespace {

using wire::Frame;
using wire::FrameType;

struct Number {
  static constexpr const char* kQuestion = "number";
  std::int64_t number = 0;
  static std::span<const Field> Rows() {
    static constexpr Field kRows[] = {Row<Number, &Number::number>("number").To(9)};
    return kRows;
  }
};

// What becomes of a question that the peer answers so.
Result<Number> AskWhere(Peer::Answer answer, const CallIo& io = {}) {
  Peer peer([&](Peer& self, const Frame& frame) {
    if (frame.type != FrameType::kAsk) return;
    const auto ask = wire::Ask::FromFrame(frame);
    if (ask.ok() && ask->question == "number") answer(self, frame);
  });
  SupervisorLink link = peer.Connect();
  return link.Ask<Number>(io.cancel_fd);
}

TEST(SupervisorLinkTest, AnAnswerComesBackAsItsStruct) {
  const auto answer = AskWhere([](Peer& self, const Frame& frame) {
    self.Say(wire::Ready{}.ToFrame());
    self.Say(wire::AnswerFrame(frame.channel, Number{7}));
  });
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->number, 7);
}

TEST(SupervisorLinkTest, AnAnswerThatBreaksTheRulesIsAnErrorOfItsOwn) {
  const auto answer = AskWhere([](Peer& self, const Frame& frame) {
    self.Say(wire::AnswerFrame(frame.channel, Number{10}));
  });
  EXPECT_EQ(answer.error().code, ErrorCode::kProtocol);
  const auto text = AskWhere([](Peer& self, const Frame& frame) {
    self.Say(wire::Frame{.type = FrameType::kAnswer,
                         .channel = frame.channel,
                         .payload = ToCbor({{"number", "7"}})});
  });
  EXPECT_EQ(text.error().code, ErrorCode::kProtocol);
}

TEST(SupervisorLinkTest, AQuestionEndsWithTheErrorThatComesForIt) {
  const auto silent = AskWhere([](Peer& self, const Frame& frame) {
    self.Say(wire::ErrorFrame(frame.channel, MakeError(ErrorCode::kGuestUnavailable, "silent")));
  });
  EXPECT_EQ(silent.error().message, "silent");
  const auto stopped =
      AskWhere([](Peer& self, const Frame&) { self.Say(wire::Plain(FrameType::kStopped)); });
  EXPECT_EQ(stopped.error().code, ErrorCode::kGuestUnavailable);
  const auto gone = AskWhere([](Peer& self, const Frame&) { self.HangUp(); });
  EXPECT_EQ(gone.error().code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(gone.error().message, "the guest ended before it answered");
}

TEST(SupervisorLinkTest, ASupervisorThatDoesNotKnowTheFrameMayBeOfAnEarlierVersion) {
  const auto answer = AskWhere([](Peer& self, const Frame&) {
    self.Say(wire::ErrorFrame(0, MakeError(ErrorCode::kProtocol, "unknown frame type 23")));
  });
  EXPECT_EQ(answer.error().code, ErrorCode::kProtocol);
  EXPECT_NE(answer.error().hint.find("earlier version"), std::string::npos);
}

TEST(SupervisorLinkTest, AQuestionCanBeCancelled) {
  Canceller canceller;
  const auto answer = AskWhere([&](Peer&, const Frame&) { canceller.Cancel(); }, canceller.Io());
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace pyro::engine
