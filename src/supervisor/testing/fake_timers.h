// Time that passes when a test says so.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "supervisor/timers.h"

namespace pyro::supervisor {

class FakeTimers final : public Timers {
 public:
  std::unique_ptr<Timer> NewTimer() override { return std::make_unique<FakeTimer>(*this); }

  // Ends the waits that are over after `time`, in the order of their ends, each at its own time:
  // one that is started by the end of another counts from there.
  void Advance(std::chrono::milliseconds time) {
    const std::chrono::milliseconds until = now_ + time;
    while (!waits_.empty() && waits_.begin()->first.first <= until) {
      auto first = waits_.extract(waits_.begin());
      now_ = first.key().first;
      first.mapped()();
    }
    now_ = until;
  }

  // How many waits go on.
  std::size_t waiting() const { return waits_.size(); }

 private:
  using Key = std::pair<std::chrono::milliseconds, std::uint64_t>;  // When, and which came first.

  class FakeTimer final : public Timer {
   public:
    explicit FakeTimer(FakeTimers& timers) : timers_(timers) {}
    ~FakeTimer() override { Stop(); }

    void Start(std::chrono::milliseconds wait, std::function<void()> on_end) override {
      Stop();
      key_ = {timers_.now_ + wait, ++timers_.count_};
      timers_.waits_.emplace(key_, std::move(on_end));
    }

    void Stop() override { timers_.waits_.erase(key_); }

   private:
    FakeTimers& timers_;
    Key key_{};
  };

  std::chrono::milliseconds now_{0};
  std::uint64_t count_ = 0;
  std::map<Key, std::function<void()>> waits_;
};

}  // namespace pyro::supervisor
