// The first part of a guest's life: from nothing to a guest that takes commands.

#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "pyro/result.h"
#include "supervisor/clients.h"
#include "supervisor/guest_machine.h"
#include "supervisor/spare.h"
#include "supervisor/template_use.h"
#include "supervisor/timers.h"
#include "wire/messages.h"
#include "wire/supervisor_config.h"

namespace pyro::supervisor {

// The machine goes on from a template, or boots. The agent says `hello` (that of a template has
// said it to the maker of the template), gets `setup`, and says `ready`. A spare then warms up. If
// a guest from a template fails, it boots instead. Belongs to the loop's thread.
class Starting {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void GuestIsReady() = 0;
    virtual void GuestFailed(const Error& error) = 0;
  };

  // What it starts with; all are borrowed.
  struct Parts {
    const wire::SupervisorConfig& config;
    const Clock& clock;
    GuestMachine& machine;
    Clients& clients;  // They are told "boot" or "setup" while they wait.
    TemplateUse& templ;
    Spare& spare;
  };

  Starting(boost::asio::io_context& loop, const Parts& parts, Timers& timers, Owner& owner)
      : loop_(loop), parts_(parts), owner_(owner), limit_(timers.NewTimer()) {}

  void Begin();

  // Frames of the agent; an error is a breach of the protocol.
  Status Hello(const wire::Frame& frame);
  Status Ready(const wire::Frame& frame);
  // A frame of a command's channel, before the guest takes commands.
  Status WarmUp(const wire::Frame& frame);

  // The guest has failed. True: it boots now, because its template may be at fault.
  bool BootsInstead();

  // The guest takes commands, or did.
  bool done() const { return done_; }
  const wire::Ready& ready() const { return ready_; }  // Once it is done.
  // For a client that comes now.
  wire::Frame Told() const { return done_ ? ready_.ToFrame() : wire::Progress{phase_}.ToFrame(); }
  // A client has claimed this spare: it has not waited for the machine.
  void Claimed();

  // Nothing is started or waited for any more.
  void End();

 private:
  void Launch(std::optional<vmm::FrozenGuest> from);
  void Tell(const std::string& phase);
  void SetUp();
  void GuestIsReady(wire::Ready ready);

  boost::asio::io_context& loop_;
  Parts parts_;
  Owner& owner_;
  std::unique_ptr<Timer> limit_;
  std::string phase_ = "boot";
  wire::Ready ready_;
  bool greeted_ = false;  // By the agent.
  bool done_ = false;
  bool over_ = false;  // Done, or ended before.
};

}  // namespace pyro::supervisor
