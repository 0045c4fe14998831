#include "state/journal/command_log.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "state/journal/journal.h"
#include "state/journal/journal_line.h"
#include "state/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

CommandRecord Begun(std::int64_t sequence, std::vector<std::string> argv) {
  CommandRecord command(TestTaskId(1), sequence, TestCommand("x"));
  command.argv = std::move(argv);
  command.started_at = TestClock().Now();
  return command;
}

CommandEnd Ended(int exit_code) {
  return {.outcome = Outcome::kExited,
          .code = exit_code,
          .duration_us = 5,
          .stdout_bytes = 10,
          .ended_at = TestClock().Now(),
          .stdout_dropped = 3};
}

class CommandLogTest : public testing::Test {
 protected:
  CommandLog MustOpen() {
    auto log = CommandLog::Open(task_.path());
    EXPECT_TRUE(log.ok());
    return std::move(*log);
  }
  void WriteRaw(std::string_view bytes) {
    std::ofstream(CommandLogFile(task_.path()), std::ios::app | std::ios::binary) << bytes;
  }
  ReplayedCommands Replay() {
    auto replayed = ReplayCommands(task_.path(), TestTaskId(1), now_);
    EXPECT_TRUE(replayed.ok());
    return std::move(*replayed);
  }

  sys::TestDirectory task_;
  const WallTime now_ = TestClock().Now() + std::chrono::hours(1);
};

TEST_F(CommandLogTest, ReplaysWhatWasWritten) {
  {
    CommandLog log = MustOpen();
    EXPECT_TRUE(log.Begin(Begun(1, {"a", "\xff", "\n"})).ok());
    EXPECT_TRUE(log.Begin(Begun(2, {"b"})).ok());
    EXPECT_TRUE(log.End(2, Ended(3)).ok());
  }
  EXPECT_TRUE(MustOpen().End(1, Ended(4)).ok());
  const ReplayedCommands replayed = Replay();
  EXPECT_EQ(replayed.bad_lines, 0u);
  ASSERT_EQ(replayed.commands.size(), 2u);
  const CommandRecord& first = replayed.commands[0];
  EXPECT_EQ(first.argv, (std::vector<std::string>{"a", "\xff", "\n"}));
  EXPECT_EQ(first.cwd, "/workspace");
  EXPECT_EQ(first.timeout_ms, 30'000);
  EXPECT_EQ(first.execution_mode, ExecutionMode::kGuestVirtioSerial);
  EXPECT_EQ(first.started_at, TestClock().Now());
  EXPECT_EQ(first.end->ExitCode(), 4);
  EXPECT_EQ(first.end->kept_bytes(), 7u);
  EXPECT_EQ(replayed.commands[1].end->ExitCode(), 3);
}

TEST_F(CommandLogTest, TheLargestCommandsFitIntoALine) {
  const std::vector<std::string> many(60'000, "\x01");
  const std::vector<std::string> large(8, std::string(127 * 1024, '\x02'));
  {
    CommandLog log = MustOpen();
    EXPECT_TRUE(log.Begin(Begun(1, many)).ok());
    EXPECT_TRUE(log.Begin(Begun(2, large)).ok());
  }
  const ReplayedCommands replayed = Replay();
  ASSERT_EQ(replayed.commands.size(), 2u);
  EXPECT_EQ(replayed.commands[0].argv, many);
  EXPECT_EQ(replayed.commands[1].argv, large);
}

TEST_F(CommandLogTest, WhatNeverEndedIsInterruptedWithTheSizesOfItsFiles) {
  OutputBudget budget(0);
  for (const std::int64_t sequence : {1, 3}) {
    auto writer = JournalWriter::Open(task_.path(), sequence, budget);
    writer->Append(OutputStream::kStderr, "abc");
  }
  EXPECT_TRUE(MustOpen().Begin(Begun(1, {"a"})).ok());
  const ReplayedCommands replayed = Replay();
  ASSERT_EQ(replayed.commands.size(), 2u);
  EXPECT_EQ(replayed.commands[1].sequence, 3);  // From its directory alone.
  EXPECT_TRUE(replayed.commands[1].argv.empty());
  for (const CommandRecord& command : replayed.commands) {
    EXPECT_EQ(command.end->outcome, Outcome::kInterrupted);
    EXPECT_EQ(command.end->ExitCode(), 125);
    EXPECT_EQ(command.end->ended_at, now_);
    EXPECT_EQ(command.end->stderr_bytes, 3u);
  }
}

TEST_F(CommandLogTest, CutOffLineSpoilsNeitherTheNextNorTheOthers) {
  EXPECT_TRUE(MustOpen().Begin(Begun(1, {"a"})).ok());
  WriteRaw(R"({"event":"end","sequence":1,"outc)");
  {
    CommandLog log = MustOpen();
    EXPECT_TRUE(log.Begin(Begun(2, {"b"})).ok());
  }
  WriteRaw(R"({"event":"begin","sequence":3)");
  const ReplayedCommands replayed = Replay();
  EXPECT_EQ(replayed.bad_lines, 1u);
  ASSERT_EQ(replayed.commands.size(), 2u);
  EXPECT_EQ(replayed.commands[1].argv, std::vector<std::string>{"b"});
}

TEST_F(CommandLogTest, WhatIsToldOfAnEndIsReplayedAndLinesOfEarlierVersionsHaveNone) {
  CommandEnd end = Ended(0);
  end.output_left_open = end.disk_failed = true;
  std::string line = FormatJournalLine({.sequence = 5, .what = end});
  const auto told = ParseJournalLine(line);
  ASSERT_TRUE(told.ok());
  EXPECT_TRUE(std::get<CommandEnd>(told->what).output_left_open);
  EXPECT_TRUE(std::get<CommandEnd>(told->what).disk_failed);
  for (const std::string_view field : {"\"output_left_open\":true,", "\"disk_failed\":true,"}) {
    line.erase(line.find(field), field.size());
  }
  const auto earlier = ParseJournalLine(line);
  ASSERT_TRUE(earlier.ok()) << line;
  EXPECT_FALSE(std::get<CommandEnd>(earlier->what).output_left_open);
  EXPECT_FALSE(std::get<CommandEnd>(earlier->what).disk_failed);
}

TEST_F(CommandLogTest, ALineOfAnEarlierVersionHasNoUser) {
  const auto line = ParseJournalLine(
      R"({"argv":["sh"],"cwd":"/","event":"begin","execution_mode":"guest_virtio_serial",)"
      R"("sequence":5,"started_at_ms":1700000000123,"timeout_ms":60000})");
  ASSERT_TRUE(line.ok()) << line.error().message;
  EXPECT_EQ(std::get<CommandBegin>(line->what).user, "");
}

TEST_F(CommandLogTest, TheTextOfItsLinesStays) {
  constexpr char kBegin[] =
      R"({"argv":["sh",{"hex":"ff00"}],"cwd":"/workspace","event":"begin",)"
      R"("execution_mode":"guest_virtio_serial","sequence":5,"started_at_ms":1700000000123,)"
      R"("timeout_ms":60000,"user":"web:adm"})";
  constexpr char kEnd[] =
      R"({"code":9,"disk_failed":true,"duration_us":17,"ended_at_ms":1700000000456,"event":"end","exit_code":137,)"
      R"("outcome":"signalled","output_left_open":true,"sequence":5,"stderr_bytes":4,)"
      R"("stderr_dropped":1,"stdout_bytes":3,"stdout_dropped":2})";
  for (const char* text : {kBegin, kEnd}) {
    const auto line = ParseJournalLine(text);
    ASSERT_TRUE(line.ok()) << line.error().message;
    EXPECT_EQ(FormatJournalLine(*line), text);
  }
  const auto begin = std::get<CommandBegin>(ParseJournalLine(kBegin)->what);
  EXPECT_EQ(begin.argv, (std::vector<std::string>{"sh", std::string("\xff\0", 2)}));
  EXPECT_EQ(begin.timeout_ms, 60000);
  const auto end = std::get<CommandEnd>(ParseJournalLine(kEnd)->what);
  EXPECT_EQ(end.outcome, Outcome::kSignalled);
  EXPECT_EQ(end.stdout_dropped, 2u);
  EXPECT_EQ(end.ended_at, WallTime(std::chrono::milliseconds(1'700'000'000'456)));
}

TEST_F(CommandLogTest, HostileLinesAreLeftOut) {
  const std::string good = FormatJournalLine({.sequence = 5, .what = Ended(0)});
  const auto with = [&](std::string_view from, std::string_view to) {
    return TextWith(good, from, to);
  };
  const std::string bad[] = {
      "",
      "null",
      "{}",
      std::string("\0\0", 2),
      std::string(1000, '['),
      std::string(kMaxJournalLineBytes + 100, 'x'),
      with("\"sequence\":5", "\"sequence\":0"),
      with("\"sequence\":5", "\"sequence\":9223372036854775807"),
      with("\"sequence\":5", "\"sequence\":\"5\""),
      with("exited", "flown"),
      with("\"end\"", "\"middle\""),
      with("\"stdout_dropped\":3", "\"stdout_dropped\":11"),
      with("\"stdout_bytes\":10", "\"stdout_bytes\":-1"),
      with("\"output_left_open\":false", "\"output_left_open\":1"),
      with("\"ended_at_ms\":1", "\"ended_at_ms\":9999999999999991"),
      R"({"event":"begin","sequence":1,"argv":{},"cwd":"/","timeout_ms":0,)"
      R"("execution_mode":"pending","started_at_ms":1})",
      R"({"event":"begin","sequence":1,"argv":[{"hex":"f"}],"cwd":"/","timeout_ms":0,)"
      R"("execution_mode":"pending","started_at_ms":1})",
      R"({"event":"begin","sequence":1,"argv":[{"hex":"zz"}],"cwd":"/","timeout_ms":0,)"
      R"("execution_mode":"pending","started_at_ms":1})",
  };
  for (const std::string& line : bad) {
    EXPECT_FALSE(ParseJournalLine(line).ok()) << line.substr(0, 200);
    WriteRaw(line + "\n");
  }
  WriteRaw(good + "\n" + with("\"exit_code\":0", "\"exit_code\":9") + "\n");  // The first counts.
  const ReplayedCommands replayed = Replay();
  EXPECT_EQ(replayed.bad_lines, std::size(bad) + 1);
  ASSERT_EQ(replayed.commands.size(), 1u);
  EXPECT_EQ(replayed.commands[0].sequence, 5);
  EXPECT_EQ(replayed.commands[0].end->ExitCode(), 0);
}

TEST_F(CommandLogTest, RecoversTheEndThatTheRegistryMissed) {
  {
    CommandLog log = MustOpen();
    for (std::int64_t sequence = 1; sequence <= 12; ++sequence) {
      EXPECT_TRUE(log.Begin(Begun(sequence, {R"("sequence":2,)"})).ok());
      if (sequence == 2) continue;
      EXPECT_TRUE(log.End(sequence, Ended(static_cast<int>(sequence))).ok());
    }
  }
  EXPECT_EQ(RecoverEnd(task_.path(), 1, now_).ExitCode(), 1);
  EXPECT_EQ(RecoverEnd(task_.path(), 12, now_).outcome, Outcome::kExited);
  EXPECT_EQ(RecoverEnd(task_.path(), 2, now_).outcome, Outcome::kInterrupted);
  EXPECT_EQ(RecoverEnd(task_.path() / "nowhere", 2, now_).outcome, Outcome::kInterrupted);
}

TEST_F(CommandLogTest, EmptyTaskHasNoCommands) { EXPECT_TRUE(Replay().commands.empty()); }

}  // namespace
}  // namespace pyro::state
