// Archives that are damaged where only a checksum shows it, and those that only look damaged.

#include <gtest/gtest.h>

#include "archive/formats.h"
#include "archive/test_support.h"
#include "sys/test_directory.h"

namespace pyro::archive {
namespace {

namespace fs = std::filesystem;

constexpr Compression kCompressions[] = {Compression::kGzip, Compression::kBzip2, Compression::kXz,
                                         Compression::kZstd};

std::string RandomBytes(std::size_t size) {
  std::string bytes;
  std::uint32_t state = 1;
  while (bytes.size() < size)
    bytes += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return bytes;
}

class DamageTest : public ::testing::Test {
 protected:
  Result<Summary> Copy(std::string_view bytes, const Operation& operation = {}) {
    WriteFile(file_, bytes);
    out_ = FdOf("");
    return CopyArchive(file_, out_.get(), operation);
  }

  void ExpectRefused(std::string_view bytes, std::string_view why) {
    const auto summary = Copy(bytes);
    ASSERT_FALSE(summary.ok());
    EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(summary.error().message.find(why), std::string::npos) << summary.error().message;
    EXPECT_NE(summary.error().message.find(file_.native()), std::string::npos);
    EXPECT_FALSE(ReceiveBytes(ReadBack(out_.get()), dest_, ExportKind::kDirectory).ok());
  }

  // The bytes are taken, and what comes of them is the same as of `tar`.
  void ExpectSameAs(std::string_view tar, std::string_view bytes) {
    ASSERT_TRUE(Copy(tar).ok());
    const std::string expected = ReadBack(out_.get());
    const auto summary = Copy(bytes);
    ASSERT_TRUE(summary.ok()) << summary.error().message;
    EXPECT_TRUE(ReadBack(out_.get()) == expected);
  }

  void Unpack() {
    auto staged = ReceiveBytes(ReadBack(out_.get()), dest_, ExportKind::kDirectory);
    ASSERT_TRUE(staged.ok()) << staged.error().message;
    ASSERT_TRUE(staged->Commit().ok());
  }

  sys::TestDirectory directory_;
  const fs::path file_ = directory_.path() / "input";
  const fs::path dest_ = directory_.path() / "dest";
  const std::string tar_ = TarBuilder()
                               .Add('0', "a", RandomBytes(200'000))
                               .Add('0', "b", std::string(5000, 'b'))
                               .Finished();
  sys::UniqueFd out_;
};

TEST_F(DamageTest, EveryCompressionIsTakenUnderAnyName) {
  for (const Compression compression : kCompressions) {
    const std::string packed = Compress(tar_, compression);
    EXPECT_EQ(CompressionOf(packed), compression);
    ExpectSameAs(tar_, packed);
  }
}

TEST_F(DamageTest, SeveralMembersAreOneStream) {
  const std::string_view tar = tar_;
  for (const Compression compression : kCompressions) {
    ExpectSameAs(tar_, Compress(tar.substr(0, 77'777), compression) + Compress("", compression) +
                           Compress(tar.substr(77'777), compression));
  }
}

TEST_F(DamageTest, OneChangedByteInAStoredBlockOfGzipIsFound) {
  const std::string whole = Compress(tar_, Compression::kGzip, "0");
  ASSERT_TRUE(Copy(whole).ok());
  for (const std::size_t at : {std::size_t{2000}, std::size_t{100'000}, whole.size() - 2000}) {
    std::string changed = whole;
    changed[at] ^= 1;
    ASSERT_GT(whole.size(), tar_.size()) << "nothing is compressed";
    ExpectRefused(changed, "gzip data is damaged");
  }
}

TEST_F(DamageTest, AWrongChecksumOrLengthBehindGzipDataIsFound) {
  const std::string whole = Compress(tar_, Compression::kGzip);
  for (std::size_t back = 1; back <= 8; ++back) {
    std::string changed = whole;
    changed[whole.size() - back] ^= 0x40;
    ExpectRefused(changed, "gzip data is damaged");
  }
  // Nor is that of an earlier member overlooked.
  const std::string_view tar = tar_;
  std::string first = Compress(tar.substr(0, 1000), Compression::kGzip);
  first[first.size() - 6] ^= 1;
  ExpectRefused(first + Compress(tar.substr(1000), Compression::kGzip), "gzip data is damaged");
}

TEST_F(DamageTest, OneChangedByteAnywhereIsFoundOrChangesNothing) {
  const std::string tar = TarBuilder().Add('0', "a", RandomBytes(300)).Finished();
  for (const Compression compression :
       {Compression::kGzip, Compression::kBzip2, Compression::kXz}) {
    const std::string whole = Compress(tar, compression);
    ASSERT_TRUE(Copy(whole).ok());
    const std::string expected = ReadBack(out_.get());
    std::size_t found = 0;
    for (std::size_t at = 0; at < whole.size(); at += 3) {
      std::string changed = whole;
      changed[at] ^= 0x10;
      // The time in gzip's header, or the length of a code that is not used, say nothing.
      if (Copy(changed).ok()) {
        EXPECT_TRUE(ReadBack(out_.get()) == expected) << at;
      } else {
        ++found;
      }
    }
    EXPECT_GT(found, whole.size() / 3 - 20);
  }
}

// libarchive writes no checksum of the content, as zstd(1) does. The test makes the frame by
// hand, of stored blocks.
TEST_F(DamageTest, AWrongChecksumOfZstdIsFound) {
  std::string frame("\x28\xb5\x2f\xfd");
  frame += static_cast<char>(0x84);  // A size of 4 bytes, and a checksum.
  frame += static_cast<char>(0x60);  // Window of 4 MiB.
  const auto size = static_cast<std::uint32_t>(tar_.size());
  for (int i = 0; i < 4; ++i) frame += static_cast<char>(size >> (8 * i));
  for (std::size_t at = 0; at < tar_.size(); at += 100'000) {
    const std::string block = tar_.substr(at, 100'000);
    const auto header =
        static_cast<std::uint32_t>(block.size() << 3 | (at + 100'000 >= tar_.size() ? 1 : 0));
    for (int i = 0; i < 3; ++i) frame += static_cast<char>(header >> (8 * i));
    frame += block;
  }
  ExpectRefused(frame + "0000", "zstd data is damaged");
  frame[4] = static_cast<char>(0x80);  // No checksum, and all the rest is right.
  ExpectSameAs(tar_, frame);
}

TEST_F(DamageTest, WhatFollowsCompressedDataIsRefusedAndZerosAreNot) {
  for (const Compression compression : kCompressions) {
    const std::string whole = Compress(tar_, compression);
    for (const std::string& more : {std::string("x"), std::string(100'000, 'x'), tar_}) {
      EXPECT_FALSE(Copy(whole + more).ok());
      EXPECT_EQ(Copy(whole + more).error().code, ErrorCode::kInvalidArgument);
    }
  }
  const std::string gzip = Compress(tar_, Compression::kGzip);
  ExpectRefused(gzip + "x", "is followed by something else");
  ExpectSameAs(tar_, gzip + std::string(10'240, '\0'));
  ExpectRefused(gzip + std::string(512, '\0') + "x", "is followed by something else");
  ExpectSameAs(tar_, Compress(tar_, Compression::kXz) + std::string(8, '\0'));
}

TEST_F(DamageTest, DataThatIsCutOffAnywhereIsRefused) {
  const std::string tar = TarBuilder().Add('0', "a", RandomBytes(700)).Finished();
  for (const Compression compression : kCompressions) {
    const std::string whole = Compress(tar, compression);
    for (std::size_t size = 0; size < whole.size(); size += 7) {
      const auto summary = Copy(whole.substr(0, size));
      ASSERT_FALSE(summary.ok()) << size;
      EXPECT_EQ(summary.error().code, ErrorCode::kInvalidArgument) << size;
    }
  }
}

TEST_F(DamageTest, ABombStopsAtTheLimitInEveryCompression) {
  std::string bomb = TarBuilder().Header('0', "zeros", 24 << 20).Unfinished();
  bomb.resize(bomb.size() + (24 << 20) + 1024);
  Operation operation;
  operation.max_bytes = 4 << 20;
  for (const Compression compression : kCompressions) {
    const std::string packed = Compress(bomb, compression);
    ASSERT_LT(packed.size(), 1u << 20);
    const auto summary = Copy(packed, operation);
    ASSERT_FALSE(summary.ok());
    EXPECT_EQ(summary.error().code, ErrorCode::kLimit);
    EXPECT_LT(fs::file_size(fmt::format("/proc/self/fd/{}", out_.get())), 5u << 20);
  }
}

TEST_F(DamageTest, WhatIsCompressedTwiceIsNoArchive) {
  for (const Compression compression : kCompressions) {
    EXPECT_FALSE(Copy(Compress(Compress(tar_, compression), compression)).ok());
  }
}

TEST_F(DamageTest, AWrongChecksumOfATarHeaderIsFound) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{100}, std::size_t{140}}) {
    std::string changed = tar_;
    changed[at] ^= 1;
    EXPECT_FALSE(Copy(changed).ok()) << at;
  }
  std::string second = tar_;
  second[512 + (200'000 + 511) / 512 * 512] ^= 1;
  EXPECT_FALSE(Copy(second).ok());
}

TEST_F(DamageTest, BytesAfterTheEndMarkAreLeftOutAndCounted) {
  const std::string more = "what follows";
  const auto summary = Copy(tar_ + more);
  ASSERT_TRUE(summary.ok()) << summary.error().message;
  EXPECT_EQ(summary->trailing_bytes, more.size());
  ExpectSameAs(tar_, tar_ + more);
  // As of two tars one after the other, of which tar reads the first one.
  const auto two = Copy(tar_ + tar_);
  ASSERT_TRUE(two.ok());
  EXPECT_EQ(two->trailing_bytes, tar_.size());
  const auto zeros = Copy(tar_ + std::string(100'000, '\0'));
  ASSERT_TRUE(zeros.ok());
  EXPECT_EQ(zeros->trailing_bytes, 0u);
}

TEST_F(DamageTest, AnEndMarkIsNotMistakenForContent) {
  const std::string entry = TarBuilder().Add('0', "zeros", std::string(4096, '\0')).Unfinished();
  ExpectRefused(entry, "cut off");
  const std::string zeros(512, '\0');
  EXPECT_TRUE(Copy(entry + zeros).ok());
  EXPECT_TRUE(Copy(entry + zeros + zeros).ok());
  ExpectRefused(entry + zeros + entry + zeros + zeros, "a block of zeros is in its middle");
  ExpectRefused(TarBuilder().Pax({{"path", "x"}}).Unfinished(), "broken archive");
  EXPECT_TRUE(Copy(TarBuilder().Finished()).ok()) << "an archive without entries";
}

TEST_F(DamageTest, OtherFormatsAreNamed) {
  ExpectRefused(std::string("PK\3\4") + std::string(5000, 'x'), "of the format zip");
  ExpectRefused(std::string("LZIP\1") + std::string(5000, 'x'), "of the format lzip");
  // A tar may begin with a name like that.
  EXPECT_TRUE(Copy(TarBuilder().Add('0', "LZIP notes", "x").Finished()).ok());
  EXPECT_TRUE(Copy(TarBuilder().Add('0', "BZh9 notes", "x").Finished()).ok());
}

TEST_F(DamageTest, GlobalAttributesHoldForEveryEntryWithoutItsOwn) {
  ASSERT_TRUE(Copy(TarBuilder()
                       .Global({{"mtime", "1234567890.5"}, {"comment", "of git archive"}})
                       .Add('0', "a", "a")
                       .Pax({{"mtime", "5"}})
                       .Add('0', "b", "b")
                       .Global({{"mtime", ""}, {"path", "named"}})
                       .Add('0', "c", "c")
                       .Pax({{"path", "own"}})
                       .Add('0', "d", "d")
                       .Global({{"path", ""}, {"linkpath", "own"}})
                       .Add('2', "l", "", "elsewhere")
                       .Finished())
                  .ok());
  Unpack();
  const auto seconds = [&](const char* name) {
    struct stat info {};
    EXPECT_EQ(::lstat((dest_ / name).c_str(), &info), 0) << name;
    return std::pair(info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  };
  EXPECT_EQ(seconds("a"), std::pair(time_t{1234567890}, 500'000'000L));
  EXPECT_EQ(seconds("b"), std::pair(time_t{5}, 0L));
  EXPECT_EQ(seconds("named"), std::pair(time_t{1610612736}, 0L));
  EXPECT_TRUE(fs::exists(dest_ / "own"));
  EXPECT_FALSE(fs::exists(dest_ / "c"));
  EXPECT_EQ(fs::read_symlink(dest_ / "l"), "own");
}

TEST_F(DamageTest, GlobalAttributesLeadNowhereElse) {
  for (const std::string name : {"/etc/x", "../x", "a/../../x"}) {
    EXPECT_FALSE(Copy(TarBuilder().Global({{"path", name}}).Add('0', "x", "x").Finished()).ok());
  }
  EXPECT_FALSE(
      Copy(TarBuilder().Global({{"linkpath", "/etc/x"}}).Add('1', "x", "", "y").Finished()).ok());
  ExpectRefused(TarBuilder().Global({{"size", "0"}}).Add('0', "x", "x").Finished(), "sets 'size'");
  ExpectRefused(TarBuilder().Global({{"GNU.sparse.major", "1"}}).Add('0', "x", "x").Finished(),
                "sets 'GNU.sparse.major'");
  ExpectRefused(TarBuilder().Add('g', "pax", "99 path=x\n").Add('0', "x", "x").Finished(),
                "cannot be read");
}

TEST(FormatsTest, NamesTellTheCompressionInCapitalsOrNot) {
  EXPECT_EQ(CompressionOfName("a.tar"), Compression::kNone);
  EXPECT_EQ(CompressionOfName("/x/a.TAR"), Compression::kNone);
  EXPECT_EQ(CompressionOfName("/x/a.tar.gz"), Compression::kGzip);
  EXPECT_EQ(CompressionOfName("a.TGZ"), Compression::kGzip);
  EXPECT_EQ(CompressionOfName("a.tar.bz2"), Compression::kBzip2);
  EXPECT_EQ(CompressionOfName("a.txz"), Compression::kXz);
  EXPECT_EQ(CompressionOfName("a.tar.zst"), Compression::kZstd);
  for (const char* other : {"a.zip", "tar", ".tar", "a.gz", "a.tar/b", "a.tar.gz.asc"}) {
    EXPECT_EQ(CompressionOfName(other), std::nullopt) << other;
  }
  EXPECT_EQ(ForeignNameOf("a.ZIP"), ".zip");
  EXPECT_EQ(ForeignNameOf("a.tar.lz"), ".tar.lz");
  EXPECT_EQ(ForeignNameOf("a.tar"), "");
  EXPECT_EQ(ForeignNameOf(".zip"), "");
}

}  // namespace
}  // namespace pyro::archive
