// The last part of a guest's life: stopped, removed or failed, and what is cleaned up then.

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "pyro/result.h"
#include "supervisor/clients.h"
#include "supervisor/guest_machine.h"
#include "supervisor/guest_record.h"
#include "supervisor/lease.h"
#include "supervisor/serving.h"
#include "supervisor/spare.h"
#include "supervisor/starting.h"
#include "supervisor/template_use.h"
#include "supervisor/timers.h"

namespace pyro::supervisor {

// Each end goes the same way: the commands end as lost, the machine is off, the record says so, the
// clients hear of it. Belongs to the loop's thread.
class Ending {
 public:
  // What ends; all are borrowed.
  struct Parts {
    GuestMachine& machine;
    GuestRecord& record;
    Clients& clients;
    Serving& serving;
    Starting& starting;
    Lease& lease;
    TemplateUse& templ;
    Spare& spare;
  };

  Ending(const Parts& parts, Timers& timers) : parts_(parts), limit_(timers.NewTimer()) {}

  // `on_end` is called once, when only the last frames to clients remain.
  void OnEnd(std::function<void()> on_end) { on_end_ = std::move(on_end); }

  // The guest powers off, and its disk is kept. One that takes no commands yet is just killed.
  void Stop();
  // The machine of a guest that powers off has ended.
  void GuestIsOff();

  // The guest is killed at once, and deleted.
  void Remove();

  // The guest has failed, unless it boots instead. If it was still starting and no client has
  // greeted, the end waits for one: the creator is about to connect, and must get the reason.
  void Fail(const Error& error);
  void ConcludeFailure();

  // Why the guest has failed, if it has.
  const std::optional<Error>& failure() const { return failure_; }

  bool stopping() const { return state_ == State::kStopping; }
  bool ended() const { return state_ == State::kEnded; }
  bool begun() const { return state_ != State::kNotBegun; }

 private:
  enum class State { kNotBegun, kStopping, kEnded };

  void Finish();

  Parts parts_;
  std::unique_ptr<Timer> limit_;
  std::function<void()> on_end_;
  State state_ = State::kNotBegun;
  std::optional<Error> failure_;
};

}  // namespace pyro::supervisor
