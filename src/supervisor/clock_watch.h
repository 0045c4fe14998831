// Waits for steps of the host's clock, and for the end of its sleep.

#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "sys/unique_fd.h"

namespace pyro::supervisor {

// Belongs to the loop's thread.
class ClockWatch {
 public:
  explicit ClockWatch(boost::asio::io_context& loop) : steps_(loop) {}

  // `steps` is as that of sys::OpenClockSteps(), and does not block. An invalid one tells nothing.
  void Take(sys::UniqueFd steps);

  // `on_step` is called after each from now on.
  void Begin(std::function<void()> on_step);

  // Nothing is told any more.
  void End();

 private:
  void Await();

  boost::asio::posix::stream_descriptor steps_;
  std::function<void()> on_step_;
};

}  // namespace pyro::supervisor
