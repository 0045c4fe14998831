// Where an export goes to, what it replaces, and what a killed one leaves.

#include <sys/file.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "archive/formats.h"
#include "archive/stage.h"
#include "archive/test_support.h"
#include "archive/tree_extractor.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class TargetTest : public ::testing::Test {
 protected:
  TargetTest() { fs::create_directory(root_); }

  // What ChooseTarget() makes of it, as "KIND PATH", or the error's code.
  std::string Choose(const fs::path& dest, Exported what, const std::string& name = "src",
                     bool replace = false) {
    const auto target = ChooseTarget(dest, what, name, replace);
    if (!target) return std::string(ErrorCodeName(target.error().code));
    const char* const kind = target->kind == ExportKind::kDirectory ? "directory "
                             : target->kind == ExportKind::kFile    ? "file "
                                                                    : "tar ";
    return kind + target->path.lexically_relative(root_).native();
  }

  Status Export(const ExportTarget& target, std::string_view tar) {
    auto staged = Receive(FdOf(tar).get(), target);
    if (!staged) return std::move(staged).error();
    return staged->Commit();
  }

  static std::string Read(const fs::path& path) { return sys::ReadFile(path, 1 << 20).value(); }

  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(root_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  sys::TestDirectory directory_;
  const fs::path root_ = directory_.path() / "root";
};

constexpr auto kDirectory = Exported::kDirectory;
constexpr auto kFile = Exported::kFile;

TEST_F(TargetTest, AFileGoesIntoADirectoryThatIsThere) {
  fs::create_directory(root_ / "there");
  fs::create_directory_symlink("there", root_ / "link");
  EXPECT_EQ(Choose(root_ / "there", kFile, "/workspace/a.txt"), "file there/a.txt");
  EXPECT_EQ(Choose(root_ / "there/", kFile, "/workspace/a.txt"), "file there/a.txt");
  EXPECT_EQ(Choose(root_ / "link", kFile, "/workspace/a.txt"), "file link/a.txt");
  EXPECT_EQ(Choose(root_ / "new", kFile, "/workspace/a.txt"), "file new");
  EXPECT_EQ(Choose(root_ / "new/", kFile, "/workspace/a.txt"), "not_found");
  WriteFile(root_ / "there/a.txt", "x");
  EXPECT_EQ(Choose(root_ / "there", kFile, "/workspace/a.txt"), "already_exists");
  EXPECT_EQ(Choose(root_ / "there", kFile, "/workspace/a.txt", true), "file there/a.txt");
}

TEST_F(TargetTest, ADirectoryBecomesANewOneOrFillsAnEmptyOne) {
  fs::create_directories(root_ / "full/x");
  fs::create_directory(root_ / "empty.tar");
  EXPECT_EQ(Choose(root_ / "new", kDirectory), "directory new");
  EXPECT_EQ(Choose(root_ / "new/", kDirectory), "directory new/");
  EXPECT_EQ(Choose(root_ / "empty.tar", kDirectory), "directory empty.tar");
  EXPECT_EQ(Choose(root_ / "full", kDirectory), "already_exists");
  EXPECT_EQ(Choose(root_ / "full", kDirectory, "src", true), "already_exists");
}

TEST_F(TargetTest, TheNameOfAnArchiveMakesOne) {
  EXPECT_EQ(Choose(root_ / "a.tar", kDirectory), "tar a.tar");
  EXPECT_EQ(Choose(root_ / "a.TAR", kDirectory), "tar a.TAR");
  EXPECT_EQ(Choose(root_ / "a.tar.gz", kDirectory), "tar a.tar.gz");
  EXPECT_EQ(Choose(root_ / "a.tar", kFile, "notes.txt"), "tar a.tar");
  // A file that is an archive already is no archive of an archive.
  EXPECT_EQ(Choose(root_ / "a.tgz", kFile, "dist/b.tar.gz"), "file a.tgz");
  EXPECT_EQ(Choose(root_ / "a.tar", kFile, "dist/b.tar"), "file a.tar");
  EXPECT_EQ(Choose(root_ / "a.zip", kDirectory), "invalid_argument");
  EXPECT_EQ(Choose(root_ / "a.tar.lz", kDirectory), "invalid_argument");
  EXPECT_EQ(Choose(root_ / "a.zip", kFile, "b.zip"), "file a.zip");
}

TEST_F(TargetTest, ArchivesAreCompressedAsTheirNameSaysAndCanBeSeededAgain) {
  const std::string tar = TarBuilder().Add('5', "d").Add('0', "d/f", "content").Finished();
  for (const char* name : {"a.tar", "a.tar.gz", "a.TGZ", "a.tar.bz2", "a.tar.xz", "a.tar.zst"}) {
    const auto target = ChooseTarget(root_ / name, kDirectory, "src", false);
    ASSERT_TRUE(target.ok()) << name;
    ASSERT_TRUE(Export(*target, tar).ok()) << name;
    EXPECT_EQ(CompressionOf(Read(root_ / name)), CompressionOfName(name)) << name;
    const sys::UniqueFd out = FdOf("");
    const auto copied = CopyArchive(root_ / name, out.get());
    ASSERT_TRUE(copied.ok()) << copied.error().message;
    EXPECT_EQ(copied->entries, 2u);
    EXPECT_NE(ReadBack(out.get()).find("content"), std::string::npos);
  }
}

TEST_F(TargetTest, OnlyARegularFileIsReplacedAndOnlyByForce) {
  const std::string tar = TarBuilder().Add('0', "f", "new").Finished();
  WriteFile(root_ / "f", "old");
  EXPECT_EQ(Export({root_ / "f", ExportKind::kFile}, tar).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Read(root_ / "f"), "old");
  ExportTarget target{root_ / "f", ExportKind::kFile};
  target.replace = true;
  ASSERT_TRUE(Export(target, tar).ok());
  EXPECT_EQ(Read(root_ / "f"), "new");
  ASSERT_EQ(::mkfifo((root_ / "fifo").c_str(), 0600), 0);
  fs::create_symlink("nowhere", root_ / "dangling");
  for (const char* name : {"fifo", "dangling"}) {
    target.path = root_ / name;
    EXPECT_EQ(Export(target, tar).error().code, ErrorCode::kAlreadyExists) << name;
  }
  target.path = "/dev/null";
  EXPECT_EQ(CheckTarget(target).error().code, ErrorCode::kAlreadyExists);
  EXPECT_EQ(Names(), (std::vector<std::string>{"dangling", "f", "fifo"}));
}

TEST_F(TargetTest, ALinkToAFileIsFollowedAndStays) {
  WriteFile(root_ / "f", "old");
  fs::create_symlink("f", root_ / "link");
  EXPECT_EQ(Choose(root_ / "link", kFile), "already_exists");
  const auto target = ChooseTarget(root_ / "link", kFile, "src", true);
  ASSERT_TRUE(target.ok());
  ASSERT_TRUE(Export(*target, TarBuilder().Add('0', "f", "new").Finished()).ok());
  EXPECT_EQ(Read(root_ / "f"), "new");
  EXPECT_TRUE(fs::is_symlink(root_ / "link"));
}

TEST_F(TargetTest, AFileThatIsReplacedStaysUntilTheNewOneIsComplete) {
  WriteFile(root_ / "f", "old");
  ExportTarget target{root_ / "f", ExportKind::kFile};
  target.replace = true;
  const std::string tar = TarBuilder().Add('0', "f", "new").Finished();
  {
    const auto staged = Receive(FdOf(tar).get(), target);
    ASSERT_TRUE(staged.ok());
    EXPECT_EQ(Read(root_ / "f"), "old");
  }
  EXPECT_FALSE(Receive(FdOf(tar.substr(0, 600)).get(), target).ok());
  EXPECT_EQ(Read(root_ / "f"), "old");
  EXPECT_EQ(Names(), std::vector<std::string>{"f"});
}

TEST_F(TargetTest, WhatAKilledExportLeftIsRemovedByTheNext) {
  fs::path left;
  fs::path file;
  {
    auto stage = MakeStageDirectory(root_);
    ASSERT_TRUE(stage.ok());
    left = stage->path;
    fs::create_directories(left / "a/b");
    auto other = MakeStageFile(root_, 0600);
    ASSERT_TRUE(other.ok());
    file = other->path;
    // While their process lives, they stay.
    RemoveAbandonedStages(root_);
    EXPECT_TRUE(fs::exists(left));
    EXPECT_TRUE(fs::exists(file));
  }
  ASSERT_TRUE(fs::exists(left) && fs::exists(file));
  fs::create_directory(root_ / "dest");
  fs::rename(file, root_ / "dest" / file.filename());
  ASSERT_TRUE(Export({root_ / "dest", ExportKind::kDirectory}, TarBuilder().Finished()).ok())
      << "nothing but a left file was in it";
  EXPECT_EQ(Names().size(), 2u);
  ASSERT_TRUE(Export({root_ / "f", ExportKind::kFile}, TarBuilder().Add('0', "f").Finished()).ok());
  EXPECT_EQ(Names(), (std::vector<std::string>{"dest", "f"}));
}

TEST_F(TargetTest, NothingElseIsTakenForTheRestOfAnExport) {
  const auto stage = MakeStageDirectory(root_);
  ASSERT_TRUE(stage.ok());
  const std::string name = stage->path.filename();
  const std::string random = name.substr(name.rfind('-') + 1);
  const std::string prefix = name.substr(0, name.rfind('-') + 1);
  fs::create_directory(root_ / (".pyro-export-00000000-" + random));  // Of another boot.
  WriteFile(root_ / ".pyro-export-notes", "x");
  WriteFile(root_ / (prefix + "short"), "x");
  fs::create_directory(root_ / "victim");
  WriteFile(root_ / "victim/f", "x");
  fs::create_directory_symlink("victim", root_ / (prefix + std::string(26, 'a')));
  const std::size_t before = Names().size();
  RemoveAbandonedStages(root_);
  EXPECT_EQ(Names().size(), before);
  EXPECT_TRUE(fs::exists(root_ / "victim/f"));
  // Where others may rename files, one of them could have given a file this name.
  const std::string bait = prefix + std::string(26, 'b');
  WriteFile(root_ / bait, "x");
  ASSERT_EQ(::chmod(root_.c_str(), 0777), 0);
  RemoveAbandonedStages(root_);
  EXPECT_TRUE(fs::exists(root_ / bait));
  ASSERT_EQ(::chmod(root_.c_str(), 01777), 0);
  RemoveAbandonedStages(root_);
  EXPECT_FALSE(fs::exists(root_ / bait));
}

class FillTest : public TargetTest {
 protected:
  FillTest() {
    fs::create_directory(out_);
    WriteFile(out_ / "kept", "kept");
  }

  Status Fill(TarBuilder tar) {
    return Export({.path = out_, .kind = ExportKind::kDirectory, .fill = true}, tar.Finished());
  }

  const fs::path out_ = root_ / "out";
};

TEST_F(FillTest, DirectoriesThatMayNotBeWrittenToComeToAUserOtherThanRoot) {
  const bool root = ::geteuid() == 0;
  constexpr uid_t kOther = 65534;
  fs::create_directory(out_ / "there");
  for (const fs::path& path : {directory_.path(), root_, out_, out_ / "there"}) {
    ASSERT_TRUE(!root || ::chown(path.c_str(), kOther, kOther) == 0);
  }
  fs::permissions(out_ / "there", fs::perms(0750));
  if (root) ::setfsuid(kOther);  // Without root's right to write anywhere.
  const Status filled = Fill(TarBuilder()
                                 .Add('5', "./", "", "", 0555)
                                 .Add('5', "./new/", "", "", 0555)
                                 .Add('5', "./new/below/", "", "", 0555)
                                 .Add('0', "./new/below/f", "1")
                                 .Add('5', "./there/", "", "", 0555)
                                 .Add('5', "./there/new/", "", "", 0555)
                                 .Add('0', "./there/f", "2"));
  if (root) ::setfsuid(0);
  ASSERT_TRUE(filled.ok()) << filled.error().message;
  EXPECT_EQ(Read(out_ / "new/below/f") + Read(out_ / "there/f") + Read(out_ / "kept"), "12kept");
  const auto mode = [&](const char* name) { return fs::status(out_ / name).permissions(); };
  EXPECT_EQ(mode("new/below"), fs::perms(0555));
  EXPECT_EQ(mode("there/new"), fs::perms(0555));
  EXPECT_EQ(mode("there"), fs::perms(0750)) << "directories that are there keep theirs";
  for (const char* name : {"new", "new/below", "there/new"}) {
    fs::permissions(out_ / name, fs::perms(0755));
  }
}

TEST_F(FillTest, ADirectoryHasItsModesBeforeItsPlace) {
  const fs::path from = root_ / "from";
  fs::create_directories(from / "below/shut");
  for (const char* name : {"", "below", "below/shut"}) {
    fs::permissions(from / name, fs::perms(0700));
  }
  DirectoryStates states;
  states["d"] = {0750, true, 1'000'000'000, 0};
  states["d-other"] = {0711, false, 0, 0};
  states["d/below"] = {0751, false, 0, 0};
  states["d/below/shut"] = {0500, false, 0, 0};
  const auto fd = sys::OpenFile(from, O_RDONLY | O_DIRECTORY);
  bool asked = false;
  // A kill at any moment finds what this one does.
  const Status placed = PlaceDirectory(fd->get(), "d", states, out_, [&] {
    asked = true;
    struct stat info {};
    const auto mode = [&](const fs::path& path) {
      return ::lstat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
    };
    EXPECT_EQ(mode(from / "below/shut"), 0500U);
    EXPECT_EQ(mode(from / "below"), 0751U);
    EXPECT_EQ(mode(from), 0750U);
    EXPECT_EQ(info.st_mtim.tv_sec, 1'000'000'000);
    return ::rename(from.c_str(), (out_ / "d").c_str()) == 0;
  });
  ASSERT_TRUE(placed.ok()) << placed.error().message;
  EXPECT_TRUE(asked);
  ASSERT_EQ(states.size(), 1U);
  EXPECT_EQ(states.begin()->first, "d-other");
  fs::permissions(out_ / "d/below/shut", fs::perms(0700));
}

TEST_F(FillTest, AStageWithShutDirectoriesIsRemoved) {
  const bool root = ::geteuid() == 0;
  constexpr uid_t kOther = 65534;
  for (const fs::path& path : {directory_.path(), root_}) {
    ASSERT_TRUE(!root || ::chown(path.c_str(), kOther, kOther) == 0);
  }
  if (root) ::setfsuid(kOther);  // Without root's right to write anywhere.
  auto stage = MakeStageDirectory(root_);
  if (root && !stage.ok()) ::setfsuid(0);
  ASSERT_TRUE(stage.ok());
  const fs::path path = stage->path;
  for (const char* name : {"a", "a/b"}) ASSERT_EQ(::mkdir((path / name).c_str(), 0700), 0);
  WriteFile(path / "a/b/f", "x");
  for (const char* name : {"a/b", "a", ""}) ASSERT_EQ(::chmod((path / name).c_str(), 0500), 0);
  RemoveStage(std::move(*stage));
  if (root) ::setfsuid(0);
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(FillTest, WhatIsInTheWayLeavesAllAsItWas) {
  fs::create_directories(out_ / "z/file");
  const Status filled = Fill(
      TarBuilder().Add('5', "a/").Add('0', "kept", "new").Add('5', "z/").Add('0', "z/file", "x"));
  ASSERT_FALSE(filled.ok());
  EXPECT_EQ(filled.error().code, ErrorCode::kIsDirectory) << filled.error().message;
  EXPECT_EQ(Read(out_ / "kept"), "kept");
  EXPECT_FALSE(fs::exists(out_ / "a"));
  EXPECT_EQ(std::distance(fs::directory_iterator(out_), {}), 2) << "no stage is left";
}

TEST_F(FillTest, WhatHasComeBeforeAnErrorHasItsModeAndTheRestIsAsItWas) {
  const bool root = ::geteuid() == 0;
  constexpr uid_t kOther = 65534;
  for (const char* name : {"full", "rest"}) {
    fs::create_directory(out_ / name);
    fs::permissions(out_ / name, fs::perms(0555));  // No name comes to it, as on a full disk.
  }
  for (const fs::path& path : {directory_.path(), root_, out_, out_ / "full", out_ / "rest"}) {
    ASSERT_TRUE(!root || ::chown(path.c_str(), kOther, kOther) == 0);
  }
  if (root) ::setfsuid(kOther);  // Without root's right to write anywhere.
  const Status filled = Fill(TarBuilder()
                                 .Add('5', "come/", "", "", 0755)
                                 .Add('5', "come/below/", "", "", 0750)
                                 .Add('5', "full/", "", "", 0700)
                                 .Add('0', "full/f", "1")
                                 .Add('5', "rest/", "", "", 0700)
                                 .Add('5', "rest/new/", "", "", 0755));
  if (root) ::setfsuid(0);
  ASSERT_FALSE(filled.ok());
  const auto mode = [&](const char* name) { return fs::status(out_ / name).permissions(); };
  EXPECT_EQ(mode("come"), fs::perms(0755));
  EXPECT_EQ(mode("come/below"), fs::perms(0750));
  EXPECT_EQ(mode("rest"), fs::perms(0555)) << "directories that are there keep theirs";
  EXPECT_FALSE(fs::exists(out_ / "rest/new"));
  for (const char* name : {"full", "rest"}) fs::permissions(out_ / name, fs::perms(0755));
}

TEST_F(FillTest, WhatOneThatWasKilledLeftIsRemovedByTheNext) {
  fs::path left;
  {
    const auto stage = MakeStageDirectory(out_);
    ASSERT_TRUE(stage.ok());
    left = stage->path;
    fs::create_directory(left / "a");
  }
  ASSERT_TRUE(Fill(TarBuilder().Add('0', "f", "1")).ok());
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(Read(out_ / "f") + Read(out_ / "kept"), "1kept");
}

class ReceiveToTest : public ::testing::Test {
 protected:
  Result<Summary> Send(const std::string& tar, ExportKind kind, Content content = Content::kAny) {
    out_ = FdOf("");
    return ReceiveTo(FdOf(tar).get(), out_.get(), kind, content);
  }

  sys::UniqueFd out_;
};

TEST_F(ReceiveToTest, AFilesBytesComeWithItsHolesAsZeros) {
  std::string map = "1\n100000\n4\n";
  map.resize(512);
  const auto summary = Send(TarBuilder()
                                .Pax({{"GNU.sparse.major", "1"},
                                      {"GNU.sparse.minor", "0"},
                                      {"GNU.sparse.name", "x"},
                                      {"GNU.sparse.realsize", "200000"}})
                                .Add('0', "x", map + "data")
                                .Finished(),
                            ExportKind::kFile);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_TRUE(ReadBack(out_.get()) ==
              std::string(100'000, '\0') + "data" + std::string(99'996, '\0'));
  EXPECT_EQ(summary->content_bytes, 200'000u);
}

TEST_F(ReceiveToTest, ADirectoryComesAsACheckedTar) {
  const std::string tar = TarBuilder().Add('5', "d").Add('0', "d/f", "content").Finished();
  ASSERT_TRUE(Send(tar, ExportKind::kTar).ok());
  EXPECT_NE(ReadBack(out_.get()).find("content"), std::string::npos);
  EXPECT_FALSE(Send(TarBuilder().Add('0', "../x", "x").Finished(), ExportKind::kTar).ok());
  EXPECT_FALSE(Send(TarBuilder().Add('2', "x", "", "y").Finished(), ExportKind::kFile).ok());
  EXPECT_FALSE(
      Send(TarBuilder().Add('0', "x", "x").Add('0', "y", "y").Finished(), ExportKind::kFile).ok());
}

TEST_F(ReceiveToTest, ATerminalIsGivenTextAlone) {
  const auto send = [&](std::string_view content) {
    return Send(TarBuilder().Add('0', "x", content).Finished(), ExportKind::kFile, Content::kText);
  };
  ASSERT_TRUE(send("text\twith\r\ncaf\xc3\xa9\n").ok());
  EXPECT_EQ(ReadBack(out_.get()), "text\twith\r\ncaf\xc3\xa9\n");
  for (const std::string& bytes :
       {std::string("\x1b[2J"), std::string("a\0b", 3), std::string("\x7f"),
        std::string("\xc2\x9b"
                    "2J")}) {
    const auto refused = send(bytes);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(ReadBack(out_.get()), "");
  }
}

}  // namespace
}  // namespace pyro::archive
