#include "engine/task/transfer_notices.h"

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

using Notices = std::vector<std::string>;

TEST(TransferNoticesTest, NothingLeftOutIsNotSpokenOf) {
  EXPECT_EQ(SeedNotices({}, "/src"), Notices{});
  EXPECT_EQ(ExportNotices({}, wire::FileEnd()), Notices{});
}

TEST(TransferNoticesTest, WhatIsLeftOutIsNamedAndCounted) {
  archive::Summary summary;
  summary.skipped = 5;
  summary.skipped_names = {"a\x1b[2J", "b/c"};
  EXPECT_EQ(SeedNotices(summary, "/src"),
            Notices{"left out as sockets or devices: 'a\\x1b[2J', 'b/c' and 3 more"});
  summary.skipped = 2;
  EXPECT_EQ(ExportNotices(summary, wire::FileEnd()),
            Notices{"left out as FIFOs or devices: 'a\\x1b[2J', 'b/c'"});
}

TEST(TransferNoticesTest, EachKindHasItsOwnSentence) {
  archive::Summary summary;
  summary.own_names = {"state"};
  summary.changed = 1;
  summary.changed_names = {"log"};
  summary.trailing_bytes = 2048;
  EXPECT_EQ(SeedNotices(summary, "x.tar"),
            (Notices{"left out as pyro's own directories: 'state'",
                     "changed while they were copied and may be incomplete: 'log'",
                     "2.0 KiB after the end of 'x.tar' are left out, as tar does"}));
}

TEST(TransferNoticesTest, AGitRepositoryElsewhereComesWithWhatToDo) {
  archive::Summary summary;
  summary.git_outside = {{".git", "/home/me/repo/.git/worktrees/x"},
                         {"a/.git", "/workspace/.git/x"}};
  EXPECT_EQ(SeedNotices(summary, "/src"),
            Notices{"git will not work in the guest: '.git' leads to "
                    "'/home/me/repo/.git/worktrees/x', which is not copied; seed from a clone "
                    "instead ('git clone SOURCE COPY')"});
}

TEST(TransferNoticesTest, WhatTheGuestCouldNotReadAsItShouldIsNamed) {
  wire::FileEnd packed;
  packed.notes = {{wire::FileNoteKind::kSocket, 1, {{"d/sock"}}},
                  {wire::FileNoteKind::kChanged, 3, {{"a\x1b"}, {"b"}}},
                  {wire::FileNoteKind::kUnreadable, 1, {{"c"}}},
                  {wire::FileNoteKind::kAttributes, 1, {{"d"}}}};
  EXPECT_EQ(ExportNotices({}, packed),
            (Notices{"left out as sockets: 'd/sock'",
                     "changed while they were read and may be incomplete: 'a\\x1b', 'b' and 1 more",
                     "left out because the task's system cannot read them: 'c'",
                     "without extended attributes that a tar cannot hold: 'd'"}));
}

TEST(TransferNoticesTest, ABookHandsNoticesOnAndKeepsThem) {
  Notices heard;
  CallIo io;
  io.on_notice = [&](std::string_view notice) { heard.emplace_back(notice); };
  NoticeBook book(io);
  book.Io().on_notice("one");
  book.Add(Notices{"two"});
  EXPECT_EQ(heard, (Notices{"one", "two"}));
  EXPECT_EQ(book.Take(), heard);
  CallIo silent;
  NoticeBook other(silent);
  other.Add("kept");
  EXPECT_EQ(other.Take(), Notices{"kept"});
}

}  // namespace
}  // namespace pyro::engine
