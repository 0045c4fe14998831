#include "engine/session/command_session.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/try.h"
#include "sys/wait_for.h"

namespace pyro::engine {
namespace {

constexpr std::size_t kInputBytes = 64 * 1024;  // Read at once; on the heap, for small stacks.
// Between two looks at the command and the cancellation: a command may write faster than the sink
// takes it, for ever.
constexpr std::chrono::milliseconds kCopyLimit{50};

bool IsWritable(int fd) { return fd < 0 || sys::IsReady(fd, POLLOUT); }

}  // namespace

Status CommandSession::Run() {
  if (stdin_fd_ < 0) command_.EndInput();
  while (true) {
    PYRO_RETURN_IF_ERROR(command_.Advance(polls_, std::chrono::steady_clock::now()));
    // In this order: a copy after the end was reported gets all output.
    const bool over = command_.over();
    if (over) stdin_fd_ = -1;
    if (Status status = Copy(); !status) {
      sink_ = nullptr;
      PYRO_RETURN_IF_ERROR(Stop(std::move(status).error()));
    }
    if (over && !has_more_ && Delivered()) break;
    PYRO_RETURN_IF_ERROR(Wait());
  }
  return failure_ ? Status(*failure_) : OkStatus();
}

Status CommandSession::Copy() {
  OutputSource* const source = sink_ != nullptr ? command_.output() : nullptr;
  const Deadline limit = Deadline::After(kCopyLimit);
  has_more_ = false;
  bool moved = source != nullptr;
  while (moved) {
    has_more_ = limit.Expired();
    if (has_more_) return OkStatus();
    PYRO_RETURN_IF_ERROR(source->Read());
    moved = false;
    for (const OutputStream stream : kOutputStreams) {
      PYRO_ASSIGN_OR_RETURN(const std::size_t taken, Deliver(*source, stream));
      moved = moved || taken > 0;
    }
  }
  return OkStatus();
}

// Gives the sink as much as it takes without waiting.
Result<std::size_t> CommandSession::Deliver(OutputSource& source, OutputStream stream) {
  const std::string_view bytes = source.waiting(stream);
  if (!bytes.empty() && first_output_at_ == SteadyTime{}) {
    first_output_at_ = std::chrono::steady_clock::now();
  }
  std::size_t done = 0;
  while (done < bytes.size() && IsWritable(sink_->WritableFd(stream))) {
    PYRO_ASSIGN_OR_RETURN(const std::size_t taken, sink_->Write(stream, bytes.substr(done)));
    if (taken == 0) break;
    done += taken;
  }
  if (done > 0) source.Take(stream, done);
  return done;
}

bool CommandSession::Delivered() {
  const OutputSource* const source = sink_ != nullptr ? command_.output() : nullptr;
  if (source == nullptr) return true;
  return std::all_of(kOutputStreams.begin(), kOutputStreams.end(),
                     [source](OutputStream stream) { return source->waiting(stream).empty(); }) &&
         source->ended();
}

// OK: the command's end is still awaited.
Status CommandSession::Stop(Error why) {
  const bool first = !failure_;
  failure_ = std::move(why);
  stdin_fd_ = -1;
  if (first && !command_.Kill()) return *failure_;
  return OkStatus();
}

Status CommandSession::Wait() {
  const RunningCommand::Polls own = command_.polls();
  const OutputSource* const source = sink_ != nullptr ? command_.output() : nullptr;
  const auto source_fd = [source](OutputStream stream) {
    return source != nullptr && source->waiting(stream).empty() ? source->ReadableFd(stream) : -1;
  };
  const auto sink_fd = [this, source](OutputStream stream) {
    return source != nullptr && !source->waiting(stream).empty() ? sink_->WritableFd(stream) : -1;
  };
  const bool takes_input = stdin_fd_ >= 0 && command_.input_room() > 0;
  std::array<pollfd, 8> polls = {{own[0],
                                  own[1],
                                  {failure_ ? -1 : io_.cancel_fd, POLLIN, 0},
                                  {takes_input ? stdin_fd_ : -1, POLLIN, 0},
                                  {source_fd(OutputStream::kStdout), POLLIN, 0},
                                  {source_fd(OutputStream::kStderr), POLLIN, 0},
                                  {sink_fd(OutputStream::kStdout), POLLOUT, 0},
                                  {sink_fd(OutputStream::kStderr), POLLOUT, 0}}};
  // After EINTR nothing is ready, and the loop looks again.
  ::poll(polls.data(), polls.size(), has_more_ ? 0 : command_.next_look().PollTimeout());
  polls_ = {polls[0], polls[1]};
  if (polls[2].revents != 0) return Stop(MakeError(ErrorCode::kCancelled, "cancelled"));
  if (polls[3].revents != 0) ReadStdin();
  return OkStatus();
}

void CommandSession::ReadStdin() {
  if (!input_) input_ = std::make_unique_for_overwrite<char[]>(kInputBytes);
  const ssize_t n = ::read(stdin_fd_, input_.get(), std::min(kInputBytes, command_.input_room()));
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n > 0) return command_.Input({input_.get(), static_cast<std::size_t>(n)});
  stdin_fd_ = -1;
  command_.EndInput();
}

}  // namespace pyro::engine
