// Guests that wait for the calls of one server.

#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

#include "pyro/engine.h"

namespace pyro::mcp_server {

// Keeps spares of the usual kind, as calls without options want it, in a thread of its own. They
// are made once a client is there and the environment is installed; nothing is built for them.
// What fails is tried again after the next call, and no call hears of it. Thread-safe.
class SpareKeeper {
 public:
  // `count`: 0 to kMaxSpares; 0 keeps none, and starts no thread. `engine` is borrowed.
  SpareKeeper(Engine& engine, std::int64_t count);
  ~SpareKeeper() { Stop(); }
  SpareKeeper(const SpareKeeper&) = delete;
  SpareKeeper& operator=(const SpareKeeper&) = delete;

  // A client has come, or a call has ended that may have taken one or built the environment.
  // Never waits.
  void Wake();

  // Ends them, and waits for that.
  void Stop();

 private:
  void Run();
  void Fill() const;

  Engine& engine_;
  const std::int64_t count_;
  const int stop_;  // Readable at the end.
  std::mutex mutex_;
  std::condition_variable news_;
  bool wanted_ = false;
  bool over_ = false;
  std::thread thread_;  // From the first Wake() on.
};

}  // namespace pyro::mcp_server
