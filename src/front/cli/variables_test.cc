#include "front/cli/variables.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

Result<Variables> FromText(std::string_view text) {
  Variables variables;
  const Status status = AddFromText(text, "FILE", variables);
  if (!status) return status.error();
  return variables;
}

TEST(Variables, AFileIsReadAsDockerReadsIt) {
  ::setenv("PYRO_TEST_OURS", "from here", 1);
  ::unsetenv("PYRO_TEST_UNSET");
  const auto read = FromText(
      "\xef\xbb\xbf# a comment\n"
      "PLAIN=value\r\n"
      "\n"
      "   \t\n"
      "  INDENTED= kept as it is \n"
      "  # also a comment\n"
      "QUOTED=\"with quotes\"\n"
      "EMPTY=\n"
      "EQUALS=a=b#c\n"
      "PYRO_TEST_OURS\n"
      "PYRO_TEST_UNSET\n"
      "a.b-c=odd names are names\n"
      "PLAIN=the last one counts");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, (Variables{{"PLAIN", "the last one counts"},
                              {"INDENTED", " kept as it is "},
                              {"QUOTED", "\"with quotes\""},
                              {"EMPTY", ""},
                              {"EQUALS", "a=b#c"},
                              {"PYRO_TEST_OURS", "from here"},
                              {"a.b-c", "odd names are names"}}));
}

TEST(Variables, ALineThatIsNoneIsNamedByItsNumberAndNeverShown) {
  for (const char* bad : {"=secret", "A secret=1", "secret key", "A\tB=secret"}) {
    const auto read = FromText(std::string("GOOD=1\n\n") + bad + "\n");
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(read.error().message, "line 3 of --env-file 'FILE' is no variable");
    EXPECT_EQ(read.error().hint.find("secret"), std::string::npos);
  }
  using std::string_view_literals::operator""sv;
  EXPECT_FALSE(FromText("A=nul\0byte"sv).ok());
}

TEST(Variables, AnOptionCountsBeforeAFileAndTheLastFileCounts) {
  ::setenv("PYRO_TEST_OURS", "", 1);
  ::unsetenv("PYRO_TEST_UNSET");
  const std::string first = testing::TempDir() + "/variables_first";
  const std::string second = testing::TempDir() + "/variables_second";
  std::ofstream(first) << "A=1\nB=1\nC=1\n";
  std::ofstream(second) << "A=2\nB=2\n";
  const auto read = ReadVariables(
      {.env = {"A=3", "PYRO_TEST_OURS", "PYRO_TEST_UNSET"}, .env_files = {first, second}});
  std::filesystem::remove(first);
  std::filesystem::remove(second);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, (Variables{{"A", "3"}, {"B", "2"}, {"C", "1"}, {"PYRO_TEST_OURS", ""}}));
}

TEST(Variables, AFileThatCannotBeReadIsNamed) {
  const auto missing = ReadVariables({.env = {}, .env_files = {"/nowhere/x"}});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().message,
            "--env-file '/nowhere/x' cannot be read: No such file or directory");
  const auto directory = ReadVariables({.env = {}, .env_files = {"/"}});
  ASSERT_FALSE(directory.ok());
  EXPECT_EQ(directory.error().message, "--env-file '/' cannot be read: Is a directory");
  const auto endless = ReadVariables({.env = {}, .env_files = {"/dev/zero"}});
  ASSERT_FALSE(endless.ok());
  EXPECT_EQ(endless.error().message, "--env-file '/dev/zero' is larger than 1 MiB");
}

TEST(Variables, AnOptionWithoutANameIsRefusedWithoutItsValue) {
  for (const char* bad : {"=secret", "two words=secret"}) {
    const auto read = ReadVariables({.env = {"A=1", bad}, .env_files = {}});
    ASSERT_FALSE(read.ok()) << bad;
    EXPECT_EQ(read.error().message, "--env number 2 has no name, or a space in its name");
  }
}

}  // namespace
}  // namespace pyro::cli
