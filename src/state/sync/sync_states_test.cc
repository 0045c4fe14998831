#include "state/sync/sync_states.h"

#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

namespace fs = std::filesystem;

const SyncPair kPair = {"/home/\xff/src", "/workspace"};

SyncState SomeState() {
  SyncState state;
  state.synced_at = WallTime(WallTime::duration(1'700'000'000'123));
  SyncedEntry file;
  file.mode = 0644;
  file.size = 7;
  file.digest = ~std::uint64_t{0};
  file.host = {1, -2, 3};
  file.guest = {4, 5, 6};
  state.tree["a/\n\xff"] = file;
  SyncedEntry link;
  link.type = 'l';
  link.target = "../x y";
  state.tree["l"] = link;
  return state;
}

int FilesIn(const fs::path& directory) {
  int files = 0;
  for (const auto& one : fs::directory_iterator(directory)) {
    files += one.path().filename() != ".lock";
  }
  return files;
}

TEST(SyncStatesTest, AStateIsReadAsItWasWritten) {
  const sys::TestDirectory scratch;
  const auto states = SyncStates::Begin(scratch.path(), Deadline::Never());
  ASSERT_TRUE(states.ok());
  EXPECT_FALSE(states->Read(kPair)->has_value());
  ASSERT_TRUE(states->Write(kPair, SomeState()).ok());
  const auto read = states->Read(kPair);
  ASSERT_TRUE(read.ok() && read->has_value());
  EXPECT_EQ((*read)->synced_at, SomeState().synced_at);
  ASSERT_EQ((*read)->tree.size(), 2U);
  const SyncedEntry& file = (*read)->tree.at("a/\n\xff");
  EXPECT_EQ(file.digest, ~std::uint64_t{0});
  EXPECT_EQ(file.host, (FileStamp{1, -2, 3}));
  EXPECT_EQ(file.guest, (FileStamp{4, 5, 6}));
  EXPECT_EQ((*read)->tree.at("l").target, "../x y");
  EXPECT_FALSE(states->Read({kPair.host, "/workspace/b"})->has_value());
}

TEST(SyncStatesTest, ABrokenStateIsSaidToBeOne) {
  const std::string text = SyncStateText(kPair, SomeState());
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string broken = text;
    broken[i] ^= 1;
    const auto read = ParseSyncState(kPair, broken);
    EXPECT_FALSE(read.ok()) << i;
    EXPECT_FALSE(ParseSyncState(kPair, text.substr(0, i)).ok()) << i;
  }
  EXPECT_FALSE(ParseSyncState({"/other", "/workspace"}, text)->has_value());
}

TEST(SyncStatesTest, AStateThatIsTooLargeIsBrokenAndTheNextTakesItsPlace) {
  const sys::TestDirectory scratch;
  const auto states = SyncStates::Begin(scratch.path(), Deadline::Never());
  ASSERT_TRUE(states->Write(kPair, SomeState()).ok());
  for (const auto& one : fs::directory_iterator(scratch.path() / "sync")) {
    if (one.path().filename() != ".lock") fs::resize_file(one.path(), kMaxSyncStateBytes + 1);
  }
  const auto read = states->Read(kPair);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kDataLoss) << read.error().message;
  ASSERT_TRUE(states->Write(kPair, SomeState()).ok());
  EXPECT_TRUE(states->Read(kPair)->has_value());
}

TEST(SyncStatesTest, AStateThatWouldBeTooLargeIsRefusedWithAWayOut) {
  const sys::TestDirectory scratch;
  const auto states = SyncStates::Begin(scratch.path(), Deadline::Never());
  ASSERT_TRUE(states->Write(kPair, SomeState()).ok());
  SyncState large = SomeState();
  large.tree["l"].target.assign(kMaxSyncStateBytes, 'x');
  const auto written = states->Write(kPair, large);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, ErrorCode::kLimit);
  EXPECT_NE(written.error().hint.find("exclude"), std::string::npos) << written.error().hint;
  EXPECT_TRUE(states->Read(kPair)->has_value()) << "the old one stays";
}

TEST(SyncStatesTest, WhatAKilledProcessHasLeftIsRemoved) {
  const sys::TestDirectory scratch;
  ASSERT_TRUE(SyncStates::Begin(scratch.path(), Deadline::Never())->Write(kPair, {}).ok());
  ASSERT_TRUE(
      sys::WriteFileAtomically(scratch.path() / "sync" / "0123456789abcdef.tmp-x", "half").ok());
  const auto states = SyncStates::Begin(scratch.path(), Deadline::Never());
  EXPECT_EQ(FilesIn(scratch.path() / "sync"), 1);
  EXPECT_TRUE(states->Read(kPair)->has_value());
}

TEST(SyncStatesTest, OneProcessSyncsAndTheOldestStateIsDisplaced) {
  const sys::TestDirectory scratch;
  const auto states = SyncStates::Begin(scratch.path(), Deadline::Never());
  ASSERT_TRUE(states.ok());
  const auto second = SyncStates::Begin(scratch.path(), Deadline::After({}));
  EXPECT_EQ(second ? ErrorCode::kInternal : second.error().code, ErrorCode::kTimedOut);
  for (std::size_t i = 0; i <= kMaxSyncStates; ++i) {
    ASSERT_TRUE(states->Write({fmt::format("/{}", i), "/workspace"}, SomeState()).ok());
  }
  EXPECT_EQ(FilesIn(scratch.path() / "sync"), static_cast<int>(kMaxSyncStates));
  EXPECT_TRUE(states->Read({fmt::format("/{}", kMaxSyncStates), "/workspace"})->has_value());
}

}  // namespace
}  // namespace pyro::state
