#include "supervisor/command_router.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"

namespace pyro::supervisor {
namespace {

using wire::Frame;
using wire::FrameType;
using wire::Stream;

// The bytes that clients may queue before the guest is ready: a full window of stdin for several
// commands.
constexpr std::size_t kMaxHeldBytes = 16 * 1024 * 1024;
constexpr std::size_t kMaxWatchers = 256;  // Of one command.

Error Breach(std::string_view what) {
  return MakeError(ErrorCode::kProtocol, fmt::format("protocol violated: {}", what));
}

}  // namespace

std::vector<ClientId> CommandRouter::GuestReady(std::string shell) {
  ready_ = true;
  shell_ = std::move(shell);
  std::deque<Held> held = std::move(held_);
  held_.clear();
  held_bytes_ = 0;
  std::vector<ClientId> offenders;
  for (Held& one : held) {
    if (!FromClient(one.client, std::move(one.frame))) offenders.push_back(one.client);
  }
  return offenders;
}

Status CommandRouter::FromClient(ClientId client, Frame frame) {
  if (frame.channel == 0) return Breach("a command on channel 0");
  if (frame.type == FrameType::kCancel) return Cancel(client, frame);
  if (!ready_ && !gone_) {
    if (frame.type == FrameType::kExec) PYRO_RETURN_IF_ERROR(wire::Exec::FromFrame(frame));
    held_bytes_ += frame.payload.size() + wire::kHeaderBytes;
    if (held_bytes_ > kMaxHeldBytes) return Breach("too much before the guest is ready");
    held_.push_back({client, std::move(frame)});
    if (held_.size() == 1) ports_.UseChanged();
    return OkStatus();
  }
  if (frame.type == FrameType::kExec) return Exec(client, frame);
  const auto command = Find(client, frame.channel);
  // It may have ended while this frame was on its way.
  if (command == commands_.end()) return OkStatus();
  return ForRunning(command->first, command->second, std::move(frame));
}

Status CommandRouter::Exec(ClientId client, const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec, wire::Exec::FromFrame(frame));
  if (exec.journal && journal_ == nullptr) return Breach("a journal where there is none");
  if (Find(client, frame.channel) != commands_.end()) return Breach("a channel used twice");
  if (gone_) {
    ports_.ToClient(
        client, EncodeFrame(wire::ErrorFrame(
                    frame.channel, MakeError(ErrorCode::kGuestUnavailable, "the guest is gone"))));
    return OkStatus();
  }
  if (commands_.size() >= wire::kMaxChannels) {
    ports_.ToClient(
        client, EncodeFrame(wire::ErrorFrame(
                    frame.channel, MakeError(ErrorCode::kLimit,
                                             fmt::format("{} commands run in this guest already",
                                                         commands_.size()),
                                             "wait for one to end"))));
    return OkStatus();
  }
  Begin(client, frame.channel, std::move(exec));
  return OkStatus();
}

Status CommandRouter::Cancel(ClientId client, const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Cancel cancel, wire::Cancel::FromFrame(frame));
  if (Find(client, frame.channel) != commands_.end()) return Breach("a channel used twice");
  const auto found = std::find_if(commands_.begin(), commands_.end(), [&](const auto& entry) {
    return entry.second.sequence == cancel.sequence;
  });
  if (found == commands_.end()) {
    ports_.ToClient(client, EncodeFrame(wire::ErrorFrame(
                                frame.channel,
                                MakeError(ErrorCode::kNotFound,
                                          fmt::format("command {} does not run", cancel.sequence),
                                          "it has ended or never existed"))));
    return OkStatus();
  }
  Command& command = found->second;
  if (command.watchers.size() >= kMaxWatchers) return Breach("too many wait for one command");
  command.watchers.push_back({client, frame.channel});
  SendKill(found->first, command, wire::KillReason::kCancelled);
  return OkStatus();
}

void CommandRouter::Begin(ClientId client, std::uint32_t client_channel, wire::Exec exec) {
  while (next_channel_ == 0 || commands_.contains(next_channel_)) ++next_channel_;
  const std::uint32_t channel = next_channel_++;
  Command command;
  command.client = client;
  command.client_channel = client_channel;
  if (exec.script) exec.argv[0] = shell_;
  if (exec.journal) {
    auto sequence = journal_->Begin(exec);
    if (!sequence) {
      ToClient(command, wire::ErrorFrame(0, sequence.error()));
      return;
    }
    command.sequence = *sequence;
    ToClient(command, wire::Accepted{*sequence}.ToFrame(0));
    // The output of a finished command outlives the guest.
    exec.sync = true;
  }
  command.began = std::chrono::steady_clock::now();
  commands_.emplace(channel, command);
  by_client_[{client, client_channel}] = channel;
  ports_.ToGuest(EncodeFrame(exec.ToFrame(channel)));
  ports_.CommandStarted(channel, std::chrono::milliseconds(exec.timeout_ms));
  if (commands_.size() == 1) ports_.UseChanged();
}

Status CommandRouter::ForRunning(std::uint32_t channel, Command& command, Frame frame) {
  switch (frame.type) {
    case FrameType::kData:
      if (frame.stream != Stream::kStdin || command.stdin_ended)
        return Breach("data on a wrong stream");
      if (frame.payload.size() > command.stdin_allowed)
        return Breach("more stdin than was allowed");
      command.stdin_allowed -= frame.payload.size();
      ports_.ToGuest(wire::EncodeData(channel, Stream::kStdin, frame.payload));
      return OkStatus();
    case FrameType::kEof:
      if (frame.stream != Stream::kStdin || command.stdin_ended)
        return Breach("eof on a wrong stream");
      command.stdin_ended = true;
      ports_.ToGuest(wire::EncodeEof(channel, Stream::kStdin));
      return OkStatus();
    case FrameType::kCredit: {
      if (frame.stream == Stream::kStdin) return Breach("credit on a wrong stream");
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      Output& output = OutputOf(command, frame.stream);
      if (command.sequence > 0) return Breach("credit for output that is in the journal");
      // Credit for bytes that were never received would let the guest fill our memory.
      if (output.granted + bytes > output.received) return Breach("credit for nothing");
      Grant(channel, frame.stream, output, bytes);
      return OkStatus();
    }
    case FrameType::kKill: {
      PYRO_ASSIGN_OR_RETURN(const wire::Kill kill, wire::Kill::FromFrame(frame));
      SendKill(channel, command, kill.reason);
      return OkStatus();
    }
    default:
      return Breach(fmt::format("frame type {} from a client", static_cast<int>(frame.type)));
  }
}

void CommandRouter::Grant(std::uint32_t channel, Stream stream, Output& output,
                          std::uint32_t bytes) {
  output.granted += bytes;
  output.allowed += bytes;
  if (!output.ended) ports_.ToGuest(wire::EncodeCredit(channel, stream, bytes));
}

Status CommandRouter::FromGuest(Frame frame) {
  const auto found = commands_.find(frame.channel);
  if (found == commands_.end()) return Breach("a channel that was never opened");
  Command& command = found->second;
  switch (frame.type) {
    case FrameType::kStarted:
      if (command.started) return Breach("started twice");
      command.started = true;
      ToClient(command, std::move(frame));
      return OkStatus();
    case FrameType::kData:
    case FrameType::kEof:
      return OutputFromGuest(found->first, command, std::move(frame));
    case FrameType::kCredit: {
      if (frame.stream != Stream::kStdin) return Breach("credit on a wrong stream");
      PYRO_ASSIGN_OR_RETURN(const std::uint32_t bytes, DecodeCredit(frame));
      if (command.stdin_allowed + bytes > wire::kInitialCredit) return Breach("credit for nothing");
      command.stdin_allowed += bytes;
      ToClient(command, std::move(frame));
      return OkStatus();
    }
    case FrameType::kExited: {
      PYRO_ASSIGN_OR_RETURN(const wire::Exited exited, wire::Exited::FromFrame(frame));
      // A command that never began has no output that could end.
      const bool began = command.started || exited.outcome != Outcome::kNotStarted;
      if (began && !(command.out.ended && command.err.ended)) {
        return Breach("exited before its output ended");
      }
      RecordEnd(command, exited);
      ToClient(command, std::move(frame));
      Finish(found);
      return OkStatus();
    }
    case FrameType::kError: {
      wire::Exited failed;
      failed.outcome = Outcome::kInterrupted;
      RecordEnd(command, failed);
      ToClient(command, wire::ErrorFrame(0, wire::ErrorFromFrame(frame)));
      Finish(found);
      return OkStatus();
    }
    default:
      return Breach(fmt::format("frame type {} from the guest", static_cast<int>(frame.type)));
  }
}

Status CommandRouter::OutputFromGuest(std::uint32_t channel, Command& command, Frame frame) {
  if (frame.stream == Stream::kStdin) return Breach("stdin from the guest");
  Output& output = OutputOf(command, frame.stream);
  if (output.ended) return Breach("output after its end");
  if (frame.type == FrameType::kEof) {
    output.ended = true;
    ToClient(command, std::move(frame));
    return OkStatus();
  }
  if (frame.payload.size() > output.allowed) return Breach("more output than was allowed");
  output.allowed -= frame.payload.size();
  output.received += frame.payload.size();
  if (command.sequence > 0) {
    journal_->Append(command.sequence, wire::OutputOf(frame.stream), frame.payload);
    ports_.JournalWritten();
    Dispose(channel, frame.stream, output);
  } else if (command.orphan) {
    Dispose(channel, frame.stream, output);
  } else {
    ToClient(command, std::move(frame));
  }
  return OkStatus();
}

// The received bytes are consumed: the guest may send as many again.
void CommandRouter::Dispose(std::uint32_t channel, Stream stream, Output& output) {
  const std::uint64_t due = output.received - output.granted;
  if (due >= wire::kInitialCredit / 2) {
    Grant(channel, stream, output, static_cast<std::uint32_t>(due));
  }
}

void CommandRouter::ClientGone(ClientId client) {
  // Only a client that takes a command with it changes how the guest is used. One that looked in,
  // or died before it said anything, does not.
  const bool held_some =
      std::erase_if(held_, [client](const Held& one) { return one.client == client; }) > 0;
  for (auto& [channel, command] : commands_) {
    std::erase_if(command.watchers, [client](const Watcher& one) { return one.client == client; });
    if (command.client != client || command.orphan) continue;
    command.orphan = true;
    if (command.sequence > 0) {
      // No client is left to end its stdin.
      if (!std::exchange(command.stdin_ended, true)) {
        ports_.ToGuest(wire::EncodeEof(channel, Stream::kStdin));
      }
      continue;
    }
    SendKill(channel, command, wire::KillReason::kCancelled);
    DisposeOfAll(channel, command);
  }
  if (held_some && idle()) ports_.UseChanged();
}

// The output has no taker any more: what the client has not granted must not hold the guest up.
void CommandRouter::DisposeOfAll(std::uint32_t channel, Command& command) {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    Output& output = OutputOf(command, stream);
    const std::uint64_t due = output.received - output.granted;
    if (due > 0) Grant(channel, stream, output, static_cast<std::uint32_t>(due));
  }
}

// An end that the guest has not told.
void CommandRouter::EndForClient(Command& command, wire::Exited exited) {
  for (const Stream stream : {Stream::kStdout, Stream::kStderr}) {
    if (OutputOf(command, stream).ended) continue;
    Frame eof;
    eof.type = FrameType::kEof;
    eof.stream = stream;
    ToClient(command, std::move(eof));
  }
  exited.stdout_bytes = command.out.received;
  exited.stderr_bytes = command.err.received;
  RecordEnd(command, exited);
  ToClient(command, exited.ToFrame(0));
}

void CommandRouter::GiveUp(std::uint32_t channel) {
  const auto found = commands_.find(channel);
  if (found == commands_.end() || !found->second.killed || found->second.given_up) return;
  Command& command = found->second;
  const bool timed_out = command.reason == wire::KillReason::kTimedOut;
  wire::Exited exited;
  exited.outcome = timed_out ? Outcome::kTimedOut : Outcome::kCancelled;
  exited.duration_us = std::chrono::duration_cast<std::chrono::microseconds>(
                           std::chrono::steady_clock::now() - command.began)
                           .count();
  EndForClient(command, exited);
  by_client_.erase({command.client, command.client_channel});
  command.given_up = true;
  command.orphan = true;
  command.sequence = 0;
  command.watchers.clear();
  ++given_up_;
  DisposeOfAll(channel, command);
  if (idle()) ports_.UseChanged();
}

void CommandRouter::GuestGone() {
  gone_ = true;
  while (!commands_.empty()) {
    const auto first = commands_.begin();
    Command& command = first->second;
    wire::Exited exited;
    exited.outcome = Outcome::kInterrupted;
    EndForClient(command, exited);
    Finish(first);
  }
  std::deque<Held> held = std::move(held_);
  held_.clear();
  for (Held& one : held) (void)FromClient(one.client, std::move(one.frame));
}

void CommandRouter::TimedOut(std::uint32_t channel) {
  const auto found = commands_.find(channel);
  if (found != commands_.end()) SendKill(channel, found->second, wire::KillReason::kTimedOut);
}

bool CommandRouter::GuestOwesExit(std::uint32_t channel) const {
  const auto found = commands_.find(channel);
  return found != commands_.end() && found->second.killed && found->second.out.allowed > 0 &&
         found->second.err.allowed > 0;
}

void CommandRouter::SendKill(std::uint32_t channel, Command& command, wire::KillReason reason) {
  if (command.killed) return;
  command.killed = true;
  command.reason = reason;
  ports_.ToGuest(EncodeFrame(wire::Kill{reason}.ToFrame(channel)));
  ports_.CommandKilled(channel);
}

// The end is recorded before a client hears of it.
void CommandRouter::RecordEnd(const Command& command, const wire::Exited& exited) {
  if (command.sequence > 0) {
    journal_->End(command.sequence, exited);
    ports_.JournalWritten();
  }
  for (const Watcher& watcher : command.watchers) {
    ports_.ToClient(watcher.client, EncodeFrame(exited.ToFrame(watcher.channel)));
  }
}

void CommandRouter::Finish(Commands::iterator command) {
  const std::uint32_t channel = command->first;
  const bool given_up = command->second.given_up;
  // The client of a command that was given up may have used its channel again.
  if (!given_up) by_client_.erase({command->second.client, command->second.client_channel});
  commands_.erase(command);
  if (given_up) --given_up_;
  ports_.CommandFinished(channel);
  if (!given_up && commands_.size() == given_up_) ports_.UseChanged();
}

void CommandRouter::ToClient(const Command& command, Frame frame) {
  if (command.orphan) return;
  frame.channel = command.client_channel;
  ports_.ToClient(command.client, EncodeFrame(frame));
}

CommandRouter::Commands::iterator CommandRouter::Find(ClientId client,
                                                      std::uint32_t client_channel) {
  const auto found = by_client_.find({client, client_channel});
  return found == by_client_.end() ? commands_.end() : commands_.find(found->second);
}

CommandRouter::Output& CommandRouter::OutputOf(Command& command, Stream stream) {
  return stream == Stream::kStdout ? command.out : command.err;
}

}  // namespace pyro::supervisor
