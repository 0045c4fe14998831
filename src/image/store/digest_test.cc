#include "image/store/digest.h"

#include <fcntl.h>

#include <fstream>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::image {
namespace {

constexpr const char* kDigestOfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, IsSha256) {
  EXPECT_EQ(Sha256Hex("abc"), kDigestOfAbc);
  sys::TestDirectory directory;
  const auto file = directory.path() / "abc";
  std::ofstream(file) << "abc";
  const auto fd = sys::OpenFile(file, O_RDONLY);
  ASSERT_TRUE(fd);
  EXPECT_EQ(Sha256OfFile(fd->get(), file).value(), kDigestOfAbc);
}

TEST(Digest, MemoIsUsedOnlyForTheVerySameFile) {
  sys::TestDirectory directory;
  const auto file = directory.path() / "agent";
  const auto memo = directory.path() / "memo";
  std::ofstream(file) << "abc";
  EXPECT_EQ(MemoizedSha256(file, memo).value(), kDigestOfAbc);
  // A memo that was tampered with shows that it is consulted...
  std::string noted = sys::ReadFile(memo, 4096).value();
  noted.replace(noted.find(kDigestOfAbc), 64, std::string(64, '0'));
  std::ofstream(memo) << noted;
  EXPECT_EQ(MemoizedSha256(file, memo).value(), std::string(64, '0'));
  // ...and a replaced file that it is not believed then, though size and name are the same.
  std::ofstream(directory.path() / "new") << "abd";
  std::filesystem::rename(directory.path() / "new", file);
  EXPECT_EQ(MemoizedSha256(file, memo).value(), Sha256Hex("abd"));
}

TEST(Digest, BrokenMemoIsReplaced) {
  sys::TestDirectory directory;
  const auto file = directory.path() / "agent";
  const auto memo = directory.path() / "memo";
  std::ofstream(file) << "abc";
  std::ofstream(memo) << std::string(100, '\n');
  EXPECT_EQ(MemoizedSha256(file, memo).value(), kDigestOfAbc);
  EXPECT_NE(sys::ReadFile(memo, 4096).value().find(kDigestOfAbc), std::string::npos);
}

TEST(Digest, MissingFileIsNotFound) {
  sys::TestDirectory directory;
  const auto digest = MemoizedSha256(directory.path() / "none", directory.path() / "memo");
  ASSERT_FALSE(digest);
  EXPECT_EQ(digest.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace pyro::image
