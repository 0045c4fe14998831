#include "supervisor/questions.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace pyro::supervisor {

bool Questions::Waits(ClientChannel client) const {
  return std::any_of(open_.begin(), open_.end(), [&](const auto& entry) {
    return !entry.second.given_up && entry.second.client == client;
  });
}

void Questions::Ask(ClientChannel client, std::uint32_t channel, wire::Frame frame) {
  if (open_.size() >= kMost) {
    return Refuse(client,
                  MakeError(ErrorCode::kLimit,
                            fmt::format("{} questions to this guest have no answer yet", kMost),
                            "try again"));
  }
  Question& question = open_[channel] = {client, timers_.NewTimer()};
  question.limit->Start(kLimit, [this, &question] {
    GiveUp(question, MakeError(ErrorCode::kGuestUnavailable,
                               fmt::format("the guest has not answered for {} s", kLimit.count()),
                               "it may be paused or out of memory; try again"));
  });
  frame.channel = channel;
  ports_.ToGuest(EncodeFrame(frame));
}

Status Questions::FromGuest(wire::Frame frame) {
  if (frame.type == wire::FrameType::kError) {
    frame = wire::ErrorFrame(frame.channel, ErrorOfGuest(frame));
  } else if (frame.type != wire::FrameType::kAnswer) {
    return Breach("no answer to a question");
  }
  const auto question = open_.extract(frame.channel);
  if (question.mapped().given_up) return OkStatus();
  frame.channel = question.mapped().client.channel;
  ports_.ToClient(question.mapped().client.client, EncodeFrame(frame));
  return OkStatus();
}

void Questions::ClientGone(ClientId client) {
  for (auto& [channel, question] : open_) {
    if (question.client.client == client) question.given_up = true;
  }
}

void Questions::GuestGone(const Error& why) {
  for (auto& [channel, question] : std::exchange(open_, {})) GiveUp(question, why);
}

void Questions::GiveUp(Question& question, const Error& error) {
  if (!std::exchange(question.given_up, true)) Refuse(question.client, error);
}

void Questions::Refuse(ClientChannel client, const Error& error) {
  ports_.ToClient(client.client, EncodeFrame(wire::ErrorFrame(client.channel, error)));
}

}  // namespace pyro::supervisor
