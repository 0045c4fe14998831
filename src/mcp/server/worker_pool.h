// A bounded number of threads for handlers that block.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pyro::mcp {

// Thread-safe. Threads start when there is work for one more, and stay.
class WorkerPool {
 public:
  WorkerPool(std::size_t threads, std::size_t queued);
  ~WorkerPool();  // Runs the queue and waits for its end.
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // false: the queue is full, or no thread is available. `work` does not throw.
  bool Submit(std::function<void()> work);

  // Waits until no work runs or is queued; false if that took longer.
  bool WaitIdle(std::chrono::milliseconds wait);

 private:
  void AddThread();  // With the lock held.
  void Work();

  const std::size_t max_threads_;
  const std::size_t max_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::function<void()>> queue_;
  std::size_t busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pyro::mcp
