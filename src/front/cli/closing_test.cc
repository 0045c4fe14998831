#include "front/cli/closing.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

using Words = std::vector<std::string>;

TEST(Closing, ShellsAndEditorsNeedATerminal) {
  for (const Words& argv : {Words{"bash"}, Words{"/bin/bash", "-i"}, Words{"sh", "-l"},
                            Words{"python3"}, Words{"vim", "a.txt"}, Words{"/usr/bin/top"}}) {
    const auto notice = WithoutTerminal(argv);
    ASSERT_TRUE(notice.has_value()) << argv[0];
    EXPECT_NE(notice->message.find("no terminal"), std::string::npos);
  }
  for (const Words& argv : {Words{"bash", "-c", "ls"}, Words{"sh", "script.sh"},
                            Words{"python3", "-c", "1"}, Words{"ls"}, Words{}}) {
    EXPECT_FALSE(WithoutTerminal(argv).has_value());
  }
}

TEST(Closing, AShortIdIsABeginningOfTheWhole) {
  EXPECT_EQ(ShortId("task_abcdefghijklmnopqrstuvwxyz"), "task_abcdefgh");
  EXPECT_EQ(ShortId("odd"), "odd");
}

std::string Explained(Explanation::Beyond beyond, bool quiet) {
  ExecResult result;
  result.output_left_open = true;
  result.explanation = {"why", "what to do", beyond};
  testing::internal::CaptureStderr();
  ExplainOutcome(result, quiet);
  return testing::internal::GetCapturedStderr();
}

TEST(Closing, OnlyWhatIsHarmlessIsLeftOutOfAQuietEnd) {
  const std::string told = "pyro: why\nhint: what to do\n";
  EXPECT_EQ(Explained(Explanation::Beyond::kOutputLeftOpen, false), told);
  EXPECT_EQ(Explained(Explanation::Beyond::kOutputLeftOpen, true), "");
  EXPECT_EQ(Explained(Explanation::Beyond::kDiskFailed, true), told);
  EXPECT_EQ(Explained(Explanation::Beyond::kNothing, true), told);
}

}  // namespace
}  // namespace pyro::cli
