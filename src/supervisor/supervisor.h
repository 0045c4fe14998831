// The process that owns one guest: starts it, serves its clients, and cleans up after it.
//
// One thread, one event loop. docs/ARCHITECTURE.md describes its life in order; the comments here
// state the promise of each step.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "pyro/result.h"
#include "supervisor/command_router.h"
#include "supervisor/console_log.h"
#include "supervisor/guest_pulse.h"
#include "supervisor/guest_record.h"
#include "supervisor/helpers.h"
#include "supervisor/session.h"
#include "supervisor/timers.h"
#include "sys/unique_fd.h"
#include "vmm/network.h"
#include "vmm/vmm.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

class Supervisor {
 public:
  // What a guest's life depends on beside its clients. All of it outlives the supervisor.
  struct Seams {
    vmm::Vmm& vmm;
    GuestRecord& record;
    const Clock& clock;
    Timers& timers;
    Helpers& helpers;
  };

  Supervisor(boost::asio::io_context& loop, wire::SupervisorConfig config, const Seams& seams);
  ~Supervisor();

  // When it returns, clients can connect. Call it before Start or, for a spare, once the guest is
  // ready: until then it would only make them wait.
  Status Listen();

  // `creator` is a pidfd of the process that made this guest, or invalid. If a guest that ends with
  // its owner loses its creator before an owner connects, it ends at once.
  void WatchCreator(sys::UniqueFd creator);

  // Starts the guest, in the loop. The loop runs until the guest and all that belongs to it are
  // gone.
  void Start();

  // `on_end` is called once, when only the last frames to clients remain.
  void OnEnd(std::function<void()> on_end) { on_end_ = std::move(on_end); }

  // `on_ready` is called once, when the guest takes commands.
  void OnReady(std::function<void()> on_ready) { on_ready_ = std::move(on_ready); }

  // The reason for the guest's end, unless it was asked to end.
  const std::optional<Error>& failure() const { return failure_; }

  // As a client's `stop`: `remove` kills at once and deletes, otherwise the guest powers off and
  // its disk is kept.
  void Stop(bool remove);

 private:
  enum class Phase { kStarting, kReady, kStopping, kEnded };

  CommandRouter::Callbacks RouterCallbacks();
  GuestPulse::Callbacks PulseCallbacks();

  // Start of the guest, in order.
  void StartGuest();
  std::optional<vmm::FrozenGuest> FindTemplate();
  void Launch();
  void StartCold();
  Status LaunchMachine();
  Result<vmm::MachineSpec> OpenMachineFiles();
  Status FromAgent(wire::Frame frame);
  Status GreetAgent(const wire::Frame& frame);
  void SetUpGuest();
  void WarmUp(wire::Ready ready);
  Status FromWarmUp(wire::Frame frame);
  void GuestIsReady(wire::Ready ready);
  void SettleTemplate();
  void MakeTemplateWhenIdle();
  void MakeTemplateNow();
  void RefillPool();
  std::optional<wire::GuestNetwork> GuestNetwork() const;

  // Clients.
  void Accept();
  void Greeted(ClientId client);
  Status Claim(ClientId client, const wire::Claim& claim);
  void ClientGone(ClientId client);
  bool AwaitsOwner() const;
  void Broadcast(const wire::Frame& frame);
  void Say(std::string phase);

  // Commands and the lease.
  Timer& TimerOf(std::uint32_t channel);
  void ArmTimeout(std::uint32_t channel, std::chrono::milliseconds timeout);
  void CheckKilled(std::uint32_t channel);
  std::int64_t WallClockNs() const;
  void ArmPulse();
  void BeatPulse();
  void UseChanged();
  void RenewLease();
  void ArmLease(std::chrono::seconds length);
  bool WaitsOn();
  void SettleJournal();

  // Ends.
  void WatchMachine();
  void MachineEnded();
  void GuestFailed(const Error& error);
  void ConcludeFailure();
  bool AnyoneGreeted() const;
  void Remove();
  void Finish();
  std::string WithConsole(std::string message) const;

  boost::asio::io_context& loop_;
  wire::SupervisorConfig config_;
  vmm::Vmm& vmm_;
  GuestRecord& record_;
  const Clock& clock_;
  Timers& timers_;
  Helpers& helpers_;

  Phase phase_ = Phase::kStarting;
  std::string progress_ = "boot";
  std::optional<Error> failure_;  // The reason for the guest's end, once it has ended.
  wire::Ready ready_;
  bool agent_greeted_ = false;

  std::optional<vmm::FrozenGuest> frozen_;  // Until the machine has taken it.
  bool warm_ = false;                   // The guest goes on from a template; otherwise it boots.
  bool template_is_bad_ = false;        // Removed once the guest has booted without it.
  bool disk_is_the_templates_ = false;  // Not the original blank one.
  bool wants_template_ = false;         // There is no valid one yet.

  bool waiting_ = false;                   // A spare that no client has claimed yet.
  std::optional<wire::Ready> warming_up_;  // What a spare answered, while its first command runs.
  bool wants_refill_ = false;              // The pool that this guest was taken from lacks it.

  boost::asio::local::stream_protocol::acceptor acceptor_;
  std::map<ClientId, std::unique_ptr<Session>> sessions_;
  ClientId next_client_ = 1;
  boost::asio::posix::stream_descriptor creator_exit_;
  std::optional<ClientId> owner_;  // The first that greeted: the creator of this guest.

  CommandRouter router_;
  GuestPulse pulse_;
  HostClockWatch host_clock_;
  std::map<std::uint32_t, std::unique_ptr<Timer>> timeouts_;  // By the guest's channel.

  std::optional<vmm::Network> network_;
  std::unique_ptr<vmm::Machine> machine_;
  boost::asio::posix::stream_descriptor machine_exit_;
  std::shared_ptr<FrameStream> agent_;
  std::shared_ptr<ConsoleLog> console_;

  std::unique_ptr<Timer> pulse_timer_;
  std::unique_ptr<Timer> boot_limit_;
  std::unique_ptr<Timer> lease_;
  std::unique_ptr<Timer> settle_;
  bool settling_ = false;  // It runs.
  std::unique_ptr<Timer> stop_limit_;
  std::unique_ptr<Timer> template_delay_;
  std::unique_ptr<Timer> refill_delay_;
  std::function<void()> on_ready_;
  std::function<void()> on_end_;
};

}  // namespace pyro::supervisor
