// The common part of all relayed commands, for either way of their output.

#pragma once

#include <poll.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/time.h"
#include "engine/supervisor_link.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "wire/credit.h"
#include "wire/messages.h"

namespace pyro::engine {

struct RelayResult {
  wire::Exited exited;
  wire::Ready ready;
  SteadyTime ready_at{};         // When the guest took commands; epoch: before this call.
  SteadyTime first_output_at{};  // Epoch: there was none.
};

// The channel of one command: its exec, and its stdin within the guest's credit. Belongs to one
// thread; link and `io` must outlive it.
class RelayChannel {
 public:
  static constexpr std::uint32_t kNumber = 1;

  RelayChannel(SupervisorLink& link, const CallIo& io)
      : link_(link), io_(io), stdin_fd_(io.stdin_fd) {}

  void Begin(const wire::Exec& exec);

  // Credit for stdin, ready and progress; every other frame is left alone.
  Status TakeCommon(const wire::Frame& frame, RelayResult& result);

  // For poll(2): the caller's stdin, if its bytes may be sent now. Call ReadStdin when it is
  // readable.
  pollfd StdinPoll() const;
  void ReadStdin();
  // The command's input is not read any more.
  void DropStdin() { stdin_fd_ = -1; }

 private:
  SupervisorLink& link_;
  const CallIo& io_;
  int stdin_fd_;
  wire::SendWindow stdin_window_;
};

// Gives the sink as much of `pending` as it takes without waiting, and removes that part. Returns
// its size, or an error of the sink.
Result<std::size_t> DeliverPending(OutputSink& sink, OutputStream stream, std::string& pending);

}  // namespace pyro::engine
