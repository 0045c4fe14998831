#include "engine/session/host_command.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/try.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kPipeBytes = 64 * 1024;  // Read at once.

}  // namespace

Status PipeOutput::Read() {
  for (const OutputStream stream : kOutputStreams) {
    sys::UniqueFd& pipe = pipes_[static_cast<std::size_t>(stream)];
    std::string& bytes = buffer(stream);
    if (!pipe.valid() || !bytes.empty()) continue;
    bytes.resize(kPipeBytes);
    const ssize_t n = ::read(pipe.get(), bytes.data(), bytes.size());
    bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    totals_[static_cast<std::size_t>(stream)] += bytes.size();
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) pipe.Reset();
  }
  return OkStatus();
}

Result<HostCommand> HostCommand::Start(sys::SpawnOptions spawn, std::chrono::milliseconds limit) {
  PYRO_ASSIGN_OR_RETURN(sys::Pipe input, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe out, sys::MakePipe());
  PYRO_ASSIGN_OR_RETURN(sys::Pipe err, sys::MakePipe());
  for (const int ours : {input.write.get(), out.read.get(), err.read.get()}) {
    PYRO_RETURN_IF_ERROR(sys::SetNonBlocking(ours));
  }
  spawn.stdin_fd = std::move(input.read);
  spawn.stdout_fd = std::move(out.write);
  spawn.stderr_fd = std::move(err.write);
  PYRO_ASSIGN_OR_RETURN(sys::ChildProcess child, sys::ChildProcess::Spawn(std::move(spawn)));
  return HostCommand(std::move(child), std::move(input.write),
                     PipeOutput(std::move(out.read), std::move(err.read)),
                     limit.count() > 0 ? Deadline::After(limit) : Deadline::Never());
}

RunningCommand::Polls HostCommand::polls() const {
  return {{{over() ? -1 : child_.exit_fd(), POLLIN, 0},
           {unwritten_.empty() ? -1 : input_.get(), POLLOUT, 0}}};
}

Status HostCommand::Advance(const Polls& polls, SteadyTime now) {
  if (polls[1].revents != 0) WriteInput();
  if (over()) return OkStatus();
  if (const auto status = child_.Wait(Deadline::After(std::chrono::milliseconds(0)))) {
    status_ = *status;
    ended_ = now;
    input_.Reset();
    unwritten_.clear();
  } else if (limit_.at() <= now) {
    timed_out_ = true;
    limit_ = Deadline::Never();
    (void)child_.SignalGroup(SIGKILL);
    (void)child_.Signal(SIGKILL);
  }
  return OkStatus();
}

std::size_t HostCommand::input_room() const {
  return input_.valid() && unwritten_.empty() ? kPipeBytes : 0;
}

void HostCommand::Input(std::string_view bytes) {
  unwritten_ = bytes;
  WriteInput();
}

void HostCommand::WriteInput() {
  const ssize_t n = ::write(input_.get(), unwritten_.data(), unwritten_.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n < 0) {
    // The command closed its stdin: the rest of the input is dropped.
    unwritten_.clear();
    return input_.Reset();
  }
  unwritten_.erase(0, static_cast<std::size_t>(n));
}

CommandEnd HostCommand::end() const {
  using std::chrono::microseconds;
  CommandEnd end;
  end.duration_us = std::chrono::duration_cast<microseconds>(ended_ - began_).count();
  end.stdout_bytes = output_.total(OutputStream::kStdout);
  end.stderr_bytes = output_.total(OutputStream::kStderr);
  if (timed_out_) {
    end.outcome = Outcome::kTimedOut;
  } else {
    // bwrap reports a signalled command as 128 + n, as a shell does.
    end.outcome = status_->signalled ? Outcome::kSignalled : Outcome::kExited;
    end.code = status_->code;
  }
  return end;
}

}  // namespace pyro::engine
