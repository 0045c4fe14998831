// Carries the bytes of one command between its caller and the place where it runs, to its end.

#pragma once

#include <poll.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::engine {

inline constexpr std::array kOutputStreams = {OutputStream::kStdout, OutputStream::kStderr};

// Where a command's output comes from. Belongs to one thread; no call waits.
class OutputSource {
 public:
  virtual ~OutputSource() = default;

  // Reads the next bytes of each stream of which none wait.
  virtual Status Read() = 0;
  // For poll(2): readable when Read() has more of the stream. -1: the command's own descriptors
  // tell.
  virtual int ReadableFd(OutputStream stream) const = 0;
  // Of a command that is over, after a Read(): no bytes follow those that wait.
  virtual bool ended() const = 0;

  // Bytes that were read and not taken. Valid until the next call.
  std::string_view waiting(OutputStream stream) const { return waiting_[IndexOf(stream)]; }
  void Take(OutputStream stream, std::size_t bytes) {
    waiting_[IndexOf(stream)].erase(0, bytes);
    Taken(stream, bytes);
  }

 protected:
  std::string& buffer(OutputStream stream) { return waiting_[IndexOf(stream)]; }

 private:
  static std::size_t IndexOf(OutputStream stream) { return static_cast<std::size_t>(stream); }
  virtual void Taken(OutputStream, std::size_t) {}

  std::array<std::string, 2> waiting_;
};

// A command as its session sees it: it takes input, has output, and comes to an end. Belongs to one
// thread; no call waits.
class RunningCommand {
 public:
  virtual ~RunningCommand() = default;

  // For poll(2); -1 for none. Advance() gets them back with the answer.
  using Polls = std::array<pollfd, 2>;
  virtual Polls polls() const = 0;
  // Advance() has work at that time, even if poll(2) reports nothing.
  virtual Deadline next_look() const { return Deadline::Never(); }
  // Sends and takes what is due at `now`. An error ends the session.
  virtual Status Advance(const Polls& polls, SteadyTime now) = 0;
  // Nothing more is awaited of it. Its output may still be on its way to the sink.
  virtual bool over() const = 0;

  // Borrowed; nullptr: it has none, or none yet.
  virtual OutputSource* output() { return nullptr; }

  // The number of bytes of input that it takes now.
  virtual std::size_t input_room() const { return 0; }
  virtual void Input(std::string_view) {}
  virtual void EndInput() {}

  // Ends it early. True: it will be over soon. False: the session does not wait for that, and the
  // command dies at the latest with this object.
  virtual bool Kill() { return false; }
};

// Memory is bounded by what the source reads at once, for any sink. Belongs to one thread.
class CommandSession {
 public:
  // All are borrowed. Of `io`, stdin and the cancellation are used. `sink` may be nullptr for a
  // command without output.
  CommandSession(RunningCommand& command, OutputSink* sink, const CallIo& io)
      : command_(command), sink_(sink), io_(io), stdin_fd_(io.stdin_fd) {}

  // Returns when the command is over and the sink has all of its output. kCancelled, or the error
  // of the sink: the command was killed.
  Status Run();

  SteadyTime first_output_at() const { return first_output_at_; }  // Epoch: there was none.

 private:
  Status Copy();
  Result<std::size_t> Deliver(OutputSource& source, OutputStream stream);
  bool Delivered();
  Status Stop(Error why);
  Status Wait();
  void ReadStdin();

  RunningCommand& command_;
  OutputSink* sink_;  // nullptr also after an error of it.
  const CallIo& io_;
  int stdin_fd_;
  std::unique_ptr<char[]> input_;  // What was read of stdin; made for the first bytes.
  bool has_more_ = false;          // The last copy ended early.
  RunningCommand::Polls polls_ = {{{-1, 0, 0}, {-1, 0, 0}}};
  std::optional<Error> failure_;  // Why the command was killed.
  SteadyTime first_output_at_{};
};

}  // namespace pyro::engine
