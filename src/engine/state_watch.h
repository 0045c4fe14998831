// What has changed in the state directory, by inotify.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "pyro/result.h"
#include "sys/unique_fd.h"

namespace pyro::engine {

// Since the last look. All of it may be set without a reason.
struct StateChanges {
  bool rows = false;           // The registry.
  bool registry_gone = false;  // Its file was removed or replaced.
  bool deaths = false;         // A supervisor may have ended.
  bool environments = false;
  bool directory_gone = false;     // One that is watched was removed: it is made again.
  bool interrupted = false;        // By Interrupt().
  bool again = false;              // By LookAgainIn().
  bool everything = false;         // Changes were lost: look at all there is.
  std::set<std::string> appeared;  // Directories in vms/ and tasks/.
  std::set<std::pair<std::string, std::int64_t>> output;  // Commands whose files have grown.
};

// One thread at a time may use it.
class StateWatch {
 public:
  // Makes the directories that it watches, if they are missing.
  static Result<StateWatch> Open(const std::filesystem::path& state,
                                 const std::filesystem::path& cache);

  // Readable when Take() has something.
  int fd() const { return wait_.get(); }

  Result<StateChanges> Take();

  // Makes fd() readable and reports `again` once `time` has passed.
  void LookAgainIn(std::chrono::milliseconds time);

  // Thread-safe. Makes fd() readable.
  void Interrupt();

  // The guest of a VM or a task, from now on. A missing directory is no error: it is gone.
  Status FollowGuest(const std::string& id, const std::filesystem::path& directory);
  // The output of a command. One on the host has no supervisor: the process that runs it holds its
  // files open. False: its directory is not there yet, or no longer.
  Result<bool> FollowCommand(const std::string& task_id, std::int64_t sequence,
                             const std::filesystem::path& directory, bool on_host);
  void ForgetCommand(const std::string& task_id, std::int64_t sequence);
  void ForgetGuest(const std::string& id);

 private:
  enum class What { kState, kInstances, kEnvironments, kConsole, kCommands, kCommand };
  struct Target {
    What what;
    std::string id;
    std::int64_t sequence = 0;
    bool operator==(const Target&) const = default;
  };

  StateWatch() = default;
  // False: there is no such file.
  Result<bool> Add(const std::filesystem::path& path, std::uint32_t mask, Target target);
  Status FollowState();
  Status FollowEnvironments();
  void Forget(const Target& target);
  void Note(int watch, std::uint32_t mask, const char* name, StateChanges& changes);

  std::filesystem::path state_;
  std::filesystem::path environments_;
  sys::UniqueFd inotify_;
  sys::UniqueFd timer_;
  sys::UniqueFd interrupt_;
  sys::UniqueFd wait_;             // An epoll of the three.
  std::map<int, Target> targets_;  // By inotify's descriptor of the watch.
};

}  // namespace pyro::engine
