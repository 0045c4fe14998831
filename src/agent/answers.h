// Answers the host's questions about this guest, without blocking the loop.

#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "sys/unique_fd.h"
#include "wire/answers.h"
#include "wire/messages.h"

namespace pyro::agent {

// A question, as its answerer gets it.
struct Question {
  std::uint32_t channel = 0;
  wire::Ask ask;
  pid_t first = 0;  // The first process of the command that it is about; 0: it does not run.
};

// A question that can be answered. `answer` may block: a thread calls it that does nothing else.
struct Answerer {
  std::string_view question;
  std::function<Result<wire::Frame>(const Question& question)> answer;
};

// An Answerer for a struct of wire/answers.h.
template <auto kRead>
Answerer Answering() {
  using Answer = std::decay_t<decltype(*kRead(Question()))>;
  return {Answer::kQuestion, [](const Question& question) -> Result<wire::Frame> {
            const auto answer = kRead(question);
            if (!answer) return answer.error();
            return wire::AnswerFrame(question.channel, *answer);
          }};
}

// Those of a guest.
std::vector<Answerer> GuestAnswerers();

// Questions are answered one after the other, by a thread that lives as long as one waits. Use it
// from one thread. If an answer blocks for ever, then so do those behind it, and nothing else.
class Answers {
 public:
  static constexpr std::size_t kMaxWaiting = 64;

  static Result<std::unique_ptr<Answers>> Create(std::vector<Answerer> answerers);
  // Leaves a thread that answers to itself; its answer is dropped.
  ~Answers();

  // kNotFound: no answerer has this question. kLimit: too many wait. kUnavailable: there is no
  // thread for it.
  Status Ask(Question question);

  // Readable when Take() has answers.
  int fd() const;
  // kAnswer and kError, in the order of the questions.
  std::vector<wire::Frame> Take();

 private:
  struct Shared;
  explicit Answers(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  const std::shared_ptr<Shared> shared_;
};

}  // namespace pyro::agent
