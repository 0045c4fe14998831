#include "mcp/http/http_stream.h"

#include <gtest/gtest.h>

#include "mcp/http/http_sessions.h"
#include "mcp/http/sse.h"

namespace pyro::mcp {
namespace {

using Then = HttpStream::Piece::Then;
using Opening = HttpStream::Opening;

Json Note(int n) { return Json{{"n", n}}; }

TEST(SseTest, EventsAreAsTheProtocolWritesThem) {
  EXPECT_EQ(FormatEvent("{}", ""), "event: message\ndata: {}\n\n");
  EXPECT_EQ(FormatEvent("{}", "s1::2"), "event: message\nid: s1::2\ndata: {}\n\n");
  EXPECT_EQ(FormatPrimer("s1::0", std::chrono::milliseconds(1000)),
            "id: s1::0\nretry: 1000\ndata: \n\n");
}

TEST(SseTest, EventIdsComeBackAndNothingElseDoes) {
  const auto id = ParseEventId(FormatEventId({"s00000001", 42}));
  ASSERT_TRUE(id);
  EXPECT_EQ(id->stream, "s00000001");
  EXPECT_EQ(id->number, 42U);
  for (const char* text : {"", "::", "s1", "s1:1", "s1::", "::1", "s1::-1", "s1::01", "s1::1 ",
                           "S1::1", "s1::99999999999999999999", "../x::1", "s1::1::1",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa::1"}) {
    EXPECT_FALSE(ParseEventId(text)) << text;
  }
}

TEST(HttpStreamTest, AnAnswerAloneNeedsNoStream) {
  HttpStream stream({});
  stream.Attach(0, {});
  EXPECT_EQ(stream.opening(), Opening::kWait);
  stream.Finish(Note(1), 404);
  ASSERT_EQ(stream.opening(), Opening::kAnswer);
  const auto answer = stream.TakeAnswer();
  EXPECT_EQ(answer.json, R"({"n":1})");
  EXPECT_EQ(answer.http_status, 404);
}

TEST(HttpStreamTest, WhatComesBeforeTheAnswerMakesItAStream) {
  HttpStream stream({});
  const auto ticket = stream.Attach(0, {});
  stream.Send(Note(1), Sink::Kind::kReport);
  EXPECT_EQ(stream.opening(), Opening::kStream);
  stream.Finish(Note(2), 200);
  const auto piece = stream.Take(ticket);
  EXPECT_EQ(piece.bytes, FormatEvent(R"({"n":1})", "") + FormatEvent(R"({"n":2})", ""));
  EXPECT_EQ(piece.then, Then::kEnd);
}

TEST(HttpStreamTest, AClientComesBackToWhereItWas) {
  HttpStream stream({.name = "s1", .primer = true, .endless = false});
  const auto first = stream.Attach(0, {});
  stream.Send(Note(1), Sink::Kind::kMessage);
  EXPECT_EQ(stream.Take(first).bytes.substr(0, 9), "id: s1::0");
  stream.Detach(first);
  stream.Send(Note(2), Sink::Kind::kMessage);
  stream.Finish(Note(3), 200);
  const auto second = stream.Attach(1, {});
  const auto piece = stream.Take(second);
  EXPECT_EQ(piece.bytes, FormatEvent(R"({"n":2})", "s1::2") + FormatEvent(R"({"n":3})", "s1::3"));
  EXPECT_EQ(piece.then, Then::kEnd);
  // And again, if that was lost on the way.
  EXPECT_EQ(stream.Take(stream.Attach(2, {})).bytes, FormatEvent(R"({"n":3})", "s1::3"));
}

TEST(HttpStreamTest, TheNewestConnectionHasTheStream) {
  int woken = 0;
  HttpStream stream({.name = "s1", .primer = false, .endless = false});
  const auto first = stream.Attach(0, [&] { ++woken; });
  const auto second = stream.Attach(0, {});
  EXPECT_EQ(woken, 1);
  stream.Send(Note(1), Sink::Kind::kMessage);
  EXPECT_EQ(stream.Take(first).then, Then::kLost);
  stream.Detach(first);
  EXPECT_TRUE(stream.attached());
  EXPECT_EQ(stream.Take(second).then, Then::kMore);
}

TEST(HttpStreamTest, OnlyAClientThatCanComeBackIsLetGo) {
  HttpStream modern({});
  modern.Attach(0, {});
  modern.Release();
  EXPECT_EQ(modern.opening(), Opening::kWait);
  HttpStream legacy({.name = "s1", .primer = true, .endless = false});
  const auto ticket = legacy.Attach(0, {});
  legacy.Release();
  const auto piece = legacy.Take(ticket);
  EXPECT_EQ(piece.then, Then::kRelease);
  EXPECT_NE(piece.bytes.find("retry:"), std::string::npos);
}

TEST(HttpStreamTest, MemoryIsBoundedForAClientThatDoesNotRead) {
  const Json big = Json{{"text", std::string(100'000, 'x')}};
  HttpStream reports({});
  reports.Attach(0, {});
  for (int i = 0; i < 1000; ++i) reports.Send(big, Sink::Kind::kReport);
  reports.Finish(Note(1), 200);
  EXPECT_LT(reports.Take(1).bytes.size(), 500'000U) << "reports are dropped, the answer is not";

  HttpStream messages({});
  const auto ticket = messages.Attach(0, {});
  for (int i = 0; i < 1000; ++i) messages.Send(big, Sink::Kind::kMessage);
  EXPECT_EQ(messages.Take(ticket).then, Then::kLost);

  HttpStream away({.name = "s1", .primer = true, .endless = false});
  away.Detach(away.Attach(0, {}));
  for (int i = 0; i < 1000; ++i) away.Send(big, Sink::Kind::kMessage);
  away.Finish(Note(1), 200);
  const std::string kept = away.Take(away.Attach(0, {})).bytes;
  EXPECT_LT(kept.size(), 1'500'000U);
  EXPECT_NE(kept.find(R"({"n":1})"), std::string::npos) << "the answer is the last to go";
}

TEST(HttpStreamTest, NothingIsKeptForAStreamThatWasNeverOpened) {
  HttpStream stream({.name = "g", .primer = false, .endless = true});
  stream.Send(Note(1), Sink::Kind::kMessage);
  EXPECT_EQ(stream.Take(stream.Attach(HttpStream::kNow, {})).bytes, "");
}

TEST(HttpSessionsTest, TheLongestIdleMakesRoomAndNoBusyOneDoes) {
  HttpSessions sessions(2, std::chrono::minutes(30));
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto first = sessions.Add("p", start)->session;
  const auto second = sessions.Add("p", start + std::chrono::seconds(1))->session;
  first->standalone()->Attach(HttpStream::kNow, {});
  const auto third = sessions.Add("p", start + std::chrono::seconds(2));
  ASSERT_TRUE(third);
  ASSERT_EQ(third->removed.size(), 1U);
  EXPECT_EQ(third->removed[0], second);
  third->session->NewStream(true);
  EXPECT_FALSE(sessions.Add("p", start + std::chrono::seconds(3)));
}

TEST(HttpSessionsTest, StreamsWithoutAReturningClientAreBounded) {
  HttpSession session("id", "p");
  const Json big = Json{{"text", std::string(1'000'000, 'x')}};
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) {
    const auto stream = session.NewStream(true);
    stream->Finish(big, 200);
    names.push_back(stream->name());
  }
  EXPECT_EQ(session.FindStream(names.front()), nullptr);
  EXPECT_NE(session.FindStream(names.back()), nullptr);
  std::size_t bytes = 0;
  for (const std::string& name : names) {
    if (const auto stream = session.FindStream(name)) bytes += stream->kept_bytes();
  }
  EXPECT_LT(bytes, 10'000'000U);
}

TEST(HttpSessionsTest, IdleOnesEnd) {
  HttpSessions sessions(10, std::chrono::minutes(30));
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto session = sessions.Add("p", start)->session;
  EXPECT_TRUE(sessions.RemoveIdle(start + std::chrono::minutes(30)).empty());
  EXPECT_EQ(sessions.Find(session->id(), start + std::chrono::minutes(20)), session);
  EXPECT_TRUE(sessions.RemoveIdle(start + std::chrono::minutes(50)).empty());
  EXPECT_EQ(sessions.RemoveIdle(start + std::chrono::minutes(51)).size(), 1U);
  EXPECT_EQ(sessions.Find(session->id(), start), nullptr);
}

}  // namespace
}  // namespace pyro::mcp
