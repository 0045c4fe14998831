#include "archive/meter.h"

#include <poll.h>

#include <cerrno>
#include <chrono>

#include <fmt/format.h>

#include "base/text.h"
#include "sys/errno_error.h"

namespace pyro::archive {
namespace {

constexpr std::chrono::milliseconds kTellEvery(100);

void Keep(const std::string& name, std::vector<std::string>& names) {
  if (names.size() < Summary::kMaxNamed) names.push_back(name);
}

}  // namespace

Status Meter::Wait(int fd, short events) {
  pollfd polls[] = {{fd, events, 0}, {operation_.cancel_fd, POLLIN, 0}};
  while (::poll(polls, 2, -1) < 0) {
    if (errno != EINTR) return sys::ErrnoError(errno, "poll");
  }
  if (polls[1].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
  return OkStatus();
}

Status Meter::CountEntry() {
  if (++summary_.entries > kMaxEntries) {
    return MakeError(ErrorCode::kLimit, fmt::format("more than {} entries", kMaxEntries));
  }
  Tell();
  return OkStatus();
}

Status Meter::CountBytes(std::uint64_t bytes) {
  summary_.bytes += bytes;
  if (operation_.max_bytes != 0 && summary_.bytes > operation_.max_bytes) {
    return MakeError(ErrorCode::kLimit,
                     fmt::format("more than {} of data", FormatBytes(operation_.max_bytes)));
  }
  Tell();
  return OkStatus();
}

void Meter::CountSkipped(const std::string& name) {
  ++summary_.skipped;
  Keep(name, summary_.skipped_names);
}

void Meter::CountChanged(const std::string& name) {
  ++summary_.changed;
  Keep(name, summary_.changed_names);
}

void Meter::Finish() {
  if (operation_.on_progress) operation_.on_progress({summary_.entries, summary_.bytes});
}

void Meter::Tell() {
  if (!operation_.on_progress) return;
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now < next_tell_) return;
  next_tell_ = now + kTellEvery;
  Finish();
}

}  // namespace pyro::archive
