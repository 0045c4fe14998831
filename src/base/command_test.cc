#include "base/command.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace pyro {
namespace {

int ExitCodeOf(Outcome outcome, int code) {
  return CommandEnd{.outcome = outcome, .code = code}.ExitCode();
}

TEST(CommandTest, EndsBecomeTheExitCodesOfAShell) {
  EXPECT_EQ(ExitCodeOf(Outcome::kExited, 7), 7);
  EXPECT_EQ(ExitCodeOf(Outcome::kSignalled, 9), 137);
  EXPECT_EQ(ExitCodeOf(Outcome::kTimedOut, 0), 124);
  EXPECT_EQ(ExitCodeOf(Outcome::kCancelled, 0), 130);
  EXPECT_EQ(ExitCodeOf(Outcome::kNotStarted, ENOENT), 127);
  EXPECT_EQ(ExitCodeOf(Outcome::kNotStarted, ELIBACC), 127);
  EXPECT_EQ(ExitCodeOf(Outcome::kNotStarted, EACCES), 126);
  EXPECT_EQ(ExitCodeOf(Outcome::kInterrupted, 0), 125);
}

}  // namespace
}  // namespace pyro
