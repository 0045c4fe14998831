#include "archive/extract.h"

#include <gtest/gtest.h>

#include "archive/test_support.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class ReceiveTest : public ::testing::Test {
 protected:
  ReceiveTest() {
    fs::create_directory(outside_);
    WriteFile(outside_ / "victim", "untouched", 0640);
  }

  Result<Staged> Get(const TarBuilder& tar, ExportKind kind = ExportKind::kDirectory,
                     const Operation& operation = {}) {
    return ReceiveBytes(tar.Finished(), dest_, kind, operation);
  }

  void ExpectDone(const TarBuilder& tar, ExportKind kind = ExportKind::kDirectory) {
    auto staged = Get(tar, kind);
    ASSERT_TRUE(staged.ok()) << staged.error().message;
    ASSERT_TRUE(staged->Commit().ok());
  }

  void ExpectNothingLeft() {
    int entries = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(directory_.path())) ++entries;
    EXPECT_EQ(entries, 1);  // outside_
  }

  void ExpectRefused(const TarBuilder& tar, ErrorCode code = ErrorCode::kProtocol) {
    const auto before = Describe(outside_);
    const auto staged = Get(tar);
    ASSERT_FALSE(staged.ok());
    EXPECT_EQ(staged.error().code, code) << staged.error().message;
    EXPECT_EQ(Describe(outside_), before);
    ExpectNothingLeft();
  }

  sys::TestDirectory directory_;
  const fs::path outside_ = directory_.path() / "outside";
  const fs::path dest_ = directory_.path() / "dest";
};

TEST_F(ReceiveTest, RefusesWhatLeadsOutside) {
  const std::string out = outside_;
  ExpectRefused(TarBuilder().Add('0', "ok", "x").Add('0', out + "/x", "x"));
  ExpectRefused(TarBuilder().Add('0', "../outside/victim", "x"));
  ExpectRefused(TarBuilder().Add('0', "a/../../outside/victim", "x"));
  ExpectRefused(TarBuilder().Add('5', ".."));
  ExpectRefused(TarBuilder().Add('2', "l", "", out).Add('0', "l/victim", "x"));
  ExpectRefused(TarBuilder().Add('2', "l", "", "../outside").Add('5', "l/d"));
  ExpectRefused(TarBuilder().Add('5', "d").Add('2', "d/l", "", out).Add('0', "d/l/a/b", "x"));
  ExpectRefused(TarBuilder().Add('2', "l", "", out).Add('2', "l/m", "", "x"));
  ExpectRefused(TarBuilder().Add('1', "h", "", out + "/victim"));
  ExpectRefused(TarBuilder().Add('1', "h", "", "../outside/victim"));
  ExpectRefused(TarBuilder().Add('2', "l", "", out).Add('1', "h", "", "l/victim"));
  ExpectRefused(TarBuilder().Add('2', "l", "", out).Add('1', "m", "", "l").Add('0', "m/x", "x"));
  ExpectRefused(TarBuilder().Add('0', "f", "x").Add('0', "f/x", "x"));
  ExpectRefused(TarBuilder().Add('0', "d/f", "x").Add('2', "d", "", out).Add('0', "d/victim", "x"));
  ExpectRefused(TarBuilder().Add('1', "h", "", "missing"));
  ExpectRefused(TarBuilder().Add('0', "f", "x").Add('1', "f", "", "f"));
  ExpectRefused(TarBuilder().Add('0', "", "x"));
  ExpectRefused(TarBuilder().Add('2', "l", "", ""));
  ExpectRefused(TarBuilder().Pax({{"path", "/etc/x"}}).Add('0', "ok", "x"));
  ExpectRefused(TarBuilder().Pax({{"linkpath", "../outside/victim"}}).Add('1', "ok", "", "f"));
  std::string deep;
  for (int i = 0; i < 600; ++i) deep += "d/";
  ExpectRefused(TarBuilder().Pax({{"path", deep + "x"}}).Add('0', "x", "x"), ErrorCode::kLimit);
}

TEST_F(ReceiveTest, AFileReplacesALinkAndDoesNotWriteThroughIt) {
  const std::string victim = outside_ / "victim";
  ExpectDone(TarBuilder()
                 .Add('2', "a", "", victim)
                 .Add('0', "a", "new")
                 .Add('2', "b", "", outside_.native())
                 .Add('5', "b", "", "", 0755)
                 .Add('0', "b/victim", "new")
                 .Add('0', "c", "one")
                 .Add('1', "d", "", "c")
                 .Add('0', "c", "two"));
  EXPECT_EQ(*sys::ReadFile(victim, 100), "untouched");
  EXPECT_EQ(*sys::ReadFile(dest_ / "a", 100), "new");
  EXPECT_EQ(*sys::ReadFile(dest_ / "b/victim", 100), "new");
  EXPECT_EQ(*sys::ReadFile(dest_ / "c", 100), "two");
  EXPECT_EQ(*sys::ReadFile(dest_ / "d", 100), "one");
}

TEST_F(ReceiveTest, ModesComeWithoutSetuidAndTheOwnerIsTheCaller) {
  ExpectDone(TarBuilder()
                 .Add('5', ".", "", "", 0750)
                 .Add('0', "suid", "x", "", 06755)
                 .Add('0', "open", "x", "", 0666)
                 .Add('5', "d", "", "", 07777)
                 .Add('0', "implied/f", "x"));
  struct stat info {};
  const auto mode = [&](const char* name) {
    EXPECT_EQ(::lstat((dest_ / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_uid, ::geteuid());
    return info.st_mode & 07777u;
  };
  EXPECT_EQ(mode(""), 0750u);
  EXPECT_EQ(mode("suid"), 0755u);
  EXPECT_EQ(mode("open"), 0666u);
  EXPECT_EQ(mode("d"), 01777u);
  EXPECT_EQ(mode("implied"), 0755u);
}

TEST_F(ReceiveTest, AReadOnlyDirectoryMayStillBeFilled) {
  ExpectDone(TarBuilder()
                 .Add('5', "d", "", "", 0555)
                 .Add('5', "d/e", "", "", 0)
                 .Add('0', "d/f", "x")
                 .Add('0', "d/e/f", "x"));
  struct stat info {};
  ASSERT_EQ(::lstat((dest_ / "d").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0555u);
  EXPECT_EQ(info.st_mtim.tv_sec, 014000000000);
  for (const char* name : {"d", "d/e"}) fs::permissions(dest_ / name, fs::perms::owner_all);
  EXPECT_TRUE(fs::exists(dest_ / "d/e/f"));
}

TEST_F(ReceiveTest, SpecialFilesAreSkipped) {
  auto staged = Get(TarBuilder().Add('3', "null").Add('4', "sda").Add('6', "fifo").Add('0', "f"));
  ASSERT_TRUE(staged.ok());
  EXPECT_EQ(staged->summary().skipped, 3u);
  ASSERT_TRUE(staged->Commit().ok());
  EXPECT_EQ(Describe(dest_).size(), 2u);
}

TEST_F(ReceiveTest, HugeSizesAreAnErrorAndNoDisk) {
  for (const std::uint64_t size : {std::uint64_t{1} << 40, std::uint64_t{1} << 62, UINT64_MAX}) {
    EXPECT_FALSE(Get(TarBuilder().Header('0', "x", size).Content("x")).ok());
  }
  ExpectNothingLeft();
}

TEST_F(ReceiveTest, NothingIsLeftOfAStreamCutOffAnywhere) {
  const auto tar = TarBuilder()
                       .Add('5', "d", "", "", 0500)
                       .Add('0', "d/a", std::string(3000, 'a'))
                       .Add('0', "b");
  const std::string whole = tar.Finished();
  for (std::size_t size = 0; size <= whole.size() - 1024; size += 128) {
    for (const auto kind : {ExportKind::kDirectory, ExportKind::kTar}) {
      const auto staged = ReceiveBytes(whole.substr(0, size), dest_, kind);
      ASSERT_FALSE(staged.ok()) << size;
      EXPECT_EQ(staged.error().code, ErrorCode::kProtocol);
    }
  }
  ExpectNothingLeft();
}

TEST_F(ReceiveTest, NothingIsLeftWithoutACommit) {
  for (const auto kind : {ExportKind::kDirectory, ExportKind::kFile, ExportKind::kTar}) {
    ASSERT_TRUE(Get(TarBuilder().Add('0', "f", "x"), kind).ok());
    ExpectNothingLeft();
  }
}

TEST_F(ReceiveTest, LimitsEndIt) {
  Operation operation;
  operation.max_bytes = 1 << 20;
  const auto staged =
      Get(TarBuilder().Add('0', "f", std::string(2 << 20, 'x')), ExportKind::kDirectory, operation);
  ASSERT_FALSE(staged.ok());
  EXPECT_EQ(staged.error().code, ErrorCode::kLimit);
  ExpectNothingLeft();
}

TEST_F(ReceiveTest, OnlyWhatIsFreeIsTaken) {
  const TarBuilder tar = TarBuilder().Add('0', "f", "x");
  const auto code = [&](const fs::path& dest, ExportKind kind) {
    const auto staged = ReceiveBytes(tar.Finished(), dest, kind);
    const Status checked = CheckTarget({dest, kind});
    EXPECT_EQ(staged.ok(), checked.ok());
    if (!checked.ok()) {
      EXPECT_EQ(checked.error().code, staged.error().code);
    }
    return staged.ok() ? ErrorCode::kInternal : staged.error().code;
  };
  for (const auto kind : {ExportKind::kDirectory, ExportKind::kFile, ExportKind::kTar}) {
    EXPECT_EQ(code(outside_, kind), ErrorCode::kAlreadyExists);
    EXPECT_EQ(code(outside_ / "victim", kind), ErrorCode::kAlreadyExists);
    EXPECT_EQ(code(directory_.path() / "no/dest", kind), ErrorCode::kNotFound);
  }
  fs::create_symlink("nowhere", dest_);
  EXPECT_EQ(code(dest_, ExportKind::kDirectory), ErrorCode::kAlreadyExists);
  EXPECT_EQ(code(dest_, ExportKind::kFile), ErrorCode::kAlreadyExists);
  EXPECT_EQ(code("", ExportKind::kFile), ErrorCode::kInvalidArgument);
}

TEST_F(ReceiveTest, AnEmptyDirectoryIsFilledAndStaysTheSame) {
  fs::create_directory(dest_);
  struct stat before {};
  ASSERT_EQ(::stat(dest_.c_str(), &before), 0);
  auto staged = ReceiveBytes(TarBuilder()
                                 .Add('5', "./", "", "", 0711)
                                 .Add('5', "d", "", "", 0555)
                                 .Add('0', "d/f", "x")
                                 .Finished(),
                             dest_ / "", ExportKind::kDirectory);
  ASSERT_TRUE(staged.ok()) << staged.error().message;
  ASSERT_TRUE(staged->Commit().ok());
  struct stat after {};
  ASSERT_EQ(::stat(dest_.c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
  EXPECT_EQ(after.st_mode & 07777u, 0711u);
  EXPECT_EQ(Describe(dest_).size(), 3u);
  fs::permissions(dest_ / "d", fs::perms::owner_all);
}

TEST_F(ReceiveTest, WhatCameThereMeanwhileIsNotReplaced) {
  for (const auto kind : {ExportKind::kDirectory, ExportKind::kFile, ExportKind::kTar}) {
    auto staged = Get(TarBuilder().Add('0', "f", "x"), kind);
    ASSERT_TRUE(staged.ok());
    WriteFile(dest_, "mine");
    const Status status = staged->Commit();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kAlreadyExists);
    EXPECT_EQ(*sys::ReadFile(dest_, 100), "mine");
    fs::remove(dest_);
  }
  fs::create_directory(dest_);
  auto staged = Get(TarBuilder().Add('0', "f", "x"));
  ASSERT_TRUE(staged.ok());
  WriteFile(dest_ / "f", "mine");
  EXPECT_EQ(staged->Commit().error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(*sys::ReadFile(dest_ / "f", 100), "mine");
}

TEST_F(ReceiveTest, AFileComesAloneUnderItsNewName) {
  ExpectDone(TarBuilder().Add('0', "some/other/name", "content", "", 04751), ExportKind::kFile);
  EXPECT_EQ(*sys::ReadFile(dest_, 100), "content");
  struct stat info {};
  ASSERT_EQ(::stat(dest_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode, S_IFREG | 0751u);
  EXPECT_EQ(info.st_mtim.tv_sec, 014000000000);
  fs::remove(dest_);
  for (const TarBuilder& tar :
       {TarBuilder(), TarBuilder().Add('5', "d"), TarBuilder().Add('2', "l", "", "/etc/passwd"),
        TarBuilder().Add('0', "a", "x").Add('0', "b", "x")}) {
    EXPECT_EQ(Get(tar, ExportKind::kFile).error().code, ErrorCode::kProtocol);
  }
  ExpectNothingLeft();
}

TEST_F(ReceiveTest, ATarIsCheckedAndKeepsItsOwners) {
  ExpectDone(TarBuilder().Add('0', "f", "content"), ExportKind::kTar);
  const std::string tar = *sys::ReadFile(dest_, 1 << 20);
  EXPECT_EQ(tar.substr(108, 6), "001750");
  EXPECT_NE(tar.find("content"), std::string::npos);
  fs::remove(dest_);
  EXPECT_EQ(Get(TarBuilder().Add('0', "../f", "x"), ExportKind::kTar).error().code,
            ErrorCode::kProtocol);
  ExpectNothingLeft();
}

TEST_F(ReceiveTest, CanBeCancelledWhileTheGuestSaysNothing) {
  auto pipe = sys::MakePipe();
  auto cancel = sys::MakePipe();
  ASSERT_TRUE(sys::WriteAll(cancel->write.get(), "x").ok());
  Operation operation;
  operation.cancel_fd = cancel->read.get();
  const auto staged = Receive(pipe->read.get(), {dest_, ExportKind::kDirectory}, operation);
  ASSERT_FALSE(staged.ok());
  EXPECT_EQ(staged.error().code, ErrorCode::kCancelled);
  ExpectNothingLeft();
}

}  // namespace
}  // namespace pyro::archive
