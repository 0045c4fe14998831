// The agent's side of the protocol, docs/PROTOCOL.md: bytes from the host go in, bytes for the host
// come out, and a Guest does the work in the guest. No I/O here, so that tests can feed it hostile
// bytes anywhere.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/byte_queue.h"
#include "agent/guest_clock.h"
#include "pyro/result.h"
#include "sys/child_process.h"
#include "wire/credit.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace pyro::agent {

// The requests of a session. All calls come from within Session::Receive().
class Guest {
 public:
  virtual ~Guest() = default;

  // Sets this guest up. An error ends the session.
  virtual Status Setup(const wire::GuestSetup& setup) = 0;

  virtual ClockReading ReadClock() = 0;

  // A guest that cannot goes on with its clock as it is.
  virtual void MoveClock(const wire::SetClock& by) = 0;

  // One of wire::kShells, for scripts; called after Setup.
  virtual std::string Shell() = 0;

  // Runs a command, which has `channel` until Session::Ended() is called for it. An error with an
  // errno means that the program could not be executed. One without, or kUnavailable, means that
  // the guest could not try.
  virtual Status Start(std::uint32_t channel, const wire::Exec& exec) = 0;

  // Kills every process of a command that was started and for which Session::Ended() was not
  // called yet. False, and nothing is killed, when its first process has ended by itself.
  virtual bool Kill(std::uint32_t channel) = 0;

  // Takes a question, whose answer Session::Answer() sends later. kNotFound: there is no such
  // question.
  virtual Status Ask(std::uint32_t channel, const wire::Ask& ask) = 0;
};

// Not thread-safe. A channel named in a call below must be of a command that was started and has
// not ended.
class Session {
 public:
  // `build` and `kernel` go into the agent's hello. `guest` must outlive the session.
  Session(Guest& guest, std::string build, std::string kernel);

  // The agent's hello; once, before anything is received.
  void Begin();

  // Ends the connection: the error goes out on channel 0 and the session is over.
  void Fail(const Error& error);

  // Bytes from the host, cut anywhere. A breach of the protocol fails the session; bytes after its
  // end are ignored.
  void Receive(std::string_view bytes);

  // False while the queue is too long to read more of the host's bytes.
  bool MayReceive() const { return !over_ && outgoing_.size() < kMaxReplies; }

  // True when the guest must only send the queue and power off: the host asked for that, or the
  // session has failed.
  bool over() const { return over_; }
  const std::optional<Error>& failure() const { return failure_; }

  // Bytes for the host.
  ByteQueue& outgoing() { return outgoing_; }

  // Output of a command. Returns the buffer for a read and its size; {nullptr, 0} while there is no
  // credit or the queue is too long. Follow it with OutputRead().
  struct Room {
    char* data = nullptr;
    std::size_t bytes = 0;
  };
  bool HasRoom(std::uint32_t channel, wire::Stream stream) const;
  Room OutputRoom(std::uint32_t channel, wire::Stream stream);
  void OutputRead(std::uint32_t channel, wire::Stream stream, std::size_t bytes);
  void OutputEnded(std::uint32_t channel, wire::Stream stream);  // Repetition is no error.

  // Input of a command: the waiting bytes, the number that it took, the refusal of more (the rest
  // is dropped), and whether the host has closed it and all bytes were taken.
  std::string_view Input(std::uint32_t channel) const;
  void InputTaken(std::uint32_t channel, std::size_t bytes);
  void InputRefused(std::uint32_t channel);
  bool InputEnded(std::uint32_t channel) const;

  // The command's first process and both outputs have ended. The channel is free again.
  // `output_left_open`: other processes could still write to an output at that moment. `killed`:
  // told if the kill was the host's.
  void Ended(std::uint32_t channel, sys::ExitStatus status, std::int64_t duration_us,
             bool output_left_open = false, const std::optional<KilledTree>& killed = {},
             bool disk_failed = false);

  // The reply to a question: kAnswer or kError, on its channel.
  void Answer(const wire::Frame& frame) { Send(frame); }

 private:
  // Output is read only while the queue is shorter than this; replies to the host's own requests
  // may make it somewhat longer.
  static constexpr std::size_t kMaxQueued = 256 * 1024;
  static constexpr std::size_t kMaxReplies = 1024 * 1024;

  struct Channel {
    std::array<wire::SendWindow, 2> windows;  // Of stdout and stderr, as the next two.
    std::array<std::uint64_t, 2> sent = {};
    std::array<bool, 2> ended = {};
    wire::ReceiveWindow input_window;
    ByteQueue input;
    bool input_eof = false;      // The host has closed it.
    bool input_refused = false;  // The command has.
    std::optional<wire::KillReason> killed;
  };

  Status Handle(const wire::Frame& frame);
  Status HandleHello(const wire::Frame& frame);
  Status HandleSetup(const wire::Frame& frame);
  Status HandlePing(const wire::Frame& frame);
  Status HandleSetClock(const wire::Frame& frame);
  Status HandleExec(const wire::Frame& frame);
  Status HandleInput(const wire::Frame& frame);
  Status HandleCredit(const wire::Frame& frame);
  Status HandleKill(const wire::Frame& frame);
  Status HandleAsk(const wire::Frame& frame);
  void Send(const wire::Frame& frame) { outgoing_.Append(wire::EncodeFrame(frame)); }
  Channel* Find(std::uint32_t channel);
  Channel& At(std::uint32_t channel);
  const Channel& At(std::uint32_t channel) const;
  void GrantInput(std::uint32_t number, Channel& channel, std::size_t consumed);

  Guest& guest_;
  const std::string build_;
  const std::string kernel_;
  wire::FrameDecoder decoder_;
  ByteQueue outgoing_;
  std::map<std::uint32_t, Channel> channels_;
  bool greeted_ = false;  // The host's hello has come.
  bool ready_ = false;    // Setup is done.
  bool over_ = false;
  std::optional<Error> failure_;
};

}  // namespace pyro::agent
