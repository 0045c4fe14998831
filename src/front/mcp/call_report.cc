#include "front/mcp/call_report.h"

#include <fmt/format.h>

#include "base/text.h"
#include "front/mcp/host.h"

namespace pyro::mcp_server {
namespace {

using std::chrono::seconds;

constexpr seconds kAtMostEvery{1};
constexpr seconds kAtLeastEvery{5};

}  // namespace

CallReport::CallReport(mcp::CallContext& call, std::int64_t limit_seconds, std::string_view first)
    : call_(call), limit_seconds_(limit_seconds), what_(first) {
  if (call_.wants_progress()) thread_ = std::thread([this] { Run(); });
}

CallReport::~CallReport() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

CallIo CallReport::Io() {
  CallIo io;
  io.cancel_fd = call_.cancel_fd();
  io.on_progress = [this](std::string_view phase, std::string_view detail, double fraction) {
    std::string what(phase);
    if (!detail.empty()) what += fmt::format(": {}", Printable(detail, 100));
    if (fraction >= 0) what += fmt::format(" {:.0f} %", fraction * 100);
    Say(what);
  };
  io.on_notice = [this](std::string_view notice) {
    const std::lock_guard lock(mutex_);
    notices_.push_back(ForModels(std::string(notice)));
  };
  io.on_advice = [notice = io.on_notice](std::string_view advice) {
    notice(fmt::format("for the user to decide: {}", advice));
  };
  return io;
}

void CallReport::Say(std::string_view what) {
  const std::lock_guard lock(mutex_);
  what_ = what;
  news_ = true;
}

void CallReport::Wrote(std::uint64_t stdout_bytes, std::uint64_t stderr_bytes) {
  const std::lock_guard lock(mutex_);
  news_ = news_ || bytes_ != stdout_bytes + stderr_bytes;
  bytes_ = stdout_bytes + stderr_bytes;
}

std::vector<std::string> CallReport::Notices() const {
  const std::lock_guard lock(mutex_);
  return notices_;
}

std::string CallReport::Message(double elapsed) const {
  std::string message = fmt::format("{}, {:.0f} s", what_, elapsed);
  if (bytes_ > 0) message += fmt::format(", {} of output", FormatBytes(bytes_));
  return message;
}

void CallReport::Run() {
  std::unique_lock lock(mutex_);
  auto last = start_ - kAtLeastEvery;
  while (!done_) {
    const auto now = std::chrono::steady_clock::now();
    if (news_ || now - last >= kAtLeastEvery) {
      news_ = false;
      last = now;
      const double elapsed = std::chrono::duration<double>(now - start_).count();
      // A command's clock starts after the guest is there: the limit is no total then.
      std::optional<double> total;
      if (limit_seconds_ > 0 && elapsed < static_cast<double>(limit_seconds_)) {
        total = static_cast<double>(limit_seconds_);
      }
      call_.Progress(elapsed, total, Message(elapsed));
    }
    wake_.wait_for(lock, kAtMostEvery);
  }
}

}  // namespace pyro::mcp_server
