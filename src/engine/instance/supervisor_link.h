// A client's connection to the supervisor of one VM.

#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "pyro/engine.h"
#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/answers.h"
#include "wire/messages.h"

namespace pyro::engine {

// Belongs to one thread. Only the calls that wait receive.
class SupervisorLink {
 public:
  // Connects and greets. kNotFound, kUnavailable: no supervisor listens there (any more).
  // kProtocol: a supervisor of another version.
  static Result<SupervisorLink> Connect(const std::filesystem::path& socket);

  // Queues whole frames; they are sent by the calls that wait.
  void Send(std::string_view bytes) { outgoing_ += bytes; }
  std::size_t unsent() const { return outgoing_.size(); }

  // The next frame that has arrived already.
  Result<std::optional<wire::Frame>> TryNext() { return decoder_.Next(); }

  // For poll(2): the socket, and the events of interest now.
  int fd() const { return socket_.get(); }
  short PollEvents() const;
  // Moves as many bytes as possible without waiting. kGuestUnavailable: the supervisor closed the
  // connection or died.
  Status Pump();

  // Waits for a frame. kTimedOut, kCancelled.
  Result<wire::Frame> Next(Deadline deadline, int cancel_fd);

  // Makes this caller the owner of a spare. kWrongState: it has another owner; the link cannot be
  // used any more.
  Status Claim(const wire::Claim& claim, Deadline deadline);

  // Waits until the guest takes commands, and calls `on_phase` for each phase. kGuestUnavailable:
  // it could not start; the message has the reason.
  Result<wire::Ready> AwaitReady(Deadline deadline, const CallIo& io);

  // The agent's answer to the question of a struct of wire/answers.h. The guest must be ready.
  // kGuestUnavailable: it does not answer in time, or has ended. kProtocol: the answer is
  // malformed. kCancelled. After an error the link cannot be used any more.
  template <typename Answer>
  Result<Answer> Ask(int cancel_fd, wire::Ask ask = {}) {
    ask.question = Answer::kQuestion;
    auto frame = Ask(ask, cancel_fd);
    if (!frame) return std::move(frame).error();
    return wire::ReadAnswer<Answer>(*frame);
  }
  Result<wire::Frame> Ask(const wire::Ask& ask, int cancel_fd);

  // Makes the supervisor end the guest, and waits until its process is gone. `stop.remove`: the VM
  // is deleted too.
  Status Stop(wire::Stop stop, Deadline deadline);

 private:
  SupervisorLink(sys::UniqueFd socket, sys::UniqueFd process)
      : socket_(std::move(socket)), process_(std::move(process)) {}
  Status WaitForProcess(Deadline deadline) const;

  sys::UniqueFd socket_;
  sys::UniqueFd process_;  // Pidfd of the supervisor.
  wire::FrameDecoder decoder_;
  std::string outgoing_;
  std::unique_ptr<char[]> received_;  // By Pump, which callers of small stacks call too.
  bool ended_ = false;
};

}  // namespace pyro::engine
