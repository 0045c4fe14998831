#include "agent/session.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::agent {
namespace {

Error Breach(std::string message) { return MakeError(ErrorCode::kProtocol, std::move(message)); }

std::size_t IndexOf(wire::Stream stream) {
  PYRO_CHECK(stream != wire::Stream::kStdin);
  return stream == wire::Stream::kStdout ? 0 : 1;
}

}  // namespace

Session::Session(Guest& guest, std::string build, std::string kernel)
    : guest_(guest), build_(std::move(build)), kernel_(std::move(kernel)) {}

void Session::Begin() {
  Send(wire::Hello{wire::kProtocolVersion, "agent", build_, kernel_}.ToFrame());
}

void Session::Fail(const Error& error) {
  if (over_) return;
  Send(wire::ErrorFrame(0, error));
  failure_ = error;
  over_ = true;
}

void Session::Receive(std::string_view bytes) {
  if (over_) return;
  decoder_.Append(bytes);
  while (!over_) {
    auto frame = decoder_.Next();
    if (!frame) return Fail(frame.error());
    if (!*frame) return;
    if (const Status status = Handle(**frame); !status) Fail(status.error());
  }
}

Status Session::Handle(const wire::Frame& frame) {
  if (!greeted_) return HandleHello(frame);
  switch (frame.type) {
    case wire::FrameType::kSetup:
      return HandleSetup(frame);
    case wire::FrameType::kPing:
      return HandlePing(frame);
    case wire::FrameType::kSetClock:
      return HandleSetClock(frame);
    case wire::FrameType::kExec:
      return HandleExec(frame);
    case wire::FrameType::kData:
    case wire::FrameType::kEof:
      return HandleInput(frame);
    case wire::FrameType::kCredit:
      return HandleCredit(frame);
    case wire::FrameType::kKill:
      return HandleKill(frame);
    case wire::FrameType::kAsk:
      return HandleAsk(frame);
    case wire::FrameType::kPowerOff:
    case wire::FrameType::kError:  // The host has ended the connection.
      over_ = true;
      return OkStatus();
    default:
      return Breach(
          fmt::format("frame of type {} is not for an agent", static_cast<int>(frame.type)));
  }
}

Status Session::HandleHello(const wire::Frame& frame) {
  if (frame.type != wire::FrameType::kHello || frame.channel != 0) {
    return Breach("the first frame is not a hello");
  }
  PYRO_ASSIGN_OR_RETURN(const wire::Hello hello, wire::Hello::FromFrame(frame));
  if (hello.role != "supervisor") return Breach("the peer is not a supervisor");
  if (hello.protocol != wire::kProtocolVersion || hello.build != build_) {
    return Breach(fmt::format("the supervisor is of build {} and the agent of build {}",
                              Printable(hello.build), build_));
  }
  greeted_ = true;
  return OkStatus();
}

Status Session::HandleSetup(const wire::Frame& frame) {
  if (frame.channel != 0 || ready_) return Breach("unexpected setup");
  PYRO_ASSIGN_OR_RETURN(const wire::GuestSetup setup, wire::GuestSetup::FromFrame(frame));
  PYRO_RETURN_IF_ERROR(guest_.Setup(setup));
  ready_ = true;
  wire::Ready ready;
  ready.kernel = kernel_;
  ready.execution_mode = ExecutionMode::kGuestVirtioSerial;
  ready.shell = guest_.Shell();
  Send(ready.ToFrame());
  return OkStatus();
}

Status Session::HandlePing(const wire::Frame& frame) {
  if (frame.channel != 0) return Breach("ping for a command");
  PYRO_ASSIGN_OR_RETURN(const wire::Ping ping, wire::Ping::FromFrame(frame));
  const ClockReading clock = guest_.ReadClock();
  Send(wire::Pong{ping.number, clock.wall_clock_ns, clock.was_set}.ToFrame());
  return OkStatus();
}

Status Session::HandleSetClock(const wire::Frame& frame) {
  if (frame.channel != 0 || !ready_) return Breach("unexpected set clock");
  PYRO_ASSIGN_OR_RETURN(const wire::SetClock clock, wire::SetClock::FromFrame(frame));
  guest_.MoveClock(clock);
  return OkStatus();
}

Status Session::HandleExec(const wire::Frame& frame) {
  const std::uint32_t number = frame.channel;
  if (number == 0) return Breach("exec on channel 0");
  const auto refuse = [&](const Error& error) {
    Send(wire::ErrorFrame(number, error));
    return OkStatus();
  };
  if (!ready_) return refuse(MakeError(ErrorCode::kWrongState, "the guest is not set up yet"));
  if (channels_.contains(number)) {
    return refuse(MakeError(ErrorCode::kAlreadyExists, "the channel is in use"));
  }
  if (channels_.size() >= wire::kMaxChannels) {
    return refuse(MakeError(ErrorCode::kLimit,
                            fmt::format("{} commands are running already", wire::kMaxChannels),
                            "wait until one has ended"));
  }
  const auto exec = wire::Exec::FromFrame(frame);
  if (!exec) return refuse(exec.error());
  if (const Status status = guest_.Start(number, *exec); !status) {
    const Error& error = status.error();
    if (error.sys_errno == 0 || error.code == ErrorCode::kUnavailable) return refuse(error);
    wire::Exited exited;
    exited.outcome = Outcome::kNotStarted;
    exited.code = error.sys_errno;
    Send(exited.ToFrame(number));
    return OkStatus();
  }
  channels_.try_emplace(number);
  Send(wire::Plain(wire::FrameType::kStarted, number));
  return OkStatus();
}

Status Session::HandleInput(const wire::Frame& frame) {
  if (frame.stream != wire::Stream::kStdin) return Breach("input on an output stream");
  Channel* const channel = Find(frame.channel);
  if (channel == nullptr) return OkStatus();  // It crossed the end of the command.
  if (frame.type == wire::FrameType::kEof) {
    channel->input_eof = true;
    return OkStatus();
  }
  if (channel->input_eof) return Breach("input after its end");
  PYRO_RETURN_IF_ERROR(channel->input_window.Received(frame.payload.size()));
  if (channel->input_refused) {
    GrantInput(frame.channel, *channel, frame.payload.size());
  } else {
    channel->input.Append(frame.payload);
  }
  return OkStatus();
}

Status Session::HandleCredit(const wire::Frame& frame) {
  if (frame.stream == wire::Stream::kStdin) return Breach("credit for input");
  PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, wire::DecodeCredit(frame));
  Channel* const channel = Find(frame.channel);
  if (channel == nullptr) return OkStatus();
  return channel->windows[IndexOf(frame.stream)].Granted(bytes);
}

Status Session::HandleKill(const wire::Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Kill kill, wire::Kill::FromFrame(frame));
  Channel* const channel = Find(frame.channel);
  if (channel == nullptr) return OkStatus();
  if (guest_.Kill(frame.channel) && !channel->killed) channel->killed = kill.reason;
  return OkStatus();
}

Status Session::HandleAsk(const wire::Frame& frame) {
  if (frame.channel == 0 || !ready_) return Breach("unexpected question");
  const auto ask = wire::Ask::FromFrame(frame);
  const Status taken = ask ? guest_.Ask(frame.channel, *ask) : Status(ask.error());
  if (!taken) Send(wire::ErrorFrame(frame.channel, taken.error()));
  return OkStatus();
}

bool Session::HasRoom(std::uint32_t channel, wire::Stream stream) const {
  return outgoing_.size() < kMaxQueued && At(channel).windows[IndexOf(stream)].available() > 0;
}

Session::Room Session::OutputRoom(std::uint32_t channel, wire::Stream stream) {
  if (!HasRoom(channel, stream)) return {};
  const std::size_t bytes =
      std::min(At(channel).windows[IndexOf(stream)].available(), wire::kMaxDataBytes);
  return {outgoing_.Prepare(wire::kHeaderBytes + bytes) + wire::kHeaderBytes, bytes};
}

void Session::OutputRead(std::uint32_t number, wire::Stream stream, std::size_t bytes) {
  if (bytes == 0) return;
  Channel& channel = At(number);
  channel.windows[IndexOf(stream)].Sent(bytes);
  channel.sent[IndexOf(stream)] += bytes;
  const std::string header = wire::EncodeDataHeader(number, stream, bytes);
  std::memcpy(outgoing_.Prepare(wire::kHeaderBytes), header.data(), header.size());
  outgoing_.Commit(wire::kHeaderBytes + bytes);
}

void Session::OutputEnded(std::uint32_t number, wire::Stream stream) {
  Channel& channel = At(number);
  if (std::exchange(channel.ended[IndexOf(stream)], true)) return;
  outgoing_.Append(wire::EncodeEof(number, stream));
}

std::string_view Session::Input(std::uint32_t channel) const { return At(channel).input.front(); }

void Session::InputTaken(std::uint32_t number, std::size_t bytes) {
  Channel& channel = At(number);
  channel.input.Consume(bytes);
  GrantInput(number, channel, bytes);
}

void Session::InputRefused(std::uint32_t number) {
  Channel& channel = At(number);
  channel.input_refused = true;
  const std::size_t dropped = channel.input.size();
  channel.input.Clear();
  GrantInput(number, channel, dropped);
}

bool Session::InputEnded(std::uint32_t channel) const {
  return At(channel).input_eof && At(channel).input.empty();
}

void Session::Ended(std::uint32_t number, sys::ExitStatus status, std::int64_t duration_us,
                    bool output_left_open, const std::optional<KilledTree>& killed,
                    bool disk_failed) {
  const Channel& channel = At(number);
  PYRO_CHECK(channel.ended[0] && channel.ended[1]);
  wire::Exited exited;
  if (channel.killed) {
    const bool timed_out = *channel.killed == wire::KillReason::kTimedOut;
    exited.outcome = timed_out ? Outcome::kTimedOut : Outcome::kCancelled;
    exited.killed = killed;
  } else {
    exited.outcome = status.signalled ? Outcome::kSignalled : Outcome::kExited;
    exited.code = status.code;
  }
  exited.disk_failed = disk_failed;
  exited.duration_us = duration_us;
  exited.stdout_bytes = channel.sent[0];
  exited.stderr_bytes = channel.sent[1];
  // What was killed may still be going.
  exited.output_left_open = output_left_open && !channel.killed;
  Send(exited.ToFrame(number));
  channels_.erase(number);
}

Session::Channel* Session::Find(std::uint32_t channel) {
  const auto it = channels_.find(channel);
  return it == channels_.end() ? nullptr : &it->second;
}

Session::Channel& Session::At(std::uint32_t channel) {
  const auto it = channels_.find(channel);
  PYRO_CHECK(it != channels_.end());
  return it->second;
}

const Session::Channel& Session::At(std::uint32_t channel) const {
  const auto it = channels_.find(channel);
  PYRO_CHECK(it != channels_.end());
  return it->second;
}

void Session::GrantInput(std::uint32_t number, Channel& channel, std::size_t consumed) {
  const std::uint32_t grant = channel.input_window.Consumed(consumed);
  if (grant > 0 && !channel.input_eof) {
    outgoing_.Append(wire::EncodeCredit(number, wire::Stream::kStdin, grant));
  }
}

}  // namespace pyro::agent
