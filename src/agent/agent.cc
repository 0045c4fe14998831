#include "agent/agent.h"

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "base/time.h"
#include "base/try.h"
#include "sys/errno_error.h"

namespace pyro::agent {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

// A port whose host side is closed reports that at once and for ever: it cannot be waited for.
constexpr int kHostRetryMs = 20;

constexpr std::size_t kSignalsPoll = 0;
constexpr std::size_t kPortPoll = 1;
constexpr std::size_t kSyncPoll = 2;
constexpr std::size_t kAnswersPoll = 3;
constexpr std::size_t kFirstDiscardedPoll = 4;

}  // namespace

Result<std::unique_ptr<Agent>> Agent::Create(AgentOptions options) {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  if (::sigprocmask(SIG_BLOCK, &child, nullptr) != 0) return sys::ErrnoError(errno, "sigprocmask");
  sys::UniqueFd signals(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) return sys::ErrnoError(errno, "signalfd");
  PYRO_ASSIGN_OR_RETURN(auto sync, DiskSync::Create(options.sync));
  PYRO_ASSIGN_OR_RETURN(auto answers, Answers::Create(std::move(options.answerers)));
  return std::unique_ptr<Agent>(
      new Agent(std::move(options), std::move(signals), std::move(sync), std::move(answers)));
}

Agent::Agent(AgentOptions options, sys::UniqueFd signals, std::unique_ptr<DiskSync> sync,
             std::unique_ptr<Answers> answers)
    : options_(std::move(options)),
      session_(*this, options_.build, options_.kernel),
      signals_(std::move(signals)),
      sync_(std::move(sync)),
      answers_(std::move(answers)),
      buffer_(kBufferBytes) {
  session_.Begin();
}

Status Agent::Serve() {
  while (!session_.over()) {
    PYRO_RETURN_IF_ERROR(WritePort());
    Wait();
    if (polls_[kSignalsPoll].revents != 0) Reap();
    if (polls_[kSyncPoll].revents != 0) sync_->Acknowledge();
    if (polls_[kAnswersPoll].revents != 0) {
      for (const wire::Frame& frame : answers_->Take()) session_.Answer(frame);
    }
    ServeCommands();
    PYRO_RETURN_IF_ERROR(WritePort());  // Before the work for which the host need not wait.
    Discard();
    CollectEnded();
    if (polls_[kPortPoll].revents != 0) PYRO_RETURN_IF_ERROR(ReadPort());
  }
  PYRO_RETURN_IF_ERROR(Flush());
  if (session_.failure()) return *session_.failure();
  return OkStatus();
}

void Agent::Wait() {
  short port_events = session_.MayReceive() ? POLLIN : 0;
  if (!session_.outgoing().empty()) port_events |= POLLOUT;
  const bool ask_port = !host_absent_ && port_events != 0;
  polls_.clear();
  polls_.push_back({signals_.get(), POLLIN, 0});
  polls_.push_back({ask_port ? options_.port.get() : -1, port_events, 0});
  polls_.push_back({sync_->fd(), POLLIN, 0});
  polls_.push_back({answers_->fd(), POLLIN, 0});
  for (const sys::UniqueFd& fd : discarded_) polls_.push_back({fd.get(), POLLIN, 0});
  int timeout = host_absent_ ? kHostRetryMs : -1;
  for (const auto& [channel, command] : commands_) {
    command->AddPolls(session_, polls_);
    const int own = command->PollTimeout();
    if (own >= 0) timeout = timeout < 0 ? own : std::min(own, timeout);
  }
  const int ready = ::poll(polls_.data(), polls_.size(), timeout);
  if (ready < 0) {
    for (pollfd& poll : polls_) poll.revents = 0;
  }
  const short port = polls_[kPortPoll].revents;
  host_absent_ = (port & POLLHUP) != 0 && (port & (POLLIN | POLLOUT)) == 0;
}

void Agent::Reap() {
  const SteadyTime now = std::chrono::steady_clock::now();
  signalfd_siginfo ignored;
  while (::read(signals_.get(), &ignored, sizeof ignored) > 0) {
  }
  while (true) {
    siginfo_t info{};
    // Only a look: a command's first process is reaped by its ChildProcess.
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) break;
    const auto command = std::find_if(commands_.begin(), commands_.end(), [&](const auto& entry) {
      return entry.second->pid() == info.si_pid;
    });
    if (command != commands_.end()) {
      command->second->OnExit(session_, now);
    } else {
      ::waitpid(info.si_pid, nullptr, WNOHANG);
    }
  }
  std::erase_if(remnants_, [](const auto& tree) { return tree->TryRemove(); });
}

// Begins one command further on in each round, so that the room in the queue goes to all in turn.
void Agent::ServeCommands() {
  const auto first = commands_.upper_bound(turn_);
  if (first != commands_.end()) {
    turn_ = first->first;
  } else {
    turn_ = commands_.empty() ? 0 : commands_.begin()->first;
  }
  const auto begin = commands_.lower_bound(turn_);
  for (auto it = begin; it != commands_.end(); ++it) it->second->Serve(session_, polls_);
  for (auto it = commands_.begin(); it != begin; ++it) it->second->Serve(session_, polls_);
}

// Processes left in the background keep running and writing: their output is dropped, but it must
// neither block them nor kill them by SIGPIPE.
void Agent::Discard() {
  for (std::size_t i = 0; i < discarded_.size(); ++i) {
    if (polls_[kFirstDiscardedPoll + i].revents == 0) continue;
    const ssize_t n = ::read(discarded_[i].get(), buffer_.data(), buffer_.size());
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) discarded_[i].Reset();
  }
  std::erase_if(discarded_, [](const sys::UniqueFd& fd) { return !fd.valid(); });
}

void Agent::CollectEnded() {
  for (auto it = commands_.begin(); it != commands_.end();) {
    Command& command = *it->second;
    if (!command.over()) {
      ++it;
      continue;
    }
    for (sys::UniqueFd& fd : command.TakePipes()) discarded_.push_back(std::move(fd));
    std::unique_ptr<ProcessTree> tree = command.TakeTree();
    if (!tree->TryRemove()) remnants_.push_back(std::move(tree));
    it = commands_.erase(it);
  }
}

Status Agent::WritePort() {
  while (!session_.outgoing().empty()) {
    const std::string_view bytes = session_.outgoing().front();
    const ssize_t n = ::write(options_.port.get(), bytes.data(), bytes.size());
    if (n > 0) {
      session_.outgoing().Consume(static_cast<std::size_t>(n));
    } else if (n == 0 || errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return sys::ErrnoError(errno, "write to the host");
    }
  }
  return OkStatus();
}

Status Agent::ReadPort() {
  // A port gives one page at a time.
  for (int i = 0; i < 32 && session_.MayReceive(); ++i) {
    const ssize_t n = ::read(options_.port.get(), buffer_.data(), buffer_.size());
    if (n > 0) {
      session_.Receive({buffer_.data(), static_cast<std::size_t>(n)});
    } else if (n == 0) {
      host_absent_ = true;
      break;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      return sys::ErrnoError(errno, "read from the host");
    }
  }
  return OkStatus();
}

Status Agent::Flush() {
  const Deadline deadline = Deadline::After(std::chrono::seconds(1));
  while (true) {
    PYRO_RETURN_IF_ERROR(WritePort());
    if (session_.outgoing().empty() || deadline.Expired()) return OkStatus();
    pollfd poll{options_.port.get(), POLLOUT, 0};
    ::poll(&poll, 1, deadline.PollTimeout());
    // With the host's side closed the poll returns at once; wait in vain then.
    if ((poll.revents & POLLOUT) == 0) ::poll(nullptr, 0, kHostRetryMs);
  }
}

Status Agent::Setup(const wire::GuestSetup& setup) {
  PYRO_RETURN_IF_ERROR(options_.setup(setup));
  trust_ = Trust(setup.certificate);
  variables_ = trust_.Variables();
  for (const auto& [name, value] : setup.variables) variables_[name] = value;
  return OkStatus();
}

Status Agent::Start(std::uint32_t channel, const wire::Exec& exec) {
  const Command::Place place = {*options_.trees,
                                options_.limits,
                                *sync_,
                                options_.file_program.get(),
                                options_.data_disk ? options_.data_disk() : -1,
                                variables_};
  trust_.Refresh();
  PYRO_ASSIGN_OR_RETURN(auto command, Command::Start(channel, exec, place));
  commands_[channel] = std::move(command);
  return OkStatus();
}

Status Agent::Ask(std::uint32_t channel, const wire::Ask& ask) {
  const auto about = std::find_if(commands_.begin(), commands_.end(), [&](const auto& entry) {
    return ask.sequence > 0 && entry.second->sequence() == ask.sequence;
  });
  return answers_->Ask({channel, ask, about == commands_.end() ? 0 : about->second->pid()});
}

void Agent::EndCommands(int signal, std::chrono::milliseconds limit) {
  const Deadline deadline = Deadline::After(limit);
  for (const auto& [channel, command] : commands_) {
    if (!command->Signal(signal)) continue;
    // A pipe without a reader could hold up the end.
    for (sys::UniqueFd& fd : command->TakePipes()) discarded_.push_back(std::move(fd));
  }
  const auto left = [this] {
    return std::any_of(commands_.begin(), commands_.end(),
                       [](const auto& entry) { return !entry.second->exited(); });
  };
  while (left() && !deadline.Expired()) {
    polls_.assign(kFirstDiscardedPoll, {-1, 0, 0});
    polls_[kSignalsPoll] = {signals_.get(), POLLIN, 0};
    for (const sys::UniqueFd& fd : discarded_) polls_.push_back({fd.get(), POLLIN, 0});
    if (::poll(polls_.data(), polls_.size(), deadline.PollTimeout()) <= 0) continue;
    Reap();
    Discard();
  }
}

bool Agent::Kill(std::uint32_t channel) {
  const auto it = commands_.find(channel);
  return it != commands_.end() && it->second->Kill();
}

}  // namespace pyro::agent
