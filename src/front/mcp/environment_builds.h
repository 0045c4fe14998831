// Builds of environments that outlive the call that began them: many clients give a call up after a
// minute, and a build may take longer.

#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/time.h"
#include "pyro/engine.h"
#include "pyro/result.h"

namespace pyro::mcp_server {

// Thread-safe. Its end stops what is being built, and waits for it.
class EnvironmentBuilds {
 public:
  // `engine` is borrowed.
  explicit EnvironmentBuilds(Engine& engine);
  ~EnvironmentBuilds();
  EnvironmentBuilds(const EnvironmentBuilds&) = delete;
  EnvironmentBuilds& operator=(const EnvironmentBuilds&) = delete;

  // Returns when the environment is installed, having begun a build or joined one that runs.
  // kUnavailable: it is not done after `wait`, and goes on; the message says how far it is.
  // kCancelled: by `io`; the build goes on. Else the error of the build, unless the command may
  // run on the host without an environment.
  Status Await(const VmOptions& options, std::chrono::milliseconds wait, const CallIo& io);

  // Stops what is being built. False: it has not ended by then, so this object must stay as long as
  // the process.
  bool Stop(Deadline deadline);

 private:
  struct Build {
    std::thread thread;
    std::string step = "check";
    double fraction = -1;         // Of the step, or -1.
    std::optional<Status> ended;  // Set by the thread as its last act.
  };

  Build& Begin(const std::string& environment);
  void Run(const std::string& environment, Build& build);

  Engine& engine_;
  const int stop_;  // Readable at the end.
  std::mutex mutex_;
  std::condition_variable news_;
  std::map<std::string, Build> builds_;  // Of each environment the newest.
};

}  // namespace pyro::mcp_server
