#include "archive/meter.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "archive/git_files.h"
#include "base/text.h"
#include "base/try.h"
#include "sys/errno_error.h"
#include "sys/wait_for.h"

namespace pyro::archive {
namespace {

constexpr std::chrono::milliseconds kTellEvery(100);

void Keep(const std::string& name, std::vector<std::string>& names) {
  if (names.size() < Summary::kMaxNamed) names.push_back(name);
}

}  // namespace

Status Meter::Wait(int fd, short events) {
  const auto waited = sys::WaitFor(fd, events, Deadline::Never(), operation_.cancel_fd);
  if (waited == sys::Waited::kCancelled) return MakeError(ErrorCode::kCancelled, "cancelled");
  return OkStatus();
}

Status Meter::Write(int fd, std::string_view bytes) {
  const int flags = ::fcntl(fd, F_GETFL);
  const std::size_t at_once =
      flags >= 0 && (flags & O_NONBLOCK) != 0 ? bytes.size() : std::size_t{PIPE_BUF};
  while (!bytes.empty()) {
    PYRO_RETURN_IF_ERROR(Wait(fd, POLLOUT));
    const ssize_t n = ::write(fd, bytes.data(), std::min(bytes.size(), at_once));
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno != EINTR && errno != EAGAIN) {
      return sys::ErrnoError(errno, "write");
    }
  }
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

void Meter::CountOwn(const std::string& name) { Keep(name, summary_.own_names); }

void Meter::NoteGitPath(const std::string& name, std::string_view text, bool symlink) {
  auto path = GitPathOutside(name, text, symlink);
  if (path && summary_.git_outside.size() < Summary::kMaxNamed) {
    summary_.git_outside.push_back({name, std::move(*path)});
  }
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
