// Tells clients that a resource has changed, while any of them watches one.

#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "mcp/protocol/resource.h"
#include "mcp/server/server.h"
#include "pyro/engine.h"
#include "pyro/watch.h"

namespace pyro::mcp_server {

// Any process and the guest itself may change a task. So a thread follows the engine's events; it
// does so only while a resource is watched. Thread-safe.
class Watcher {
 public:
  // Both outlive it.
  Watcher(Engine& engine, mcp::Server& server) : engine_(engine), server_(server) {}
  ~Watcher() { Stop(); }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void OnWatch(const std::string& uri, mcp::Watch watch);
  // After its return the server gets no more calls, even if resources are watched.
  void Stop();

 private:
  void Run();

  Engine& engine_;
  mcp::Server& server_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::set<std::string> watched_;        // URIs.
  std::shared_ptr<EventStream> stream_;  // While there are any.
  std::thread thread_;
};

// A pyro:// URI taken apart. Empty and 0: not in it.
struct ResourceRef {
  enum class Kind { kUnknown, kEnvironments, kTasks, kTask, kLogs, kCommand, kStream };
  Kind kind = Kind::kUnknown;
  std::string task_id;
  std::int64_t sequence = 0;
  OutputStream stream = OutputStream::kStdout;  // Of a kStream.
};
ResourceRef ParseResource(const std::string& uri);

}  // namespace pyro::mcp_server
