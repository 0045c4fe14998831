// Tells clients that a resource has changed, while any of them watches one.

#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "mcp/resource.h"
#include "mcp/server.h"
#include "pyro/engine.h"

namespace pyro::mcp_server {

// Any process and the guest itself may change a task. So a thread checks the state directory twice
// a second; it runs only while a resource is watched. Thread-safe.
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
  std::string Look(const std::string& uri);

  Engine& engine_;
  mcp::Server& server_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::map<std::string, std::string> seen_;  // The last state of each, by URI.
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
