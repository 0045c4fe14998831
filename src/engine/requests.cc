#include "engine/requests.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <string_view>

#include <fmt/format.h>

#include "api/field.h"
#include "base/text.h"
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

// Names alone are in the errors: values may be secrets. Adds to `bytes` what all of them take.
Status CheckVariables(const std::map<std::string, std::string>& env, std::size_t& bytes) {
  for (const auto& [name, value] : env) {
    const std::size_t size = name.size() + 1 + value.size();
    bytes += size;
    if (name.empty()) {
      return MakeError(ErrorCode::kInvalidArgument, "a variable in env has no name",
                       "give each a name");
    }
    if (name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the name of the variable '{}' in env holds a {}",
                                   Printable(name.substr(0, name.find('='))),
                                   name.find('=') != std::string::npos ? "'='" : "NUL byte"),
                       "no variable of Linux can have it");
    }
    if (value.find('\0') != std::string::npos) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the value of the variable '{}' in env holds a NUL byte", Printable(name)),
          "no program can be given one");
    }
    if (size >= wire::kMaxArgumentBytes) {
      return MakeError(
          ErrorCode::kInvalidArgument,
          fmt::format("the variable '{}' in env has {} bytes with its name", Printable(name), size),
          "Linux takes fewer than 131072; write the value to a file");
    }
  }
  return OkStatus();
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
  PYRO_RETURN_IF_ERROR(CheckVariables(exec.env, bytes));
  const std::size_t words = exec.argv.size() + exec.env.size();
  // Of the rest, the frame's other fields take 4 KiB, and the directory as much.
  const std::size_t total = bytes + 16 * words;
  if (words > wire::kMaxArguments || total > wire::kMaxExecBytes - 4096 - exec.cwd.size()) {
    const std::string_view what = exec.env.empty() ? "words" : "words and variables";
    return MakeError(
        ErrorCode::kInvalidArgument,
        fmt::format("the command has {} {}, of {} bytes in all", words, what, bytes),
        fmt::format("a command takes 1.25 MiB, each word counted with 16 bytes more; {}",
                    elsewhere));
  }
  PYRO_RETURN_IF_ERROR(CheckUser(exec.user));
  return CheckPath("cwd", exec.cwd);
}

wire::Exec ExecOf(const Command& command) {
  wire::Exec exec;
  exec.argv =
      command.script ? std::vector<std::string>{"/bin/sh", "-c", *command.script} : command.argv;
  exec.script = command.script.has_value();
  exec.env = command.env;
  exec.user = command.user;
  exec.cwd = command.cwd.starts_with('/') ? command.cwd : kWorkspace;
  if (!command.cwd.empty() && exec.cwd != command.cwd) exec.cwd += "/" + command.cwd;
  return exec;
}

}  // namespace

Status CheckUser(const std::string& user) {
  if (user.empty()) return OkStatus();
  const std::size_t colon = user.find(':');
  const bool parts = colon == std::string::npos ||
                     (colon > 0 && colon + 1 < user.size() && user.rfind(':') == colon);
  if (parts && user.size() <= wire::kMaxUserBytes && IsUtf8(user) &&
      HiddenCharacter(user).empty()) {
    return OkStatus();
  }
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("user is '{}', which names no user", Printable(user, 64)),
      "give a name or a uid of the guest, optionally with a group, as in www-data:adm");
}

Status CheckPath(std::string_view name, const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} holds a NUL byte", name),
                     "no path can have one");
  }
  if (path.size() > wire::kMaxPathBytes) {
    return MakeError(ErrorCode::kInvalidArgument, fmt::format("{} has {} bytes", name, path.size()),
                     "Linux takes fewer than 4096");
  }
  return OkStatus();
}

Result<wire::Exec> MakeExec(const Command& command, std::int64_t timeout_seconds,
                            const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRange("timeout_seconds", timeout_seconds, 0, kMaxTimeoutSeconds));
  wire::Exec exec = ExecOf(command);
  exec.timeout_ms = timeout_seconds * 1000;
  PYRO_RETURN_IF_ERROR(CheckWords(exec, io));
  return exec;
}

Status CheckBackgroundInput(const CallIo& io) {
  if (io.stdin_fd < 0) return OkStatus();
  struct stat info {};
  const off_t at = ::lseek(io.stdin_fd, 0, SEEK_CUR);
  if (at < 0 || ::fstat(io.stdin_fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return MakeError(ErrorCode::kInvalidArgument,
                     "stdin of a command in the background is no regular file",
                     "give its bytes, or a file that has them");
  }
  if (info.st_size - at <= kMaxBackgroundInput) return OkStatus();
  return MakeError(
      ErrorCode::kInvalidArgument,
      fmt::format("stdin of a command in the background has {} bytes", info.st_size - at),
      fmt::format("it takes {}: write the rest to a file of the guest by earlier commands",
                  kMaxBackgroundInput));
}

}  // namespace pyro::engine

namespace pyro {

Status Engine::CheckCommand(const Command& command, const CallIo& io) {
  return engine::CheckWords(engine::ExecOf(command), io);
}

}  // namespace pyro
