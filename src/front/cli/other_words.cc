#include "front/cli/other_words.h"

#include <algorithm>

namespace pyro::cli {
namespace {

constexpr std::string_view kEnv =
    "variables belong to a command: 'pyro task exec --env NAME=VALUE TASK_ID -- COMMAND'";
constexpr std::string_view kVolume =
    "a guest sees no directory of this host: fill a task with 'pyro task create --source-path "
    "DIR', copy both ways with 'pyro task cp'";
constexpr std::string_view kPorts =
    "no port of a guest can be reached from this host: run the client in the task too";
constexpr std::string_view kDirectory =
    "a directory belongs to a command: 'pyro task exec --cwd DIR TASK_ID -- COMMAND'";
constexpr std::string_view kName =
    "a task alone has a name: 'pyro task create --name NAME ENVIRONMENT'";
constexpr std::string_view kTerminal =
    "a guest has no terminal, and stdin is always passed on: give whole commands, as in: -- sh -c "
    "'COMMANDS'";
constexpr std::string_view kBackground =
    "use a task: 'pyro task exec --background TASK_ID -- COMMAND'";
constexpr std::string_view kRemove =
    "leave it out: 'pyro run' always removes its VM, and a task stays until 'pyro task delete'";
constexpr std::string_view kUser =
    "a user belongs to a command: 'pyro task exec --user NAME TASK_ID -- COMMAND'";
constexpr std::string_view kPrivileged =
    "leave it out: root of a guest may do everything in it, and nothing outside";
constexpr std::string_view kEntrypoint = "there is no entry point: the words after -- are run";
constexpr std::string_view kImage = "'pyro env list' shows the environments there are";
constexpr std::string_view kForce = "leave it out: pyro asks no questions";
constexpr std::string_view kWhole = "leave it out: a directory is always copied with what it holds";

struct Option {
  std::string_view name;
  OtherOption other;
};

constexpr Option kOptions[] = {
    {"-m", {"--mem-mib", "the size is set when the VM or task is made"}},
    {"--memory", {"--mem-mib", "the size is set when the VM or task is made"}},
    {"--cpus", {"--vcpu-count", "the size is set when the VM or task is made"}},
    {"--cpu", {"--vcpu-count", "the size is set when the VM or task is made"}},
    {"--vcpus", {"--vcpu-count", "the size is set when the VM or task is made"}},
    {"--net", {"--network", "the network is chosen when the VM or task is made"}},
    {"--network", {"", "the network is chosen when the VM or task is made"}},
    {"-e", {"--env", kEnv}},
    {"--env", {"", kEnv}},
    {"--env-file", {"", kEnv}},
    {"-v", {"", kVolume}},
    {"--volume", {"", kVolume}},
    {"--mount", {"", kVolume}},
    {"-p", {"--parents", ""}},
    {"-p", {"--strip", ""}},
    {"-p", {"", kPorts}},
    {"-P", {"", kPorts}},
    {"--publish", {"", kPorts}},
    {"--expose", {"", kPorts}},
    {"-w", {"--cwd", kDirectory}},
    {"--workdir", {"--cwd", kDirectory}},
    {"--cwd", {"", kDirectory}},
    {"--name", {"", kName}},
    {"-l", {"--label", ""}},
    {"-n", {"--name", ""}},
    {"-n", {"--tail", ""}},
    {"-r", {"--recursive", ""}},
    {"-r", {"", kWhole}},
    {"-R", {"--recursive", ""}},
    {"-R", {"--reverse", ""}},
    {"--dry-run", {"--check", ""}},
    {"-R", {"", kWhole}},
    {"-rf", {"--recursive", ""}},
    {"--recursive", {"", kWhole}},
    {"--hostname", {"", kName}},
    {"-it", {"", kTerminal}},
    {"-ti", {"", kTerminal}},
    {"-i", {"", kTerminal}},
    {"-t", {"", kTerminal}},
    {"--interactive", {"", kTerminal}},
    {"--tty", {"", kTerminal}},
    {"-d", {"--background", kBackground}},
    {"--detach", {"--background", kBackground}},
    {"--rm", {"", kRemove}},
    {"-u", {"--user", kUser}},
    {"--user", {"", kUser}},
    {"--privileged", {"", kPrivileged}},
    {"--cap-add", {"", kPrivileged}},
    {"--entrypoint", {"", kEntrypoint}},
    {"--image", {"", kImage}},
    {"-f", {"--replace", ""}},
    {"-f", {"--force", ""}},
    {"-f", {"", kForce}},
    {"--force", {"--replace", ""}},
    {"--force", {"", kForce}},
    {"-y", {"", kForce}},
    {"--yes", {"", kForce}},
};

struct OtherCommand {
  std::string_view group;
  std::string_view name;
  std::string_view ours;
};

constexpr OtherCommand kCommands[] = {
    {"", "images", "env list"},
    {"", "kill", "task stop"},
    {"", "start", "task exec"},
    {"", "shell", "task exec"},
    {"", "ssh", "task exec"},
    {"", "attach", "task logs"},
    {"", "cp", "task cp"},
    {"", "sync", "task sync"},
    {"", "build", "env pull"},
    {"", "install", "env pull"},
    {"", "info", "doctor"},
    {"task", "start", "task exec"},
    {"task", "run", "task exec"},
    {"task", "shell", "task exec"},
    {"task", "kill", "task stop"},
    {"task", "attach", "task logs"},
    {"task", "restore", "task reset"},
    {"task", "rollback", "task reset"},
    {"task", "label", "task update"},
    {"task", "set", "task update"},
    {"task", "copy", "task cp"},
    {"task", "put", "task cp"},
    {"task", "get", "task cp"},
    {"task", "upload", "task cp"},
    {"task", "download", "task cp"},
    {"task", "rsync", "task sync"},
    {"task", "push", "task sync"},
    {"task", "pull", "task sync --pull"},
    {"task", "cat", "task files read"},
    {"task", "read", "task files read"},
    {"task", "write", "task files write"},
    {"task", "mkdir", "task files mkdir"},
    {"task", "mv", "task files move"},
    {"task", "apply", "task patch"},
    {"task", "top", "task ps"},
    {"task", "send", "task stdin"},
    {"task", "resume", "task exec"},
    {"task", "restart", "task stop"},
    {"files", "ls", "task files list"},
    {"files", "rm", "task files remove"},
    {"files", "delete", "task files remove"},
    {"files", "mv", "task files move"},
    {"files", "rename", "task files move"},
    {"files", "cp", "task files copy"},
    {"files", "cat", "task files read"},
    {"files", "get", "task cp"},
    {"files", "put", "task cp"},
    {"snapshot", "restore", "task reset"},
    {"snapshot", "reset", "task reset"},
    {"snapshot", "diff", "task diff"},
    {"task", "inspect", "task status"},
    {"task", "info", "task status"},
    {"task", "show", "task status"},
    {"vm", "run", "run"},
    {"vm", "kill", "vm stop"},
    {"vm", "inspect", "vm status"},
    {"vm", "info", "vm status"},
    {"vm", "show", "vm status"},
    {"vm", "shell", "vm exec"},
    {"vm", "ssh", "vm exec"},
    {"env", "build", "env pull"},
    {"env", "install", "env pull"},
    {"env", "create", "env pull"},
    {"env", "rm", "env prune"},
    {"env", "delete", "env prune"},
    {"env", "status", "env inspect"},
    {"env", "show", "env inspect"},
};

}  // namespace

std::optional<OtherOption> FindOtherOption(
    std::string_view name, const std::function<bool(std::string_view option)>& has) {
  const auto* const found =
      std::find_if(std::begin(kOptions), std::end(kOptions), [&](const Option& option) {
        return option.name == name && (!option.other.hint.empty() || has(option.other.ours));
      });
  if (found == std::end(kOptions)) return std::nullopt;
  return found->other;
}

std::string_view FindOtherCommand(std::string_view group, std::string_view name) {
  for (const OtherCommand& command : kCommands) {
    if (command.group == group && command.name == name) return command.ours;
  }
  return {};
}

}  // namespace pyro::cli
