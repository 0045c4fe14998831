// One command between its client and the guest: the windows of its streams, its time limits and its
// end. Each frame of the guest is checked against what the guest may send. Not thread-safe.

#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mask.h"
#include "pyro/result.h"
#include "supervisor/guest_record.h"
#include "supervisor/timers.h"
#include "wire/credit.h"
#include "wire/messages.h"

namespace pyro::supervisor {

using ClientId = std::uint64_t;

// A client's name for a command, or for its wait for one.
struct ClientChannel {
  ClientId client;
  std::uint32_t channel;
  auto operator<=>(const ClientChannel&) const = default;  // NOLINT(modernize-use-nullptr)
};

// What carries the frames of commands, and learns of them.
class CommandPorts {
 public:
  virtual ~CommandPorts() = default;
  virtual void ToGuest(std::string bytes) = 0;
  virtual void ToClient(ClientId client, std::string bytes) = 0;
  // A command was killed and is given up now, because the guest has not reported its end.
  virtual void GivingUp() = 0;
  // The journal got output or an end, which the disk may have refused.
  virtual void JournalWritten() = 0;
  // The number of commands in the guest changed from or to zero. `journaled`: because of one of the
  // journal, whose record has begun the lease in the row again.
  virtual void UseChanged(bool journaled) = 0;
};

// kProtocol.
Error Breach(std::string_view what);

// What an error frame of the guest says, harmless for terminals, in at most 1000 bytes. Without its
// hint: hints are pyro's words, and people follow them.
Error ErrorOfGuest(const wire::Frame& frame);

class RoutedCommand {
 public:
  // What it works with; all is borrowed. `give_up` is called once if the command was killed, and
  // the guest could report its end but has not in 10 seconds. A client that does not read delays
  // that report: no fault of the guest's. It is called, too, if the guest has not begun the command
  // within 120 seconds, or says nothing of an operation on files for 600.
  struct Place {
    CommandPorts& ports;
    Timers& timers;
    CommandJournal* journal;
    // What no output of a command may have; operations on files are left alone.
    const Mask& mask;
    std::function<void(RoutedCommand&)> give_up;
  };

  // `place` is borrowed. `channel`: the guest's. `sequence`: in the journal; 0: it is not there.
  // `open_stdin`: other clients write to its stdin once its own has gone.
  RoutedCommand(const Place& place, ClientChannel client, std::uint32_t channel,
                std::int64_t sequence, bool open_stdin = false)
      : place_(place),
        limit_(place.timers.NewTimer()),
        step_(place.timers.NewTimer()),
        client_(client),
        channel_(channel),
        sequence_(sequence),
        open_stdin_(open_stdin),
        out_(place.mask),
        err_(place.mask) {}

  RoutedCommand(const RoutedCommand&) = delete;
  RoutedCommand& operator=(const RoutedCommand&) = delete;

  // The guest gets it. It is killed after `exec.timeout_ms`; 0: never.
  void Begin(const wire::Exec& exec);

  const ClientChannel& client() const { return client_; }
  std::int64_t sequence() const { return sequence_; }

  // kProtocol: the client broke the rules.
  Status FromClient(const wire::Frame& frame);
  // True: it has ended. kProtocol: the guest broke the rules.
  Result<bool> FromGuest(wire::Frame frame);

  // Bytes of any client for its stdin, which are answered once they were passed on whole, in the
  // order of the calls. Those of a client that goes before are dropped.
  void Write(ClientChannel client, wire::Write write);

  // Another client waits for its end, which it gets on that channel. kProtocol: too many do.
  Status Await(ClientChannel client);
  // Forgets a client that waits. If it is the command's own, the command is killed, unless the
  // journal keeps its output.
  void ClientGone(ClientId client);

  void Kill(wire::KillReason reason);

  // Ends it for the clients and the journal, because the guest has not.
  void End(Outcome outcome, std::int64_t duration_us = 0);
  // Ends it as interrupted, and tells its client this.
  void Fail(const Error& error);
  // The same for one that was killed, as its kill was meant, or for which the guest is late. What
  // the guest still sends is dropped.
  void GiveUp();
  bool given_up() const { return given_up_; }

 private:
  // One output stream, as the guest may use it.
  struct Output {
    explicit Output(const Mask& mask) : masked(mask) {}

    MaskedStream masked;
    std::uint64_t allowed = wire::kInitialCredit;  // Bytes that the guest may still send.
    std::uint64_t received = 0;                    // In total.
    std::uint64_t granted = 0;                     // In total, beyond the first window.
    bool ended = false;
  };

  struct Waiting {
    ClientChannel client;
    wire::Write write;
  };

  void AwaitExit();
  void AwaitWork();
  void StepFailed(std::string_view step, std::chrono::seconds limit);
  void ServeWrites();
  void RefuseWrites(const std::string& why, const char* hint);
  void Refuse(ClientChannel client, const Error& error);
  void EndStdin();
  Status OutputFromGuest(wire::Frame frame);
  void Show(wire::Stream stream, std::string bytes);
  void EndOutput(wire::Stream stream);
  void Grant(wire::Stream stream, std::uint64_t bytes);
  void Dispose(wire::Stream stream, std::uint64_t least);
  void DisposeOfAll();
  void RecordEnd(const wire::Exited& exited);
  void ToClient(wire::Frame frame);
  Output& OutputOf(wire::Stream stream) { return stream == wire::Stream::kStdout ? out_ : err_; }

  const Place& place_;
  std::unique_ptr<Timer> limit_;
  std::unique_ptr<Timer> step_;  // Of what pyro itself waits for.
  ClientChannel client_;
  std::uint32_t channel_;  // The guest's.
  std::int64_t sequence_;
  bool masked_ = true;  // Its output may have a value of the mask.
  bool kept_ = false;   // Its output goes to the journal.
  const bool open_stdin_;
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  bool orphan_ = false;  // Its client is gone.
  bool started_ = false;
  bool works_on_files_ = false;
  bool moved_ = false;            // A frame has come since it was looked at.
  std::optional<Error> failure_;  // Why the guest is not waited for any more.
  std::optional<wire::KillReason> killed_;
  bool given_up_ = false;
  std::vector<ClientChannel> watchers_;  // They wait for its end.
  Output out_;
  Output err_;
  std::uint64_t stdin_allowed_ = wire::kInitialCredit;
  bool stdin_ended_ = false;
  std::deque<Waiting> writes_;  // Of other clients.
};

}  // namespace pyro::supervisor
