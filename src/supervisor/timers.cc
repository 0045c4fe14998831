#include "supervisor/timers.h"

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <utility>

namespace pyro::supervisor {
namespace {

class LoopTimer final : public Timer {
 public:
  LoopTimer(boost::asio::io_context& loop, int haste) : timer_(loop), haste_(haste) {}

  void Start(std::chrono::milliseconds wait, std::function<void()> on_end) override {
    const std::uint64_t turn = ++*turn_;
    timer_.expires_after(wait / haste_);
    // An end that the loop has queued already cannot be taken back: the turn tells it from the
    // present one.
    timer_.async_wait(
        [current = turn_, turn, on_end = std::move(on_end)](boost::system::error_code error) {
          if (!error && *current == turn) on_end();
        });
  }

  void Stop() override {
    ++*turn_;
    timer_.cancel();
  }

  ~LoopTimer() override { ++*turn_; }

 private:
  boost::asio::steady_timer timer_;
  const int haste_;
  std::shared_ptr<std::uint64_t> turn_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace

std::unique_ptr<Timer> LoopTimers::NewTimer() { return std::make_unique<LoopTimer>(loop_, haste_); }

}  // namespace pyro::supervisor
