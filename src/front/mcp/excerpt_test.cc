#include "front/mcp/excerpt.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/text.h"
#include "front/mcp/journal_tasks.h"
#include "front/mcp/watcher.h"

namespace pyro::mcp_server {
namespace {

std::string Repeat(std::string_view piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text += piece;
  return text;
}

TEST(ExcerptTest, TheCostIsWhatJsonTakes) {
  for (const std::string& text :
       {std::string("plain"), std::string("a\"b\\c\n\t\r\b\f"), std::string("\x1b[0m\0x", 6),
        std::string("aäö€𝄞"), std::string("")}) {
    EXPECT_EQ(JsonCost(text), ToJsonLine(Json(text)).size() - 2) << text;
  }
  // What is no text becomes characters of three bytes.
  const std::string bytes = Repeat("\xff\x80", 100);
  EXPECT_GE(JsonCost(bytes), ToJsonLine(Json(bytes)).size() - 2);
}

TEST(ExcerptTest, EndsAreCutAtCharacters) {
  const std::string text = Repeat("a€𝄞", 100);
  for (std::size_t cost = 0; cost < 64; ++cost) {
    const std::string_view head = PrefixWithin(text, cost);
    const std::string_view tail = SuffixWithin(text, cost);
    EXPECT_LE(head.size(), cost);
    EXPECT_LE(tail.size(), cost);
    EXPECT_TRUE(IsUtf8(head) && text.starts_with(head)) << cost;
    EXPECT_TRUE(IsUtf8(tail) && text.ends_with(tail)) << cost;
    EXPECT_GE(head.size() + 4, cost) << "as much as fits";
    EXPECT_GE(tail.size() + 4, cost);
  }
}

TEST(ExcerptTest, WhatFitsStaysWhole) {
  const Excerpt excerpt = Cut({"short", "", 5}, 100, "elsewhere");
  EXPECT_EQ(excerpt.text, "short");
  EXPECT_FALSE(excerpt.truncated);
}

TEST(ExcerptTest, TheMiddleIsNamedAndNothingIsTwice) {
  const std::string text = Repeat("0123456789", 100);
  const Excerpt excerpt = Cut({text, "", text.size()}, 100, "from {offset} on");
  EXPECT_TRUE(excerpt.truncated);
  EXPECT_EQ(excerpt.head_bytes, 50u);
  EXPECT_EQ(excerpt.text,
            text.substr(0, 50) + "\n[… 900 bytes left out; from 50 on]\n" + text.substr(950));
}

TEST(ExcerptTest, TwoStreamsShareWhatThereIs) {
  const Ends small{"abc", "", 3};
  const std::string much(kStreamBudget, 'x');
  const Ends large{much, much, 10 * kStreamBudget};
  EXPECT_EQ(ShareBudget(small, small).out, 3u);
  EXPECT_EQ(ShareBudget(large, small).out, kStreamBudget);
  const Shares both = ShareBudget(large, large);
  EXPECT_EQ(both.out + both.err, kResultBudget);
  EXPECT_EQ(both.out, both.err);
}

TEST(ExcerptTest, ASinkKeepsBothEndsOfAnyLength) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, 2 * kEndBytes, 2 * kEndBytes + 1,
                                 3 * kEndBytes, 100 * kEndBytes + 7}) {
    std::string text;
    while (text.size() < size) text += std::to_string(text.size()) + ",";
    text.resize(size);
    EndsSink sink;
    for (std::size_t at = 0; at < size; at += 1000) {
      ASSERT_TRUE(sink.Write(OutputStream::kStdout, std::string_view(text).substr(at, 1000)).ok());
    }
    const Ends ends = sink.Take(OutputStream::kStdout);
    EXPECT_EQ(ends.total_bytes, size);
    EXPECT_TRUE(text.starts_with(ends.head));
    EXPECT_TRUE(text.ends_with(ends.tail));
    if (size <= 2 * kEndBytes) {
      EXPECT_EQ(ends.head, text);
    } else {
      EXPECT_GE(ends.head.size(), kEndBytes);
      EXPECT_EQ(ends.tail.size(), kEndBytes);
    }
    EXPECT_TRUE(sink.Take(OutputStream::kStderr).whole());
  }
}

TEST(ExcerptTest, LongCommandsAreCut) {
  const std::vector<std::string> words = {"sh", "-c", std::string(100'000, 'x'), "more"};
  const auto cut = CutWords(words, 200);
  ASSERT_EQ(cut.size(), 3u);
  EXPECT_LT(cut[2].size(), 210u);
  EXPECT_EQ(CutWords({"a", "b"}, 200), (std::vector<std::string>{"a", "b"}));
}

TEST(McpTaskIdTest, OnlyAWholeIdIsTaken) {
  const std::string task = "task_" + std::string(26, 'a');
  const auto ref = ParseMcpTaskId(McpTaskId(task, 17));
  ASSERT_TRUE(ref.has_value());
  EXPECT_EQ(ref->task_id, task);
  EXPECT_EQ(ref->sequence, 17);
  const std::string bad[] = {"",
                             task,
                             task + ".",
                             task + ".0",
                             task + ".-1",
                             task + ".01",
                             task + ".1x",
                             task + "..1",
                             task + ". 1",
                             "task_aaaaaa.1",
                             "x." + task,
                             task + ".1.1",
                             task + ".99999999999999999999"};
  for (const std::string& id : bad) EXPECT_FALSE(ParseMcpTaskId(id).has_value()) << id;
}

TEST(ResourceUriTest, OnlyWhatIsThereIsKnown) {
  using Kind = ResourceRef::Kind;
  EXPECT_EQ(ParseResource("pyro://environments").kind, Kind::kEnvironments);
  EXPECT_EQ(ParseResource("pyro://tasks").kind, Kind::kTasks);
  EXPECT_EQ(ParseResource("pyro://tasks/x").kind, Kind::kTask);
  EXPECT_EQ(ParseResource("pyro://tasks/x/logs").kind, Kind::kLogs);
  const ResourceRef command = ParseResource("pyro://tasks/x/commands/12");
  EXPECT_EQ(command.kind, Kind::kCommand);
  EXPECT_EQ(command.sequence, 12);
  EXPECT_EQ(ParseResource("pyro://tasks/x/commands/12/stderr").stream, OutputStream::kStderr);
  for (const char* uri :
       {"", "pyro://", "pyro://task", "pyro://tasks/x/", "pyro://tasks/x/commands",
        "pyro://tasks/x/commands/0", "pyro://tasks/x/commands/1/stdin",
        "pyro://tasks/x/commands/1/stdout/y", "file:///etc/passwd"}) {
    EXPECT_EQ(ParseResource(uri).kind, Kind::kUnknown) << uri;
  }
}

}  // namespace
}  // namespace pyro::mcp_server
