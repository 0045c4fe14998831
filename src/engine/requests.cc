#include "engine/requests.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <string_view>

#include <fmt/format.h>

#include "api/field.h"
#include "base/try.h"

namespace pyro::engine {
namespace {

// A command would find it empty.
Status CheckStdin(const CallIo& io) {
  const int flags = io.stdin_fd < 0 ? -1 : ::fcntl(io.stdin_fd, F_GETFL);
  const bool unreadable = flags >= 0 && ((flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0);
  if (!unreadable) return OkStatus();
  // nohup opens /dev/null so, and means an empty stdin.
  struct stat info {};
  const bool null =
      ::fstat(io.stdin_fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
  if (null) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, "stdin is not open for reading",
                   "open it for reading, or give no stdin, as by: </dev/null");
}

Status CheckWords(const wire::Exec& exec, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckStdin(io));
  if (exec.argv.empty() || exec.argv[0].empty() || (exec.script && exec.argv.back().empty())) {
    return MakeError(ErrorCode::kInvalidArgument, "command is empty",
                     "give the command and its arguments");
  }
  const std::string_view elsewhere =
      io.stdin_fd >= 0 ? "pass the data on stdin"
                       : "write the data to a file by several commands, each with a part of it";
  std::size_t bytes = 0;
  for (const std::string& word : exec.argv) {
    bytes += word.size();
    if (word.find('\0') != std::string::npos) {
      return MakeError(ErrorCode::kInvalidArgument, "the command holds a NUL byte",
                       "no program can be given one");
    }
    if (word.size() >= wire::kMaxArgumentBytes) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("a word of the command has {} bytes", word.size()),
                       fmt::format("Linux takes fewer than 131072; {}", elsewhere));
    }
  }
  const std::size_t total = bytes + 16 * exec.argv.size();
  if (exec.argv.size() > wire::kMaxArguments || total > wire::kMaxMessageBytes - 4096) {
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the command has {} words, of {} bytes in all", exec.argv.size(), bytes),
        fmt::format("a command takes 1 MiB, each word counted with 16 bytes more; {}", elsewhere));
  }
  return OkStatus();
}

wire::Exec ExecOf(const Command& command) {
  wire::Exec exec;
  exec.argv =
      command.script ? std::vector<std::string>{"/bin/sh", "-c", *command.script} : command.argv;
  exec.script = command.script.has_value();
  exec.cwd = kWorkspace;
  return exec;
}

}  // namespace

Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds, TimeLimit limit,
                            const CallIo& io) {
  if (limit == TimeLimit::kRequired || timeout_seconds != 0) {
    PYRO_RETURN_IF_ERROR(
        api::CheckRange("timeout_seconds", timeout_seconds, 1, kMaxTimeoutSeconds));
  }
  wire::Exec exec = ExecOf(command);
  exec.timeout_ms = timeout_seconds * 1000;
  PYRO_RETURN_IF_ERROR(CheckWords(exec, io));
  return exec;
}

}  // namespace pyro::engine

namespace pyro {

Status Engine::CheckCommand(const Command& command, const CallIo& io) {
  return engine::CheckWords(engine::ExecOf(command), io);
}

}  // namespace pyro
