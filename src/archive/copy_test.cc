#include <gtest/gtest.h>

#include <thread>

#include "archive/test_support.h"
#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

class CopyArchiveTest : public ::testing::Test {
 protected:
  Result<Summary> Copy(std::string_view bytes, const Operation& operation = {}) {
    WriteFile(file_, bytes);
    out_ = FdOf("");
    return CopyArchive(file_, out_.get(), operation);
  }
  Result<Summary> Copy(const TarBuilder& tar) { return Copy(tar.Finished()); }

  void ExpectRefused(const TarBuilder& tar) {
    const auto summary = Copy(tar);
    ASSERT_FALSE(summary.ok());
    EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(summary.error().message.find(file_.native()), std::string::npos)
        << summary.error().message;
    // Nor can a reader take what was written so far for all there is.
    EXPECT_FALSE(ReceiveBytes(ReadBack(out_.get()), dest_, ExportKind::kDirectory).ok());
  }

  void Unpack() {
    auto staged = ReceiveBytes(ReadBack(out_.get()), dest_, ExportKind::kDirectory);
    ASSERT_TRUE(staged.ok()) << staged.error().message;
    ASSERT_TRUE(staged->Commit().ok());
  }

  sys::TestDirectory directory_;
  const fs::path file_ = directory_.path() / "input.tar";
  const fs::path dest_ = directory_.path() / "dest";
  sys::UniqueFd out_;
};

TEST_F(CopyArchiveTest, AnErrorHasTheNameThatTheCallerGives) {
  WriteFile(file_, "no tar");
  out_ = FdOf("");
  EXPECT_EQ(CopyArchive(file_, out_.get(), {}, {}, "-").error().message.substr(0, 5), "'-': ");
}

TEST_F(CopyArchiveTest, AnArchiveOfANastyTreeIsTheSameAfterwards) {
  const fs::path source = directory_.path() / "source";
  fs::create_directory(source);
  MakeNastyTree(source);
  const sys::UniqueFd packed = FdOf("");
  ASSERT_TRUE(WriteTree(source, packed.get()).ok());
  const std::string tar = ReadBack(packed.get());
  ASSERT_TRUE(Copy(tar).ok());
  EXPECT_TRUE(ReadBack(out_.get()) == tar);
  ASSERT_TRUE(Copy(Compress(tar)).ok());
  EXPECT_TRUE(ReadBack(out_.get()) == tar);
  fs::permissions(source / "a/b", fs::perms::owner_all);
}

TEST_F(CopyArchiveTest, OwnersBecomeRootAndNamesClean) {
  ASSERT_TRUE(Copy(TarBuilder()
                       .Add('5', "./", "", "", 0755)
                       .Add('5', ".//a/./", "", "", 0755)
                       .Add('0', "a//f", "x", "", 04755))
                  .ok());
  const std::string tar = ReadBack(out_.get());
  EXPECT_NE(tar.find("a/f"), std::string::npos);
  EXPECT_EQ(tar.find("0001750"), std::string::npos);
  EXPECT_NE(tar.find("004755"), std::string::npos);
}

TEST_F(CopyArchiveTest, APipeIsCopiedWithItsOwnersCompressedOrNot) {
  const std::string tar = TarBuilder().Add('0', "f", std::string(200'000, 'x')).Finished();
  for (const std::string& bytes : {tar, Compress(tar), tar.substr(0, 5000), std::string()}) {
    sys::Pipe in = *sys::MakePipe();
    std::thread writer([&] {
      (void)sys::WriteAll(in.write.get(), bytes);
      in.write.Reset();
    });
    out_ = FdOf("");
    const auto summary = CopyStream(in.read.get(), out_.get());
    in.read.Reset();
    writer.join();
    const bool whole = bytes.size() != 5000 && !bytes.empty();
    ASSERT_EQ(summary.ok(), whole);
    if (whole) {
      Unpack();
    } else {
      EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
    }
    fs::remove_all(dest_);
  }
  // A reader that goes away ends it, although nothing comes.
  sys::Pipe silent = *sys::MakePipe();
  sys::Pipe out = *sys::MakePipe();
  out.read.Reset();
  EXPECT_EQ(CopyStream(silent.read.get(), out.write.get()).error().sys_errno, EPIPE);
}

TEST_F(CopyArchiveTest, DevicesAreSkipped) {
  const auto summary = Copy(TarBuilder().Add('3', "dev/null").Add('4', "dev/sda").Add('6', "fifo"));
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->skipped, 2u);
  EXPECT_EQ(summary->skipped_names, (std::vector<std::string>{"dev/null", "dev/sda"}));
}

TEST_F(CopyArchiveTest, RefusesWhatLeadsOutside) {
  ExpectRefused(TarBuilder().Add('0', "/etc/x", "x"));
  ExpectRefused(TarBuilder().Add('0', "../x", "x"));
  ExpectRefused(TarBuilder().Add('0', "a/../../x", "x"));
  ExpectRefused(TarBuilder().Add('0', "ok", "x").Add('5', "a/.."));
  ExpectRefused(TarBuilder().Add('2', "l", "", "/etc").Add('0', "l/x", "x"));
  ExpectRefused(TarBuilder().Add('2', "./a/l", "", "..").Add('0', "a//l/b/x", "x"));
  ExpectRefused(TarBuilder().Add('2', "l", "", "/etc").Add('1', "x", "", "l/passwd"));
  ExpectRefused(TarBuilder().Add('2', "l", "", "/").Add('1', "m", "", "l").Add('0', "m/x", "x"));
  ExpectRefused(TarBuilder().Add('1', "x", "", "/etc/passwd"));
  ExpectRefused(TarBuilder().Add('1', "x", "", "../passwd"));
  ExpectRefused(TarBuilder().Add('0', ".", "x"));
  ExpectRefused(TarBuilder().Pax({{"path", std::string(5000, 'x')}}).Add('0', "x", "x"));
  ExpectRefused(TarBuilder().Pax({{"path", std::string(300, 'x')}}).Add('0', "x", "x"));
}

TEST_F(CopyArchiveTest, LinksAndWhatIsBesideThemAreFine) {
  ASSERT_TRUE(Copy(TarBuilder()
                       .Add('0', "f", "x")
                       .Add('2', "l", "", "/etc/passwd")
                       .Add('2', "m", "", "../../up")
                       .Add('0', "lx/y", "x")
                       .Add('1', "h", "", "./f")
                       .Add('1', "lh", "", "l"))
                  .ok());
  Unpack();
  EXPECT_EQ(fs::hard_link_count(dest_ / "f"), 2u);
  EXPECT_EQ(fs::read_symlink(dest_ / "lh"), "/etc/passwd");
}

TEST_F(CopyArchiveTest, RefusesWhatIsBrokenOrCutOffAnywhere) {
  const std::string whole =
      TarBuilder().Add('0', "a", std::string(3000, 'a')).Add('0', "b", "b").Finished();
  ASSERT_TRUE(Copy(whole).ok());
  // The end mark is two blocks, which the padding before them may stand for.
  for (std::size_t size = 0; size <= whole.size() - 1024; size += 256) {
    const auto summary = Copy(whole.substr(0, size));
    ASSERT_FALSE(summary.ok()) << size;
    EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument) << size;
  }
  const std::string gzip = Compress(whole);
  for (std::size_t size = 0; size < gzip.size(); ++size) {
    const auto summary = Copy(gzip.substr(0, size));
    ASSERT_FALSE(summary.ok()) << size;
    EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument) << size;
  }
  for (const std::string& bytes : {std::string(5000, 'x'), std::string("PK\3\4"), gzip + "x"}) {
    const auto summary = Copy(bytes);
    if (!summary.ok()) {
      EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
    }
  }
  EXPECT_FALSE(Copy(std::string(5000, 'x')).ok());
  EXPECT_FALSE(Copy(Compress(std::string(5000, 'x'))).ok());
}

TEST_F(CopyArchiveTest, ImpossibleSizesAreRefused) {
  for (const std::uint64_t size : {std::uint64_t{1} << 40, std::uint64_t{1} << 62, UINT64_MAX}) {
    const auto summary = Copy(TarBuilder().Header('0', "x", size).Content("x"));
    ASSERT_FALSE(summary.ok());
    EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST_F(CopyArchiveTest, ABombStopsAtTheLimit) {
  std::string bomb = TarBuilder().Header('0', "zeros", 64 << 20).Unfinished();
  bomb.resize(bomb.size() + (64 << 20) + 1024);
  const std::string gzip = Compress(bomb);
  ASSERT_LT(gzip.size(), 1u << 20);
  Operation operation;
  operation.max_bytes = 8 << 20;
  const auto summary = Copy(gzip, operation);
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kLimit);
  EXPECT_LT(fs::file_size(fmt::format("/proc/self/fd/{}", out_.get())), 9u << 20);
}

TEST_F(CopyArchiveTest, AHeaderThatGoesOnForEverIsRefused) {
  // A map of holes, which a reader has to keep in memory.
  std::string map = "99999999999\n";
  while (map.size() < (40 << 20)) map += "1\n0\n";
  const auto tar = TarBuilder()
                       .Pax({{"GNU.sparse.major", "1"},
                             {"GNU.sparse.minor", "0"},
                             {"GNU.sparse.name", "x"},
                             {"GNU.sparse.realsize", "100"}})
                       .Add('0', "x", map);
  const auto summary = Copy(Compress(tar.Finished()));
  ASSERT_FALSE(summary.ok());
  EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(summary.error().message.find("header"), std::string::npos) << summary.error().message;
}

TEST_F(CopyArchiveTest, AFewBytesDoNotStandForAnyNumberOfZeros) {
  const std::map<std::string, std::string> sparse = {{"GNU.sparse.major", "1"},
                                                     {"GNU.sparse.minor", "0"},
                                                     {"GNU.sparse.name", "x"},
                                                     {"GNU.sparse.realsize", "8796093022208"}};
  std::string map = "1\n0\n8796093022208\n";
  map.resize(512);
  ExpectRefused(TarBuilder().Pax(sparse).Add('0', "x", map + "data"));
  // As one hole it may be of any size that a file system has.
  map = "1\n0\n4\n";
  map.resize(512);
  TarBuilder tar;
  for (int i = 0; i < 100; ++i) tar.Pax(sparse).Add('0', "x", map + "data");
  ASSERT_TRUE(Copy(tar).ok());
  EXPECT_LT(ReadBack(out_.get()).size(), 1u << 20);
}

}  // namespace
}  // namespace pyro::archive
