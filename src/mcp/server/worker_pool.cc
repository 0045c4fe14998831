#include "mcp/server/worker_pool.h"

#include <csignal>

#include <pthread.h>

#include <system_error>
#include <utility>

namespace pyro::mcp {

WorkerPool::WorkerPool(std::size_t threads, std::size_t queued)
    : max_threads_(threads), max_queued_(queued) {}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool WorkerPool::Submit(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= max_queued_) return false;
    if (busy_ + queue_.size() >= threads_.size() && threads_.size() < max_threads_) AddThread();
    if (threads_.empty()) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::AddThread() {
  // Signals are for the thread that serves: a worker inherits a mask with all of them blocked.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
    // The system has no more threads: the existing ones do the work.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool WorkerPool::WaitIdle(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return idle_.wait_for(lock, wait, [&] { return busy_ == 0 && queue_.empty(); });
}

void WorkerPool::Work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> work = std::move(queue_.front());
    queue_.pop_front();
    ++busy_;
    lock.unlock();
    work();
    work = nullptr;  // Destroyed outside the lock.
    lock.lock();
    --busy_;
    if (busy_ == 0 && queue_.empty()) idle_.notify_all();
  }
}

}  // namespace pyro::mcp
