#include "supervisor/clock_watch.h"

#include <utility>

#include "sys/clock_steps.h"

namespace pyro::supervisor {

void ClockWatch::Take(sys::UniqueFd steps) {
  if (!steps.valid()) return;
  boost::system::error_code error;
  steps_.assign(steps.get(), error);
  if (!error) (void)steps.Release();
}

void ClockWatch::Begin(std::function<void()> on_step) {
  on_step_ = std::move(on_step);
  if (steps_.is_open()) Await();
}

void ClockWatch::Await() {
  steps_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                    [this](boost::system::error_code failure) {
                      if (failure || !steps_.is_open()) return;
                      const auto stepped = sys::TakeClockStep(steps_.native_handle());
                      // It would be readable for ever.
                      if (!stepped) return End();
                      if (*stepped) on_step_();
                      if (steps_.is_open()) Await();
                    });
}

void ClockWatch::End() {
  boost::system::error_code ignored;
  steps_.close(ignored);
}

}  // namespace pyro::supervisor
