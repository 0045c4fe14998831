// What the agent answers to a question of a client: one struct for each question. The supervisor
// passes answers on unread. ReadAnswer() checks them: the guest is hostile.

#pragma once

#include <cstdint>
#include <utility>

#include "base/fields.h"
#include "base/json.h"
#include "wire/messages.h"

namespace pyro::wire {

// `Answer` has its question's name, kQuestion, and Rows().
template <typename Answer>
Frame AnswerFrame(std::uint32_t channel, const Answer& answer) {
  return {.type = FrameType::kAnswer,
          .channel = channel,
          .payload = ToCbor(FieldsToJson(Answer::Rows(), &answer))};
}

// kProtocol: a field is missing, of another type or out of its limits.
template <typename Answer>
Result<Answer> ReadAnswer(const Frame& frame) {
  auto json = DecodeObject(frame);
  if (!json) return std::move(json).error();
  Answer answer;
  if (Status read = ReadFields(Answer::Rows(), *json, &answer); !read) {
    return std::move(read).error();
  }
  return answer;
}

// Every one of them, for loops over all.
template <typename... Answer>
struct AnswerList {};
using Answers = AnswerList<>;

}  // namespace pyro::wire
