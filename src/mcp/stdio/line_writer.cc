#include "mcp/stdio/line_writer.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

#include "sys/wait_for.h"

namespace pyro::mcp {
namespace {

// A pipe that is ready takes at least this much without waiting.
constexpr std::size_t kPiece = 4096;

}  // namespace

LineWriter::LineWriter(sys::UniqueFd fd, std::size_t soft_limit)
    : fd_(std::move(fd)), stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), soft_limit_(soft_limit) {
  // With SIGPIPE blocked, a reader that is gone is an error of write(2).
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LineWriter::~LineWriter() {
  Close(Deadline::After(std::chrono::milliseconds(0)));
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(stop_.get(), &one, sizeof one);
  thread_.join();
}

void LineWriter::Write(std::string line, Sink::Kind kind) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || failed_) return;
    if (kind == Sink::Kind::kReport && waiting_ > soft_limit_) return;
    line += '\n';
    waiting_ += line.size();
    lines_.push_back(std::move(line));
  }
  changed_.notify_all();
}

bool LineWriter::WaitForRoom(std::size_t bytes, Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return failed_ || closed_ || waiting_ < bytes; };
  changed_.wait_until(lock, std::min(deadline.at(), Deadline::After(std::chrono::hours(1)).at()),
                      ready);
  return !failed_ && waiting_ < bytes;
}

bool LineWriter::failed() const {
  const std::lock_guard lock(mutex_);
  return failed_;
}

void LineWriter::Close(Deadline deadline) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline.at(), [&] { return failed_ || waiting_ == 0; });
}

void LineWriter::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closed_ || !lines_.empty(); });
    if (lines_.empty() || failed_) return;
    const std::string line = std::move(lines_.front());
    lines_.pop_front();
    lock.unlock();
    const bool written = WriteOne(line);
    lock.lock();
    waiting_ -= line.size();
    if (!written) {
      failed_ = true;
      lines_.clear();
      waiting_ = 0;
    }
    changed_.notify_all();
  }
}

bool LineWriter::WriteOne(const std::string& line) {
  std::size_t done = 0;
  while (done < line.size()) {
    if (sys::WaitFor(fd_.get(), POLLOUT, Deadline::Never(), stop_.get()) != sys::Waited::kReady) {
      return false;
    }
    const ssize_t n = ::write(fd_.get(), line.data() + done, std::min(kPiece, line.size() - done));
    if (n < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (n > 0) done += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace pyro::mcp
