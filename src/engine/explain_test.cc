#include "engine/explain.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

using Kind = wire::Outcome::Kind;

Explanation OfErrno(int number, std::vector<std::string> argv) {
  return Explain({.argv = argv, .outcome = {Kind::kNotStarted, number}});
}

TEST(ExplainTest, ACommandThatSaysEnoughByItselfNeedsNoExplanation) {
  const std::vector<std::string> argv = {"make"};
  for (const Kind kind : {Kind::kExited, Kind::kSignalled, Kind::kCancelled, Kind::kLost}) {
    const Explanation told = Explain({.argv = argv, .outcome = {kind, 2}});
    EXPECT_EQ(told.message + told.hint, "");
  }
}

TEST(ExplainTest, WordsInOneAndBuiltinsAreSentToAShell) {
  Explanation told = OfErrno(ENOENT, {"ls -la"});
  EXPECT_EQ(told.message, "'ls -la' is not a program");
  EXPECT_EQ(told.hint, "give one string to a shell, as in sh -c 'ls -la', or separate the words");
  told = OfErrno(ENOENT, {"cd", "src"});
  EXPECT_EQ(told.message, "cd is a shell builtin, not a program");
  EXPECT_EQ(told.hint, "give one string to a shell, as in sh -c 'cd src && make'");
  told = OfErrno(ENOENT, {"FOO=bar", "env"});
  EXPECT_EQ(told.message, "'FOO=bar' is not a program");
  EXPECT_EQ(told.hint, "set a variable by env, as in env NAME=value program");
}

TEST(ExplainTest, AProgramThatDidNotStartIsNamedWithAHint) {
  for (const auto& [number, program, part] :
       {std::tuple{ENOENT, "nosuch", "no program 'nosuch' is in the PATH"},
        std::tuple{ENOENT, "./nosuch", "'./nosuch' does not exist"},
        std::tuple{ELIBACC, "./run.py", "'./run.py' is there, but the interpreter"},
        std::tuple{ENOTDIR, "a/b", "'a/b' leads through a file that is no directory"},
        std::tuple{EISDIR, "src", "'src' is a directory, not a program"},
        std::tuple{EACCES, "./x", "'./x' is not executable"},
        std::tuple{ENOEXEC, "./x", "'./x' is neither a program of this machine nor a script"}}) {
    const Explanation told = OfErrno(number, {program});
    EXPECT_TRUE(told.message.starts_with(part)) << told.message;
    EXPECT_GT(told.hint.size(), 8u) << part;
  }
  EXPECT_EQ(OfErrno(EPERM, {"x"}).message, "'x' could not be started: Operation not permitted");
  EXPECT_EQ(OfErrno(ENOENT, {"a\x1b[m"}).message, "no program 'a\\x1b[m' is in the PATH");
}

TEST(ExplainTest, AKillAtTheLimitSaysTheLimitAndWhetherThisHostIsTheReason) {
  const std::vector<std::string> argv = {"make"};
  CommandFacts facts{.argv = argv, .outcome = {Kind::kTimedOut, 0}, .timeout_ms = 30'000};
  EXPECT_EQ(Explain(facts).message, "the command was killed at its limit of 30 s");
  EXPECT_EQ(Explain(facts).hint, "give a longer timeout_seconds, up to 604800");
  facts.in_task = true;
  facts.accelerator = "tcg";
  EXPECT_NE(Explain(facts).message.find("emulates the CPU"), std::string::npos);
  EXPECT_NE(Explain(facts).hint.find("background"), std::string::npos);
  facts.accelerator = "kvm";
  EXPECT_EQ(Explain(facts).message.find("emulates"), std::string::npos);
}

TEST(ExplainTest, OutputThatIsNotKeptIsSaidToBeSo) {
  const std::vector<std::string> argv = {"sh"};
  CommandFacts facts{.argv = argv, .outcome = {Kind::kExited, 0}, .output_left_open = true};
  EXPECT_NE(Explain(facts).message.find("ended with the VM"), std::string::npos);
  facts.in_task = true;
  EXPECT_NE(Explain(facts).message.find("is not kept"), std::string::npos);
  facts.outcome.kind = Kind::kTimedOut;
  EXPECT_NE(Explain(facts).message.find("killed at its limit"), std::string::npos);
}

}  // namespace
}  // namespace pyro::engine
