// Syncs the data disk without blocking the loop, in a thread of its own.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::agent {

// Requests that come while a sync runs share the next one. Use it from one thread. Its own thread,
// which only calls the function, starts with the first request.
class DiskSync {
 public:
  // Returns when all bytes written before the call are on disk. Called by one thread at a time, not
  // that of the owner. An error is reported on the console, and the request counts as done.
  using Function = std::function<Status()>;

  static Result<std::unique_ptr<DiskSync>> Create(Function function);

  // Waits for the sync that runs.
  ~DiskSync();

  // Asks for a sync that begins from now on; the answer is for Done().
  std::uint64_t Request();
  bool Done(std::uint64_t request);
  // The last sync that ended did.
  bool failed();

  // Readable when Done() may have more to say; Acknowledge() makes it unreadable again.
  int fd() const { return event_.get(); }
  void Acknowledge();

 private:
  DiskSync(Function function, sys::UniqueFd event)
      : function_(std::move(function)), event_(std::move(event)) {}

  void Work();
  bool Fails() const;

  const Function function_;
  const sys::UniqueFd event_;
  std::mutex mutex_;  // Guards the members below, except thread_.
  std::condition_variable wake_;
  std::uint64_t requested_ = 0;
  std::uint64_t done_ = 0;
  bool failed_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace pyro::agent
