#include "supervisor/command_router.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/try.h"

namespace pyro::supervisor {
namespace {

using wire::Frame;
using wire::FrameType;

// The bytes that clients may queue before the guest is ready: a full window of stdin for several
// commands.
constexpr std::size_t kMaxHeldBytes = 16 * 1024 * 1024;

}  // namespace

std::vector<ClientId> CommandRouter::GuestReady(std::string shell) {
  ready_ = true;
  shell_ = std::move(shell);
  held_bytes_ = 0;
  std::vector<ClientId> offenders;
  for (Held& one : std::exchange(held_, {})) {
    if (!FromClient(one.client, std::move(one.frame))) offenders.push_back(one.client);
  }
  return offenders;
}

Status CommandRouter::FromClient(ClientId client, Frame frame) {
  if (frame.channel == 0) return Breach("a command on channel 0");
  const ClientChannel from{client, frame.channel};
  if (frame.type == FrameType::kCancel) return Cancel(from, frame);
  if (frame.type == FrameType::kWrite) return Write(from, frame);
  if (!ready_ && !gone_) {
    if (frame.type == FrameType::kExec) PYRO_RETURN_IF_ERROR(wire::Exec::FromFrame(frame));
    held_bytes_ += frame.payload.size() + wire::kHeaderBytes;
    if (held_bytes_ > kMaxHeldBytes) return Breach("too much before the guest is ready");
    held_.push_back({client, std::move(frame)});
    if (held_.size() == 1) place_.ports.UseChanged(false);
    return OkStatus();
  }
  if (frame.type == FrameType::kExec) return Exec(from, frame);
  if (frame.type == FrameType::kAsk) return Ask(from, std::move(frame));
  const auto channel = by_client_.find(from);
  // It may have ended while this frame was on its way.
  if (channel == by_client_.end()) return OkStatus();
  return commands_.at(channel->second).FromClient(frame);
}

Status CommandRouter::Exec(ClientChannel client, const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec, wire::Exec::FromFrame(frame));
  if (exec.journal && place_.journal == nullptr) return Breach("a journal where there is none");
  if (exec.open_stdin && !exec.journal) return Breach("an open stdin without a journal");
  if (InUse(client)) return Breach("a channel used twice");
  if (gone_) {
    Refuse(client, why_gone_);
  } else if (commands_.size() >= wire::kMaxChannels) {
    Refuse(client, MakeError(ErrorCode::kLimit,
                             fmt::format("{} commands run in this guest already", commands_.size()),
                             "wait for one to end"));
  } else {
    Begin(client, std::move(exec));
  }
  return OkStatus();
}

Status CommandRouter::Cancel(ClientChannel client, const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(const wire::Cancel cancel, wire::Cancel::FromFrame(frame));
  if (InUse(client)) return Breach("a channel used twice");
  RoutedCommand* const command = FindJournaled(client, cancel.sequence);
  if (command == nullptr) return OkStatus();
  PYRO_RETURN_IF_ERROR(command->Await(client));
  command->Kill(wire::KillReason::kCancelled);
  return OkStatus();
}

Status CommandRouter::Write(ClientChannel client, const Frame& frame) {
  PYRO_ASSIGN_OR_RETURN(wire::Write write, wire::Write::FromFrame(frame));
  if (InUse(client)) return Breach("a channel used twice");
  RoutedCommand* const command = FindJournaled(client, write.sequence);
  if (command != nullptr) command->Write(client, std::move(write));
  return OkStatus();
}

RoutedCommand* CommandRouter::FindJournaled(ClientChannel client, std::int64_t sequence) {
  const auto found = std::find_if(commands_.begin(), commands_.end(), [&](const auto& entry) {
    return entry.second.sequence() == sequence;
  });
  if (found != commands_.end()) return &found->second;
  Refuse(client, MakeError(ErrorCode::kNotFound, fmt::format("command {} does not run", sequence),
                           "it has ended or never existed"));
  return nullptr;
}

Status CommandRouter::Ask(ClientChannel client, Frame frame) {
  PYRO_RETURN_IF_ERROR(wire::Ask::FromFrame(frame));
  if (InUse(client)) return Breach("a channel used twice");
  if (gone_) {
    Refuse(client, why_gone_);
  } else {
    questions_.Ask(client, NewChannel(), std::move(frame));
  }
  return OkStatus();
}

bool CommandRouter::InUse(ClientChannel client) const {
  return by_client_.contains(client) || questions_.Waits(client);
}

std::uint32_t CommandRouter::NewChannel() {
  while (next_channel_ == 0 || commands_.contains(next_channel_) ||
         questions_.Open(next_channel_)) {
    ++next_channel_;
  }
  return next_channel_++;
}

void CommandRouter::Begin(ClientChannel client, wire::Exec exec) {
  const std::uint32_t channel = NewChannel();
  exec.sequence = 0;
  if (exec.script) exec.argv[0] = shell_;
  if (exec.journal) {
    const auto recorded = place_.journal->Begin(exec);
    if (!recorded) return Refuse(client, recorded.error());
    exec.sequence = *recorded;
    place_.ports.ToClient(client.client,
                          EncodeFrame(wire::Accepted{exec.sequence}.ToFrame(client.channel)));
    // The output of a finished command outlives the guest.
    exec.sync = true;
  }
  by_client_[client] = channel;
  const bool open_stdin = std::exchange(exec.open_stdin, false);
  commands_.try_emplace(channel, place_, client, channel, exec.sequence, open_stdin)
      .first->second.Begin(exec);
  if (commands_.size() == 1) place_.ports.UseChanged(exec.journal);
}

void CommandRouter::Refuse(ClientChannel client, const Error& error) {
  place_.ports.ToClient(client.client, EncodeFrame(wire::ErrorFrame(client.channel, error)));
}

Status CommandRouter::FromGuest(Frame frame) {
  if (questions_.Open(frame.channel)) return questions_.FromGuest(std::move(frame));
  const auto found = commands_.find(frame.channel);
  if (found == commands_.end()) return Breach("a channel that was never opened");
  PYRO_ASSIGN_OR_RETURN(const bool ended, found->second.FromGuest(std::move(frame)));
  if (ended) Finish(found);
  return OkStatus();
}

void CommandRouter::ClientGone(ClientId client) {
  // Only a client that takes a command with it changes how the guest is used. One that looked in,
  // or died before it said anything, does not.
  const bool held_some =
      std::erase_if(held_, [client](const Held& one) { return one.client == client; }) > 0;
  for (auto& [channel, command] : commands_) command.ClientGone(client);
  questions_.ClientGone(client);
  if (held_some && idle()) place_.ports.UseChanged(false);
}

void CommandRouter::GuestGone(const std::optional<Error>& why) {
  gone_ = true;
  if (why) why_gone_ = *why;
  while (!commands_.empty()) {
    RoutedCommand& command = commands_.begin()->second;
    why ? command.Fail(*why) : command.End(Outcome::kInterrupted);
    Finish(commands_.begin());
  }
  questions_.GuestGone(why_gone_);
  for (Held& one : std::exchange(held_, {})) (void)FromClient(one.client, std::move(one.frame));
}

// Its client may use the channel again.
void CommandRouter::GiveUp(RoutedCommand& command) {
  place_.ports.GivingUp();
  command.GiveUp();
  by_client_.erase(command.client());
  ++given_up_;
  if (idle()) place_.ports.UseChanged(false);
}

void CommandRouter::Finish(Commands::iterator command) {
  const bool given_up = command->second.given_up();
  const bool journaled = command->second.sequence() > 0;
  if (given_up) {
    --given_up_;
  } else {
    by_client_.erase(command->second.client());
  }
  commands_.erase(command);
  if (!given_up && commands_.size() == given_up_) place_.ports.UseChanged(journaled);
}

}  // namespace pyro::supervisor
