// Carries commands between many clients and one guest: channels, flow control, timeouts, and the
// side that made a breach.
//
// Pure logic: frames in, frames out through its ports. The guest is hostile; each of its frames is
// checked against the requests. Not thread-safe.

#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyro/result.h"
#include "supervisor/guest_record.h"
#include "wire/credit.h"
#include "wire/messages.h"

namespace pyro::supervisor {

using ClientId = std::uint64_t;

class CommandRouter {
 public:
  // What carries its frames, and learns of its commands.
  class Ports {
   public:
    virtual ~Ports() = default;
    virtual void ToGuest(std::string bytes) = 0;
    virtual void ToClient(ClientId client, std::string bytes) = 0;
    // A command was given to the guest; call TimedOut(channel) after `timeout`, unless
    // CommandFinished(channel) comes first. A timeout of 0 is none.
    virtual void CommandStarted(std::uint32_t channel, std::chrono::milliseconds timeout) = 0;
    // The guest was told to kill the command; a later GuestOwesExit(channel) shows whether it did.
    virtual void CommandKilled(std::uint32_t channel) = 0;
    virtual void CommandFinished(std::uint32_t channel) = 0;
    // The journal got output or an end, which the disk may have refused.
    virtual void JournalWritten() = 0;
    // The number of commands in the guest changed from or to zero.
    virtual void UseChanged() = 0;
  };

  // Both are borrowed. `journal` keeps the commands that ask for it; nullptr: there is none.
  explicit CommandRouter(Ports& ports, CommandJournal* journal = nullptr)
      : ports_(ports), journal_(journal) {}

  // Passes on the frames that arrived earlier. `shell` runs scripts in this guest. Returns the
  // clients whose frames broke the rules.
  std::vector<ClientId> GuestReady(std::string shell);

  // kProtocol: the client broke the rules; end its connection. Frames of the connection itself
  // (channel 0) are not for this class.
  Status FromClient(ClientId client, wire::Frame frame);

  // kProtocol: the guest broke the rules and cannot be trusted any more.
  Status FromGuest(wire::Frame frame);

  // Kills the client's commands, except those of the journal, which go on without it; output for it
  // is dropped from now on.
  void ClientGone(ClientId client);

  // Every command ends as lost.
  void GuestGone();
  bool guest_gone() const { return gone_; }

  // Kills the command. Does nothing if it has ended.
  void TimedOut(std::uint32_t channel);

  // Ends a killed command for its client and its journal with the reason of the kill, because the
  // guest has not reported its end in time. The channel stays taken until the guest does. What the
  // guest still sends on it is dropped.
  void GiveUp(std::uint32_t channel);

  // Commands that were given up and have not ended in the guest.
  std::size_t given_up() const { return given_up_; }

  // True if the command was killed and the guest could report it but has not: the guest is stuck.
  bool GuestOwesExit(std::uint32_t channel) const;

  // No command waits or runs, other than those given up.
  bool idle() const { return commands_.size() == given_up_ && held_.empty(); }

 private:
  // One output stream of a command, as the guest may use it.
  struct Output {
    std::uint64_t allowed = wire::kInitialCredit;  // Bytes that the guest may still send.
    std::uint64_t received = 0;                    // In total.
    std::uint64_t granted = 0;                     // In total, beyond the first window.
    bool ended = false;
  };

  // A client that cancelled a command and waits for its end.
  struct Watcher {
    ClientId client;
    std::uint32_t channel;
  };

  struct Command {
    ClientId client = 0;
    std::uint32_t client_channel = 0;
    bool orphan = false;        // Its client is gone.
    std::int64_t sequence = 0;  // In the journal; 0: it is not kept there.
    bool killed = false;
    wire::KillReason reason = wire::KillReason::kCancelled;  // If it was killed.
    bool given_up = false;
    std::chrono::steady_clock::time_point began;
    bool started = false;
    std::vector<Watcher> watchers;
    Output out;
    Output err;
    std::uint64_t stdin_allowed = wire::kInitialCredit;
    bool stdin_ended = false;
  };

  using Commands = std::map<std::uint32_t, Command>;

  struct Held {
    ClientId client;
    wire::Frame frame;
  };

  Status Exec(ClientId client, const wire::Frame& frame);
  Status Cancel(ClientId client, const wire::Frame& frame);
  void Begin(ClientId client, std::uint32_t client_channel, wire::Exec exec);
  Status ForRunning(std::uint32_t channel, Command& command, wire::Frame frame);
  Status OutputFromGuest(std::uint32_t channel, Command& command, wire::Frame frame);
  void Grant(std::uint32_t channel, wire::Stream stream, Output& output, std::uint32_t bytes);
  void Dispose(std::uint32_t channel, wire::Stream stream, Output& output);
  void EndForClient(Command& command, wire::Exited exited);
  void DisposeOfAll(std::uint32_t channel, Command& command);
  void RecordEnd(const Command& command, const wire::Exited& exited);
  void Finish(Commands::iterator command);
  void SendKill(std::uint32_t channel, Command& command, wire::KillReason reason);
  void ToClient(const Command& command, wire::Frame frame);
  Commands::iterator Find(ClientId client, std::uint32_t client_channel);
  static Output& OutputOf(Command& command, wire::Stream stream);

  Ports& ports_;
  CommandJournal* journal_;
  bool ready_ = false;
  std::string shell_;  // Once it is ready.
  bool gone_ = false;
  std::uint32_t next_channel_ = 1;
  Commands commands_;  // By the guest's channel.
  std::size_t given_up_ = 0;
  // To the guest's channel.
  std::map<std::pair<ClientId, std::uint32_t>, std::uint32_t> by_client_;
  std::deque<Held> held_;  // Frames that wait for the guest.
  std::size_t held_bytes_ = 0;
};

}  // namespace pyro::supervisor
