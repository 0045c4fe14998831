#include "state/snapshot/snapshots.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

WallTime At(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

class SnapshotsTest : public ::testing::Test {
 protected:
  SnapshotsTest() { Write(task_ / "data.img", "now"); }

  static void Write(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string Read(const fs::path& path) {
    return sys::ReadFile(path, 1 << 20).value_or("(none)");
  }
  SnapshotChanges Begin() const {
    return *SnapshotChanges::Begin(task_, Deadline::After(std::chrono::seconds(60)));
  }
  Status Keep(const std::string& name, const std::string& disk, std::int64_t seconds = 1) const {
    SnapshotChanges changes = Begin();
    Write(*changes.Stage(), disk);
    return changes.Keep({.name = name, .created_at = At(seconds), .sequence = seconds});
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    const auto snapshots = ListSnapshots(task_);
    for (const Snapshot& one : *snapshots) names.push_back(one.name);
    return names;
  }
  ErrorCode CodeOf(const Status& status) const {
    return status ? ErrorCode::kInternal : status.error().code;
  }

  const sys::TestDirectory directory_;
  const fs::path task_ = directory_.path();
};

TEST_F(SnapshotsTest, NamesThatCouldBeSomethingElseAreRefused) {
  for (const char* name :
       {"", ".", "..", ".new", "-x", "_x", "a/b", "/a", "a b", "a\nb", "a\x1b[2Jb", "ä"}) {
    EXPECT_EQ(CodeOf(CheckSnapshotName(name)), ErrorCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(CodeOf(CheckSnapshotName(std::string("a\0b", 3))), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(CheckSnapshotName(std::string(kMaxSnapshotName + 1, 'a'))),
            ErrorCode::kInvalidArgument);
  for (const std::string& name :
       {std::string("a"), std::string("0.1_b-C"), std::string(kMaxSnapshotName, 'a'),
        std::string(kFirstSnapshot)}) {
    EXPECT_TRUE(CheckSnapshotName(name).ok()) << name;
  }
}

TEST_F(SnapshotsTest, OneIsListedWithItsRecordAndItsDisk) {
  EXPECT_EQ(Names(), std::vector<std::string>());
  ASSERT_TRUE(Keep("later", "2", 2).ok());
  ASSERT_TRUE(Keep("first", "1", 1).ok());
  EXPECT_EQ(Names(), (std::vector<std::string>{"first", "later"}));
  const auto read = ReadSnapshot(task_, "later");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->created_at, At(2));
  EXPECT_EQ(read->sequence, 2);
  EXPECT_EQ(Read(SnapshotImage(task_, "later")), "2");
  EXPECT_EQ(Read(task_ / "data.img"), "now");
}

TEST_F(SnapshotsTest, ANameIsTakenOnceAndANumberOfThemIsTheLimit) {
  ASSERT_TRUE(Keep("a", "old").ok());
  EXPECT_EQ(CodeOf(Keep("a", "new")), ErrorCode::kAlreadyExists);
  EXPECT_EQ(Read(SnapshotImage(task_, "a")), "old");
  for (std::size_t i = 1; i < kMaxSnapshots; ++i) {
    fs::create_directory(task_ / "snapshots" / ("n" + std::to_string(i)));
  }
  EXPECT_EQ(CodeOf(Keep("b", "more")), ErrorCode::kLimit);
}

TEST_F(SnapshotsTest, WhatAKilledCallLeftIsNoSnapshotAndGoesWithTheNext) {
  const fs::path snapshots = task_ / "snapshots";
  ASSERT_TRUE(Keep("a", "1").ok());
  { Write(*Begin().Stage(), "half"); }
  fs::create_directory(snapshots / ".gone");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
  (void)Begin();
  EXPECT_FALSE(fs::exists(snapshots / ".new"));
  EXPECT_FALSE(fs::exists(snapshots / ".gone"));
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
}

TEST_F(SnapshotsTest, OneThatIsRemovedIsGoneAlsoWithABrokenRecord) {
  ASSERT_TRUE(Keep("a", "1").ok());
  ASSERT_TRUE(Keep("b", "2").ok());
  Write(task_ / "snapshots" / "b" / "record.json", "{");
  EXPECT_EQ(Names(), std::vector<std::string>{"a"});
  EXPECT_EQ(ReadSnapshot(task_, "b").error().code, ErrorCode::kDataLoss);
  EXPECT_TRUE(Begin().Remove("a").ok());
  EXPECT_TRUE(Begin().Remove("b").ok());
  const Status again = Begin().Remove("a");
  EXPECT_EQ(CodeOf(again), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(task_ / "snapshots" / "a"));
  EXPECT_FALSE(fs::exists(task_ / "snapshots" / "b"));
}

TEST_F(SnapshotsTest, AMissingOneIsNamedWithThoseThatAreThere) {
  EXPECT_NE(ReadSnapshot(task_, "x").error().hint.find("none"), std::string::npos);
  ASSERT_TRUE(Keep("a", "1").ok());
  ASSERT_TRUE(Keep("b", "2").ok());
  EXPECT_EQ(ReadSnapshot(task_, "x").error().hint, "name one that it has: a, b");
  EXPECT_EQ(ReadSnapshot(task_, "../snapshots/a").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(SnapshotsTest, TheDiskOfAResetIsTheStagedOneAndItIsRecorded) {
  SnapshotChanges changes = Begin();
  Write(*changes.Stage(), "then");
  ASSERT_TRUE(changes.Use({.snapshot = "a", .reset_at = At(5), .sequence = 3}).ok());
  EXPECT_EQ(Read(task_ / "data.img"), "then");
  const auto resets = ReadResets(task_);
  ASSERT_TRUE(resets.ok()) << resets.error().message;
  ASSERT_EQ(resets->size(), 1U);
  EXPECT_EQ((*resets)[0].snapshot, "a");
  EXPECT_EQ((*resets)[0].sequence, 3);
  EXPECT_EQ((*resets)[0].reset_at, At(5));
  EXPECT_FALSE(fs::exists(task_ / "snapshots" / ".new"));
}

TEST_F(SnapshotsTest, AResetThatWasKilledBeforeItsDiskCameIsNone) {
  {
    SnapshotChanges changes = Begin();
    Write(*changes.Stage(), "then");
    ASSERT_TRUE(changes.Use({.snapshot = "a", .sequence = 1}).ok());
  }
  const std::string settled = Read(task_ / "resets.json");
  std::string announced = settled;
  announced.replace(announced.find("\"inode\":0"), 9, "\"inode\":7");
  Write(task_ / "resets.json", announced);
  EXPECT_EQ(ReadResets(task_)->size(), 0U);  // The disk is another file.
  SnapshotChanges changes = Begin();
  Write(*changes.Stage(), "later");
  ASSERT_TRUE(changes.Use({.snapshot = "b", .sequence = 2}).ok());
  ASSERT_EQ(ReadResets(task_)->size(), 1U);
  EXPECT_EQ((*ReadResets(task_))[0].snapshot, "b");
}

TEST_F(SnapshotsTest, TheRecordOfResetsIsBounded) {
  for (std::size_t i = 0; i < 3; ++i) {
    SnapshotChanges changes = Begin();
    Write(*changes.Stage(), "x");
    ASSERT_TRUE(changes.Use({.snapshot = "a", .sequence = static_cast<std::int64_t>(i)}).ok());
  }
  std::string text = Read(task_ / "resets.json");
  const std::size_t begin = text.find('[') + 1;
  const std::size_t end = text.find("},") + 1;
  const std::string one = text.substr(begin, end - begin);
  std::string many;
  for (std::size_t i = 3; i < kMaxResets; ++i) many += one + ",";
  text.insert(begin, many);
  Write(task_ / "resets.json", text);
  ASSERT_EQ(ReadResets(task_)->size(), kMaxResets);
  SnapshotChanges changes = Begin();
  Write(*changes.Stage(), "x");
  ASSERT_TRUE(changes.Use({.snapshot = "last", .sequence = 9}).ok());
  ASSERT_EQ(ReadResets(task_)->size(), kMaxResets);
  EXPECT_EQ(ReadResets(task_)->back().snapshot, "last");
}

TEST_F(SnapshotsTest, ABrokenRecordOfResetsIsNoEmptyOne) {
  for (const char* text : {"", "[]", R"({"schema":2,"resets":[]})", R"({"schema":1})",
                           R"({"schema":1,"resets":[{"snapshot":"a"}]})"}) {
    Write(task_ / "resets.json", text);
    EXPECT_EQ(ReadResets(task_).error().code, ErrorCode::kDataLoss) << text;
  }
}

TEST_F(SnapshotsTest, ATaskThatIsGoneDoesNotComeBack) {
  const auto changes = SnapshotChanges::Begin(task_ / "gone", Deadline::After({}));
  EXPECT_EQ(changes.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(task_ / "gone"));
}

}  // namespace
}  // namespace pyro::state
