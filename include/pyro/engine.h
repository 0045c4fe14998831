// pyro as a library: the one interface beneath the command line, Python and MCP.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro {

namespace engine {
struct Context;  // Of the library itself: src/engine/context.h.
}

enum class OutputStream { kStdout, kStderr };

// Takes a command's output as it comes.
class OutputSink {
 public:
  virtual ~OutputSink() = default;

  // A descriptor to wait on before Write, or -1 when Write never has to wait. A sink that is not
  // ready holds its own command up, and nothing else.
  virtual int WritableFd(OutputStream stream) = 0;

  // Takes up to `bytes.size()` bytes without waiting and says how many; called when WritableFd is
  // writable. An error ends the command: its reader is gone.
  virtual Result<std::size_t> Write(OutputStream stream, std::string_view bytes) = 0;
};

// What a call is connected to. Everything is borrowed for the length of the call.
struct CallIo {
  int stdin_fd = -1;  // Read and passed on; -1: the command's stdin is at its end from the start.
  OutputSink* sink = nullptr;  // nullptr: the output is collected into the result.
  int cancel_fd =
      -1;  // Becoming readable cancels the call; never read here. -1: it cannot be cancelled.
  // What a long call is doing, for people: a phase and a detail that may be empty; a fraction of
  // the phase, or -1.
  std::function<void(std::string_view phase, std::string_view detail, double fraction)> on_progress;
  // Things a user must know although the call goes on, such as a command that runs on the host.
  std::function<void(std::string_view notice)> on_notice;
};

// Thread-safe: calls may come from several threads, each on its own connection to the state on
// disk. Other processes may use the same directories at the same time.
//
// Every call may fail with kInvalidArgument (says which argument), kNoSpace, kPermissionDenied,
// kMissingTool (the hint is the command that installs it) and kCancelled (CallIo::cancel_fd),
// besides what is said at each.
class Engine {
 public:
  struct Directories {
    std::filesystem::path state;  // Absolute. Made when first needed, mode 0700.
    std::filesystem::path cache;
  };

  // PYRO_STATE_DIR and PYRO_CACHE_DIR, else ~/.local/state/pyro-mcp and ~/.cache/pyro-mcp.
  static Result<Directories> DefaultDirectories();

  explicit Engine(Directories directories);
  // For pyro's own programs and tests.
  explicit Engine(engine::Context context);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Environments. kNotFound: not in the catalog. kDataLoss: installed but broken; pulling repairs
  // it.
  Result<std::vector<EnvironmentInfo>> ListEnvironments();
  // Builds and installs it unless that is done already. kUnavailable: the package mirror is out of
  // reach.
  Result<PulledEnvironment> PullEnvironment(const std::string& name, const CallIo& io = {});
  // kNotFound also: not installed. `verify`: every file is read and compared with its digest.
  enum class Verify { kNo, kYes };
  Result<EnvironmentDetails> InspectEnvironment(const std::string& name, Verify verify);
  // Removes what is broken, interrupted or superseded; with kAll every installed environment too.
  // What a VM still needs stays.
  enum class PruneScope { kLeftovers, kAll };
  Result<PrunedEnvironments> PruneEnvironments(PruneScope scope);

  // One command in a VM of its own, which is gone when this returns, however it returns. Pulls the
  // environment if need be. kGuestUnavailable: no guest could be had, or it died before the command
  // ended. timeout_seconds: 1 to kMaxTimeoutSeconds, from the command's start.
  Result<ExecResult> RunInVm(const VmOptions& options, const Command& command,
                             std::int64_t timeout_seconds, const CallIo& io = {});

  // VMs that live until their lease ends or they are deleted. `vm_id` may be any unambiguous prefix
  // of 6 characters or more after "vm_". kNotFound: no such VM. kWrongState: not possible in its
  // state.
  Result<VmInfo> CreateVm(const VmOptions& options, const CallIo& io = {});
  // Returns once the guest takes commands. Starting a started VM is fine.
  Result<VmInfo> StartVm(const std::string& vm_id, const CallIo& io = {});
  // Runs one command in a started VM and then deletes that VM.
  Result<ExecResult> ExecVm(const std::string& vm_id, const Command& command,
                            std::int64_t timeout_seconds, const CallIo& io = {});
  // Syncs and powers off; the disk is kept. Stopping a stopped VM is fine.
  Result<VmInfo> StopVm(const std::string& vm_id);
  // At any state. kNotFound if it is gone already.
  Status DeleteVm(const std::string& vm_id);
  Result<VmInfo> StatusVm(const std::string& vm_id);
  Result<std::vector<VmInfo>> ListVms();
  Result<VmNetworkInfo> NetworkInfoVm(const std::string& vm_id);
  // Removes VMs whose lease is over and what crashes left behind. Every call that makes a VM does
  // the same on its way.
  Result<ReapedVms> ReapExpired();

  // Spares: VMs of one kind that have come up already, for RunInVm to take, and are replaced in the
  // background. They wait until nobody has taken one for `ttl_seconds`. Returns once `count` of
  // them wait, 0 to 64; 0 ends those there are. kLimit: they could take more than half of the
  // host's memory, or more than is available. kUnavailable: PYRO_WARM_START=0.
  Result<SparePoolInfo> KeepSpares(const VmOptions& options, std::int64_t count,
                                   const CallIo& io = {});
  Result<std::vector<SparePoolInfo>> ListSparePools();

  // Tasks: a workspace and a journal that last until DeleteTask. `task_id` may be a prefix, as
  // above. What a finished command wrote is on disk; a task whose guest is gone (lease over, crash,
  // reboot) is started again by the next command.
  Result<TaskInfo> CreateTask(const TaskOptions& options, const CallIo& io = {});
  // kCancelled: the command was killed and recorded as cancelled. A caller that dies leaves the
  // command running. kLimit: 256 commands run in the task already.
  Result<TaskExecResult> ExecTask(const std::string& task_id, const Command& command,
                                  std::int64_t timeout_seconds, const CallIo& io = {});
  // The same, but returns once the command is recorded; it goes on without any client, to its end
  // or its timeout, its stdin at its end. Read on with ReadTaskOutput, wait with GetTaskCommand,
  // end it with CancelTaskCommand. Of `io` only cancel_fd, on_progress and on_notice are used;
  // kCancelled: nothing runs. kWrongState: the task runs on the host, where no command outlives its
  // caller.
  Result<StartedTaskCommand> StartTaskCommand(const std::string& task_id, const Command& command,
                                              std::int64_t timeout_seconds, const CallIo& io = {});
  // Kills a running command with everything that it started, from any process; returns once that is
  // recorded. Whoever waits for the command gets its end as usual. One that has ended stays as it
  // is and is returned so. kNotFound: no such command. kWrongState: it runs on the host, in the
  // process that started it. kUnavailable: it was killed, but its end could not be recorded yet.
  Result<TaskCommandInfo> CancelTaskCommand(const std::string& task_id, std::int64_t sequence,
                                            const CallIo& io = {});
  Result<TaskInfo> StatusTask(const std::string& task_id);
  Result<std::vector<TaskInfo>> ListTasks();
  // One journal entry without its output; waits for up to `wait`, at most 7 days, until the command
  // has ended. What has not
  // ended by then is returned as running. kNotFound: no such task or command.
  Result<TaskCommandInfo> GetTaskCommand(const std::string& task_id, std::int64_t sequence,
                                         std::chrono::milliseconds wait = {},
                                         const CallIo& io = {});
  // Journal entries without their output; `first` and `limit` as in LogsTask.
  Result<TaskCommandPage> ListTaskCommands(const std::string& task_id, std::int64_t first = 1,
                                           std::int64_t limit = 0);
  // Up to `limit` bytes, 1 to kMaxResultBytes, of one stream of one command from `offset` on, as
  // far as it is in the journal; for up to `wait` until there is something, or the command has
  // ended. A page does not end within a UTF-8 character while more may follow it, so it may be up
  // to 3 bytes short. kNotFound.
  Result<TaskOutput> ReadTaskOutput(const std::string& task_id, std::int64_t sequence,
                                    OutputStream stream, std::uint64_t offset, std::int64_t limit,
                                    std::chrono::milliseconds wait = {}, const CallIo& io = {});
  // Entries from `first` on, at most `limit` of them; a limit of 0 means all, a negative one the
  // last so many.
  Result<TaskLogs> LogsTask(const std::string& task_id, std::int64_t first = 1,
                            std::int64_t limit = 0);
  // One entry, its streams copied to the sink as far as they go; with kYes until the command has
  // ended.
  enum class Follow { kNo, kYes };
  Result<TaskCommand> ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                      Follow follow, const CallIo& io);
  // Syncs and powers off; commands that run are interrupted. Stopping a stopped task is fine.
  Result<TaskInfo> StopTask(const std::string& task_id);
  // At any state, with everything that it holds. Returns the full id. A whole id that names no task
  // counts as deleted, so that a delete that was cut off can be repeated; kNotFound only for the
  // beginning of one.
  Result<std::string> DeleteTask(const std::string& task_id);
  // Copies a path of the guest (relative ones from /workspace) to the host: a directory, a file,
  // or, when `destination` ends in .tar, a tar of it. kAlreadyExists: the destination is there and
  // is no empty directory.
  Result<ExportedPath> ExportTask(const std::string& task_id, const std::string& path,
                                  const std::string& destination, const CallIo& io = {});

  // Finds out what works on this host. Takes seconds the first time: the accelerator is tried out.
  Result<DoctorReport> Doctor();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
