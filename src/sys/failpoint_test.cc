#include "sys/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

#include "sys/files.h"
#include "sys/test_directory.h"

namespace pyro::sys {
namespace {

// In a child, because a process looks at its environment once. How the child ended, as wait(2)
// says.
int PassesUnder(const char* victim, const std::string& log) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("PYRO_FAILPOINT", victim, 1);
    ::setenv("PYRO_FAILPOINT_LOG", log.c_str(), 1);
    for (int i = 0; i < 4; ++i) {
      PYRO_FAILPOINT("test.first");
      PYRO_FAILPOINT("test.second");
    }
    ::_exit(7);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

bool WasKilled(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL; }
bool WentOn(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 7; }

TEST(FailpointTest, KillsAtTheNamedPlaceAndAtThePassThatIsAskedFor) {
  const TestDirectory directory;
  const std::string log = directory.path() / "log";
  EXPECT_TRUE(WasKilled(PassesUnder("test.second", log)));
  EXPECT_EQ(*ReadFile(log, 1000), "test.first\ntest.second\n");
  ::unlink(log.c_str());
  EXPECT_TRUE(WasKilled(PassesUnder("test.first:3", log)));
  EXPECT_EQ(*ReadFile(log, 1000), "test.first\ntest.second\ntest.first\ntest.second\ntest.first\n");
  ::unlink(log.c_str());
  EXPECT_TRUE(WentOn(PassesUnder("test.first:5", log)));
}

TEST(FailpointTest, StopsWhereThatIsAskedFor) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("PYRO_FAILPOINT", "test.held", 1);
    ::setenv("PYRO_FAILPOINT_SIGNAL", "STOP", 1);
    PYRO_FAILPOINT("test.held");
    ::_exit(7);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, WUNTRACED), child);
  EXPECT_TRUE(WIFSTOPPED(status));
  ASSERT_EQ(::kill(child, SIGCONT), 0);
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WentOn(status));
}

TEST(FailpointTest, DoesNothingUnlessItIsNamed) {
  EXPECT_TRUE(WentOn(PassesUnder("", "")));
  EXPECT_TRUE(WentOn(PassesUnder("test", "")));
  EXPECT_TRUE(WentOn(PassesUnder("test.first.longer", "")));
}

}  // namespace
}  // namespace pyro::sys
