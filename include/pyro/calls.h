// The arguments of calls, and the results that types.h has no struct for, each as one document. The
// rows of src/api say which operation takes which.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pyro/types.h"
#include "pyro/version.h"

namespace pyro {

struct EnvironmentList {
  std::string catalog_version = kVersion;
  std::vector<EnvironmentInfo> environments;
};

struct VmList {
  std::vector<VmInfo> vms;
};

struct TaskList {
  std::vector<TaskInfo> tasks;
};

struct SparePools {
  std::vector<SparePoolInfo> pools;
};

struct DeletedVm {
  std::string vm_id;
  bool deleted = true;
};

struct DeletedTask {
  std::string task_id;
  bool deleted = true;
};

// CreateVm takes VmOptions, and CreateTask takes TaskOptions.
struct NoArguments {};

struct RunRequest : VmOptions {
  Command command;
  std::int64_t timeout_seconds = kDefaultTimeoutSeconds;
};

struct VmRequest {
  std::string vm_id;
};

struct ExecVmRequest : VmRequest {
  Command command;
  std::int64_t timeout_seconds = kDefaultTimeoutSeconds;
};

struct KeepSparesRequest : VmOptions {
  KeepSparesRequest() { ttl_seconds = 3600; }
  std::int64_t count = 1;
};

struct TaskRequest {
  std::string task_id;
};

struct ChangeTaskNetworkRequest : TaskRequest {
  std::vector<std::string> hosts;  // As in VmOptions::allow.
};

struct CheckPolicyRequest {
  std::string host;                // HOST[:PORT].
  std::vector<std::string> allow;  // As in VmOptions, like the next two.
  std::vector<std::string> deny;
  std::string network_policy;
};

struct ExecTaskRequest : TaskRequest {
  Command command;
  std::optional<std::int64_t> timeout_seconds;  // Empty: the task's own, or kDefaultTimeoutSeconds.
  bool journal = true;
};

struct StartTaskCommandRequest : TaskRequest {
  Command command;
  std::int64_t timeout_seconds = 0;  // 0: none.
  bool keep_stdin = false;
};

struct TaskCommandRequest : TaskRequest {
  std::int64_t sequence = 0;
};

struct WriteTaskStdinRequest : TaskCommandRequest {
  bool close = false;
  std::int64_t timeout_seconds = 0;  // 0: none.
};

struct SignalTaskCommandRequest : TaskCommandRequest {
  std::string signal;
  bool first = false;
};

struct GetTaskCommandRequest : TaskCommandRequest {
  std::chrono::milliseconds wait{0};
};

struct WaitTaskRequest : TaskRequest {
  std::optional<std::int64_t> sequence;  // Empty: every command that runs.
  std::int64_t timeout_seconds = 0;      // 0: none.
};

struct ReadTaskCommandRequest : TaskCommandRequest {
  bool follow = false;
  OutputOffsets from;
};

struct ReadTaskOutputRequest : TaskCommandRequest {
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t offset = 0;
  std::int64_t limit = kMaxResultBytes;
  std::chrono::milliseconds wait{0};
};

struct TaskEntriesRequest : TaskRequest {
  std::int64_t first = 1;
  std::int64_t limit = 0;  // 0: all; -N: the last N.
};

struct ExportTaskRequest : TaskRequest {
  std::string path;
  std::string destination;
  bool force = false;
};

struct ListTasksRequest {
  std::vector<std::string> labels;
};

struct RenameTaskRequest : TaskRequest {
  std::string name;
};

struct TaskSnapshotRequest : TaskRequest {
  std::string name;
};

struct ResetTaskRequest : TaskRequest {
  std::string snapshot = "create";
};

// What all calls for a path of a task take.
struct TaskPathRequest : TaskRequest {
  std::string path;  // In the guest, 1 to 4,095 bytes; relative ones count from /workspace.
  std::string user;  // As in Command: whose rights count.
};

struct ReadTaskFileRequest : TaskPathRequest {
  std::int64_t offset = 0;
  std::int64_t limit = 0;  // Bytes; 0: to the end.
};

struct WriteTaskFileRequest : TaskPathRequest {
  std::int64_t mode = 0;  // 0: as the file had it; of a new one 0644.
};

struct ListTaskFilesRequest : TaskPathRequest {
  ListTaskFilesRequest() { path = "."; }  // The workspace.

  std::int64_t depth = 1;  // 1: the directory's own entries.
  std::int64_t limit = 10'000;
};

struct MakeTaskDirectoryRequest : TaskPathRequest {
  bool parents = false;
};

struct RemoveTaskPathRequest : TaskPathRequest {
  bool recursive = false;
};

struct CopyIntoTaskRequest : TaskRequest {
  std::string source_path;  // On the host. "-": a tar on stdin, for a directory that is there.
  std::string path;         // In the guest; relative ones count from /workspace.
};

struct CopyFromTaskRequest : TaskRequest {
  std::string path;
  std::string destination;  // On the host.
};

struct SyncTaskRequest : TaskRequest {
  std::string host_path;   // A directory of the host.
  std::string path = ".";  // A directory in the guest; relative ones count from /workspace.
  bool pull = false;       // From the task to the host; otherwise from the host to the task.
  // This side is right where both have changed. Without one, nothing is changed then.
  std::optional<SyncSide> prefer;
  std::vector<std::string> exclude;  // Patterns as in TaskOptions.
  bool no_ignore = false;            // Files of ignore rules do not count.
  bool delete_unknown = false;       // Also what no sync brought.
  bool dry_run = false;
};

struct WatchTaskFilesRequest : TaskPathRequest {
  std::int64_t depth = 1;  // 1: the directory's own entries.
};

// Of a move or a copy.
struct TaskPathsRequest : TaskPathRequest {
  std::string to;        // As path.
  bool replace = false;  // A file that is there.
};

// The patch itself is CallIo::stdin_fd, up to its end.
struct PatchTaskRequest : TaskRequest {
  std::string directory = "/workspace";  // In the guest; relative ones count from /workspace.
  std::int64_t strip = 1;  // So many directories are taken from the begin of each name.
  bool reverse = false;    // What the patch did is undone.
  bool check = false;      // Nothing is changed.
};

struct DiffTaskRequest : TaskRequest {
  std::string snapshot = "create";
  std::vector<std::string> paths;  // Relative ones count from /workspace; none: all of it.
};

struct SummarizeTaskRequest : TaskRequest {
  std::string changes_since;
};

struct UpdateTaskRequest : TaskRequest {
  TaskChanges changes;
};

struct EnvironmentRequest {
  std::string environment;
};

// Either an environment of the catalog, or an image: oci:REGISTRY/NAME[:TAG][@sha256:DIGEST],
// oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG or :@N] or oci-layout:DIR[:TAG].
struct PullEnvironmentRequest : EnvironmentRequest {
  std::string name;         // Of an image: what to install it as. Empty: its own.
  std::string authfile;     // The registry's credentials, as containers-auth.json(5) has them.
  bool plain_http = false;  // The registry need not prove who it is, and anyone can listen.
};

struct TagEnvironmentRequest : EnvironmentRequest {
  std::string name;
};

struct CommitEnvironmentRequest : TaskRequest {
  std::string name;
  bool workspace = false;  // With the content of /workspace.
};

struct ExportEnvironmentRequest : EnvironmentRequest {
  std::string file;    // Of this host.
  bool force = false;  // Replace a regular file that is there.
};

struct InspectEnvironmentRequest : EnvironmentRequest {
  bool verify = false;
};

struct SettingRequest {
  std::string name;
};

struct SetSettingRequest : SettingRequest {
  std::string value;
};

struct CollectGarbageRequest {
  bool dry_run = false;  // Remove nothing.
};

struct PruneEnvironmentsRequest {
  bool all = false;
};

}  // namespace pyro
