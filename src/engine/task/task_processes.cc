// The processes of a task's commands: list, stdin, signals.

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/local_engine.h"
#include "engine/signals.h"
#include "state/journal/command_record.h"
#include "sys/errno_error.h"
#include "sys/wait_for.h"
#include "wire/answers.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using wire::Frame;
using wire::FrameType;

constexpr std::uint32_t kWriteChannel = 1;

std::string_view StateOf(char letter) {
  switch (letter) {
    case 'R':
      return "running";
    case 'S':
      return "sleeping";
    case 'D':
      return "waiting";
    case 'T':
    case 't':
      return "stopped";
    case 'Z':
      return "zombie";
    default:
      return "other";
  }
}

std::string CommandOf(const wire::Process& told) {
  std::string_view command = told.command;
  const bool cut = command.size() == wire::kMaxProcessCommand;
  while (command.ends_with('\0')) command.remove_suffix(1);
  std::vector<std::string> words;
  for (const std::string_view word : Split(command, '\0')) words.emplace_back(word);
  const std::string line = command.empty() ? "[" + told.name + "]" : ShellJoin(words);
  return Printable(line, line.size()) + (cut ? "…" : "");
}

TaskProcess DescribeProcess(const wire::Process& told) {
  TaskProcess process;
  process.pid = told.pid;
  process.parent = told.parent;
  process.uid = told.uid;
  process.state = StateOf(told.state.empty() ? '?' : told.state[0]);
  process.age_seconds = told.age_seconds;
  process.cpu_ms = told.cpu_ms;
  process.rss_kib = told.rss_kib;
  process.sequence = told.sequence;
  process.command = CommandOf(told);
  return process;
}

Error NoGuest(const InstanceRecord& task) {
  if (task.state == state::InstanceState::kStarted) {
    return MakeError(ErrorCode::kWrongState, "the task runs on the host, in no guest",
                     "'ps' on this host shows its processes");
  }
  return MakeError(ErrorCode::kWrongState, "the task's guest does not run, and so no process",
                   "the next 'pyro task exec' starts it");
}

Error HasEnded(std::int64_t sequence) {
  return MakeError(ErrorCode::kWrongState, fmt::format("command {} has ended", sequence),
                   fmt::format("'pyro task logs --sequence {}' shows its output", sequence));
}

// A link to the guest in which a command runs. kWrongState: it does not run.
Result<SupervisorLink> LinkOfRunning(const Context& context, Found& found, std::int64_t sequence) {
  PYRO_RETURN_IF_ERROR(api::CheckRange("sequence", sequence, 1, INT64_MAX));
  PYRO_ASSIGN_OR_RETURN(const state::CommandRecord command,
                        found.registry.GetCommand(found.instance.id, sequence));
  if (command.end) return HasEnded(sequence);
  if (command.execution_mode == ExecutionMode::kHostCompat) {
    return MakeError(ErrorCode::kWrongState,
                     "the command runs on the host, in the process that started it",
                     "that process has its stdin and passes signals on");
  }
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context, found));
  if (!taken.link) return HasEnded(sequence);
  return std::move(*taken.link);
}

// Until the command has the bytes. False: not in time.
Result<bool> AwaitWritten(SupervisorLink& link, std::int64_t sequence, Deadline deadline,
                          int cancel_fd) {
  while (true) {
    auto frame = link.Next(deadline, cancel_fd);
    if (!frame && frame.error().code == ErrorCode::kTimedOut) return false;
    if (!frame && frame.error().code == ErrorCode::kGuestUnavailable) return HasEnded(sequence);
    if (!frame) return std::move(frame).error();
    switch (frame->type) {
      case FrameType::kWritten:
        return true;
      case FrameType::kStopped:
        return HasEnded(sequence);
      case FrameType::kError: {
        Error error = wire::ErrorFromFrame(*frame);
        return error.code == ErrorCode::kNotFound ? HasEnded(sequence) : error;
      }
      default:
        break;  // How the guest is.
    }
  }
}

}  // namespace

Result<TaskProcesses> LocalEngine::ListTaskProcesses(const std::string& task_id, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_RETURN_IF_ERROR(CheckMade(context_, found.instance.id));
  PYRO_ASSIGN_OR_RETURN(Taken taken, Take(context_, found));
  if (!taken.link) return NoGuest(taken.instance);
  PYRO_RETURN_IF_ERROR(taken.link->AwaitReady(Deadline::After(kReadyLimit), io));
  PYRO_ASSIGN_OR_RETURN(const wire::Processes told, taken.link->Ask<wire::Processes>(io.cancel_fd));
  TaskProcesses processes;
  processes.task_id = taken.instance.id.str();
  processes.truncated = told.truncated;
  for (const wire::Process& one : told.processes) {
    processes.processes.push_back(DescribeProcess(one));
  }
  return processes;
}

Result<WrittenStdin> LocalEngine::WriteTaskStdin(const std::string& task_id, std::int64_t sequence,
                                                 CloseStdin close, std::int64_t timeout_seconds,
                                                 const CallIo& io) {
  PYRO_RETURN_IF_ERROR(api::CheckRange("timeout_seconds", timeout_seconds, 0, kMaxTimeoutSeconds));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link, LinkOfRunning(context_, found, sequence));
  const Deadline deadline = timeout_seconds == 0
                                ? Deadline::Never()
                                : Deadline::After(std::chrono::seconds(timeout_seconds));
  WrittenStdin written;
  written.task_id = found.instance.id.str();
  written.sequence = sequence;
  bool asked = false;
  std::string bytes(wire::kMaxDataBytes, '\0');
  for (bool last = false; !last;) {
    ssize_t n = 0;
    if (io.stdin_fd >= 0) {
      const auto waited = sys::WaitFor(io.stdin_fd, POLLIN, deadline, io.cancel_fd);
      if (waited == sys::Waited::kTimedOut) return written;
      if (waited == sys::Waited::kCancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
      n = ::read(io.stdin_fd, bytes.data(), bytes.size());
      if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (n < 0) return sys::ErrnoError(errno, "read stdin");
    }
    last = n == 0;
    const bool ends = last && close == CloseStdin::kYes;
    if (last && asked && !ends) break;
    asked = true;  // Also for no bytes: it tells whether the command takes some.
    link.Send(EncodeFrame(
        wire::Write{sequence, bytes.substr(0, static_cast<std::size_t>(n)), ends}.ToFrame(
            kWriteChannel)));
    auto taken = AwaitWritten(link, sequence, deadline, io.cancel_fd);
    if (!taken) {
      Error error = std::move(taken).error();
      if (written.bytes > 0) error.message += fmt::format("; it took {} bytes", written.bytes);
      return error;
    }
    if (!*taken) return written;
    written.bytes += static_cast<std::uint64_t>(n);
    written.closed = ends;
  }
  written.complete = true;
  return written;
}

Result<SignalledTaskCommand> LocalEngine::SignalTaskCommand(const std::string& task_id,
                                                            std::int64_t sequence,
                                                            const std::string& signal,
                                                            SignalTarget target, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const int number, ParseSignal(signal));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link, LinkOfRunning(context_, found, sequence));
  PYRO_RETURN_IF_ERROR(link.AwaitReady(Deadline::After(kReadyLimit), io));
  auto told = link.Ask<wire::Signalled>(
      io.cancel_fd,
      {.sequence = sequence, .signal = number, .first = target == SignalTarget::kFirst});
  if (!told && told.error().code == ErrorCode::kWrongState) return HasEnded(sequence);
  if (!told) return std::move(told).error();
  SignalledTaskCommand signalled;
  signalled.task_id = found.instance.id.str();
  signalled.sequence = sequence;
  signalled.signal = NameOfSignal(number);
  signalled.signalled = told->count;
  signalled.left = told->left;
  for (const wire::Process& one : told->processes) {
    signalled.processes.push_back({one.pid, CommandOf(one)});
  }
  return signalled;
}

}  // namespace pyro::engine
