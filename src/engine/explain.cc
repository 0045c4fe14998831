#include "engine/explain.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "base/text.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kShownBytes = 200;

// What is part of every shell, and a program of none.
constexpr std::array<std::string_view, 31> kBuiltins = {
    ".",     ":",      "alias", "bg",   "break",    "builtin", "cd",   "continue",
    "dirs",  "eval",   "exec",  "exit", "export",   "fg",      "jobs", "let",
    "local", "popd",   "pushd", "read", "readonly", "return",  "set",  "shift",
    "shopt", "source", "trap",  "type", "ulimit",   "umask",   "unset"};

constexpr std::string_view kShellSyntax = " \t\n|&;<>()$`*?";

std::string ByShell(std::string_view script) {
  return fmt::format("give one string to a shell, as in {}",
                     Printable(ShellJoin({"sh", "-c", std::string(script)}), kShownBytes));
}

// A program that exec did not find.
Explanation NotFound(const std::string& program, const std::string& shown, const std::string& cwd) {
  if (std::find(kBuiltins.begin(), kBuiltins.end(), program) != kBuiltins.end()) {
    return {fmt::format("{} is a shell builtin, not a program", shown), ByShell("cd src && make")};
  }
  const std::size_t equals = program.find('=');
  if (equals != std::string::npos && equals < program.find('/')) {
    return {fmt::format("'{}' is not a program", shown),
            "give it as env (--env NAME=VALUE), or write: env NAME=value program"};
  }
  if (program.find_first_of(kShellSyntax) != std::string::npos) {
    return {fmt::format("'{}' is not a program", shown),
            ByShell(program) + ", or separate the words"};
  }
  if (program.find('/') != std::string::npos) {
    return {fmt::format("'{}' does not exist", shown),
            fmt::format("relative paths count from {}", Printable(cwd, kShownBytes))};
  }
  return {fmt::format("no program '{}' is in the PATH", shown),
          "install the package that holds it, or use an environment that has it"};
}

std::string_view UserIn(std::string_view user) { return user.substr(0, user.find(':')); }

std::string_view GroupIn(std::string_view user) { return user.substr(user.find(':') + 1); }

Explanation NotStarted(const CommandSpec& spec, int number) {
  if (spec.argv.empty())
    return {"it could not be started; the journal does not have its words", ""};
  const std::string& program = spec.argv[0];
  const std::string shown = Printable(program, kShownBytes);
  switch (number) {
    case ENOENT:
      return NotFound(program, shown, spec.cwd);
    case ELIBACC:
      return {
          fmt::format("'{}' is there, but the interpreter or loader that it names is not", shown),
          "look at the first line of a script, or at the machine that a program is built for"};
    case ENOTDIR:
      return {fmt::format("'{}' leads through a file that is no directory", shown),
              "correct the path"};
    case EISDIR:
      return {fmt::format("'{}' is a directory, not a program", shown), "name a program in it"};
    case EACCES:
      return {fmt::format("'{}' is not executable", shown),
              "chmod +x it, or give it to its interpreter, as in sh script"};
    case ENOEXEC:
      return {fmt::format("'{}' is neither a program of this machine nor a script with a #! line",
                          shown),
              "give it to its interpreter, as in sh script"};
    case kNoDirectory:
      return {fmt::format("the directory '{}' to run it in does not exist",
                          Printable(spec.cwd, kShownBytes)),
              "make it first, or give another cwd; relative ones count from /workspace"};
    case kCwdNotDirectory:
      return {fmt::format("'{}', to run it in, is no directory", Printable(spec.cwd, kShownBytes)),
              "give a directory as cwd"};
    case kNoUser:
      return {fmt::format("the guest has no user '{}'", Printable(UserIn(spec.user), kShownBytes)),
              "make it first, as by 'useradd NAME', or give a uid"};
    case kNoGroup:
      return {
          fmt::format("the guest has no group '{}'", Printable(GroupIn(spec.user), kShownBytes)),
          "make it first, as by 'groupadd NAME', or give a gid"};
    case kBadUsers:
      return {
          "the guest's /etc/passwd or /etc/group is no file of at most 1 MiB, or has too many "
          "groups of this user",
          "repair it, or run the command as root"};
    case E2BIG:
      return {"the words of the command are too long together",
              "write the data to a file, and name the file"};
    default:
      return {fmt::format("'{}' could not be started: {}", shown,
                          std::generic_category().message(number)),
              ""};
  }
}

Explanation TimedOut(std::int64_t timeout_ms, std::string_view accelerator, InTask in_task) {
  Explanation told;
  told.message = fmt::format("the command was killed at its limit of {} s", timeout_ms / 1000);
  if (accelerator == "tcg") {
    told.message +=
        "; without KVM this host emulates the CPU, which makes computing about 10 to 25 times "
        "slower";
  }
  told.hint = fmt::format("give a longer timeout_seconds, up to {}", kMaxTimeoutSeconds);
  if (in_task == InTask::kYes) told.hint += ", or run it in the background";
  return told;
}

Explanation LeftOpen(InTask in_task) {
  if (in_task == InTask::kNo) {
    return {
        "processes that the command left in the background ended with the VM, and what they "
        "still had to print is missing",
        "let the command wait for them, as in: server & … ; wait",
        Explanation::Beyond::kOutputLeftOpen};
  }
  return {
      "processes that the command left in the background still hold its output open; what they "
      "print from now on is not kept",
      "redirect their output to a file, or run them as a command in the background, which "
      "keeps all of it",
      Explanation::Beyond::kOutputLeftOpen};
}

// `more` after `told`, which may be empty.
Explanation Joined(const Explanation& told, Explanation more) {
  if (told.message.empty()) return more;
  more.message = fmt::format("{}; {}", told.message, more.message);
  more.hint = fmt::format("{}; {}", told.hint, more.hint);
  return more;
}

}  // namespace

Explanation DiskFailed(std::string_view whose, InTask in_task) {
  Explanation told{
      fmt::format("the guest could not write to its disk, as when this host's disk is full; {} may "
                  "be missing or damaged there",
                  whose),
      "make room on this host's disk", Explanation::Beyond::kDiskFailed};
  if (in_task == InTask::kYes) told.hint += " and stop the task: the next command starts it again";
  return told;
}

Explanation Explain(const CommandSpec& spec, const CommandEnd& end, std::string_view accelerator,
                    InTask in_task) {
  if (end.outcome == Outcome::kNotStarted) return NotStarted(spec, end.code);
  const bool timed_out = end.outcome == Outcome::kTimedOut;
  Explanation told = timed_out ? TimedOut(spec.timeout_ms, accelerator, in_task) : Explanation{};
  if (end.disk_failed) return Joined(told, DiskFailed("files of the command", in_task));
  if (timed_out) return told;
  if (end.output_left_open) return LeftOpen(in_task);
  return {};
}

}  // namespace pyro::engine
