// Questions of clients to the agent. Each is answered by one frame, which its client gets unread.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "pyro/result.h"
#include "supervisor/routed_command.h"
#include "supervisor/timers.h"
#include "wire/messages.h"

namespace pyro::supervisor {

// Not thread-safe. A channel without a word is the guest's.
class Questions {
 public:
  // Both are borrowed.
  Questions(CommandPorts& ports, Timers& timers) : ports_(ports), timers_(timers) {}

  // The client waits for an answer there.
  bool Waits(ClientChannel client) const;
  // It has no answer yet, or its client no longer waits for the one that the guest still owes.
  bool Open(std::uint32_t channel) const { return open_.contains(channel); }

  // The guest gets the question, unless too many are open.
  void Ask(ClientChannel client, std::uint32_t channel, wire::Frame frame);
  // Of an open one. kProtocol: no answer, and no error.
  Status FromGuest(wire::Frame frame);

  void ClientGone(ClientId client);
  // None is answered any more, and this is why.
  void GuestGone(const Error& why);

 private:
  static constexpr std::size_t kMost = 16;
  static constexpr std::chrono::seconds kLimit{20};  // For the answer.

  struct Question {
    ClientChannel client;
    std::unique_ptr<Timer> limit;
    bool given_up = false;  // The client is gone, or was told that there is no answer.
  };

  void GiveUp(Question& question, const Error& error);
  void Refuse(ClientChannel client, const Error& error);

  CommandPorts& ports_;
  Timers& timers_;
  std::map<std::uint32_t, Question> open_;
};

}  // namespace pyro::supervisor
