#include "state/instance/task_variables.h"

#include <sys/stat.h>

#include <fstream>

#include <gtest/gtest.h>

#include "state/test_support.h"
#include "sys/test_directory.h"

namespace pyro::state {
namespace {

TEST(TaskVariablesTest, AnyBytesComeBackAndTheirOwnerAloneCanReadThem) {
  const sys::TestDirectory directory;
  const InstanceSpec task = TestSpec(TestTaskId(1, 1));
  EXPECT_TRUE(ReadTaskVariables(directory.path(), task)->empty());
  const std::map<std::string, std::string> variables = {
      {"TOKEN", "a=b \xff\n"}, {"EMPTY", ""}, {"\xc3", "x"}};
  ASSERT_TRUE(WriteTaskVariables(directory.path(), variables).ok());
  EXPECT_EQ(*ReadTaskVariables(directory.path(), task), variables);
  struct stat info {};
  ASSERT_EQ(::stat((directory.path() / "env").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_TRUE(WriteTaskVariables(directory.path(), {}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  EXPECT_TRUE(WriteTaskVariables(directory.path(), {}).ok());
}

TEST(TaskVariablesTest, BrokenFilesAreDataLossAndTheErrorShowsNothingOfThem) {
  const sys::TestDirectory directory;
  const InstanceSpec task = TestSpec(TestTaskId(1, 1));
  using namespace std::string_literals;
  for (const std::string& text : {"TOKEN=secret"s, "secret\0"s, "=secret\0"s, "A=1\0secret"s,
                                  std::string(kMaxTaskVariableBytes + 1, 's')}) {
    std::ofstream(directory.path() / "env") << text;
    const auto read = ReadTaskVariables(directory.path(), task);
    ASSERT_FALSE(read.ok()) << text.substr(0, 20);
    EXPECT_EQ(read.error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(read.error().message.find("secret"), std::string::npos);
  }
  const auto large =
      WriteTaskVariables(directory.path(), {{"A", std::string(kMaxTaskVariableBytes, 'x')}});
  EXPECT_EQ(large.error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace pyro::state
