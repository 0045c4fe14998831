#include "state/journal/command_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/try.h"
#include "state/journal/journal.h"
#include "state/journal/journal_line.h"
#include "sys/errno_error.h"
#include "sys/files.h"

namespace pyro::state {
namespace fs = std::filesystem;
namespace {

// The part at the end of a log that is searched for the lines of a command that ran when its
// supervisor died: many commands run at once, and each line is short except for its argv.
constexpr std::uint64_t kRecoveryWindow = 8 * 1024 * 1024;

Result<std::uint64_t> SizeOf(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return sys::ErrnoError(errno, "look at a journal");
  return static_cast<std::uint64_t>(info.st_size);
}

// Whole lines from `offset` on, without their newlines. A line that is too long is cut, and is then
// a bad line. The rest behind the last newline was cut off by a crash and is left out.
Status EachLine(int fd, std::uint64_t offset, const std::function<void(std::string_view)>& visit) {
  std::string line;
  std::string chunk(64 * 1024, '\0');
  while (true) {
    const ssize_t n = ::pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return sys::ErrnoError(errno, "read a journal");
    if (n == 0) return OkStatus();
    offset += static_cast<std::uint64_t>(n);
    std::string_view rest = std::string_view(chunk).substr(0, static_cast<std::size_t>(n));
    while (!rest.empty()) {
      const std::size_t newline = std::min(rest.find('\n'), rest.size());
      const std::size_t room = kMaxJournalLineBytes + 1 - line.size();
      line.append(rest.substr(0, std::min(newline, room)));
      if (newline == rest.size()) break;
      visit(line);
      line.clear();
      rest.remove_prefix(newline + 1);
    }
  }
}

// A missing log has no lines.
Status ReadLog(const fs::path& task_dir, std::uint64_t window,
               const std::function<void(std::string_view)>& visit) {
  const auto fd = sys::OpenRegularFile(CommandLogFile(task_dir), O_RDONLY);
  if (!fd && fd.error().code == ErrorCode::kNotFound) return OkStatus();
  if (!fd) return fd.error();
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(fd->get()));
  return EachLine(fd->get(), size > window ? size - window : 0, visit);
}

CommandEnd Interrupted(const fs::path& task_dir, std::int64_t sequence, WallTime now) {
  CommandEnd end{.outcome = Outcome::kInterrupted, .ended_at = now};
  if (const auto sizes = ReadOutputSizes(task_dir, sequence)) {
    end.stdout_bytes = sizes->stdout_bytes;
    end.stderr_bytes = sizes->stderr_bytes;
  }
  return end;
}

// The commands whose directories are there, so that no output is without an entry.
Status AddDirectories(const fs::path& task_dir, JournalReplay& replay) {
  std::error_code error;
  for (fs::directory_iterator it(task_dir / "commands", error), end; !error && it != end;
       it.increment(error)) {
    const auto sequence = ParseInt(it->path().filename().native());
    if (sequence) replay.AddUnknown(*sequence);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return sys::ErrnoError(error.value(), "read", (task_dir / "commands").native());
  }
  return OkStatus();
}

}  // namespace

fs::path CommandLogFile(const fs::path& task_dir) { return task_dir / "journal.jsonl"; }

Result<CommandLog> CommandLog::Open(const fs::path& task_dir) {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd fd, sys::OpenRegularFile(CommandLogFile(task_dir),
                                                               O_RDWR | O_CREAT | O_APPEND, 0600));
  CommandLog log(std::move(fd));
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t size, SizeOf(log.fd_.get()));
  if (size == 0) {
    PYRO_RETURN_IF_ERROR(sys::SyncDirectory(task_dir));
    return log;
  }
  char last = 0;
  if (::pread(log.fd_.get(), &last, 1, static_cast<off_t>(size - 1)) != 1) {
    return sys::ErrnoError(errno, "read", CommandLogFile(task_dir).native());
  }
  if (last != '\n') PYRO_RETURN_IF_ERROR(sys::WriteAll(log.fd_.get(), "\n"));
  return log;
}

Status CommandLog::AppendLine(std::string_view line) {
  PYRO_ASSIGN_OR_RETURN(const std::uint64_t before, SizeOf(fd_.get()));
  Status status = sys::WriteAll(fd_.get(), std::string(line) + "\n");
  // Half a line would damage the next one.
  if (!status && ::ftruncate(fd_.get(), static_cast<off_t>(before)) != 0) {
    return sys::ErrnoError(errno, "truncate a journal");
  }
  return status;
}

Status CommandLog::Begin(const CommandRecord& command) {
  const CommandBegin& begin = command;
  return AppendLine(FormatJournalLine({.sequence = command.sequence, .what = begin}));
}

Status CommandLog::End(std::int64_t sequence, const CommandEnd& end) {
  PYRO_RETURN_IF_ERROR(AppendLine(FormatJournalLine({.sequence = sequence, .what = end})));
  if (::fdatasync(fd_.get()) != 0) return sys::ErrnoError(errno, "sync a journal");
  return OkStatus();
}

Result<ReplayedCommands> ReplayCommands(const fs::path& task_dir, const InstanceId& id,
                                        WallTime now) {
  JournalReplay replay;
  PYRO_RETURN_IF_ERROR(
      ReadLog(task_dir, UINT64_MAX, [&](std::string_view line) { replay.Add(line); }));
  PYRO_RETURN_IF_ERROR(AddDirectories(task_dir, replay));
  ReplayedCommands replayed;
  replayed.bad_lines = replay.bad_lines();
  replayed.commands = std::move(replay).Finish(id);
  for (CommandRecord& command : replayed.commands) {
    if (!command.end) command.end = Interrupted(task_dir, command.sequence, now);
    if (command.started_at == WallTime{}) command.started_at = command.end->ended_at;
  }
  return replayed;
}

CommandEnd RecoverEnd(const fs::path& task_dir, std::int64_t sequence, WallTime now) {
  std::optional<CommandEnd> found;
  // Parsing every line of a long log would take long.
  const std::string mine = fmt::format("\"sequence\":{},", sequence);
  (void)ReadLog(task_dir, kRecoveryWindow, [&](std::string_view text) {
    if (found || text.find(mine) == std::string_view::npos) return;
    const auto line = ParseJournalLine(text);
    if (!line || line->sequence != sequence) return;
    if (const auto* const end = std::get_if<CommandEnd>(&line->what)) found = *end;
  });
  return found ? *found : Interrupted(task_dir, sequence, now);
}

}  // namespace pyro::state
