// Commands behind a link to a supervisor, and those whose output comes over it.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/command.h"
#include "engine/instance/supervisor_link.h"
#include "engine/session/command_session.h"
#include "wire/credit.h"
#include "wire/messages.h"

namespace pyro::engine {

// The channel of one command. After an error the link cannot be used any more.
class GuestCommand : public RunningCommand {
 public:
  Polls polls() const override;
  Deadline next_look() const override { return deadline_; }
  Status Advance(const Polls& polls, SteadyTime now) override;
  bool over() const override { return end_.has_value(); }

  // Within the guest's credit.
  std::size_t input_room() const override;
  void Input(std::string_view bytes) override;
  void EndInput() override;

  const CommandEnd& end() const { return *end_; }  // Once over() says so.
  const wire::Ready& ready() const { return ready_; }
  SteadyTime ready_at() const { return ready_at_; }  // Epoch: the guest was ready before this call.
  // The supervisor passes a command on when its guest is ready: it may have had an effect since.
  bool began() const { return ready_at_ != SteadyTime{}; }

 protected:
  static constexpr std::uint32_t kChannel = 1;

  // Both are borrowed. Of `io`, on_progress is used.
  GuestCommand(SupervisorLink& link, const CallIo& io) : link_(link), io_(io) {}

  virtual Status Take(const wire::Frame& frame);
  // Why the end is not known: the guest died, it was stopped, its supervisor is silent, or `error`
  // broke the link.
  enum class Loss { kGuestDied, kStopped, kSilent };
  virtual Error Lost(Loss loss) const;
  virtual Error LinkBroke(Error error) const { return error; }

  void SendKill();
  SupervisorLink& link() const { return link_; }
  // For the end.
  void SetDeadline(Deadline deadline) { deadline_ = deadline; }

 private:
  Status TakeFrames();

  SupervisorLink& link_;
  const CallIo& io_;
  wire::SendWindow input_window_;
  Deadline deadline_ = Deadline::Never();
  std::optional<CommandEnd> end_;
  wire::Ready ready_;
  SteadyTime ready_at_{};
};

// Output that comes as frames, within a window that the sink's pace moves on.
class FrameOutput : public OutputSource {
 public:
  FrameOutput(SupervisorLink& link, std::uint32_t channel) : link_(link), channel_(channel) {}

  Status Received(const wire::Frame& frame);

  Status Read() override { return OkStatus(); }
  int ReadableFd(OutputStream) const override { return -1; }
  bool ended() const override { return true; }

 private:
  void Taken(OutputStream stream, std::size_t bytes) override;

  SupervisorLink& link_;
  std::uint32_t channel_;
  std::array<wire::ReceiveWindow, 2> windows_;
};

// A command that no journal keeps. It is sent at once, even before the guest is ready, and dies
// with the link. kGuestUnavailable: the guest could not start or died.
class PlainCommand : public GuestCommand {
 public:
  PlainCommand(SupervisorLink& link, const wire::Exec& exec, const CallIo& io);

  OutputSource* output() override { return &output_; }

 private:
  Status Take(const wire::Frame& frame) override;

  FrameOutput output_;
};

// The same for a piece of a call's own work in a task's guest, such as a copy. Errors are about the
// task.
class TaskWork : public PlainCommand {
 public:
  using PlainCommand::PlainCommand;

 private:
  Error Lost(Loss loss) const override;
  Error LinkBroke(Error) const override { return Lost(Loss::kGuestDied); }
};

}  // namespace pyro::engine
