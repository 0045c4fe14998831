// What happens to VMs and tasks, as it happens, by any process.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro {

// One thing that happened. Fields that a kind does not name are empty.
struct Event {
  enum class Kind {
    kPresent,  // Was there when the watching began: `state`.
    kCreated,
    kStarted,
    kCommandBegan,  // Of a task, like the next two: `sequence`, `command`.
    kOutput,        // A stream has grown: `sequence`, `stream`, `bytes`.
    kCommandEnded,  // `sequence`, `outcome`, `exit_code`.
    kStopped,       // Or lost, then with the reason: `last_error`.
    kDeleted,
    kEnvironments,  // An environment was installed or removed. Has no `id`.
  };
  Kind kind = Kind::kPresent;
  std::string id;  // Of the VM or the task, whole.
  std::string at;  // RFC 3339, UTC: when it was recorded, or else noticed.
  GuestState state = GuestState::kCreated;
  std::int64_t sequence = 0;
  std::vector<std::string> command;
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t bytes = 0;  // Of the stream, in the journal until now.
  Outcome outcome = Outcome::kExited;
  int exit_code = 0;
  std::string last_error;
};

// "present", "created", "started", "command_began", "output", "command_ended", "stopped",
// "deleted", "environments_changed".
std::string_view Name(Event::Kind kind);

// Tells what happens from Engine::Watch() on. It begins with what is there: a `present` for each VM
// and task, and the begin and the output so far of each command that runs. Nothing is left out. Of
// output only the latest size is told, and of a VM or task that came and went between two calls its
// creation and its deletion. It outlives the engine. Destroying it ends the watching. One thread at
// a time may use it; Interrupt() is for any thread.
class EventStream {
 public:
  virtual ~EventStream() = default;

  // What has happened since the last call: in order for each VM, for each task, and for each
  // command. If there is nothing, it waits up to `wait`, at most 7 days, and may return nothing. Of
  // `io` only cancel_fd is used.
  // kCancelled, kInvalidArgument, and the errors of reading the state directory; each may be
  // followed by a further call, which tells what was missed.
  virtual Result<std::vector<Event>> Next(std::chrono::milliseconds wait, const CallIo& io) = 0;

  // Ends the wait of a Next() that runs, or of the next one: it returns what there is.
  virtual void Interrupt() = 0;

  // Becomes readable when Next() may have something to tell. Borrowed; only to wait on.
  virtual int fd() const = 0;
};

}  // namespace pyro
