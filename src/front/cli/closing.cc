#include "front/cli/closing.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "front/cli/output.h"

namespace pyro::cli {
namespace {

constexpr std::size_t kShortIdLetters = 8;
constexpr std::size_t kNamedProcesses = 5;

template <std::size_t N>
bool IsOneOf(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Without arguments these read commands, and print a prompt on a terminal.
constexpr std::array<std::string_view, 14> kReaders = {
    "bash",    "sh",   "dash", "zsh",     "ksh",      "fish",    "python",
    "python3", "node", "irb",  "ipython", "ipython3", "sqlite3", "psql"};

// These need a terminal for all of their work.
constexpr std::array<std::string_view, 13> kScreens = {"vi",     "vim",   "nvim", "nano", "emacs",
                                                       "less",   "more",  "top",  "htop", "tmux",
                                                       "screen", "watch", "mc"};

std::string_view NameOf(const std::vector<std::string>& argv) {
  const std::string_view path = argv.empty() ? std::string_view() : argv[0];
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::string Reached(const std::vector<ReachedProcess>& processes, std::int64_t count) {
  std::string text = fmt::format("{} {}", count, count == 1 ? "process" : "processes");
  std::string_view before = " (";
  std::size_t shown = 0;
  for (; shown < processes.size() && shown < kNamedProcesses; ++shown) {
    const ReachedProcess& one = processes[shown];
    text +=
        fmt::format("{}{} {}", std::exchange(before, ", "), one.pid, Printable(one.command, 40));
  }
  if (shown == 0) return text;
  const std::int64_t more = count - static_cast<std::int64_t>(shown);
  return text + (more > 0 ? fmt::format(" and {} more)", more) : ")");
}

std::string KilledLine(const KilledProcesses& killed) {
  return fmt::format("killed {}; {}", Reached(killed.processes, killed.count),
                     killed.gone ? "none is left" : "not all were seen to end");
}

std::string DeniedLines(const std::vector<DeniedConnection>& denied) {
  std::string text;
  for (const DeniedConnection& one : denied) {
    text += "denied: " + WithPort(one.host, one.port);
    if (!one.address.empty() && one.address != one.host) text += " at " + one.address;
    text += fmt::format(" ({}): {}", one.protocol, one.why);
    if (one.count > 1) text += fmt::format(", {} times", one.count);
    if (!one.rule.empty()) text += "; allow it with: --allow " + one.rule;
    text += "\n";
  }
  return text;
}

void SayExplanation(Explanation why) {
  if (why.message.empty()) return;
  constexpr std::string_view kArgument = "timeout_seconds";
  if (const std::size_t at = why.hint.find(kArgument); at != std::string::npos) {
    why.hint.replace(at, kArgument.size(), "--timeout-seconds");
  }
  Talk(fmt::format("pyro: {}\n", why.message));
  if (!why.hint.empty()) Talk(fmt::format("hint: {}\n", why.hint));
}

void ExplainOutcome(const ExecResult& result, bool quiet) {
  const Explanation& why = result.explanation;
  const bool harmless = why.beyond == Explanation::Beyond::kOutputLeftOpen;
  if (why.message.empty() || (quiet && harmless)) return;
  SayExplanation(why);
  if (result.killed && !quiet) Talk(fmt::format("pyro: {}\n", KilledLine(*result.killed)));
}

void SayHowItEnded(const ExecResult& result, std::string_view label, bool quiet) {
  ExplainOutcome(result, quiet);
  if (quiet) return;
  if (!result.denied.empty()) Talk(DeniedLines(result.denied));
  std::string line = fmt::format("[{}] exit_code={} duration_ms={} environment={}", label,
                                 result.exit_code, result.duration_ms, result.environment);
  if (result.execution_mode != kUsualMode) {
    line += fmt::format(" execution_mode={}", Name(result.execution_mode));
  }
  Talk(line + "\n");
}

std::optional<Error> WithoutTerminal(const std::vector<std::string>& argv) {
  const std::string_view name = NameOf(argv);
  const bool alone = std::all_of(
      argv.begin() + (argv.empty() ? 0 : 1), argv.end(),
      [](const std::string& word) { return word == "-i" || word == "-l" || word == "--login"; });
  if (IsOneOf(name, kReaders) && alone) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("a guest has no terminal, so '{}' shows no prompt; it reads what you type "
                    "until Ctrl-D",
                    name),
        fmt::format("give whole commands, as in: -- {} -c 'COMMANDS'", name));
  }
  if (IsOneOf(name, kScreens)) {
    return MakeError(ErrorCode::kUnavailable,
                     fmt::format("a guest has no terminal, so '{}' cannot draw its screen", name),
                     "use commands that only print, such as cat, sed and ps; Ctrl-C ends this one");
  }
  return std::nullopt;
}

void WarnWithoutTerminal(const std::vector<std::string>& argv) {
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) return;
  if (const auto notice = WithoutTerminal(argv)) ReportError(*notice, false);
}

std::string ShortId(const std::string& id) {
  const std::size_t tag = id.find('_');
  return tag == std::string::npos ? id : id.substr(0, tag + 1 + kShortIdLetters);
}

std::string MachineCell(std::string_view machine) {
  return fmt::format("{:<8}  ", machine.empty() ? "-" : machine);
}

}  // namespace pyro::cli
