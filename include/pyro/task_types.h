// What the engine takes and returns about tasks. All types are plain data, copyable, owned by their
// holder.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "pyro/enums.h"
#include "pyro/vm_types.h"

namespace pyro {

// The options of a task. Its disk holds /workspace and every change to the root file system.
struct TaskOptions : VmOptions {
  // Any text of up to kMaxNameBytes that does not look like an id. Several tasks may have the same;
  // a name that one task alone has works in place of its id.
  std::string name;
  // At most kMaxLabels. A key has 1 to 63 characters of A-Z a-z 0-9 . _ - / and begins with one of
  // the first three; a value is text of up to 256 bytes.
  std::map<std::string, std::string> labels;
  std::int64_t disk_mib = 10240;  // Its bound; the host stores only written blocks.
  // Seeds /workspace: a directory, or a tar archive, plain or compressed by gzip, bzip2, xz or
  // zstd. Empty: nothing.
  std::string source_path;
  // Patterns of what is left out of it; docs/contract.md says what they match.
  std::vector<std::string> exclude;
  // Takes what git sees of a directory: tracked files, those that are neither tracked nor ignored,
  // and .git.
  bool git = false;
  // Of each command that names none itself, as in Command. The variables may be secrets: they are
  // in a file of the task's directory with mode 0600, and no result has a value.
  std::map<std::string, std::string> env;
  std::string cwd;
  std::string user;
  // Of an image only: its working directory takes the place of `cwd`.
  bool image_cwd = false;
  // Of commands that a caller waits for; empty: kDefaultTimeoutSeconds. 0: no limit.
  std::optional<std::int64_t> timeout_seconds;
};

// What UpdateTask changes; what is empty stays as it is.
struct TaskChanges {
  // Taken away first: name, labels, env, cwd, user or timeout_seconds; labels.KEY and env.NAME take
  // one away. What is not there is no error.
  std::vector<std::string> unset;
  std::string name;
  std::map<std::string, std::string> labels;  // Added, or in the place of those with the same key.
  std::optional<std::int64_t> ttl_seconds;    // Begins the lease again.
  std::map<std::string, std::string> env;     // As labels.
  std::string cwd;
  std::string user;
  std::optional<std::int64_t> timeout_seconds;
};

// What commands of a task get that name none themselves.
struct TaskDefaults {
  std::vector<std::string> env;  // The names of the variables.
  std::string cwd;               // Empty: /workspace.
  std::string user;              // Empty: root.
  std::optional<std::int64_t> timeout_seconds;
};

// One entry of a task's journal.
struct TaskCommand {
  std::int64_t sequence = 0;  // From 1.
  std::vector<std::string> command;
  std::string cwd;
  std::string user;  // As in Command.
  CommandState state = CommandState::kRunning;
  std::optional<Outcome> outcome;  // Empty while it runs.
  int exit_code = 0;
  std::string started_at;            // RFC 3339, UTC
  std::string ended_at;              // Empty while it runs.
  std::int64_t duration_ms = 0;      // Of a running command: since its start, by the host's clock.
  std::int64_t timeout_seconds = 0;  // 0: none.
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::uint64_t stdout_bytes = 0;  // In the journal.
  std::uint64_t stderr_bytes = 0;
  std::uint64_t stdout_dropped = 0;  // Beyond the task's bound on output.
  std::uint64_t stderr_dropped = 0;
  bool output_left_open = false;  // As in ExecResult, like the next three.
  Explanation explanation;
  std::optional<KilledProcesses> killed;
  std::vector<DeniedConnection> denied;
};

struct TaskInfo {
  std::string task_id;
  std::string name;  // Empty: it has none.
  std::map<std::string, std::string> labels;
  std::string environment;
  GuestState state = GuestState::kCreated;
  std::string workspace_path = "/workspace";
  std::int64_t vcpu_count = 0;
  std::int64_t mem_mib = 0;
  std::int64_t disk_mib = 0;
  std::int64_t ttl_seconds = 0;
  bool network_enabled = false;
  std::vector<std::string> network_rules;  // As in VmInfo.
  std::vector<std::string> secrets;        // As in VmInfo.
  bool cache = false;                      // As in VmInfo.
  bool allow_host_compat = false;
  ExecutionMode execution_mode = ExecutionMode::kPending;
  std::string accelerator;
  std::string machine;  // As in VmInfo.
  std::string created_at;
  std::string last_used_at;
  std::string expires_at;
  std::string last_error;
  std::string read_only;  // Why files of it may be missing or damaged; empty: no error is known.
  std::int64_t command_count = 0;
  std::optional<TaskCommand> last_command;
  std::uint64_t disk_bytes = 0;  // What the task takes on this host now.
  TaskDefaults defaults;
  // Of CreateTask only: what was left out of the workspace, and more that its user must know.
  std::vector<std::string> notices;
};

// The network of a task's guest.
struct TaskNetwork {
  std::string task_id;
  bool network_enabled = false;
  std::vector<std::string> network_rules;  // As in VmInfo.
  std::vector<DeniedConnection> denied;    // Of the guest's latest run, the first 64 kinds.
  std::string ipv6_address;                // As in VmNetworkInfo, while its guest runs.
};

// The end of a command in a task, and its place in the journal.
struct TaskExecResult : ExecResult {
  std::string task_id;
  std::int64_t sequence = 0;
  std::vector<std::string> command;
  std::string cwd;
  bool restarted = false;          // The task was stopped and was started for this command.
  std::optional<Restart> restart;  // Of one that was.
};

// One journal entry by itself, without its output.
struct TaskCommandInfo : TaskCommand {
  std::string task_id;
};

// A command that runs on without its caller.
struct StartedTaskCommand : TaskCommandInfo {
  std::string environment;
  bool restarted = false;          // The task was stopped and was started for this command.
  std::optional<Restart> restart;  // Of one that was.
};

struct TaskCommandPage {
  std::string task_id;
  std::int64_t total = 0;  // Entries in the whole journal.
  std::vector<TaskCommand> entries;
};

// What a wait for commands of a task came to.
struct TaskWait {
  std::string task_id;
  bool complete = false;  // All have ended. False: the time was over first.
  // Those that were waited for, in the order of their numbers, as of the end of the wait.
  std::vector<TaskCommand> commands;
};

// A page of one stream of one command.
struct TaskOutput {
  TaskCommandInfo command;
  OutputStream stream = OutputStream::kStdout;
  std::uint64_t offset = 0;
  std::uint64_t next_offset = 0;  // The offset of the next page.
  std::uint64_t total_bytes = 0;  // In the journal until now.
  std::string text;               // Bytes as the command wrote them.
  bool complete = false;          // The command has ended, and no output follows next_offset.
};

struct TaskLogEntry : TaskCommand {
  std::string stdout_text;  // At most kMaxResultBytes, head and tail.
  std::string stderr_text;
  bool stdout_truncated = false;
  bool stderr_truncated = false;
};

// The disk of a task became that of a snapshot. The journal goes on behind it.
struct TaskReset {
  std::string snapshot;
  std::int64_t sequence = 0;  // Of the last command before; 0: none.
  std::string reset_at;       // RFC 3339, UTC
};

struct TaskResetInfo : TaskReset {
  std::string task_id;
};

// A rule that was added to a task's network, or one that was taken away.
struct TaskNetworkChange {
  std::string rule;           // As in VmInfo, or "no deny registry.example".
  std::int64_t sequence = 0;  // Of the last command that began before; 0: none.
  std::string changed_at;     // RFC 3339, UTC
};

struct TaskLogs {
  std::string task_id;
  std::vector<TaskLogEntry> entries;
  std::vector<TaskReset> resets;                   // Those before, between and behind the entries.
  std::vector<TaskNetworkChange> network_changes;  // The same.
};

// A copy of a task's disk: its workspace and the changes to its root.
struct TaskSnapshot {
  std::string name;
  std::int64_t sequence = 0;  // Of the last command that began before; 0: none.
  std::string created_at;     // RFC 3339, UTC
};

struct TaskSnapshotInfo : TaskSnapshot {
  std::string task_id;
};

struct TaskSnapshots {
  std::string task_id;
  std::vector<TaskSnapshot> snapshots;  // The oldest first.
};

struct DeletedTaskSnapshot {
  std::string task_id;
  std::string name;
  bool deleted = true;
};

// A path of the workspace that differs from a snapshot.
struct TaskChange {
  std::string path;  // Below /workspace; any bytes but NUL.
  std::string kind;  // added, removed or modified.
  // Empty where there is none: file, directory, symlink or other.
  std::string type;
  std::string old_type;
  std::string mode;  // Four octal digits, or empty.
  std::string old_mode;
  std::uint64_t size = 0;
  std::uint64_t old_size = 0;
  // Of files and symbolic links: text, binary, too_large or unreadable. Else empty.
  std::string shown;
  std::string text;  // A patch in the form of git, if it is shown.
};

struct TaskDiff {
  std::string task_id;
  std::string snapshot;
  std::int64_t added = 0;
  std::int64_t removed = 0;
  std::int64_t modified = 0;
  std::vector<TaskChange> changes;  // By their paths.
  std::optional<Restart> restart;   // As in ExportedPath.
};

// The numbers of a TaskDiff.
struct TaskChangeCounts {
  std::string snapshot;
  std::int64_t added = 0;
  std::int64_t removed = 0;
  std::int64_t modified = 0;
};

// What happened in a task.
struct TaskSummary {
  std::string task_id;
  std::int64_t commands = 0;  // In the journal.
  std::int64_t running = 0;
  std::int64_t failed = 0;       // Ended with another exit code than 0.
  std::int64_t interrupted = 0;  // Of these, because their guest ended first.
  std::int64_t duration_ms = 0;  // Of all that have ended, together.
  std::uint64_t output_bytes = 0;
  std::uint64_t output_dropped = 0;
  std::int64_t resets = 0;
  std::int64_t snapshots = 0;
  std::uint64_t disk_bytes = 0;             // TaskDiskUse::total_bytes.
  std::optional<TaskChangeCounts> changes;  // If they were asked for.
  std::vector<TaskCommand> failures;        // The last 20 that failed.
  std::optional<Restart> restart;           // As in ExportedPath; only to count changes.
};

// What a snapshot takes on the host's disk.
struct TaskSnapshotUse {
  std::string name;
  std::uint64_t disk_bytes = 0;
  std::uint64_t own_bytes = 0;  // Of these, what no other file has: what its deletion frees.
};

// What a task takes on the host's disk.
struct TaskDiskUse {
  std::string task_id;
  std::int64_t disk_mib = 0;     // The bound of its disk.
  std::uint64_t disk_bytes = 0;  // Of its disk now, or of the workspace of a task on the host.
  std::uint64_t own_bytes = 0;   // Of these, what no other file has.
  std::uint64_t journal_bytes = 0;
  std::uint64_t console_bytes = 0;
  std::uint64_t total_bytes = 0;  // Of all together; blocks that several have count once.
  std::uint64_t free_bytes = 0;   // On the host's disk.
  // The file system tells which blocks are shared. Without it, `own_bytes` and `total_bytes` are
  // upper bounds.
  bool exact = false;
  std::vector<TaskSnapshotUse> snapshots;
};

// A process of a task's guest, as the guest tells.
struct TaskProcess {
  std::int64_t pid = 0;
  std::int64_t parent = 0;       // 0: the kernel.
  std::int64_t uid = 0;          // Of its user.
  std::string state;             // running, sleeping, waiting, stopped, zombie or other.
  std::int64_t age_seconds = 0;  // Since its start.
  std::int64_t cpu_ms = 0;       // The CPU time that it took, in milliseconds.
  std::int64_t rss_kib = 0;      // Its resident memory, in KiB.
  std::int64_t sequence = 0;     // The command of the journal that it belongs to; 0: none.
  std::string command;  // Its words quoted for a shell, printable; "…" ends what was cut.
};

// What the stdin of a command took.
struct WrittenStdin {
  std::string task_id;
  std::int64_t sequence = 0;
  std::uint64_t bytes = 0;  // The guest has them for the command, which may not have read them yet.
  bool complete = false;    // All that was to be written. False: the time was over first.
  bool closed = false;      // It ends after them.
};

// Whom a signal went to, as the guest tells.
struct SignalledTaskCommand {
  std::string task_id;
  std::int64_t sequence = 0;
  std::string signal;                     // Its name, such as SIGTERM, or its number.
  std::vector<ReachedProcess> processes;  // At most 64 of them.
  std::int64_t signalled = 0;             // All of them.
  std::int64_t left = 0;  // Processes of the command that run at most half a second later.
};

// Where to begin in each stream of a command's output, in bytes.
struct OutputOffsets {
  std::int64_t stdout_offset = 0;
  std::int64_t stderr_offset = 0;
};

struct TaskProcesses {
  std::string task_id;
  std::vector<TaskProcess> processes;
  bool truncated = false;  // More processes run than are listed.
};

struct ExportOptions {
  bool force = false;  // Replace a regular file that is there.
  // If it is not -1, the export goes to this descriptor, borrowed, and to no destination: a file's
  // bytes, or a tar of a directory. A terminal is given no tar, and no file that could change it.
  int out_fd = -1;
};

struct ExportedPath {
  std::string task_id;
  std::string path;                // In the guest.
  std::string destination;         // On the host, absolute; empty for a descriptor.
  std::uint64_t bytes = 0;         // Of the file or tar, or of all files of the directory together.
  std::optional<Restart> restart;  // Of a task that was stopped, and was started for this call.
  std::vector<std::string> notices;  // What was left out, and more that its user must know.
};

// What is at a path of a task's guest, as the guest tells. A symbolic link is not followed.
struct TaskFile {
  std::string path;  // Any bytes but NUL. Of an entry of a list: relative to the list's path.
  FileKind kind = FileKind::kFile;
  std::uint64_t bytes = 0;  // Its size.
  std::int64_t mode = 0;    // The permissions, up to 07777.
  std::int64_t uid = 0;
  std::int64_t gid = 0;
  std::string modified_at;  // RFC 3339, UTC
  std::string target;       // Of a symbolic link.
};

// The same by itself; its path is absolute.
struct TaskFileInfo : TaskFile {
  std::string task_id;
  std::optional<Restart> restart;  // As in ExportedPath.
};

struct TaskFileList {
  std::string task_id;
  std::string path;                // Absolute.
  std::vector<TaskFile> entries;   // A directory before what is in it; by their names' bytes.
  bool truncated = false;          // There are more entries than the call asked for.
  std::optional<Restart> restart;  // As in ExportedPath.
};

// What a read gave to its caller.
struct TaskFileRead {
  std::string task_id;
  std::string path;                // Absolute.
  std::uint64_t bytes = 0;         // So many were read.
  std::uint64_t file_bytes = 0;    // The size of the file when it was opened.
  std::optional<Restart> restart;  // As in ExportedPath.
};

// What a batch has written.
struct TaskFilesWritten {
  std::string task_id;
  std::string path;  // Absolute: the directory that relative names count from.
  std::int64_t files = 0;
  std::uint64_t bytes = 0;
  std::optional<Restart> restart;  // As in ExportedPath.
};

// A copy between this host and a task.
struct CopiedPath {
  std::string task_id;
  std::string path;                // In the guest, absolute.
  std::string host_path;           // On the host, absolute; empty for a descriptor.
  std::uint64_t bytes = 0;         // Of all files together; of a descriptor: that went through it.
  std::optional<Restart> restart;  // Of a task that was stopped, and was started for this call.
  std::vector<std::string> notices;  // What was left out, and more that its user must know.
};

// What a sync brought from one side to the other.
struct TaskSyncChange {
  std::string path;  // From the directories on. Any bytes but NUL.
  std::string kind;  // added, modified or removed.
  std::string type;  // file, directory, symlink or other; of what was removed: what it was.
};

// A path that changed on both sides.
struct TaskSyncConflict {
  std::string path;
  std::string host;  // added, modified or removed.
  std::string task;  // The same.
};

inline constexpr std::size_t kMaxSyncListed = 1000;  // In each list of a SyncedTask.

struct SyncedTask {
  std::string task_id;
  std::string path;       // In the guest, absolute.
  std::string host_path;  // Absolute, without symbolic links.
  bool pull = false;      // The changes went to the host.
  bool dry_run = false;   // They went nowhere.
  bool first = false;     // No earlier sync says what the two had in common.
  std::int64_t added = 0;
  std::int64_t modified = 0;
  std::int64_t removed = 0;
  std::uint64_t bytes = 0;  // Of the files that were brought.
  std::vector<TaskSyncChange> changes;
  std::vector<TaskSyncConflict> conflicts;  // Of a dry run.
  bool truncated = false;                   // There is more than is listed.
  std::optional<Restart> restart;           // As in ExportedPath.
  std::vector<std::string> notices;         // What was left out, and more that its user must know.
};

// A watch that has ended.
struct TaskFilesWatched {
  std::string task_id;
  std::string path;                // Absolute.
  std::int64_t changes = 0;        // So many were told.
  std::optional<Restart> restart;  // As in ExportedPath.
};

// A hunk of a patch that was found at another line than the patch says.
struct PatchOffset {
  std::int64_t hunk = 0;   // From 1.
  std::int64_t lines = 0;  // Further down; below 0: further up.
};

// What a patch does to one file.
struct PatchedFile {
  std::string path;      // From the patch's directory on; any bytes but NUL.
  std::string old_path;  // Of one that is renamed or copied.
  std::string kind;      // modified, added, removed, renamed or copied.
  std::int64_t hunks = 0;
  std::vector<PatchOffset> offsets;  // The first 100 of them.
  std::int64_t added_lines = 0;
  std::int64_t removed_lines = 0;
};

struct TaskPatch {
  std::string task_id;
  std::string path;                // In the guest, absolute: the patch's directory.
  bool checked = false;            // Nothing was changed: the call asked whether the patch applies.
  std::vector<PatchedFile> files;  // In the order of the patch.
  std::int64_t added_lines = 0;
  std::int64_t removed_lines = 0;
  std::optional<Restart> restart;    // As in ExportedPath.
  std::vector<std::string> notices;  // What the patch mentions and does not have.
};

struct TaskPathRemoved {
  std::string task_id;
  std::string path;                // Absolute.
  std::int64_t entries = 0;        // With what was below it; 0: there was none.
  std::optional<Restart> restart;  // As in ExportedPath.
};

}  // namespace pyro
