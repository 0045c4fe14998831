#include "state/journal/journal.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include <gtest/gtest.h>

#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;
using enum OutputStream;

std::string Whole(const fs::path& task, std::int64_t sequence, OutputStream stream) {
  auto text = ReadOutput(task, sequence, stream, 0, 1 << 20);
  return text ? *text : text.error().message;
}

TEST(JournalTest, KeepsBothStreamsForTheOwnerOnly) {
  const sys::TestDirectory task;
  OutputBudget budget(0);
  auto writer = JournalWriter::Open(task.path(), 12, budget);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  EXPECT_EQ(writer->Append(kStdout, "hello "), 6u);
  EXPECT_EQ(writer->Append(kStderr, std::string("\0\xff", 2)), 2u);
  EXPECT_EQ(Whole(task.path(), 12, kStdout), "hello ");  // At once, not only at the end.
  EXPECT_EQ(writer->Append(kStdout, "world"), 5u);
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_TRUE(writer->Finish().ok());
  EXPECT_EQ(Whole(task.path(), 12, kStdout), "hello world");
  EXPECT_EQ(Whole(task.path(), 12, kStderr), std::string("\0\xff", 2));
  EXPECT_EQ(writer->bytes(kStdout), 11u);
  EXPECT_EQ(writer->dropped(kStdout), 0u);
  EXPECT_EQ(budget.used(), 13u);
  EXPECT_EQ(ReadOutputSizes(task.path(), 12)->stdout_bytes, 11u);
  EXPECT_EQ(ReadOutputSizes(task.path(), 12)->stderr_bytes, 2u);
  EXPECT_EQ(fs::status(CommandDirectory(task.path(), 12)).permissions(), fs::perms(0700));
  for (const OutputStream stream : {kStdout, kStderr}) {
    EXPECT_EQ(fs::status(OutputFile(task.path(), 12, stream)).permissions(), fs::perms(0600));
  }
  EXPECT_EQ(JournalWriter::Open(task.path(), 12, budget).error().code, ErrorCode::kAlreadyExists);
}

TEST(JournalTest, OneBudgetBoundsAllCommandsAndSaysSoOncePerStream) {
  const sys::TestDirectory task;
  OutputBudget budget(90, 100);
  auto first = JournalWriter::Open(task.path(), 1, budget);
  auto second = JournalWriter::Open(task.path(), 2, budget);
  EXPECT_EQ(first->Append(kStdout, "123456"), 6u);
  EXPECT_EQ(second->Append(kStdout, "abcdef"), 4u);
  EXPECT_EQ(second->Append(kStdout, "more"), 0u);
  EXPECT_EQ(first->Append(kStdout, "x"), 0u);
  EXPECT_TRUE(first->Finish().ok());
  EXPECT_TRUE(second->Finish().ok());
  EXPECT_EQ(second->bytes(kStdout), 10u);
  EXPECT_EQ(second->dropped(kStdout), 6u);
  EXPECT_EQ(budget.used(), 100u);
  const std::string marker =
      "\n[pyro: the task's output limit of 100 bytes was reached; what followed was dropped]\n";
  EXPECT_EQ(Whole(task.path(), 1, kStdout), "123456" + marker);
  EXPECT_EQ(Whole(task.path(), 2, kStdout), "abcd" + marker);
  EXPECT_EQ(Whole(task.path(), 2, kStderr), "");
}

TEST(JournalTest, AStreamThatHasDroppedStaysDroppedThoughThereIsRoomAgain) {
  const sys::TestDirectory task;
  OutputBudget budget(0, 4);
  auto writer = JournalWriter::Open(task.path(), 1, budget);
  EXPECT_EQ(writer->Append(kStdout, "12345"), 4u);
  budget.GiveBack(3);
  EXPECT_EQ(writer->Append(kStdout, "6"), 0u);
  EXPECT_EQ(writer->Append(kStderr, "e"), 1u);
}

TEST(JournalTest, AClosedBudgetCutsEveryStreamAndSaysWhy) {
  const sys::TestDirectory task;
  OutputBudget budget(0);
  auto writer = JournalWriter::Open(task.path(), 1, budget);
  EXPECT_EQ(writer->Append(kStdout, "kept"), 4u);
  budget.Close(ENOSPC);
  EXPECT_EQ(writer->Append(kStdout, "lost"), 0u);
  EXPECT_EQ(writer->Append(kStderr, "lost"), 0u);
  budget.Reopen();
  auto next = JournalWriter::Open(task.path(), 2, budget);
  EXPECT_EQ(next->Append(kStdout, "kept"), 4u);
  EXPECT_FALSE(writer->owes_marker());
  EXPECT_TRUE(writer->Finish());
  const std::string marker =
      "\n[pyro: the task's output could not be written: no space left on device; what followed was "
      "dropped]\n";
  EXPECT_EQ(Whole(task.path(), 1, kStdout), "kept" + marker);
  EXPECT_EQ(Whole(task.path(), 1, kStderr), marker);
  EXPECT_EQ(Whole(task.path(), 2, kStdout), "kept");
  EXPECT_EQ(budget.used(), 8u);
}

TEST(JournalTest, FullDiskDropsAndNeverFails) {
  // A file that may not grow fails its writes as a full disk does.
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const sys::TestDirectory task;
  OutputBudget budget(0);
  auto writer = JournalWriter::Open(task.path(), 1, budget);
  ASSERT_TRUE(writer.ok());
  const struct rlimit small = {.rlim_cur = 8, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::size_t kept = writer->Append(kStdout, "0123456789");
  const std::size_t kept_later = writer->Append(kStdout, "more");
  const bool owed = writer->owes_marker();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  const Status finished = writer->Finish();  // There is room again, for what is said about it.
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(kept, 8u);
  EXPECT_EQ(kept_later, 0u);
  EXPECT_TRUE(owed);
  EXPECT_FALSE(writer->owes_marker());
  EXPECT_TRUE(finished.ok());
  EXPECT_EQ(writer->dropped(kStdout), 6u);
  EXPECT_EQ(budget.used(), 8u);
  EXPECT_EQ(Whole(task.path(), 1, kStdout),
            "01234567\n[pyro: the task's output could not be written: file too large; what "
            "followed was dropped]\n");
}

TEST(JournalTest, ReadsRangesAndEnds) {
  const sys::TestDirectory task;
  OutputBudget budget(0);
  auto writer = JournalWriter::Open(task.path(), 1, budget);
  writer->Append(kStdout, "0123456789");
  const auto range = [&](std::uint64_t offset, std::size_t max) {
    return *ReadOutput(task.path(), 1, kStdout, offset, max);
  };
  EXPECT_EQ(range(0, 4), "0123");
  EXPECT_EQ(range(8, 4), "89");
  EXPECT_EQ(range(10, 4), "");
  EXPECT_EQ(range(UINT64_MAX, 4), "");
  EXPECT_EQ(*ReadOutput(task.path(), 2, kStdout, 0, 4), "");
  EXPECT_EQ(ReadOutputSizes(task.path(), 2)->stdout_bytes, 0u);

  const auto all = ReadOutputEnds(task.path(), 1, kStdout, 10);
  EXPECT_EQ(all->text, "0123456789");
  EXPECT_FALSE(all->truncated);
  const auto ends = ReadOutputEnds(task.path(), 1, kStdout, 5);
  EXPECT_EQ(ends->text, "01\n[… 5 bytes left out …]\n789");
  EXPECT_EQ(ends->bytes, 10u);
  EXPECT_TRUE(ends->truncated);
}

TEST(DeniedTest, WhatWasRefusedIsKeptBesideTheOutputAndCounted) {
  const sys::TestDirectory directory;
  OutputBudget budget(0);
  ASSERT_TRUE(JournalWriter::Open(directory.path(), 1, budget).ok());
  std::vector<Denied> denied;
  const Denied one{.host = "a.example",
                   .address = "198.51.100.7",
                   .port = 443,
                   .protocol = "tcp",
                   .reason = "not_allowed",
                   .why = "no rule allows it",
                   .rule = "a.example:443"};
  AddDenied(denied, one);
  AddDenied(denied, one);
  for (std::int64_t port = 1; port <= 100; ++port) {
    Denied other = one;
    other.port = port;
    AddDenied(denied, other);
  }
  EXPECT_EQ(denied.size(), kMaxDenied);
  WriteDenied(directory.path(), 1, denied);
  const auto read = ReadDenied(directory.path(), 1);
  ASSERT_EQ(read.size(), kMaxDenied);
  EXPECT_EQ(read[0].count, 2);
  EXPECT_EQ(read[0].host, "a.example");
  EXPECT_EQ(read[0].rule, "a.example:443");
  EXPECT_TRUE(ReadDenied(directory.path(), 2).empty());
  EXPECT_TRUE(ParseDenied("{\"denied\": [{}]}").empty());

  WriteGuestDenied(directory.path(), denied);
  EXPECT_EQ(ReadGuestDenied(directory.path()).size(), kMaxDenied);
  ForgetGuestDenied(directory.path());
  EXPECT_TRUE(ReadGuestDenied(directory.path()).empty());
}

}  // namespace
}  // namespace pyro::state
