#include "agent/answers.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "sys/errno_error.h"

namespace pyro::agent {

struct Answers::Shared {
  struct Waiting {
    std::uint32_t channel;
    const Answerer* answerer;
  };

  // Answers until none waits.
  void Work() {
    std::unique_lock lock(mutex);
    while (!waiting.empty()) {
      const Waiting next = waiting.front();
      waiting.pop_front();
      lock.unlock();
      auto frame = next.answerer->answer(next.channel);
      if (frame && frame->payload.size() > wire::kMaxMessageBytes) {
        frame = MakeError(ErrorCode::kLimit, "the answer is too long");
      }
      lock.lock();
      done.push_back(frame ? std::move(*frame) : wire::ErrorFrame(next.channel, frame.error()));
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(event.get(), &one, sizeof one);
    }
    working = false;
  }

  std::vector<Answerer> answerers;
  sys::UniqueFd event;
  std::mutex mutex;  // Guards the members below.
  std::deque<Waiting> waiting;
  std::vector<wire::Frame> done;
  bool working = false;  // A thread does.
};

Result<std::unique_ptr<Answers>> Answers::Create(std::vector<Answerer> answerers) {
  auto shared = std::make_shared<Shared>();
  shared->answerers = std::move(answerers);
  shared->event = sys::UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->event.valid()) return sys::ErrnoError(errno, "eventfd");
  return std::unique_ptr<Answers>(new Answers(std::move(shared)));
}

Answers::~Answers() {
  const std::lock_guard lock(shared_->mutex);
  shared_->waiting.clear();
}

Status Answers::Ask(std::uint32_t channel, const wire::Ask& ask) {
  const auto known =
      std::find_if(shared_->answerers.begin(), shared_->answerers.end(),
                   [&](const Answerer& one) { return one.question == ask.question; });
  if (known == shared_->answerers.end()) {
    return MakeError(ErrorCode::kNotFound, "the guest's agent does not know this question");
  }
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() >= kMaxWaiting) {
    return MakeError(ErrorCode::kLimit, fmt::format("{} questions wait already", kMaxWaiting));
  }
  shared_->waiting.push_back({channel, &*known});
  if (shared_->working) return OkStatus();
  try {
    std::thread([shared = shared_] { shared->Work(); }).detach();
  } catch (const std::system_error&) {
    shared_->waiting.pop_back();
    return MakeError(ErrorCode::kUnavailable, "the guest has no room for another thread");
  }
  shared_->working = true;
  return OkStatus();
}

int Answers::fd() const { return shared_->event.get(); }

std::vector<wire::Frame> Answers::Take() {
  std::uint64_t ignored;
  [[maybe_unused]] const ssize_t n = ::read(shared_->event.get(), &ignored, sizeof ignored);
  const std::lock_guard lock(shared_->mutex);
  return std::exchange(shared_->done, {});
}

std::vector<Answerer> GuestAnswerers() { return {}; }

}  // namespace pyro::agent
