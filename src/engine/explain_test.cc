#include "engine/explain.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace pyro::engine {
namespace {

Explanation OfErrno(int number, std::vector<std::string> argv) {
  return Explain({.argv = std::move(argv)}, {.outcome = Outcome::kNotStarted, .code = number}, "",
                 InTask::kNo);
}

TEST(ExplainTest, ACommandThatSaysEnoughByItselfNeedsNoExplanation) {
  for (const Outcome outcome :
       {Outcome::kExited, Outcome::kSignalled, Outcome::kCancelled, Outcome::kInterrupted}) {
    const Explanation told =
        Explain({.argv = {"make"}}, {.outcome = outcome, .code = 2}, "", InTask::kNo);
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
  EXPECT_EQ(told.hint, "give it as env (--env NAME=VALUE), or write: env NAME=value program");
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

TEST(ExplainTest, ADirectoryOrUserThatIsNotThereIsNamed) {
  const auto of = [](int number) {
    return Explain({.argv = {"make"}, .cwd = "/workspace/src\x1b", .user = "web:adm"},
                   {.outcome = Outcome::kNotStarted, .code = number}, "", InTask::kNo);
  };
  EXPECT_EQ(of(kNoDirectory).message,
            "the directory '/workspace/src\\x1b' to run it in does not exist");
  EXPECT_EQ(of(kCwdNotDirectory).message, "'/workspace/src\\x1b', to run it in, is no directory");
  EXPECT_EQ(of(kNoUser).message, "the guest has no user 'web'");
  EXPECT_EQ(of(kNoGroup).message, "the guest has no group 'adm'");
  for (const int number : {kNoDirectory, kCwdNotDirectory, kNoUser, kNoGroup, kBadUsers}) {
    EXPECT_GT(of(number).hint.size(), 8u) << number;
  }
  EXPECT_EQ(Explain({.argv = {"./x"}, .cwd = "/srv"},
                    {.outcome = Outcome::kNotStarted, .code = ENOENT}, "", InTask::kNo)
                .hint,
            "relative paths count from /srv");
}

TEST(ExplainTest, AKillAtTheLimitSaysTheLimitAndWhetherThisHostIsTheReason) {
  const CommandSpec spec{.argv = {"make"}, .timeout_ms = 30'000};
  const CommandEnd end{.outcome = Outcome::kTimedOut};
  const Explanation in_vm = Explain(spec, end, "", InTask::kNo);
  EXPECT_EQ(in_vm.message, "the command was killed at its limit of 30 s");
  EXPECT_EQ(in_vm.hint, "give a longer timeout_seconds, up to 604800");
  const Explanation in_task = Explain(spec, end, "tcg", InTask::kYes);
  EXPECT_NE(in_task.message.find("emulates the CPU"), std::string::npos);
  EXPECT_NE(in_task.hint.find("background"), std::string::npos);
  EXPECT_EQ(Explain(spec, end, "kvm", InTask::kYes).message.find("emulates"), std::string::npos);
}

TEST(ExplainTest, OutputThatIsNotKeptIsSaidToBeSo) {
  const CommandSpec spec{.argv = {"sh"}};
  CommandEnd end{.output_left_open = true};
  EXPECT_NE(Explain(spec, end, "", InTask::kNo).message.find("ended with the VM"),
            std::string::npos);
  EXPECT_NE(Explain(spec, end, "", InTask::kYes).message.find("is not kept"), std::string::npos);
  end.outcome = Outcome::kTimedOut;
  EXPECT_NE(Explain(spec, end, "", InTask::kYes).message.find("killed at its limit"),
            std::string::npos);
}

TEST(ExplainTest, ACommandWhoseFilesAreNotOnDiskIsNoSuccessWithoutAWord) {
  const CommandSpec spec{.argv = {"sh"}};
  const CommandEnd end{.output_left_open = true, .disk_failed = true};
  const Explanation told = Explain(spec, end, "", InTask::kYes);
  EXPECT_NE(told.message.find("could not write to its disk"), std::string::npos);
  EXPECT_NE(told.hint.find("stop the task"), std::string::npos);
  EXPECT_NE(told.message.find("may be missing or damaged"), std::string::npos);
  EXPECT_EQ(told.beyond, Explanation::Beyond::kDiskFailed);
  EXPECT_EQ(Explain(spec, end, "", InTask::kNo).hint, "make room on this host's disk");
}

TEST(ExplainTest, ATimeoutOnADiskThatFailedIsToldWithBoth) {
  const CommandSpec spec{.argv = {"make"}, .timeout_ms = 30'000};
  const CommandEnd end{.outcome = Outcome::kTimedOut, .disk_failed = true};
  const Explanation told = Explain(spec, end, "", InTask::kYes);
  EXPECT_TRUE(
      told.message.starts_with("the command was killed at its limit of 30 s; the guest "
                               "could not write to its disk"))
      << told.message;
  EXPECT_TRUE(told.hint.starts_with("give a longer timeout_seconds")) << told.hint;
  EXPECT_NE(told.hint.find("; make room on this host's disk and stop the task"), std::string::npos);
  EXPECT_EQ(told.beyond, Explanation::Beyond::kDiskFailed);
}

}  // namespace
}  // namespace pyro::engine
