// Writes lines to a descriptor that may be slow, from threads that must not wait for it.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "base/time.h"
#include "mcp/protocol/sink.h"
#include "sys/unique_fd.h"

namespace pyro::mcp {

// Thread-safe. One thread of its own writes whole lines in order.
class LineWriter {
 public:
  // `fd` is a pipe, a socket, a terminal or a file, and stays blocking: others may share it.
  // Reports are dropped while more than `soft_limit` bytes wait.
  LineWriter(sys::UniqueFd fd, std::size_t soft_limit);
  ~LineWriter();  // Drops the unwritten lines.
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  // `line` without its end. After Close or a failure it is dropped.
  void Write(std::string line, Sink::Kind kind);

  // Waits until less than `bytes` wait, the reader is gone or the time is over; says whether there
  // is room.
  bool WaitForRoom(std::size_t bytes, Deadline deadline);

  bool failed() const;

  // Takes no more lines, and writes the queue until the deadline.
  void Close(Deadline deadline);

 private:
  void Run();
  // false: the reader is gone, or it is time to stop.
  bool WriteOne(const std::string& line);

  const sys::UniqueFd fd_;
  const sys::UniqueFd stop_;  // An eventfd.
  const std::size_t soft_limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  std::size_t waiting_ = 0;  // Bytes, the line being written included.
  bool closed_ = false;
  bool failed_ = false;
  std::thread thread_;
};

}  // namespace pyro::mcp
