// For tests of sessions: the supervisor at the other end of a link, sinks and a cancellation.

#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/try.h"
#include "engine/instance/supervisor_link.h"
#include "pyro/engine.h"
#include "sys/files.h"
#include "sys/test_directory.h"
#include "sys/unix_socket.h"
#include "sys/wait_for.h"
#include "wire/messages.h"

namespace pyro::engine {

inline constexpr std::uint32_t kTestChannel = 1;

// The other end of a link. `answer` gets each frame after the greeting, on a thread of its own.
class Peer {
 public:
  using Answer = std::function<void(Peer&, const wire::Frame&)>;

  explicit Peer(Answer answer)
      : answer_(std::move(answer)),
        listener_(*sys::ListenUnix(path())),
        thread_([this] { Serve(); }) {}
  // The link must be gone.
  ~Peer() { thread_.join(); }

  SupervisorLink Connect() {
    auto link = SupervisorLink::Connect(path());
    PYRO_CHECK(link.ok());
    return std::move(*link);
  }

  void Say(const std::string& bytes) { PYRO_CHECK(sys::WriteAll(socket_.get(), bytes).ok()); }
  void Say(const wire::Frame& frame) { Say(EncodeFrame(frame)); }
  void SayData(OutputStream stream, std::string_view bytes) {
    Say(wire::EncodeData(kTestChannel, wire::StreamOf(stream), bytes));
  }
  void SayExited(Outcome outcome = Outcome::kExited, int code = 0) {
    wire::Exited exited;
    exited.outcome = outcome;
    exited.code = code;
    Say(exited.ToFrame(kTestChannel));
  }
  void HangUp() { ::shutdown(socket_.get(), SHUT_RDWR); }

  int Count(wire::FrameType type) {
    const std::lock_guard lock(mutex_);
    int count = 0;
    for (const wire::FrameType one : got_) count += one == type ? 1 : 0;
    return count;
  }

 private:
  std::filesystem::path path() const { return directory_.path() / "control.sock"; }

  static void AwaitBytes(const sys::UniqueFd& fd) {
    const Deadline limit = Deadline::After(std::chrono::minutes(1));
    PYRO_CHECK(sys::WaitFor(fd.get(), POLLIN, limit) == sys::Waited::kReady);
  }

  void Serve() {
    AwaitBytes(listener_);
    socket_ = sys::UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    wire::FrameDecoder decoder;
    std::vector<char> buffer(64 * 1024);
    while (true) {
      AwaitBytes(socket_);
      const ssize_t n = ::read(socket_.get(), buffer.data(), buffer.size());
      if (n <= 0) return;
      decoder.Append({buffer.data(), static_cast<std::size_t>(n)});
      while (const std::optional<wire::Frame> frame = *decoder.Next()) Take(*frame);
    }
  }

  void Take(const wire::Frame& frame) {
    if (frame.type == wire::FrameType::kHello) {
      wire::Hello hello;
      hello.role = "supervisor";
      return Say(hello.ToFrame());
    }
    {
      const std::lock_guard lock(mutex_);
      got_.push_back(frame.type);
    }
    answer_(*this, frame);
  }

  sys::TestDirectory directory_;
  Answer answer_;
  sys::UniqueFd listener_;
  sys::UniqueFd socket_;
  std::mutex mutex_;
  std::vector<wire::FrameType> got_;
  std::thread thread_;
};

class TestSink : public OutputSink {
 public:
  explicit TestSink(std::function<Status()> at_first = nullptr) : at_first_(std::move(at_first)) {}

  int WritableFd(OutputStream) override { return -1; }
  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    if (at_first_) PYRO_RETURN_IF_ERROR(std::exchange(at_first_, nullptr)());
    (stream == OutputStream::kStdout ? out : err) += bytes;
    return bytes.size();
  }

  std::string out;
  std::string err;

 private:
  std::function<Status()> at_first_;
};

// Into a pipe, as much as it takes.
class TestPipeSink : public OutputSink {
 public:
  TestPipeSink() : pipe_(*sys::MakePipe()) {
    PYRO_CHECK(sys::SetNonBlocking(pipe_.write.get()).ok());
  }

  int WritableFd(OutputStream) override { return pipe_.write.get(); }
  Result<std::size_t> Write(OutputStream, std::string_view bytes) override {
    const ssize_t n = ::write(pipe_.write.get(), bytes.data(), bytes.size());
    if (n < 0) return std::size_t{0};
    taken += static_cast<std::size_t>(n);
    return static_cast<std::size_t>(n);
  }

  // Up to Close().
  std::string ReadAll() {
    std::string text;
    std::vector<char> buffer(4096);
    while (true) {
      const ssize_t n = ::read(pipe_.read.get(), buffer.data(), buffer.size());
      if (n <= 0) return text;
      text.append(buffer.data(), static_cast<std::size_t>(n));
    }
  }
  void Close() { pipe_.write.Reset(); }

  std::atomic<std::size_t> taken = 0;

 private:
  sys::Pipe pipe_;
};

// A cancellation that a test asks for.
class Canceller {
 public:
  CallIo Io() const {
    CallIo io;
    io.cancel_fd = pipe_.read.get();
    return io;
  }
  void Cancel() { PYRO_CHECK(sys::WriteAll(pipe_.write.get(), "!").ok()); }

 private:
  sys::Pipe pipe_ = *sys::MakePipe();
};

inline wire::Exec TestExec(bool journal = false) {
  wire::Exec exec;
  exec.argv = {"command"};
  exec.cwd = "/";
  exec.journal = journal;
  return exec;
}

inline Status ReaderGone() { return MakeError(ErrorCode::kUnavailable, "the reader is gone"); }

}  // namespace pyro::engine
