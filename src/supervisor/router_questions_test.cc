// Questions of clients, and a guest that answers, lies or says nothing.

#include <chrono>
#include <string>

#include "supervisor/testing/router_fixture.h"

namespace pyro::supervisor {
namespace {

using namespace std::chrono_literals;

class RouterQuestionsTest : public CommandRouterTest {
 protected:
  RouterQuestionsTest() { router_.GuestReady("/bin/sh"); }

  // Asks, and returns the guest's channel for it.
  std::uint32_t Ask(ClientId client, std::uint32_t channel) {
    EXPECT_TRUE(router_.FromClient(client, wire::Ask{"what"}.ToFrame(channel)).ok());
    const auto frames = ToGuest();
    EXPECT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames.at(0).type, FrameType::kAsk);
    EXPECT_EQ(wire::Ask::FromFrame(frames.at(0))->question, "what");
    return frames.at(0).channel;
  }

  static Frame AnswerOn(std::uint32_t channel) {
    return wire::Frame{
        .type = FrameType::kAnswer, .channel = channel, .payload = ToCbor({{"text", "this"}})};
  }

  // The one frame for the client, which is an error.
  Error ErrorFor(ClientId client, std::uint32_t channel) {
    const auto frames = ToClient(client);
    EXPECT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames.at(0).channel, channel);
    return wire::ErrorFromFrame(frames.at(0));
  }
};

TEST_F(RouterQuestionsTest, AnAnswerGoesToTheClientThatAsked) {
  const std::uint32_t first = Ask(1, 5);
  const std::uint32_t second = Ask(2, 5);
  EXPECT_NE(first, second);
  ASSERT_TRUE(router_.FromGuest(AnswerOn(second)).ok());
  EXPECT_TRUE(ToClient(1).empty());
  const auto frames = ToClient(2);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].type, FrameType::kAnswer);
  EXPECT_EQ(frames[0].channel, 5u);
  EXPECT_EQ((*wire::DecodeObject(frames[0]))["text"], "this");
  EXPECT_EQ(timers_.waiting(), 1u);
  EXPECT_FALSE(router_.FromGuest(AnswerOn(second)).ok()) << "answered twice";
  EXPECT_NE(Ask(2, 5), first);  // The channel is free again.
}

TEST_F(RouterQuestionsTest, AnErrorIsAnAnswer) {
  const std::uint32_t channel = Ask(1, 5);
  ASSERT_TRUE(
      router_.FromGuest(wire::ErrorFrame(channel, MakeError(ErrorCode::kNotFound, "no"))).ok());
  EXPECT_EQ(ErrorFor(1, 5).code, ErrorCode::kNotFound);
  EXPECT_EQ(timers_.waiting(), 0u);
}

TEST_F(RouterQuestionsTest, AnotherFrameThanAnAnswerIsABreach) {
  const std::uint32_t channel = Ask(1, 5);
  EXPECT_FALSE(router_.FromGuest(DataFrame(channel, Stream::kStdout, 1)).ok());
  EXPECT_FALSE(router_.FromGuest(ExitedFrame(channel)).ok());
  EXPECT_FALSE(router_.FromGuest(AnswerOn(channel + 1)).ok()) << "to no question";
  const std::uint32_t command = Begin(1, 6);
  EXPECT_FALSE(router_.FromGuest(AnswerOn(command)).ok()) << "of a command";
}

TEST_F(RouterQuestionsTest, AClientMustAskOnAChannelThatIsFree) {
  Ask(1, 5);
  Begin(1, 6);
  EXPECT_FALSE(router_.FromClient(1, wire::Ask{"what"}.ToFrame(5)).ok());
  EXPECT_FALSE(router_.FromClient(1, wire::Ask{"what"}.ToFrame(6)).ok());
  EXPECT_FALSE(router_.FromClient(1, wire::Ask{"what"}.ToFrame(0)).ok());
  EXPECT_FALSE(router_.FromClient(1, ExecFrame(5)).ok());
  EXPECT_FALSE(router_.FromClient(1, Frame{.type = FrameType::kAsk, .channel = 7}).ok());
}

TEST_F(RouterQuestionsTest, AGuestThatDoesNotAnswerInTimeIsSaidToBeSilent) {
  const std::uint32_t channel = Ask(1, 5);
  timers_.Advance(19999ms);
  EXPECT_TRUE(ToClient(1).empty());
  timers_.Advance(1ms);
  EXPECT_EQ(ErrorFor(1, 5).code, ErrorCode::kGuestUnavailable);
  timers_.Advance(100s);
  EXPECT_TRUE(ToClient(1).empty());
  EXPECT_TRUE(ToGuest().empty());
  // It has asked again when the guest goes on.
  const std::uint32_t again = Ask(1, 5);
  EXPECT_NE(again, channel);
  ASSERT_TRUE(router_.FromGuest(AnswerOn(channel)).ok());
  EXPECT_TRUE(ToClient(1).empty());
  ASSERT_TRUE(router_.FromGuest(AnswerOn(again)).ok());
  EXPECT_EQ(ToClient(1).size(), 1u);
}

TEST_F(RouterQuestionsTest, TheNumberOfQuestionsWithoutAnAnswerIsBounded) {
  const std::uint32_t first = Ask(1, 1);
  for (std::uint32_t channel = 2; channel <= 16; ++channel) Ask(1, channel);
  timers_.Advance(100s);  // Nor does it count as an answer that there is none.
  ASSERT_TRUE(router_.FromClient(2, wire::Ask{"what"}.ToFrame(1)).ok());
  EXPECT_TRUE(ToGuest().empty());
  EXPECT_EQ(ErrorFor(2, 1).code, ErrorCode::kLimit);
  ASSERT_TRUE(router_.FromGuest(AnswerOn(first)).ok());
  Ask(2, 1);
}

TEST_F(RouterQuestionsTest, AQuestionIsNoUseOfTheGuest) {
  Ask(1, 5);
  EXPECT_TRUE(router_.idle());
  EXPECT_EQ(use_changes_, 0);
}

TEST_F(RouterQuestionsTest, AnAnswerForAClientThatHasGoneIsDropped) {
  const std::uint32_t channel = Ask(1, 5);
  router_.ClientGone(1);
  ASSERT_TRUE(router_.FromGuest(AnswerOn(channel)).ok());
  EXPECT_TRUE(ToClient(1).empty());
}

TEST_F(RouterQuestionsTest, AQuestionEndsWithItsGuest) {
  Ask(1, 5);
  router_.GuestGone();
  EXPECT_EQ(ErrorFor(1, 5).code, ErrorCode::kGuestUnavailable);
  EXPECT_EQ(timers_.waiting(), 0u);
  ASSERT_TRUE(router_.FromClient(1, wire::Ask{"what"}.ToFrame(6)).ok());
  EXPECT_EQ(ErrorFor(1, 6).code, ErrorCode::kGuestUnavailable);
}

}  // namespace
}  // namespace pyro::supervisor
