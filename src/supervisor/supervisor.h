// The process that owns one guest: starts it, serves its clients, and cleans up after it.
//
// One thread, one event loop. A guest's life has three phases, each a part with a state of its own:
//
//   Starting   The machine goes on from a template, or boots. The agent says hello, gets its setup
//              and says ready. A spare then warms up. If a guest from a template fails, it boots
//              instead; each other failure goes to Ending.
//   Serving    Commands with their time limits and their journal; the guest's pulse and its clock.
//   Ending     Stop: the guest powers off, its disk is kept. Remove: it is killed and deleted.
//              Failure: its clients learn the reason, and the record keeps it.
//
// Other parts last through all three. GuestMachine is the machine, with its channel, console and
// network. Clients are the connections; a command waits in the router of Serving until the guest
// is ready. Lease decides how long the guest lives. TemplateUse finds the template or has one made.
// Spare knows whether the guest still waits for its claim.
//
// No part knows Supervisor: it connects them, and implements the interfaces that they declare.
// Each frame of the guest comes in by one door, FromAgent().

#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <utility>

#include "base/time.h"
#include "pyro/result.h"
#include "supervisor/clients.h"
#include "supervisor/ending.h"
#include "supervisor/guest_machine.h"
#include "supervisor/guest_record.h"
#include "supervisor/helpers.h"
#include "supervisor/lease.h"
#include "supervisor/serving.h"
#include "supervisor/spare.h"
#include "supervisor/starting.h"
#include "supervisor/template_use.h"
#include "supervisor/timers.h"
#include "sys/unique_fd.h"
#include "vmm/vmm.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

class Supervisor : private ClientRequests,
                   private GuestMachine::Owner,
                   private Starting::Owner,
                   private Serving::Owner,
                   private Lease::Guest {
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

  // When it returns, clients can connect. Call it before Start or, for a spare, once the guest is
  // ready: until then it would only make them wait.
  Status Listen() { return clients_.Listen(config_.directory / "control.sock"); }

  // See Lease::WatchCreator; an invalid descriptor is none.
  void WatchCreator(sys::UniqueFd creator) { lease_.WatchCreator(std::move(creator)); }

  // See Serving::WatchClock; before Start.
  void WatchClock(sys::UniqueFd steps) { serving_.WatchClock(std::move(steps)); }

  // Starts the guest, in the loop. The loop runs until the guest and all that belongs to it are
  // gone.
  void Start();

  // `on_end` is called once, when only the last frames to clients remain.
  void OnEnd(std::function<void()> on_end) { ending_.OnEnd(std::move(on_end)); }

  // `on_ready` is called once, when the guest takes commands.
  void OnReady(std::function<void()> on_ready) { on_ready_ = std::move(on_ready); }

  // The reason for the guest's end, unless it was asked to end.
  const std::optional<Error>& failure() const { return ending_.failure(); }

  // SIGTERM: a guest that ends with its client, or waits for one, is removed; another powers off.
  void Terminate() { Stop(lease_.ends_with_client() || spare_.waiting()); }

  // As a client's `stop`: `remove` kills at once and deletes, otherwise the guest powers off and
  // its disk is kept.
  void Stop(bool remove) override { return remove ? ending_.Remove() : ending_.Stop(); }

 private:
  // The guest.
  Status FromAgent(wire::Frame frame) override;
  void MachineEnded() override;
  void ChannelClosed() override;
  void GuestFailed(const Error& error) override { ending_.Fail(error); }
  void Denied(const net::Denial& denial) override;
  void GuestIsReady() override;

  // Clients.
  void ClientGreeted(ClientId client) override;
  Status FromClient(ClientId client, wire::Frame frame) override;
  Status StopAsked(const wire::Stop& stop) override;
  Status ClaimAsked(ClientId client, const wire::Claim& claim) override;
  Status NetworkRulesAsked(ClientId client) override;
  void ClientGone(ClientId client) override;

  // The lease.
  void CommandsChanged(bool journaled) override;
  bool Idle() const override { return serving_.router().idle(); }

  boost::asio::io_context& loop_;
  const wire::SupervisorConfig config_;
  GuestRecord& record_;
  GuestMachine machine_;
  Clients clients_;
  Spare spare_;
  TemplateUse template_;
  Lease lease_;
  Starting starting_;
  Serving serving_;
  Ending ending_;

  std::function<void()> on_ready_;
};

}  // namespace pyro::supervisor
