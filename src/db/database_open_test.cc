// An error of opening names the file.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "db/database.h"
#include "db/test_support.h"

namespace pyro::db {
namespace {

namespace fs = std::filesystem;

// A directory of that many bytes in all, below the directory of `file`.
fs::path DirectoryOf(std::size_t bytes, const fs::path& file) {
  std::string path = file.parent_path().native();
  while (path.size() + 1 < bytes) {
    path += "/" + std::string(std::min<std::size_t>(100, bytes - path.size() - 1), 'd');
  }
  fs::create_directories(path);
  return path;
}

bool Names(const Error& error, const fs::path& path) {
  return error.message.find("'" + path.native() + "'") != std::string::npos;
}

TEST(DatabaseOpenTest, APathOfFiveHundredBytesIsRefusedWithItsLength) {
  const TestFile file;
  const fs::path path = DirectoryOf(500, file.path()) / "registry.db";
  const auto database = Database::Open(path);
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(Names(database.error(), path)) << database.error().message;
  EXPECT_NE(database.error().message.find("512 bytes"), std::string::npos)
      << database.error().message;
  EXPECT_NE(database.error().hint.find("shorter"), std::string::npos);
}

TEST(DatabaseOpenTest, ALongPathBehindAShortLinkIsRefusedToo) {
  const TestFile file;
  const fs::path link = file.path().parent_path() / "link";
  fs::create_directory_symlink(DirectoryOf(500, file.path()), link);
  const auto database = Database::Open(link / "registry.db");
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(Names(database.error(), link / "registry.db")) << database.error().message;
}

TEST(DatabaseOpenTest, TheLongestPathThatIsNotRefusedWorks) {
  const TestFile file;
  const fs::path directory = DirectoryOf(504 - sizeof "/registry.db" + 1, file.path());
  auto database = Database::Open(directory / "registry.db");
  ASSERT_TRUE(database.ok()) << database.error().message;
  EXPECT_TRUE(database->Execute("CREATE TABLE t (v INTEGER) STRICT").ok());
}

TEST(DatabaseOpenTest, ADirectoryInThePlaceOfTheFileIsNamed) {
  const TestFile file;
  const fs::path path = file.path().parent_path() / "directory.db";
  fs::create_directory(path);
  const auto database = Database::Open(path);
  ASSERT_FALSE(database.ok());
  EXPECT_TRUE(Names(database.error(), path)) << database.error().message;
}

TEST(DatabaseOpenTest, AFileThatIsNotThereAndCannotBeMadeIsNamed) {
  const TestFile file;
  const fs::path path = file.path().parent_path() / "missing" / "registry.db";
  const auto database = Database::Open(path);
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(Names(database.error(), path)) << database.error().message;
}

}  // namespace
}  // namespace pyro::db
