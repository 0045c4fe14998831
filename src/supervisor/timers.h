// The seam between a supervisor and the time that it waits: what it waits for without a descriptor.

#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>

namespace pyro::supervisor {

// One wait at a time. Destroying it gives the wait up. Belongs to the loop's thread.
class Timer {
 public:
  virtual ~Timer() = default;

  // Calls `on_end` from the loop once `wait` has passed. A wait that goes on is given up.
  virtual void Start(std::chrono::milliseconds wait, std::function<void()> on_end) = 0;

  // Gives the wait up, if one goes on. Its function is not called any more.
  virtual void Stop() = 0;
};

class Timers {
 public:
  virtual ~Timers() = default;
  virtual std::unique_ptr<Timer> NewTimer() = 0;
};

// By the steady clock.
class LoopTimers final : public Timers {
 public:
  // `haste`: each wait is so many times shorter; above 0.
  explicit LoopTimers(boost::asio::io_context& loop, int haste = 1) : loop_(loop), haste_(haste) {}
  std::unique_ptr<Timer> NewTimer() override;

 private:
  boost::asio::io_context& loop_;
  const int haste_;
};

}  // namespace pyro::supervisor
