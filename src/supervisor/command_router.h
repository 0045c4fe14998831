// Carries commands and questions between many clients and one guest: which channel is whose, what
// waits for the guest, and the side that made a breach.
//
// Pure logic: frames in, frames out through its ports. The guest is hostile; each of its frames is
// checked against the requests. Not thread-safe.

#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pyro/result.h"
#include "supervisor/guest_record.h"
#include "supervisor/questions.h"
#include "supervisor/routed_command.h"
#include "supervisor/timers.h"
#include "wire/messages.h"

namespace pyro::supervisor {

class CommandRouter {
 public:
  // All are borrowed. `journal` keeps the commands that ask for it; nullptr: there is none. `mask`:
  // what their output must not have.
  CommandRouter(CommandPorts& ports, Timers& timers, CommandJournal* journal = nullptr,
                Mask mask = {})
      : mask_(std::move(mask)),
        place_{ports, timers, journal, mask_, [this](RoutedCommand& command) { GiveUp(command); }},
        questions_(ports, timers) {}
  CommandRouter(const CommandRouter&) = delete;
  CommandRouter& operator=(const CommandRouter&) = delete;

  // From now on there is a journal: before the first command that asks for one.
  void Keep(CommandJournal* journal) { place_.journal = journal; }

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

  // Every command ends as lost. All clients that wait are told why; nullopt: it was asked to end.
  void GuestGone(const std::optional<Error>& why = std::nullopt);
  bool guest_gone() const { return gone_; }

  // Commands that were given up and have not ended in the guest: each keeps its channel there.
  std::size_t given_up() const { return given_up_; }

  // No command waits or runs, other than those given up.
  bool idle() const { return commands_.size() == given_up_ && held_.empty(); }

 private:
  using Commands = std::map<std::uint32_t, RoutedCommand>;

  struct Held {
    ClientId client;
    wire::Frame frame;
  };

  Status Exec(ClientChannel client, const wire::Frame& frame);
  Status Cancel(ClientChannel client, const wire::Frame& frame);
  Status Write(ClientChannel client, const wire::Frame& frame);
  // That of the journal's sequence; nullptr, after its refusal: it does not run.
  RoutedCommand* FindJournaled(ClientChannel client, std::int64_t sequence);
  Status Ask(ClientChannel client, wire::Frame frame);
  void Begin(ClientChannel client, wire::Exec exec);
  bool InUse(ClientChannel client) const;
  std::uint32_t NewChannel();
  void Refuse(ClientChannel client, const Error& error);
  void GiveUp(RoutedCommand& command);
  void Finish(Commands::iterator command);

  const Mask mask_;
  RoutedCommand::Place place_;
  Questions questions_;
  bool ready_ = false;
  std::string shell_;  // Once it is ready.
  bool gone_ = false;
  Error why_gone_ = MakeError(ErrorCode::kGuestUnavailable, "the guest is gone");
  std::uint32_t next_channel_ = 1;
  Commands commands_;  // By the guest's channel.
  std::size_t given_up_ = 0;
  std::map<ClientChannel, std::uint32_t> by_client_;  // To the guest's channel.
  std::deque<Held> held_;                             // Frames that wait for the guest.
  std::size_t held_bytes_ = 0;
};

}  // namespace pyro::supervisor
