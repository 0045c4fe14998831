// The rows of tasks, of their commands and of their journals.

#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {

template <>
const Struct& Rows<TaskProcess>();
template <>
const Struct& Rows<Restart::Ended>();

namespace {

constexpr Field kTaskCommand[] = {
    Row<TaskCommand, &TaskCommand::sequence>("sequence", "Its number in the task, from 1"),
    Row<TaskCommand, &TaskCommand::command>("command",
                                            "The words that ran; empty: they are not kept"),
    Row<TaskCommand, &TaskCommand::cwd>("cwd", "The directory in which it ran"),
    Row<TaskCommand, &TaskCommand::user>("user", "The user of the guest; null: root").NullIfUnset(),
    Row<TaskCommand, &TaskCommand::state>("state", "running or ended").OneOf("running|ended"),
    Row<TaskCommand, &TaskCommand::outcome>(
        "outcome", "As of a result, or interrupted: the guest died first; null while it runs")
        .NullIfUnset(),
    Row<TaskCommand, &TaskCommand::exit_code>("exit_code", "As of a result; null while it runs")
        .NullUnless("outcome"),
    Row<TaskCommand, &TaskCommand::started_at>("started_at", "The time of its start"),
    Row<TaskCommand, &TaskCommand::ended_at>("ended_at", "The time of its end; null while it runs")
        .NullIfUnset(),
    Row<TaskCommand, &TaskCommand::duration_ms>(
        "duration_ms", "Its time until its end; of a running command, since its start")
        .Of(Unit::kMilliseconds),
    Row<TaskCommand, &TaskCommand::timeout_seconds>("timeout_seconds", "Its time limit; 0: none")
        .Of(Unit::kSeconds),
    Row<TaskCommand, &TaskCommand::execution_mode>("execution_mode", "How it really ran")
        .OneOf(kModes),
    Row<TaskCommand, &TaskCommand::stdout_bytes>("stdout_bytes", "Bytes of stdout in the journal")
        .Of(Unit::kBytes),
    Row<TaskCommand, &TaskCommand::stderr_bytes>("stderr_bytes", "Bytes of stderr in the journal")
        .Of(Unit::kBytes),
    Row<TaskCommand, &TaskCommand::stdout_dropped>("stdout_dropped",
                                                   "Bytes beyond the task's bound on output")
        .Of(Unit::kBytes),
    Row<TaskCommand, &TaskCommand::stderr_dropped>("stderr_dropped",
                                                   "Bytes beyond the task's bound on output")
        .Of(Unit::kBytes),
    Row<TaskCommand, &TaskCommand::output_left_open>(
        "output_left_open", "Processes in the background still held its output at its end"),
    Row<TaskCommand, &TaskCommand::explanation>("explanation",
                                                "Why it ended so, if the outcome does not say it")
        .NullIfUnset(),
    Row<TaskCommand, &TaskCommand::killed>(
        "killed", "What its kill ended, if it timed out or was cancelled; null: none was told"),
    Row<TaskCommand, &TaskCommand::denied>("denied",
                                           "What was refused to the guest's network meanwhile"),
};

constexpr Field kTaskCommandInfo[] = {
    Inline<TaskCommandInfo, TaskCommand>(),
    TaskIdRow<TaskCommandInfo>(),
};

constexpr Field kInterruptedCommand[] = {
    Row<Restart::Ended, &Restart::Ended::sequence>("sequence", "Its number in the task"),
    Row<Restart::Ended, &Restart::Ended::command>("command", "The words that ran"),
};

constexpr Field kRestart[] = {
    Row<Restart, &Restart::kept>("kept", "What is as it was"),
    Row<Restart, &Restart::lost>("lost", "What is gone"),
    Row<Restart, &Restart::interrupted>("interrupted",
                                        "The commands that ran when the guest went, the last 100"),
};

constexpr Field kStartedTaskCommand[] = {
    Inline<StartedTaskCommand, TaskCommandInfo>(),
    Row<StartedTaskCommand, &StartedTaskCommand::environment>("environment",
                                                              "The environment of its guest"),
    Row<StartedTaskCommand, &StartedTaskCommand::restarted>(
        "restarted", "The task was stopped and was started for this command"),
    RestartRow<StartedTaskCommand>(),
};

constexpr Field kTaskCommandPage[] = {
    TaskIdRow<TaskCommandPage>(),
    Row<TaskCommandPage, &TaskCommandPage::total>("total", "Entries in the whole journal"),
    Row<TaskCommandPage, &TaskCommandPage::entries>("entries", "Entries without their output")
        .Counted(),
};

constexpr Field kTaskWait[] = {
    TaskIdRow<TaskWait>(),
    Row<TaskWait, &TaskWait::complete>("complete", "All have ended; false: the time was over"),
    Row<TaskWait, &TaskWait::commands>("commands",
                                       "Those that were waited for, without their output")
        .Counted(),
};

constexpr Field kTaskExecResult[] = {
    Inline<TaskExecResult, ExecResult>(),
    TaskIdRow<TaskExecResult>(),
    Row<TaskExecResult, &TaskExecResult::sequence>("sequence", "Its number in the task, from 1"),
    Row<TaskExecResult, &TaskExecResult::command>("command", "The words that ran"),
    Row<TaskExecResult, &TaskExecResult::cwd>("cwd", "The directory in which it ran"),
    Row<TaskExecResult, &TaskExecResult::restarted>(
        "restarted", "The task was stopped and was started for this command"),
    RestartRow<TaskExecResult>(),
};

constexpr Field kTaskDefaults[] = {
    Row<TaskDefaults, &TaskDefaults::env>("env", "The names of its variables; no value is shown"),
    Row<TaskDefaults, &TaskDefaults::cwd>("cwd", "The directory; null: /workspace").NullIfUnset(),
    Row<TaskDefaults, &TaskDefaults::user>("user", "The user of the guest; null: root")
        .NullIfUnset(),
    Row<TaskDefaults, &TaskDefaults::timeout_seconds>("timeout_seconds",
                                                      "The time limit; null: 30, and 0: none")
        .Of(Unit::kSeconds)
        .NullIfUnset(),
};

constexpr Field kTaskInfo[] = {
    TaskIdRow<TaskInfo>(),
    Row<TaskInfo, &TaskInfo::name>("name", "Its name; null: it has none").NullIfUnset(),
    Row<TaskInfo, &TaskInfo::labels>("labels", "Its labels"),
    Row<TaskInfo, &TaskInfo::environment>("environment", "The environment that it is made of"),
    Row<TaskInfo, &TaskInfo::state>("state", "created, started or stopped").OneOf(kStates),
    Row<TaskInfo, &TaskInfo::workspace_path>("workspace_path", "Its directory in the guest"),
    Row<TaskInfo, &TaskInfo::vcpu_count>("vcpu_count", "Its CPUs"),
    Row<TaskInfo, &TaskInfo::mem_mib>("mem_mib", "Its memory").Of(Unit::kMib),
    Row<TaskInfo, &TaskInfo::disk_mib>("disk_mib", "The bound of its disk").Of(Unit::kMib),
    Row<TaskInfo, &TaskInfo::disk_bytes>("disk_bytes", "What its disk takes on this host now")
        .Of(Unit::kBytes),
    Row<TaskInfo, &TaskInfo::ttl_seconds>("ttl_seconds", "Its lease, from the last use")
        .Of(Unit::kSeconds),
    Row<TaskInfo, &TaskInfo::network_enabled>("network_enabled", "It can reach the outside"),
    NetworkRulesRow<TaskInfo>(),
    KeptSecretsRow<TaskInfo>(),
    KeptCacheRow<TaskInfo>(),
    Row<TaskInfo, &TaskInfo::allow_host_compat>("allow_host_compat",
                                                "If no guest can start, it runs on this host"),
    Row<TaskInfo, &TaskInfo::execution_mode>("execution_mode",
                                             "How it runs; pending before the first start")
        .OneOf(kModes),
    Row<TaskInfo, &TaskInfo::accelerator>("accelerator", "As machine, once it has started")
        .NullIfUnset(),
    Row<TaskInfo, &TaskInfo::machine>("machine", "What runs its guest; null if it is not known yet")
        .OneOf(kMachines)
        .NullIfUnset(),
    Row<TaskInfo, &TaskInfo::created_at>("created_at", "The time of its creation"),
    Row<TaskInfo, &TaskInfo::last_used_at>("last_used_at", "The time of its last use"),
    Row<TaskInfo, &TaskInfo::expires_at>("expires_at",
                                         "The time when its guest stops, unless it is used"),
    Row<TaskInfo, &TaskInfo::last_error>("last_error", "The reason for the loss of its guest")
        .NullIfUnset(),
    Row<TaskInfo, &TaskInfo::read_only>("read_only",
                                        "Why files of /workspace may be missing or damaged; null: "
                                        "no error is known")
        .NullIfUnset(),
    Row<TaskInfo, &TaskInfo::command_count>("command_count", "Entries in its journal"),
    Row<TaskInfo, &TaskInfo::last_command>("last_command", "Its newest command; null: none ran"),
    Row<TaskInfo, &TaskInfo::defaults>("defaults", "What commands get that name none themselves"),
    Row<TaskInfo, &TaskInfo::notices>("notices",
                                      "What was left out of the workspace, one sentence each")
        .OutIfUnset(),
};

constexpr Field kTaskList[] = {
    Row<TaskList, &TaskList::tasks>("tasks", "All tasks").Counted(),
};

// Of the command whose output it is.
template <auto kMember>
constexpr Field OfCommand(const char* name, const char* sentence) {
  return Row<TaskOutput, &TaskOutput::command, kMember>(name, sentence);
}

constexpr Field kTaskOutput[] = {
    OfCommand<&TaskCommandInfo::task_id>("task_id", "The task's id"),
    OfCommand<&TaskCommandInfo::sequence>("sequence", "The command's number in the task"),
    OfCommand<&TaskCommandInfo::state>("state", "running or ended").OneOf("running|ended"),
    OfCommand<&TaskCommandInfo::outcome>("outcome", "How the command ended; null while it runs")
        .NullIfUnset(),
    OfCommand<&TaskCommandInfo::exit_code>("exit_code", "Its exit code; null while it runs")
        .NullUnless("outcome"),
    Row<TaskOutput, &TaskOutput::stream>("stream", "stdout or stderr").OneOf("stdout|stderr"),
    Row<TaskOutput, &TaskOutput::offset>("offset", "The first byte of the page").Of(Unit::kBytes),
    Row<TaskOutput, &TaskOutput::next_offset>("next_offset", "The first byte of the next page")
        .Of(Unit::kBytes),
    Row<TaskOutput, &TaskOutput::total_bytes>("total_bytes", "Bytes in the journal until now")
        .Of(Unit::kBytes),
    Row<TaskOutput, &TaskOutput::text>("text", "The page"),
    Row<TaskOutput, &TaskOutput::complete>(
        "complete", "The command has ended, and no output follows next_offset"),
};

constexpr Field kTaskLogEntry[] = {
    Inline<TaskLogEntry, TaskCommand>(),
    Row<TaskLogEntry, &TaskLogEntry::stdout_text>("stdout", "At most 1 MiB, beginning and end"),
    Row<TaskLogEntry, &TaskLogEntry::stderr_text>("stderr", "At most 1 MiB, beginning and end"),
    Row<TaskLogEntry, &TaskLogEntry::stdout_truncated>("stdout_truncated", "The middle is missing"),
    Row<TaskLogEntry, &TaskLogEntry::stderr_truncated>("stderr_truncated", "The middle is missing"),
};

constexpr Field kTaskReset[] = {
    Row<TaskReset, &TaskReset::snapshot>("snapshot", "The snapshot that its disk became"),
    Row<TaskReset, &TaskReset::sequence>("sequence",
                                         "The last command before; the journal goes on behind it"),
    Row<TaskReset, &TaskReset::reset_at>("reset_at", "The time of the reset"),
};

constexpr Field kTaskResetInfo[] = {
    TaskIdRow<TaskResetInfo>(),
    Inline<TaskResetInfo, TaskReset>(),
};

constexpr Field kTaskNetworkChange[] = {
    Row<TaskNetworkChange, &TaskNetworkChange::rule>(
        "rule", "The rule that was added; 'no' before it: it was taken away"),
    Row<TaskNetworkChange, &TaskNetworkChange::sequence>(
        "sequence", "The last command that began before; 0: none"),
    Row<TaskNetworkChange, &TaskNetworkChange::changed_at>("changed_at", "The time of the change"),
};

constexpr Field kTaskLogs[] = {
    TaskIdRow<TaskLogs>(),
    Row<TaskLogs, &TaskLogs::entries>("entries", "Entries with their output").Counted(),
    Row<TaskLogs, &TaskLogs::resets>("resets",
                                     "Resets of the disk before, between and behind the entries")
        .OutIfUnset(),
    Row<TaskLogs, &TaskLogs::network_changes>("network_changes",
                                              "Changes of the network's rules, the same")
        .OutIfUnset(),
};

constexpr Field kTaskSnapshot[] = {
    Row<TaskSnapshot, &TaskSnapshot::name>("name", "Its name"),
    Row<TaskSnapshot, &TaskSnapshot::sequence>("sequence",
                                               "The last command that began before; 0: none"),
    Row<TaskSnapshot, &TaskSnapshot::created_at>("created_at", "The time of its creation"),
};

constexpr Field kTaskSnapshotInfo[] = {
    TaskIdRow<TaskSnapshotInfo>(),
    Inline<TaskSnapshotInfo, TaskSnapshot>(),
};

constexpr Field kTaskSnapshots[] = {
    TaskIdRow<TaskSnapshots>(),
    Row<TaskSnapshots, &TaskSnapshots::snapshots>("snapshots", "The oldest first").Counted(),
};

constexpr Field kDeletedTaskSnapshot[] = {
    TaskIdRow<DeletedTaskSnapshot>(),
    Row<DeletedTaskSnapshot, &DeletedTaskSnapshot::name>("name", "The snapshot's name"),
    Row<DeletedTaskSnapshot, &DeletedTaskSnapshot::deleted>("deleted", "True"),
};

constexpr const char* kTypes = "file|directory|symlink|other";

constexpr Field kTaskChange[] = {
    Row<TaskChange, &TaskChange::path>("path", "Below /workspace"),
    Row<TaskChange, &TaskChange::kind>("kind", "What happened to it")
        .OneOf("added|removed|modified"),
    Row<TaskChange, &TaskChange::type>("type", "What it is; null: it is removed")
        .OneOf(kTypes)
        .NullIfUnset(),
    Row<TaskChange, &TaskChange::old_type>("old_type", "What it was; null: it is added")
        .OneOf(kTypes)
        .NullIfUnset(),
    Row<TaskChange, &TaskChange::mode>("mode", "Four octal digits, or null").NullIfUnset(),
    Row<TaskChange, &TaskChange::old_mode>("old_mode", "Four octal digits, or null").NullIfUnset(),
    Row<TaskChange, &TaskChange::size>("size", "Its size now").Of(Unit::kBytes),
    Row<TaskChange, &TaskChange::old_size>("old_size", "Its size then").Of(Unit::kBytes),
    Row<TaskChange, &TaskChange::shown>(
        "shown", "What text holds of a file or symbolic link, or why there is none; else null")
        .OneOf("text|binary|too_large|unreadable")
        .NullIfUnset(),
    Row<TaskChange, &TaskChange::text>("text", "A patch in the form of git; null: none")
        .NullIfUnset(),
};

constexpr Field kTaskDiff[] = {
    TaskIdRow<TaskDiff>(),
    Row<TaskDiff, &TaskDiff::snapshot>("snapshot", "The snapshot that it is compared with"),
    Row<TaskDiff, &TaskDiff::added>("added", "Paths that are new"),
    Row<TaskDiff, &TaskDiff::removed>("removed", "Paths that are gone"),
    Row<TaskDiff, &TaskDiff::modified>("modified", "Paths whose type, mode or content is another"),
    Row<TaskDiff, &TaskDiff::changes>("changes", "All of these, by their paths").Counted(),
    RestartRow<TaskDiff>(),
};

constexpr Field kTaskChangeCounts[] = {
    Row<TaskChangeCounts, &TaskChangeCounts::snapshot>("snapshot", "The snapshot that is meant"),
    Row<TaskChangeCounts, &TaskChangeCounts::added>("added", "Paths that are new"),
    Row<TaskChangeCounts, &TaskChangeCounts::removed>("removed", "Paths that are gone"),
    Row<TaskChangeCounts, &TaskChangeCounts::modified>("modified", "Paths that are others"),
};

constexpr Field kTaskSummary[] = {
    TaskIdRow<TaskSummary>(),
    Row<TaskSummary, &TaskSummary::commands>("commands", "Entries in its journal"),
    Row<TaskSummary, &TaskSummary::running>("running", "Commands that run now"),
    Row<TaskSummary, &TaskSummary::failed>("failed", "Commands with another exit code than 0"),
    Row<TaskSummary, &TaskSummary::interrupted>("interrupted",
                                                "Of these, whose guest ended before them"),
    Row<TaskSummary, &TaskSummary::duration_ms>("duration_ms", "The time of all commands together")
        .Of(Unit::kMilliseconds),
    Row<TaskSummary, &TaskSummary::output_bytes>("output_bytes", "Their output in the journal")
        .Of(Unit::kBytes),
    Row<TaskSummary, &TaskSummary::output_dropped>("output_dropped",
                                                   "Their output that is not kept")
        .Of(Unit::kBytes),
    Row<TaskSummary, &TaskSummary::resets>("resets", "How often its disk was reset"),
    Row<TaskSummary, &TaskSummary::snapshots>("snapshots", "The number of its snapshots"),
    Row<TaskSummary, &TaskSummary::disk_bytes>("disk_bytes", "What all of it takes on this host")
        .Of(Unit::kBytes),
    Row<TaskSummary, &TaskSummary::changes>("changes",
                                            "What changed since a snapshot; null: not asked for"),
    Row<TaskSummary, &TaskSummary::failures>("failures", "The last 20 commands that failed"),
    RestartRow<TaskSummary>(),
};

template <typename Owner>
constexpr Field OwnBytesRow() {
  return Row<Owner, &Owner::own_bytes>("own_bytes", "Of these, what no other file has")
      .Of(Unit::kBytes);
}

constexpr Field kTaskSnapshotUse[] = {
    Row<TaskSnapshotUse, &TaskSnapshotUse::name>("name", "Its name"),
    Row<TaskSnapshotUse, &TaskSnapshotUse::disk_bytes>("disk_bytes", "What it takes")
        .Of(Unit::kBytes),
    OwnBytesRow<TaskSnapshotUse>(),
};

constexpr Field kTaskDiskUse[] = {
    TaskIdRow<TaskDiskUse>(),
    Row<TaskDiskUse, &TaskDiskUse::disk_mib>("disk_mib", "The bound of its disk").Of(Unit::kMib),
    Row<TaskDiskUse, &TaskDiskUse::disk_bytes>("disk_bytes", "What its disk takes now")
        .Of(Unit::kBytes),
    OwnBytesRow<TaskDiskUse>(),
    Row<TaskDiskUse, &TaskDiskUse::journal_bytes>("journal_bytes", "What its journal takes")
        .Of(Unit::kBytes),
    Row<TaskDiskUse, &TaskDiskUse::console_bytes>("console_bytes", "What its console's log takes")
        .Of(Unit::kBytes),
    Row<TaskDiskUse, &TaskDiskUse::total_bytes>(
        "total_bytes", "All together; what several snapshots share counts once")
        .Of(Unit::kBytes),
    Row<TaskDiskUse, &TaskDiskUse::free_bytes>("free_bytes", "What is free on the host's disk")
        .Of(Unit::kBytes),
    Row<TaskDiskUse, &TaskDiskUse::exact>(
        "exact",
        "False: own_bytes and total_bytes are upper bounds, since the host does not tell "
        "what is shared"),
    Row<TaskDiskUse, &TaskDiskUse::snapshots>("snapshots", "The oldest first").Counted(),
};

constexpr Field kTaskProcess[] = {
    Row<TaskProcess, &TaskProcess::pid>("pid", "Its id in the guest"),
    Row<TaskProcess, &TaskProcess::parent>("parent", "The id of its parent; 0: the kernel"),
    Row<TaskProcess, &TaskProcess::uid>("uid", "The id of its user"),
    Row<TaskProcess, &TaskProcess::state>("state", "What it does now; waiting: for a device")
        .OneOf("running|sleeping|waiting|stopped|zombie|other"),
    Row<TaskProcess, &TaskProcess::age_seconds>("age_seconds", "The time since its start")
        .Of(Unit::kSeconds),
    Row<TaskProcess, &TaskProcess::cpu_ms>("cpu_ms", "The CPU time that it took")
        .Of(Unit::kMilliseconds),
    Row<TaskProcess, &TaskProcess::rss_kib>("rss_kib", "Its resident memory, in KiB"),
    Row<TaskProcess, &TaskProcess::sequence>(
        "sequence", "The command of the journal that it belongs to; null: none")
        .NullIfUnset(),
    Row<TaskProcess, &TaskProcess::command>(
        "command", "Its words quoted for a shell; without words, its name in brackets"),
};

constexpr Field kTaskProcesses[] = {
    TaskIdRow<TaskProcesses>(),
    Row<TaskProcesses, &TaskProcesses::processes>("processes",
                                                  "Without the threads of the guest's kernel")
        .Counted(),
    Row<TaskProcesses, &TaskProcesses::truncated>("truncated",
                                                  "More processes run than are listed"),
};

constexpr Field kWrittenStdin[] = {
    TaskIdRow<WrittenStdin>(),
    Row<WrittenStdin, &WrittenStdin::sequence>("sequence", "The command's number in the task"),
    Row<WrittenStdin, &WrittenStdin::bytes>(
        "bytes", "Bytes that the guest has for the command, which may not have read them yet")
        .Of(Unit::kBytes),
    Row<WrittenStdin, &WrittenStdin::complete>("complete",
                                               "All were written; false: the time was over first"),
    Row<WrittenStdin, &WrittenStdin::closed>("closed", "The command's stdin ends after them"),
};

constexpr Field kSignalledTaskCommand[] = {
    TaskIdRow<SignalledTaskCommand>(),
    Row<SignalledTaskCommand, &SignalledTaskCommand::sequence>("sequence",
                                                               "The command's number in the task"),
    Row<SignalledTaskCommand, &SignalledTaskCommand::signal>("signal", "Such as SIGTERM"),
    Row<SignalledTaskCommand, &SignalledTaskCommand::signalled>("signalled",
                                                                "The processes that got it"),
    Row<SignalledTaskCommand, &SignalledTaskCommand::left>(
        "left", "The command's processes that still run, at most half a second later"),
    Row<SignalledTaskCommand, &SignalledTaskCommand::processes>(
        "processes", "Those that got it, at most 64 of them"),
};

constexpr Field kExportedPath[] = {
    TaskIdRow<ExportedPath>(),
    Row<ExportedPath, &ExportedPath::path>("path", "The path in the guest"),
    Row<ExportedPath, &ExportedPath::destination>("destination", "The absolute path on the host"),
    Row<ExportedPath, &ExportedPath::bytes>(
        "bytes", "Of the file or tar, or of all files of the directory together")
        .Of(Unit::kBytes),
    RestartRow<ExportedPath>(),
    Row<ExportedPath, &ExportedPath::notices>("notices", "What was left out, one sentence each")
        .OutIfUnset(),
};

constexpr Field kDeletedTask[] = {
    Row<DeletedTask, &DeletedTask::task_id>("task_id", "The task's whole id"),
    Row<DeletedTask, &DeletedTask::deleted>("deleted", "True"),
};

}  // namespace

PYRO_ROWS(TaskCommand, "TaskCommand", "An entry of a task's journal.", kTaskCommand)
PYRO_ROWS(TaskCommandInfo, "TaskCommandInfo", "An entry by itself.", kTaskCommandInfo)
PYRO_ROWS(StartedTaskCommand, "StartedTaskCommand", "A command that runs on without its caller.",
          kStartedTaskCommand)
PYRO_ROWS(TaskWait, "TaskWait", "The end of a wait for commands.", kTaskWait)
PYRO_ROWS(TaskCommandPage, "TaskCommandPage", "Entries without their output.", kTaskCommandPage)
PYRO_ROWS(TaskExecResult, "TaskExecResult",
          "The end of a command in a task, and its place in the journal.", kTaskExecResult)
PYRO_ROWS(TaskDefaults, "TaskDefaults", "What commands of a task get that name none themselves.",
          kTaskDefaults)
PYRO_ROWS(TaskInfo, "TaskInfo", "A task.", kTaskInfo)
PYRO_ROWS(TaskList, "TaskList", "All tasks.", kTaskList)
PYRO_ROWS(TaskOutput, "TaskOutput", "A page of one stream of one command.", kTaskOutput)
PYRO_ROWS(TaskLogEntry, "TaskLogEntry", "An entry with its output.", kTaskLogEntry)
PYRO_ROWS(TaskReset, "TaskReset", "The disk of a task became that of a snapshot.", kTaskReset)
PYRO_ROWS(TaskNetworkChange, "TaskNetworkChange", "The rules of a task's network changed.",
          kTaskNetworkChange)
PYRO_ROWS(TaskResetInfo, "TaskResetInfo", "A reset by itself.", kTaskResetInfo)
PYRO_ROWS(TaskLogs, "TaskLogs", "Entries with their output.", kTaskLogs)
PYRO_ROWS(TaskSnapshot, "TaskSnapshot", "A copy of a task's disk.", kTaskSnapshot)
PYRO_ROWS(TaskSnapshotInfo, "TaskSnapshotInfo", "A snapshot by itself.", kTaskSnapshotInfo)
PYRO_ROWS(TaskSnapshots, "TaskSnapshots", "The snapshots of a task.", kTaskSnapshots)
PYRO_ROWS(DeletedTaskSnapshot, "DeletedTaskSnapshot", "A snapshot that was deleted.",
          kDeletedTaskSnapshot)
PYRO_ROWS(TaskChange, "TaskChange", "A path that differs from a snapshot.", kTaskChange)
PYRO_ROWS(TaskDiff, "TaskDiff", "What differs from a snapshot.", kTaskDiff)
PYRO_ROWS(TaskChangeCounts, "TaskChangeCounts", "The numbers of a diff.", kTaskChangeCounts)
PYRO_ROWS(TaskSummary, "TaskSummary", "What happened in a task.", kTaskSummary)
PYRO_ROWS(TaskSnapshotUse, "TaskSnapshotUse", "What a snapshot takes on the host's disk.",
          kTaskSnapshotUse)
PYRO_ROWS(TaskDiskUse, "TaskDiskUse", "What a task takes on the host's disk.", kTaskDiskUse)
PYRO_ROWS(TaskProcess, "TaskProcess", "A process in a task's guest.", kTaskProcess)
PYRO_ROWS(TaskProcesses, "TaskProcesses", "The processes in a task's guest.", kTaskProcesses)
PYRO_ROWS(WrittenStdin, "WrittenStdin", "What the stdin of a command took.", kWrittenStdin)
PYRO_ROWS(Restart, "Restart", "What the new start of a guest kept, and what it did not.", kRestart)
PYRO_ROWS(Restart::Ended, "InterruptedCommand", "A command that ran when its guest went.",
          kInterruptedCommand)
PYRO_ROWS(SignalledTaskCommand, "SignalledTaskCommand", "Whom a signal went to.",
          kSignalledTaskCommand)
PYRO_ROWS(ExportedPath, "ExportedPath", "What was copied out of a task.", kExportedPath)
PYRO_ROWS(DeletedTask, "DeletedTask", "A task that was deleted.", kDeletedTask)

}  // namespace pyro::api
