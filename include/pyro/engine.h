// pyro as a library: the one interface beneath the command line, Python and MCP.

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/calls.h"
#include "pyro/result.h"
#include "pyro/types.h"

namespace pyro {

class EventStream;

// Takes a command's output as it arrives.
class OutputSink {
 public:
  virtual ~OutputSink() = default;

  // A descriptor to wait on before Write, or -1 if Write never has to wait. A sink that is not
  // ready delays only its own command.
  virtual int WritableFd(OutputStream stream) = 0;

  // Takes up to `bytes.size()` bytes without waiting and returns their number; called when
  // WritableFd is writable. An error ends the command: its reader is gone.
  virtual Result<std::size_t> Write(OutputStream stream, std::string_view bytes) = 0;
};

// Bytes of stdin of a command that goes on without its caller.
inline constexpr std::int64_t kMaxBackgroundInput = 255 * 1024;

// The streams and callbacks of a call, borrowed for its duration.
struct CallIo {
  int stdin_fd = -1;  // Read and passed on; -1: the command's stdin is at its end from the start.
  OutputSink* sink = nullptr;  // nullptr: the output is collected into the result.
  // Cancels the call when it becomes readable; never read here. -1: the call cannot be cancelled.
  int cancel_fd = -1;
  // The progress of a long call, for people: a phase and a detail that may be empty; a fraction of
  // the phase, or -1.
  std::function<void(std::string_view phase, std::string_view detail, double fraction)> on_progress;
  // Warnings that do not stop the call, such as a command that runs on the host.
  std::function<void(std::string_view notice)> on_notice;
  // What a person may want to know once, such as a way to make guests faster. Without a receiver it
  // waits for a later call.
  std::function<void(std::string_view advice)> on_advice;
};

// An interface: requests and results are plain data. src/api has a row for each call.
//
// Thread-safe: calls may come from several threads, each on its own connection to the state on
// disk. Other processes may use the same directories at the same time.
//
// Every call may fail with kInvalidArgument (the message names the argument), kNoSpace,
// kPermissionDenied, kMissingTool (the hint is the command that installs it), kCancelled
// (CallIo::cancel_fd) and the codes named at the call.
class Engine {
 public:
  struct Directories {
    std::filesystem::path state;  // Absolute. Made when first needed, mode 0700.
    std::filesystem::path cache;
    // The configuration file, which need not exist. Empty: no settings.
    std::filesystem::path configuration = {};
  };

  // PYRO_STATE_DIR and PYRO_CACHE_DIR, else ~/.local/state/pyro-mcp and ~/.cache/pyro-mcp. The
  // file `config` in PYRO_CONFIG_DIR, else in ~/.config/pyro-mcp. kPermissionDenied: one of the
  // directories belongs to another user, or others may write there.
  static Result<Directories> DefaultDirectories();

  // For the program that uses this library, once, before the first Engine and its own threads.
  // Takes back what a parent process may have handed down and pyro cannot work with. Closed
  // standard descriptors become /dev/null. An ignored SIGCHLD gets its default: without it the
  // exit status of every child is lost. SIGPIPE and SIGXFSZ are ignored unless they have a
  // handler. The soft limit on open files is raised to 1024, as far as the hard one allows.
  // kLimit: that is too few.
  static Status PrepareProcess();

  // The check of a command that each call makes first, for callers that have work of their own to
  // do before that call. kInvalidArgument: no words, an impossible word, or too many of them.
  static Status CheckCommand(const Command& command, const CallIo& io = {});

  // What stands before the `bytes` bytes of a file in a batch for WriteTaskFiles.
  static std::string FileHeader(const std::string& path, std::uint64_t bytes,
                                std::int64_t mode = 0);

  virtual ~Engine() = default;

  // Environments: those of the catalog, and images that were pulled. The name of a registry's image
  // works with oci: before it, too; then the first use pulls it. kNotFound: there is none of that
  // name. kDataLoss: installed but broken; pulling repairs it.
  virtual Result<std::vector<EnvironmentInfo>> ListEnvironments() = 0;
  // Installs it if it is not installed. An installed image is pulled again if its source has
  // another one by now; tasks keep theirs. kUnavailable: the package mirror or the registry cannot
  // be reached. kPermissionDenied: the registry wants a login.
  virtual Result<PulledEnvironment> PullEnvironment(const PullEnvironmentRequest& request,
                                                    const CallIo& io = {}) = 0;
  // Installs the image once more under another name, without copies of its files.
  virtual Result<EnvironmentInfo> TagEnvironment(const std::string& environment,
                                                 const std::string& name) = 0;
  // Makes an environment of a task's root file system as it is on its disk now. An installed one of
  // that name is replaced for new VMs and tasks. Commands that run go on, and cannot write while
  // the disk is copied. A guest of its own reads the copy, so that the task's guest is not started.
  // Without /workspace unless the request has it, and without what is in /tmp. The environment
  // keeps the words of the task's commands; see CommitCommand. kWrongState: the task runs on the
  // host. kInvalidArgument: the name. kGuestUnavailable: the files could not be read. kNoSpace
  // also: the task's guest could not write to its disk.
  virtual Result<CommittedEnvironment> CommitEnvironment(const CommitEnvironmentRequest& request,
                                                         const CallIo& io = {}) = 0;
  // Writes an installed environment as an OCI archive, or to `out_fd` (borrowed) if it is not -1:
  // then `file` does not count. An image is written as it was pulled; another environment
  // has one layer, which a guest of its own reads. kAlreadyExists. kNoSpace.
  virtual Result<ExportedEnvironment> ExportEnvironment(const ExportEnvironmentRequest& request,
                                                        int out_fd = -1, const CallIo& io = {}) = 0;
  // kWrongState: a VM or a task needs it.
  virtual Result<RemovedEnvironment> RemoveEnvironment(const std::string& environment) = 0;
  // kNotFound also: not installed. `verify`: reads every file and compares its digest.
  enum class Verify { kNo, kYes };
  virtual Result<EnvironmentDetails> InspectEnvironment(const std::string& name, Verify verify) = 0;
  // Removes broken, interrupted and superseded environments; with kAll also the installed ones.
  // Keeps those that a VM still needs.
  enum class PruneScope { kLeftovers, kAll };
  virtual Result<PrunedEnvironments> PruneEnvironments(PruneScope scope) = 0;

  // Runs one command in a VM of its own, and has deleted the VM when it returns, also with an
  // error. Pulls the environment if it is missing. kGuestUnavailable: no guest could start, or it
  // died before the command ended. timeout_seconds: up to kMaxTimeoutSeconds, from the command's
  // start; 0: none.
  virtual Result<ExecResult> RunInVm(const VmOptions& options, const Command& command,
                                     std::int64_t timeout_seconds, const CallIo& io = {}) = 0;

  // VMs that live until their lease ends or they are deleted. `vm_id` may be any unambiguous prefix
  // of 6 characters or more after "vm_". kNotFound: no such VM. kWrongState: not possible in its
  // state.
  virtual Result<VmInfo> CreateVm(const VmOptions& options, const CallIo& io = {}) = 0;
  // Returns once the guest takes commands. A started VM is no error.
  virtual Result<VmInfo> StartVm(const std::string& vm_id, const CallIo& io = {}) = 0;
  // Runs one command in a started VM and then deletes that VM.
  virtual Result<ExecResult> ExecVm(const std::string& vm_id, const Command& command,
                                    std::int64_t timeout_seconds, const CallIo& io = {}) = 0;
  // Syncs, powers off and keeps the disk. A stopped VM is no error.
  virtual Result<VmInfo> StopVm(const std::string& vm_id) = 0;
  // In any state. Returns the full id. kNotFound: it does not exist any more.
  virtual Result<std::string> DeleteVm(const std::string& vm_id) = 0;
  virtual Result<VmInfo> StatusVm(const std::string& vm_id) = 0;
  virtual Result<std::vector<VmInfo>> ListVms() = 0;
  virtual Result<VmNetworkInfo> NetworkInfoVm(const std::string& vm_id) = 0;
  virtual Result<TaskNetwork> NetworkTask(const std::string& task_id) = 0;
  // Changes the rules of a task's network, also while it runs: connections that they do not allow
  // any more end. What is allowed takes away nothing: a task without an allow rule gets "*" first,
  // and a deny rule that is the same goes. kInvalidArgument: a rule that makes no sense, or that
  // another deny rule goes before. kWrongState: the task has no network.
  virtual Result<TaskNetwork> AllowInTask(const std::string& task_id,
                                          const std::vector<std::string>& hosts) = 0;
  virtual Result<TaskNetwork> DenyInTask(const std::string& task_id,
                                         const std::vector<std::string>& hosts) = 0;
  // kInvalidArgument: no host, or rules that make no sense.
  virtual Result<PolicyAnswer> CheckPolicy(const CheckPolicyRequest& request) = 0;
  // Removes VMs whose lease is over and the leftovers of crashes. Every call that creates a VM does
  // the same.
  virtual Result<ReapedVms> ReapExpired() = 0;

  // Spares: VMs of one kind that have started and wait for RunInVm or CreateTask. One that is taken
  // is replaced in the background. All are removed if none was taken for `ttl_seconds`. Returns
  // once `count` of them (0 to 64) wait; 0 removes them. kLimit: they could take more than half of
  // the host's memory, or more than is available. kUnavailable: PYRO_WARM_START=0.
  virtual Result<SparePoolInfo> KeepSpares(const VmOptions& options, std::int64_t count,
                                           const CallIo& io = {}) = 0;
  // The same for calls of this process alone: they end with it, even if it is killed. Each starts
  // only while twice its memory is available (kLimit). They are of the kind of the last call, and
  // wait however long none is taken.
  virtual Result<SparePoolInfo> KeepOwnSpares(const VmOptions& options, std::int64_t count,
                                              const CallIo& io = {}) = 0;
  virtual Result<std::vector<SparePoolInfo>> ListSparePools() = 0;

  // Tasks: a workspace and a journal that last until DeleteTask. `task_id` may be a prefix, as
  // above, or the exact name of a task. kInvalidArgument: it fits several; the message tells their
  // ids. The files of a finished command are on disk. If a task's guest is gone (lease over,
  // crash, reboot), the next command starts it again.
  virtual Result<TaskInfo> CreateTask(const TaskOptions& options, const CallIo& io = {}) = 0;
  // Variables, directory, user and time limit that the call does not name are the task's defaults.
  // kCancelled: the command was killed and recorded as cancelled. A caller that dies leaves the
  // command running. kLimit: 256 commands already run in the task.
  // With kCount the journal has the command's number, its times and its end, but neither its words,
  // directory and user nor its output; and it ends with its caller.
  enum class Keep { kAll, kCount };
  virtual Result<TaskExecResult> ExecTask(const std::string& task_id, const Command& command,
                                          std::optional<std::int64_t> timeout_seconds,
                                          const CallIo& io = {}, Keep keep = Keep::kAll) = 0;
  // The same, but returns once the command is recorded. The command goes on without a client, to
  // its own timeout (0: none). ReadTaskOutput reads its output, GetTaskCommand waits for it, and
  // CancelTaskCommand ends it. Of `io` no sink is used, and a stdin must be a regular file with at
  // most kMaxBackgroundInput bytes left. With kStaysOpen the command's stdin does not end after
  // them: WriteTaskStdin writes on and ends it. A caller that dies before all bytes are on their
  // way leaves it open, too, so that no command takes a part for all. kCancelled: the command does
  // not run. kWrongState: the task runs on the host, where no command outlives its caller.
  enum class StdinEnd { kAfterInput, kStaysOpen };
  virtual Result<StartedTaskCommand> StartTaskCommand(const std::string& task_id,
                                                      const Command& command,
                                                      std::int64_t timeout_seconds,
                                                      const CallIo& io = {},
                                                      StdinEnd end = StdinEnd::kAfterInput) = 0;
  // Writes what `io.stdin_fd` has, to its end, to the stdin of a command that was started with
  // kStaysOpen, and with kYes ends it after that. Any process may call it, at any time, and any
  // number of times. Pieces of at most 64 KiB go in whole, in the order of all callers. Waits while
  // the command does not read, up to `timeout_seconds` (0: without end): then `complete` is false.
  // It stays open for others if the caller dies. kWrongState: the command has ended, or its stdin
  // was closed or not kept open; the message has the number of bytes that it took. kNotFound: no
  // such command.
  enum class CloseStdin { kNo, kYes };
  virtual Result<WrittenStdin> WriteTaskStdin(const std::string& task_id, std::int64_t sequence,
                                              CloseStdin close, std::int64_t timeout_seconds = 0,
                                              const CallIo& io = {}) = 0;
  // Sends a signal, such as "TERM", "SIGTERM" or "15", to every process of a running command, or to
  // its first process alone. Any process may call it. kWrongState: it has ended, or runs on the
  // host. kInvalidArgument: no such signal. kNotFound: no such command.
  enum class SignalTarget { kAll, kFirst };
  virtual Result<SignalledTaskCommand> SignalTaskCommand(const std::string& task_id,
                                                         std::int64_t sequence,
                                                         const std::string& signal,
                                                         SignalTarget target = SignalTarget::kAll,
                                                         const CallIo& io = {}) = 0;
  // Kills a running command with every process that it started; returns once that is recorded. Any
  // process may call it. A call that waits for the command gets its end as usual. A command that
  // has ended is returned unchanged. kNotFound: no such command. kWrongState: it runs on the host,
  // in the process that started it. kUnavailable: it was killed, but its end could not be recorded
  // yet.
  virtual Result<TaskCommandInfo> CancelTaskCommand(const std::string& task_id,
                                                    std::int64_t sequence,
                                                    const CallIo& io = {}) = 0;
  virtual Result<TaskInfo> StatusTask(const std::string& task_id) = 0;
  // `labels`: KEY, or KEY=VALUE; only tasks that have all of these. Empty: all tasks.
  virtual Result<std::vector<TaskInfo>> ListTasks(const std::vector<std::string>& labels = {}) = 0;
  // One journal entry without its output. Waits up to `wait`, at most 7 days, for the command's
  // end. A command that has not ended by then is returned as running. kNotFound: no such task or
  // command.
  virtual Result<TaskCommandInfo> GetTaskCommand(const std::string& task_id, std::int64_t sequence,
                                                 std::chrono::milliseconds wait = {},
                                                 const CallIo& io = {}) = 0;
  // Waits until that command has ended or, without a sequence, until no command of the task runs:
  // also those count that begin meanwhile, but no process that a command left behind. Needs no
  // guest and starts none. `limit`, at most 7 days, 0: none; when it is over, `complete` is false.
  // A command whose guest or supervisor dies has ended: it is interrupted. kNotFound: no such task
  // or command, or the task was deleted meanwhile.
  virtual Result<TaskWait> WaitTask(const std::string& task_id,
                                    std::optional<std::int64_t> sequence = std::nullopt,
                                    std::chrono::milliseconds limit = {},
                                    const CallIo& io = {}) = 0;
  // Journal entries without their output; `first` and `limit` as in LogsTask.
  virtual Result<TaskCommandPage> ListTaskCommands(const std::string& task_id,
                                                   std::int64_t first = 1,
                                                   std::int64_t limit = 0) = 0;
  // Up to `limit` bytes, 1 to kMaxResultBytes, of one stream of one command from `offset` on, as
  // far as the journal has them. Waits up to `wait` for output or for the command's end. A page
  // does not end within a UTF-8 character while more may follow, so it may be up to 3 bytes short.
  // kNotFound: no such task or command.
  virtual Result<TaskOutput> ReadTaskOutput(const std::string& task_id, std::int64_t sequence,
                                            OutputStream stream, std::uint64_t offset,
                                            std::int64_t limit, std::chrono::milliseconds wait = {},
                                            const CallIo& io = {}) = 0;
  // Entries from `first` on, at most `limit` of them. A limit of 0 means all, one of -N the last N.
  virtual Result<TaskLogs> LogsTask(const std::string& task_id, std::int64_t first = 1,
                                    std::int64_t limit = 0) = 0;
  // One entry. Copies its streams to the sink from `from` on, up to their present end or, with
  // kYes, until the command has ended.
  enum class Follow { kNo, kYes };
  virtual Result<TaskCommand> ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                              Follow follow, const CallIo& io,
                                              const OutputOffsets& from = {}) = 0;
  // The processes in the task's guest, without the kernel's threads, in the order of their ids: at
  // most 4,096. Neither starts the guest nor renews its lease. kWrongState: it does not run, or the
  // task runs on the host. kGuestUnavailable: it does not answer within 20 s. kProtocol: its answer
  // is malformed.
  virtual Result<TaskProcesses> ListTaskProcesses(const std::string& task_id,
                                                  const CallIo& io = {}) = 0;
  // Gives the task another name for people, as TaskOptions has it; empty: none.
  virtual Result<TaskInfo> RenameTask(const std::string& task_id, const std::string& name) = 0;
  // Changes name, labels, lease and defaults together. A running guest takes another lease at once,
  // and later commands the other defaults.
  virtual Result<TaskInfo> UpdateTask(const std::string& task_id, const TaskChanges& changes) = 0;
  // Syncs, powers off and interrupts running commands. A stopped task is no error.
  virtual Result<TaskInfo> StopTask(const std::string& task_id) = 0;
  // In any state, with its workspace and journal. Returns the full id. A whole id that names no
  // task counts as deleted, so that an interrupted delete can be repeated; kNotFound only for the
  // beginning of an id.
  virtual Result<std::string> DeleteTask(const std::string& task_id) = 0;
  // Copies a path of the guest (relative ones from /workspace) to the host. A directory becomes a
  // new one, or fills an empty one. A file becomes a file, or goes into a directory that is there.
  // A destination with the name of a tar archive, such as x.tar.gz, becomes one. kAlreadyExists:
  // something is there, and no regular file that `options.force` replaces. kInvalidArgument: the
  // name is that of another archive format, or a terminal cannot be given what was asked for.
  virtual Result<ExportedPath> ExportTask(const std::string& task_id, const std::string& path,
                                          const std::string& destination,
                                          const ExportOptions& options = {},
                                          const CallIo& io = {}) = 0;

  // Keeps the task's disk as it is now, as a snapshot of this name: 1 to 64 letters, digits, '.',
  // '_' or '-'. Processes of its guest cannot write meanwhile: for milliseconds on a file system
  // with reflinks, elsewhere as long as a copy takes. Neither starts the guest nor renews its
  // lease. kAlreadyExists. kLimit: the task has 64. kWrongState: it runs on the host. kUnavailable:
  // the disk did not hold still, or another call changes the task's snapshots. kNoSpace also: the
  // guest could not write to its disk.
  virtual Result<TaskSnapshotInfo> CreateTaskSnapshot(const std::string& task_id,
                                                      const std::string& name,
                                                      const CallIo& io = {}) = 0;
  virtual Result<TaskSnapshots> ListTaskSnapshots(const std::string& task_id) = 0;
  // kNotFound: no such task or snapshot.
  virtual Result<DeletedTaskSnapshot> DeleteTaskSnapshot(const std::string& task_id,
                                                         const std::string& name) = 0;
  // Ends the guest with all its processes, and gives the task the disk of a snapshot. The journal
  // goes on, and has the reset. The next command starts the guest. A new task has the snapshot
  // "create", unless a notice of its creation said otherwise. kNotFound: no such task or snapshot.
  virtual Result<TaskResetInfo> ResetTask(const std::string& task_id,
                                          const std::string& snapshot = "create",
                                          const CallIo& io = {}) = 0;
  // What the workspace has now, against a snapshot. Times and owners do not count. The snapshot is
  // read by a guest of its own, and the present state by the task's guest, which is started. It
  // tells what it likes. A text is told for files of up to 256 KiB, and for 16 MiB of them.
  // kNotFound: no such task or snapshot. kInvalidArgument: a path is not below /workspace. kLimit:
  // the workspace has more than a million files.
  virtual Result<TaskDiff> DiffTask(const DiffTaskRequest& request, const CallIo& io = {}) = 0;
  // What happened in the task. `changes_since`: a snapshot; the changes since then are counted as
  // by DiffTask, which starts guests. Empty: no guest is started.
  virtual Result<TaskSummary> SummarizeTask(const std::string& task_id,
                                            const std::string& changes_since = {},
                                            const CallIo& io = {}) = 0;
  // What the task takes on this host's disk.
  virtual Result<TaskDiskUse> DfTask(const std::string& task_id) = 0;
  // Files of a task. All of them start a stopped guest, and no journal has an entry of them. Paths
  // are the guest's: relative ones count from /workspace, and the guest's kernel follows the links
  // in them. What these calls changed is on the guest's disk when they return. An error that is
  // about a path names it in Error::path: kNotFound, kAlreadyExists, kIsDirectory, kNotDirectory,
  // kPermissionDenied, kNoSpace, kInvalidArgument. kWrongState: the task runs on the host.
  // kProtocol: its supervisor is of an earlier version, or the guest's answer is malformed.

  // Gives the content to `io.sink` as stdout; kInvalidArgument without one. Regular files only.
  virtual Result<TaskFileRead> ReadTaskFile(const ReadTaskFileRequest& request,
                                            const CallIo& io) = 0;
  // Replaces the file by what `io.stdin_fd` has, up to its end; -1: by nothing. Makes the
  // directories that are missing. Other programs of the guest see the old content or the new, also
  // if any process or the guest dies. A symbolic link stays, and what it leads to is written.
  virtual Result<TaskFileInfo> WriteTaskFile(const WriteTaskFileRequest& request,
                                             const CallIo& io = {}) = 0;
  // Of a symbolic link: the link itself.
  virtual Result<TaskFileInfo> StatTaskFile(const TaskPathRequest& request,
                                            const CallIo& io = {}) = 0;
  // What a directory holds; symbolic links in it are not followed.
  virtual Result<TaskFileList> ListTaskFiles(const ListTaskFilesRequest& request,
                                             const CallIo& io = {}) = 0;
  // Writes many files in one request, each as WriteTaskFile does; `io.stdin_fd` has FileHeader()
  // and then the bytes of each. Relative names count from the request's path. An error names the
  // file that failed; those before it may be written.
  virtual Result<TaskFilesWritten> WriteTaskFiles(const TaskPathRequest& request,
                                                  const CallIo& io = {}) = 0;
  // kAlreadyExists: something is there, and with `parents` no directory.
  virtual Result<TaskFileInfo> MakeTaskDirectory(const MakeTaskDirectoryRequest& request,
                                                 const CallIo& io = {}) = 0;
  // kIsDirectory: a directory, without `recursive`. With it, nothing need be there. Links are
  // removed, and never followed.
  virtual Result<TaskPathRemoved> RemoveTaskPath(const RemoveTaskPathRequest& request,
                                                 const CallIo& io = {}) = 0;
  // `to` is the new path, not a directory to put it into; directories above it are made.
  // kAlreadyExists: something is there, and no file that `replace` may replace.
  virtual Result<TaskFileInfo> MoveTaskPath(const TaskPathsRequest& request,
                                            const CallIo& io = {}) = 0;
  // The same with a tree or a file: modes, times and links are kept, and owners as far as the user
  // may give them.
  virtual Result<TaskFileInfo> CopyTaskPath(const TaskPathsRequest& request,
                                            const CallIo& io = {}) = 0;
  // Between this host and a task, by the rules of `docker cp`. A file goes into a directory that is
  // there, or becomes the destination. A directory becomes the destination, or, where a directory
  // is, goes into that; with "/." at the end of its name its content does. Files that are there are
  // replaced. kNotFound: the source, or the directory of the destination. kNotDirectory,
  // kIsDirectory: one of the two is in the way of the other.
  virtual Result<CopiedPath> CopyIntoTask(const CopyIntoTaskRequest& request,
                                          const CallIo& io = {}) = 0;
  // What the guest sends is hostile: nothing outside of the destination changes, and no link there
  // is followed. With an `out_fd`, borrowed, a tar goes to that, and to no destination.
  virtual Result<CopiedPath> CopyFromTask(const CopyFromTaskRequest& request, int out_fd = -1,
                                          const CallIo& io = {}) = 0;

  // Applies a unified diff, up to 64 MiB, to files below a directory: all of it or nothing, also if
  // any process or the guest dies. Each hunk has to be in its file exactly, at any line. No name
  // leads out of the directory, and no symbolic link in it is followed. New files get the owner of
  // their directory. kConflict: a file is not as the patch has it, or another program changed it
  // meanwhile; the message names the hunk and what is there. kInvalidArgument: the diff is
  // malformed, or has a binary file.
  virtual Result<TaskPatch> PatchTask(const PatchTaskRequest& request, const CallIo& io = {}) = 0;

  // Brings what changed in a directory of the host since the last sync to one of the task, or with
  // `pull` the other way. A file has its old content or its new one at any moment. Left alone are
  // .git, what .gitignore, .git/info/exclude and .dockerignore of the host ignore, with `pull` also
  // what .gitignore of the guest ignores, and what only the other side changed. What the guest
  // sends is hostile: nothing outside of the directory changes. kConflict: something changed on
  // both sides, and so nothing was changed, unless `prefer` or `dry_run` is set. kNotFound: there
  // is no such directory on the host. kTimedOut: another sync of the task is not at its end.
  virtual Result<SyncedTask> SyncTask(const SyncTaskRequest& request, const CallIo& io = {}) = 0;

  // Tells `io.sink` what happens at a path, and below a directory as deep as the request says:
  // lines of JSON on stdout, each with `change`, `path` and `directory`. The first has the change
  // `began`. Returns when the path itself is gone. kCancelled: the usual end. kInvalidArgument: no
  // sink.
  virtual Result<TaskFilesWatched> WatchTaskFiles(const WatchTaskFilesRequest& request,
                                                  const CallIo& io) = 0;

  // Tells what happens to VMs and tasks from now on, by any process; see pyro/watch.h.
  // `id`: of one VM or task, or a prefix as above; empty: all. Spares are not told. kNotFound.
  // kLimit: this host lets no further file be watched.
  virtual Result<std::unique_ptr<EventStream>> Watch(const std::string& id = {}) = 0;

  // The user's configuration file: what counts for calls that do not say it themselves. A file that
  // others may write, or that has a line which is none, is an error of each call that starts a
  // guest. kInvalidArgument: no such setting, or not one of its values. kNotFound: there is no home
  // directory for the file.
  virtual Result<SettingList> ListSettings() = 0;
  virtual Result<Setting> GetSetting(const std::string& name) = 0;
  virtual Result<Setting> SetSetting(const std::string& name, const std::string& value) = 0;
  // One that is not set is no error.
  virtual Result<Setting> UnsetSetting(const std::string& name) = 0;

  // Where this user's disk goes: allocated bytes, each file once. Changes nothing, and takes what
  // other processes make or remove meanwhile as it finds it.
  virtual Result<DiskReport> Df() = 0;
  // Frees what nothing needs and what can be made again. Never a task, its snapshots or its
  // journal, and nothing that a process uses.
  enum class DryRun { kNo, kYes };
  virtual Result<GarbageReport> CollectGarbage(DryRun dry_run) = 0;
  // The limits in force, with their use. kInvalidArgument: as of ListSettings().
  virtual Result<LimitList> ListLimits() = 0;

  // "kvm" or "tcg" if it is certain without a test run, else empty. Writes nothing.
  virtual std::string KnownAccelerator() = 0;
  // The same for the machine of a guest whose call names none; also "usermode".
  virtual std::string KnownMachine() = 0;

  // Checks this host, and starts a guest if an environment is installed. Takes seconds; the first
  // time some more, because it tests the accelerator.
  virtual Result<DoctorReport> Doctor(const CallIo& io = {}) = 0;

 protected:
  Engine() = default;
  Engine(const Engine&) = default;
  Engine& operator=(const Engine&) = default;
};

// The engine that works on this host.
std::unique_ptr<Engine> MakeLocalEngine(Engine::Directories directories);

}  // namespace pyro
