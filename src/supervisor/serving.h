// The middle of a guest's life: its clients' commands, their time limits, and its pulse.

#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <utility>

#include "base/time.h"
#include "pyro/result.h"
#include "supervisor/clients.h"
#include "supervisor/clock_watch.h"
#include "supervisor/command_router.h"
#include "supervisor/guest_machine.h"
#include "supervisor/guest_pulse.h"
#include "supervisor/guest_record.h"
#include "supervisor/timers.h"
#include "sys/unique_fd.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// Commands may come before the guest is ready: the router holds them. Belongs to the loop's thread.
class Serving : private CommandPorts {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Commands began, or all have ended; `journaled` is that of CommandPorts.
    virtual void CommandsChanged(bool journaled) = 0;
    virtual void GuestFailed(const Error& error) = 0;
  };

  // What it works with; all are borrowed.
  struct Parts {
    boost::asio::io_context& loop;
    const Clock& clock;
    GuestMachine& machine;
    Clients& clients;
    CommandJournal* journal;  // nullptr: commands are not kept.
    Mask mask = {};           // What no output of a command may have.
  };

  Serving(const Parts& parts, Timers& timers, Owner& owner);

  CommandRouter& router() { return router_; }
  const CommandRouter& router() const { return router_; }

  // From now on commands are kept; borrowed.
  void Keep(CommandJournal* journal) {
    parts_.journal = journal;
    router_.Keep(journal);
  }

  // See ClockWatch; without it a step is noticed at the next beat. To be called before Begin().
  void WatchClock(sys::UniqueFd steps) { clock_watch_.Take(std::move(steps)); }

  // The guest takes commands: its pulse begins.
  void Begin();
  // The agent's answer to a ping. An error is a breach of the protocol.
  Status Pong(const wire::Frame& frame);
  // Nothing is waited for any more.
  void End();

 private:
  void ToGuest(std::string bytes) override { parts_.machine.Send(std::move(bytes)); }
  void ToClient(ClientId client, std::string bytes) override {
    parts_.clients.Send(client, std::move(bytes));
  }
  void GivingUp() override;
  void JournalWritten() override;
  void UseChanged(bool journaled) override { owner_.CommandsChanged(journaled); }

  HostMoment Now() const { return HostMoment::Now(parts_.clock); }
  void Beat();
  void ClockStepped();

  Parts parts_;
  Owner& owner_;
  CommandRouter router_;
  GuestPulse pulse_;
  HostClockWatch host_clock_;
  ClockWatch clock_watch_;
  std::unique_ptr<Timer> beat_;
  std::unique_ptr<Timer> settle_;
  bool settling_ = false;  // It runs.
};

}  // namespace pyro::supervisor
