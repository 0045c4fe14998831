#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/build_id.h"
#include "base/check.h"
#include "base/text.h"
#include "base/time.h"
#include "base/try.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/unix_socket.h"

namespace pyro::supervisor {
namespace {

namespace asio = boost::asio;
using ErrorCodeOfAsio = boost::system::error_code;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kFirstClientLimit{30};  // For the owner of a guest that ends with it to connect.
constexpr seconds kLastWordsLimit{
    10};                           // For the creator of a guest that failed at once to ask why.
constexpr seconds kStopLimit{15};  // For the guest to power off by itself.
constexpr seconds kKillGrace{10};  // For the agent to report a killed command.
constexpr milliseconds kRefillDelay{5};  // For the command to be on its way into the guest.
constexpr seconds kSettleEvery{1};       // Between two tries to store what a full disk refused.

}  // namespace

Supervisor::Supervisor(asio::io_context& loop, wire::SupervisorConfig config, const Seams& seams)
    : loop_(loop),
      config_(std::move(config)),
      vmm_(seams.vmm),
      record_(seams.record),
      clock_(seams.clock),
      timers_(seams.timers),
      helpers_(seams.helpers),
      waiting_(!config_.spare_pool.empty()),
      acceptor_(loop),
      creator_exit_(loop),
      router_(RouterCallbacks()),
      pulse_(PulseCallbacks()),
      machine_exit_(loop),
      pulse_timer_(timers_.NewTimer()),
      boot_limit_(timers_.NewTimer()),
      lease_(timers_.NewTimer()),
      settle_(timers_.NewTimer()),
      stop_limit_(timers_.NewTimer()),
      template_delay_(timers_.NewTimer()),
      refill_delay_(timers_.NewTimer()) {}

Supervisor::~Supervisor() = default;

CommandRouter::Callbacks Supervisor::RouterCallbacks() {
  CommandRouter::Callbacks callbacks;
  callbacks.to_guest = [this](std::string bytes) {
    if (agent_) agent_->Send(std::move(bytes));
  };
  callbacks.to_client = [this](ClientId client, std::string bytes) {
    const auto session = sessions_.find(client);
    if (session != sessions_.end()) session->second->Send(std::move(bytes));
  };
  callbacks.started = [this](std::uint32_t channel, milliseconds timeout) {
    ArmTimeout(channel, timeout);
  };
  callbacks.killed = [this](std::uint32_t channel) { CheckKilled(channel); };
  callbacks.finished = [this](std::uint32_t channel) { timeouts_.erase(channel); };
  callbacks.use_changed = [this] { UseChanged(); };
  if (CommandJournal* journal = record_.journal()) {
    callbacks.record = [journal](const wire::Exec& exec) { return journal->Begin(exec); };
    callbacks.append = [this, journal](std::int64_t sequence, wire::Stream stream,
                                       std::string_view bytes) {
      journal->Append(sequence, stream, bytes);
      SettleJournal();
    };
    callbacks.record_end = [this, journal](std::int64_t sequence, const wire::Exited& exited) {
      journal->End(sequence, exited);
      SettleJournal();
    };
  }
  return callbacks;
}

Status Supervisor::Listen() {
  PYRO_ASSIGN_OR_RETURN(sys::UniqueFd socket, sys::ListenUnix(config_.directory / "control.sock"));
  ErrorCodeOfAsio error;
  acceptor_.assign(asio::local::stream_protocol(), socket.get(), error);
  PYRO_CHECK(!error);
  (void)socket.Release();
  Accept();
  return OkStatus();
}

void Supervisor::WatchCreator(sys::UniqueFd creator) {
  if (!creator.valid()) return;
  ErrorCodeOfAsio error;
  creator_exit_.assign(creator.get(), error);
  if (error) return;
  (void)creator.Release();
  creator_exit_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this](ErrorCodeOfAsio failure) {
                             if (!failure && AwaitsOwner()) Remove();
                           });
}

void Supervisor::Start() {
  // A creator may live on and still have failed to connect: a thread of a Python program, for one.
  ArmLease(AwaitsOwner() ? kFirstClientLimit : config_.ttl);
  asio::post(loop_, [this] { StartGuest(); });
}

// --- Clients

void Supervisor::Accept() {
  acceptor_.async_accept(
      [this](ErrorCodeOfAsio error, asio::local::stream_protocol::socket socket) {
        if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
        if (!error && sys::PeerIsSameUser(socket.native_handle())) {
          ErrorCodeOfAsio released;
          auto stream = FrameStream::Create(loop_, sys::UniqueFd(socket.release(released)));
          if (stream) {
            const ClientId id = next_client_++;
            Session::Callbacks callbacks;
            callbacks.greeted = [this](ClientId client) { Greeted(client); };
            callbacks.command_frame = [this](ClientId client, wire::Frame frame) -> Status {
              if (waiting_) return MakeError(ErrorCode::kWrongState, "this guest is not yours yet");
              return router_.FromClient(client, std::move(frame));
            };
            callbacks.stop = [this](ClientId, wire::Stop stop) { Stop(stop.remove || waiting_); };
            callbacks.claim = [this](ClientId client, wire::Claim claim) {
              return Claim(client, claim);
            };
            callbacks.gone = [this](ClientId client) { ClientGone(client); };
            auto session = std::make_unique<Session>(id, std::move(*stream), std::move(callbacks));
            session->Start();
            sessions_.emplace(id, std::move(session));
          }
        }
        Accept();
      });
}

void Supervisor::Greeted(ClientId client) {
  if (waiting_) return;
  if (!owner_) {
    const bool awaited = AwaitsOwner();
    owner_ = client;
    if (awaited) RenewLease();
  }
  Session& session = *sessions_.at(client);
  if (failure_) {
    asio::post(loop_, [this] { ConcludeFailure(); });
  } else if (phase_ == Phase::kReady) {
    session.Send(EncodeFrame(ready_.ToFrame()));
  } else if (phase_ == Phase::kStarting) {
    session.Send(EncodeFrame(wire::Progress{progress_}.ToFrame()));
  }
}

Status Supervisor::Claim(ClientId client, const wire::Claim& claim) {
  if (!waiting_ || phase_ != Phase::kReady) {
    return MakeError(ErrorCode::kWrongState, "this guest has another owner");
  }
  waiting_ = false;
  owner_ = client;
  record_.Taken();
  PYRO_FAILPOINT("spare.taken");
  config_.dies_with_first_client = true;
  config_.ttl = seconds(claim.ttl_seconds);
  RenewLease();
  ready_.start = "spare";
  ready_.machine_at_us = 0;
  Session& session = *sessions_.at(client);
  session.Send(EncodeFrame(wire::Plain(wire::FrameType::kClaimed)));
  session.Send(EncodeFrame(ready_.ToFrame()));
  wants_refill_ = true;
  refill_delay_->Start(kRefillDelay, [this] { RefillPool(); });
  return OkStatus();
}

void Supervisor::RefillPool() {
  if (std::exchange(wants_refill_, false)) {
    helpers_.StartSpareFiller(config_);
  }
}

void Supervisor::ClientGone(ClientId client) {
  // The session may be on the stack: it is destroyed from the loop.
  const auto found = sessions_.find(client);
  if (found == sessions_.end()) return;
  asio::post(loop_, [session = std::shared_ptr<Session>(std::move(found->second))] {});
  sessions_.erase(found);
  if (phase_ == Phase::kEnded) return;
  router_.ClientGone(client);
  if (owner_ == client && (config_.dies_with_first_client || record_.unfinished())) Remove();
}

// The guest ends with its owner, and that owner has not connected yet.
bool Supervisor::AwaitsOwner() const {
  return !owner_ && !waiting_ && (config_.dies_with_first_client || record_.unfinished());
}

void Supervisor::Broadcast(const wire::Frame& frame) {
  for (const auto& [id, session] : sessions_) {
    if (session->greeted()) session->Send(EncodeFrame(frame));
  }
}

void Supervisor::Say(std::string phase) {
  progress_ = std::move(phase);
  Broadcast(wire::Progress{progress_}.ToFrame());
}

// --- Commands and the lease

Timer& Supervisor::TimerOf(std::uint32_t channel) {
  std::unique_ptr<Timer>& timer = timeouts_[channel];
  if (!timer) timer = timers_.NewTimer();
  return *timer;
}

void Supervisor::ArmTimeout(std::uint32_t channel, milliseconds timeout) {
  if (timeout.count() == 0) return;
  TimerOf(channel).Start(timeout, [this, channel] { router_.TimedOut(channel); });
}

void Supervisor::CheckKilled(std::uint32_t channel) {
  TimerOf(channel).Start(kKillGrace, [this, channel] {
    // A client that does not read delays the report of the command's end: no fault of the guest's.
    if (!router_.GuestOwesExit(channel)) return CheckKilled(channel);
    // Its client is told in time. The guest, with its other commands, may only be paused, as on a
    // host that sleeps: from now on it has as long again as BeatPulse() gives it.
    if (router_.given_up() == 0) pulse_.Forgive();
    router_.GiveUp(channel);
  });
}

GuestPulse::Callbacks Supervisor::PulseCallbacks() {
  GuestPulse::Callbacks callbacks;
  callbacks.ping = [this](std::int64_t number) {
    agent_->Send(EncodeFrame(wire::Ping{number}.ToFrame()));
  };
  callbacks.set_clock = [this] {
    agent_->Send(EncodeFrame(wire::SetClock{WallClockNs()}.ToFrame()));
  };
  return callbacks;
}

std::int64_t Supervisor::WallClockNs() const {
  return std::chrono::nanoseconds(clock_.Now().time_since_epoch()).count();
}

void Supervisor::ArmPulse() {
  pulse_timer_->Start(GuestPulse::kBeat, [this] {
    if (phase_ == Phase::kReady) BeatPulse();
  });
}

void Supervisor::BeatPulse() {
  if (host_clock_.Changed(WallClockNs(), SteadyClockNs())) pulse_.HostClockChanged();
  pulse_.Beat();
  PYRO_FAILPOINT("supervisor.beat");
  if (pulse_.silent() && router_.given_up() > 0) {
    return GuestFailed(
        MakeError(ErrorCode::kGuestUnavailable,
                  "the guest does not answer: a command was killed and did not end"));
  }
  ArmPulse();
}

// A full disk may get room at any time, also if no further command comes.
void Supervisor::SettleJournal() {
  if (record_.journal()->settled() || settling_) return;
  settling_ = true;
  settle_->Start(kSettleEvery, [this] {
    settling_ = false;
    if (phase_ == Phase::kEnded) return;
    record_.journal()->Settle();
    SettleJournal();
  });
}

void Supervisor::UseChanged() {
  // A spare lives by its pool's lease, and a guest without its owner by a limit for that owner.
  if (waiting_ || AwaitsOwner()) return;
  if (phase_ == Phase::kStarting || phase_ == Phase::kReady) RenewLease();
}

void Supervisor::RenewLease() {
  ArmLease(config_.ttl);
  // No process reads the lease in the row of a VM that ends with its owner.
  if (!config_.dies_with_first_client) (void)record_.Renewed();
}

void Supervisor::ArmLease(seconds length) {
  lease_->Start(length, [this] {
    if (waiting_ && WaitsOn()) return;
    if (AwaitsOwner()) return Remove();
    // A start has a limit of its own; with a shorter lease the guest would never be ready.
    const bool starting = phase_ == Phase::kStarting && !config_.dies_with_first_client;
    if (router_.idle() && !starting) {
      PYRO_FAILPOINT("supervisor.lease-over");
      // A VM is deleted at its lease's end, a task keeps its files.
      Stop(config_.kind == wire::GuestKind::kVm);
    } else {
      RenewLease();
    }
  });
}

bool Supervisor::WaitsOn() {
  const auto left = record_.WaitsFor();
  if (left) ArmLease(std::chrono::ceil<seconds>(*left));
  return left.has_value();
}

// --- Ends

void Supervisor::WatchMachine() {
  ErrorCodeOfAsio error;
  machine_exit_.assign(::fcntl(machine_->exit_fd(), F_DUPFD_CLOEXEC, 3), error);
  PYRO_CHECK(!error);
  machine_exit_.async_wait(asio::posix::stream_descriptor::wait_read,
                           [this](ErrorCodeOfAsio failure) {
                             if (!failure) MachineEnded();
                           });
}

std::string Supervisor::WithConsole(std::string message) const {
  const std::string tail = console_ ? console_->Tail() : "";
  if (!tail.empty()) message += "; the end of its console:\n" + tail;
  return message;
}

void Supervisor::MachineEnded() {
  if (phase_ == Phase::kEnded || failure_) return;
  if (phase_ == Phase::kStopping) {
    machine_.reset();
    PYRO_FAILPOINT("supervisor.stop.guest-off");
    (void)record_.Stopped();
    PYRO_FAILPOINT("supervisor.stop.recorded");
    Finish();
    return;
  }
  auto exit = machine_->Wait(Deadline::After(seconds(1)));
  std::string detail = exit ? exit->detail : exit.error().message;
  if (exit && !exit->diagnostics.empty()) detail += ": " + LastLines(exit->diagnostics, 4);
  GuestFailed(MakeError(ErrorCode::kGuestUnavailable,
                        phase_ == Phase::kStarting ? "the guest ended while it started: " + detail
                                                   : "the guest is gone: " + detail));
}

void Supervisor::GuestFailed(const Error& error) {
  if (phase_ == Phase::kEnded || failure_) return;
  if (phase_ == Phase::kStarting && warm_) return StartCold();
  failure_ = error;
  if (phase_ == Phase::kStarting) failure_->message = WithConsole(failure_->message);
  machine_.reset();
  network_.reset();
  if (phase_ == Phase::kStarting && !waiting_ && !AnyoneGreeted()) {
    // The creator is about to connect, and must get the reason.
    boot_limit_->Start(kLastWordsLimit, [this] { ConcludeFailure(); });
    return;
  }
  ConcludeFailure();
}

void Supervisor::ConcludeFailure() {
  if (phase_ == Phase::kEnded) return;
  // During a stop a dead machine is no failure.
  if (phase_ != Phase::kStopping) Broadcast(wire::ErrorFrame(0, *failure_));
  phase_ = Phase::kEnded;
  router_.GuestGone();
  PYRO_FAILPOINT("supervisor.lost.commands-ended");
  (void)(config_.dies_with_first_client ? record_.Removed() : record_.Lost(failure_->message));
  PYRO_FAILPOINT("supervisor.lost.recorded");
  Finish();
}

bool Supervisor::AnyoneGreeted() const {
  for (const auto& [id, session] : sessions_) {
    if (session->greeted()) return true;
  }
  return false;
}

void Supervisor::Stop(bool remove) {
  if (remove) return Remove();
  if (phase_ == Phase::kEnded || phase_ == Phase::kStopping) return;
  if (phase_ == Phase::kStarting || !agent_) {
    phase_ = Phase::kStopping;
    router_.GuestGone();
    machine_.reset();
    (void)record_.Stopped();
    return Finish();
  }
  phase_ = Phase::kStopping;
  // A client that connects now waits for the lock, instead of reaching a guest that is ending.
  ErrorCodeOfAsio ignored;
  acceptor_.close(ignored);
  router_.GuestGone();
  PYRO_FAILPOINT("supervisor.stop.commands-ended");
  agent_->Send(EncodeFrame(wire::Plain(wire::FrameType::kPowerOff)));
  stop_limit_->Start(kStopLimit, [this] {
    if (machine_) machine_->Kill();
  });
}

void Supervisor::Remove() {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  router_.GuestGone();
  machine_.reset();
  network_.reset();
  PYRO_FAILPOINT("supervisor.remove.guest-off");
  (void)record_.Removed();
  PYRO_FAILPOINT("supervisor.remove.recorded");
  Finish();
}

void Supervisor::Finish() {
  phase_ = Phase::kEnded;
  MakeTemplateNow();
  network_.reset();
  Broadcast(wire::Plain(wire::FrameType::kStopped));
  for (const auto& [id, session] : sessions_) session->Finish();
  ErrorCodeOfAsio ignored;
  acceptor_.close(ignored);
  creator_exit_.close(ignored);
  machine_exit_.close(ignored);
  if (agent_) agent_->Close();
  if (console_) console_->Close();
  timeouts_.clear();
  boot_limit_->Stop();
  lease_->Stop();
  settle_->Stop();
  pulse_timer_->Stop();
  stop_limit_->Stop();
  template_delay_->Stop();
  refill_delay_->Stop();
  RefillPool();
  if (on_end_) on_end_();
}

}  // namespace pyro::supervisor
