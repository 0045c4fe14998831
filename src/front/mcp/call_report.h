// The reports of a long call: progress for a client that asked for it, notices for its result.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "mcp/protocol/call_context.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

// Reports at once, then at each change, at most once a second and at least every five seconds. So
// no client assumes that the call is dead. Thread-safe.
class CallReport {
 public:
  // `limit_seconds`: after which the call is over, or 0.
  CallReport(mcp::CallContext& call, std::int64_t limit_seconds, std::string_view first);
  ~CallReport();
  CallReport(const CallReport&) = delete;
  CallReport& operator=(const CallReport&) = delete;

  // Connected to the call's cancellation and to this object, which must outlive its use.
  CallIo Io();

  // The present step of the call, such as "booting".
  void Say(std::string_view what);
  // The number of bytes that a command has written so far.
  void Wrote(std::uint64_t stdout_bytes, std::uint64_t stderr_bytes);

  std::vector<std::string> Notices() const;

 private:
  void Run();
  std::string Message(double seconds) const;

  mcp::CallContext& call_;
  const std::int64_t limit_seconds_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  bool news_ = true;
  std::string what_;
  std::uint64_t bytes_ = 0;
  std::vector<std::string> notices_;
  std::thread thread_;  // Only if the client asked for progress.
};

}  // namespace pyro::mcp_server
