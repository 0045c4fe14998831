// What can be asked of tasks: the rows of arguments.

#include "api/field.h"
#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr const char* kDefaultForModels = "Default of its commands.";

// Of a task, or of changes to one.
template <typename Owner>
constexpr Field LabelsRow(const char* sentence) {
  return Row<Owner, &Owner::labels>("labels", sentence)
      .Named("KEY=VALUE")
      .Option("label")
      .ForModels("For task_list.");
}

template <typename Owner>
constexpr Field DefaultEnvRow() {
  return Row<Owner, &Owner::env>("env", "Variables for each of its commands; no result has a value")
      .ForModels("For each of its commands.");
}

template <typename Owner>
constexpr Field DefaultCwdRow() {
  return Row<Owner, &Owner::cwd>("cwd", "Run its commands in this directory by default")
      .Named("PATH")
      .Longest(4095)
      .ForModels(kDefaultForModels);
}

template <typename Owner>
constexpr Field DefaultUserRow() {
  return Row<Owner, &Owner::user>("user", "Run its commands as this user by default")
      .Named("USER")
      .Longest(256)
      .ForModels(kDefaultForModels);
}

template <typename Owner>
constexpr Field DefaultTimeoutRow() {
  return Row<Owner, &Owner::timeout_seconds>("timeout_seconds",
                                             "Kill its commands after N seconds by default")
      .In(0, kMaxTimeoutSeconds)
      .Of(Unit::kSeconds)
      .NullIfUnset()
      .ForModels(kDefaultForModels);
}

constexpr Field kTaskOptions[] = {
    Inline<TaskOptions, VmOptions>(),
    Row<TaskOptions, &TaskOptions::name>("name", "Name the task; the name works as its id does")
        .Named("NAME")
        .Longest(kMaxNameBytes)
        .ForModels("A name, which works as its id does."),
    LabelsRow<TaskOptions>("Give the task a label; repeatable"),
    Row<TaskOptions, &TaskOptions::disk_mib>("disk_mib", "Let its disk grow to N MiB, from 256")
        .In(kMinDiskMib, kMaxDiskMib)
        .Of(Unit::kMib)
        .ForModels("Bound of its disk."),
    TtlRow<TaskOptions>("Stop its guest after N idle seconds",
                        "Stop the guest this long after its last use; task_exec starts it again."),
    Row<TaskOptions, &TaskOptions::source_path>("source_path",
                                                "Fill /workspace from a directory or a tar archive")
        .Named("PATH")
        .OnHost()
        .ForModels("Absolute host path of a directory or tar that fills /workspace."),
    Row<TaskOptions, &TaskOptions::exclude>("exclude",
                                            "Leave out what matches: '*.o', /build; repeatable")
        .Named("PATTERN")
        .OnHost()
        .ForModels("Names to leave out, such as *.o or /build."),
    Row<TaskOptions, &TaskOptions::git>("git", "Take what git sees: no ignored files, but .git")
        .OnHost()
        .ForModels("Copy as git sees it: .git, but no ignored file."),
    DefaultEnvRow<TaskOptions>(),
    DefaultCwdRow<TaskOptions>(),
    DefaultUserRow<TaskOptions>(),
    Row<TaskOptions, &TaskOptions::image_cwd>("image_cwd",
                                              "Run its commands in the image's own directory")
        .ForModels("Of images: in their directory."),
    DefaultTimeoutRow<TaskOptions>(),
    HostCompatRow<TaskOptions>(),
};

constexpr Field kTaskRequest[] = {
    Row<TaskRequest, &TaskRequest::task_id>("task_id",
                                            "The task's id, its first 6 characters, or its name")
        .Required()
        .Positional("TASK_ID")
        .ForModels("Or its name."),
};

constexpr Field kExecTaskRequest[] = {
    Inline<ExecTaskRequest, TaskRequest>(),
    CommandRow<ExecTaskRequest>(),
    EnvRow<ExecTaskRequest>(),
    CwdRow<ExecTaskRequest>(),
    UserRow<ExecTaskRequest>(),
    Row<ExecTaskRequest, &ExecTaskRequest::journal>(
        "journal", "Count the command, but keep neither its words nor its output")
        .Option("no-journal"),
    TimeoutRow<ExecTaskRequest>(
        "Kill the command after N seconds, at most 7 days; 0: no limit; units s, m, h, d. A default "
        "of the task goes before 30. With --background there is no limit unless you give one",
        "Kill it after this time; 0: never.")
        .Usually(kDefaultTimeoutSeconds)
        .NullIfUnset(),
};

constexpr Field kStartTaskCommandRequest[] = {
    Inline<StartTaskCommandRequest, TaskRequest>(),
    CommandRow<StartTaskCommandRequest>(),
    EnvRow<StartTaskCommandRequest>(),
    CwdRow<StartTaskCommandRequest>(),
    UserRow<StartTaskCommandRequest>(),
    TimeoutRow<StartTaskCommandRequest>("Kill the command after N seconds; 0: no limit",
                                        "Kill the command after this time; 0: no limit."),
    Row<StartTaskCommandRequest, &StartTaskCommandRequest::keep_stdin>(
        "keep_stdin", "With --background: keep its stdin open for 'pyro task stdin'"),
};

template <typename Owner>
constexpr Field SequenceRow(const char* sentence, const char* for_models) {
  return Row<Owner, &Owner::sequence>("sequence", sentence).In(1).Required().ForModels(for_models);
}

template <typename Owner>
constexpr Field WaitRow(const char* sentence) {
  return Row<Owner, &Owner::wait>("wait_seconds", sentence).Of(Unit::kSeconds);
}

constexpr Field kTaskCommandRequest[] = {
    Inline<TaskCommandRequest, TaskRequest>(),
    SequenceRow<TaskCommandRequest>("Kill command N with all it started; the guest stays",
                                    "The command to kill."),
};

constexpr Field kWriteTaskStdinRequest[] = {
    Inline<WriteTaskStdinRequest, TaskRequest>(),
    SequenceRow<WriteTaskStdinRequest>("The command's number in the task", "The command."),
    Row<WriteTaskStdinRequest, &WriteTaskStdinRequest::close>(
        "close", "End its stdin after what is written"),
    TimeoutRow<WriteTaskStdinRequest>("Wait at most N seconds until it takes all; 0: no limit",
                                      "The longest wait; 0: no limit."),
};

constexpr Field kSignalTaskCommandRequest[] = {
    Inline<SignalTaskCommandRequest, TaskRequest>(),
    Row<SignalTaskCommandRequest, &SignalTaskCommandRequest::signal>(
        "signal", "Its name or number, such as TERM or 15")
        .Required()
        .Positional("SIGNAL"),
    SequenceRow<SignalTaskCommandRequest>("The command's number in the task", "The command."),
    Row<SignalTaskCommandRequest, &SignalTaskCommandRequest::first>(
        "first_only", "Signal the command's first process alone, not all that it started"),
};

constexpr Field kOutputOffsets[] = {
    Row<OutputOffsets, &OutputOffsets::stdout_offset>("stdout_offset", "Begin stdout at byte N")
        .In(0, std::int64_t{1} << 53)
        .Of(Unit::kBytes),
    Row<OutputOffsets, &OutputOffsets::stderr_offset>("stderr_offset",
                                                      "With --follow: begin stderr at byte N")
        .In(0, std::int64_t{1} << 53)
        .Of(Unit::kBytes),
};

constexpr Field kGetTaskCommandRequest[] = {
    Inline<GetTaskCommandRequest, TaskRequest>(),
    SequenceRow<GetTaskCommandRequest>("The command's number in the task", "The command."),
    WaitRow<GetTaskCommandRequest>("Wait up to N seconds for the command's end"),
};

constexpr Field kWaitTaskRequest[] = {
    Inline<WaitTaskRequest, TaskRequest>(),
    Row<WaitTaskRequest, &WaitTaskRequest::sequence>(
        "sequence", "Wait for command N, and exit with its code; without it for all that run")
        .In(1)
        .NullIfUnset(),
    TimeoutRow<WaitTaskRequest>(
        "Wait at most N seconds, then exit with 124; 0: no limit; units s, m, h, d",
        "The longest wait; 0: no limit."),
};

constexpr Field kReadTaskCommandRequest[] = {
    Inline<ReadTaskCommandRequest, TaskRequest>(),
    SequenceRow<ReadTaskCommandRequest>("The command's number in the task", "The command."),
    Row<ReadTaskCommandRequest, &ReadTaskCommandRequest::follow>("follow",
                                                                 "Go on until the command ends"),
    Inline<ReadTaskCommandRequest, OutputOffsets, &ReadTaskCommandRequest::from>(),
};

constexpr Field kReadTaskOutputRequest[] = {
    Inline<ReadTaskOutputRequest, TaskRequest>(),
    SequenceRow<ReadTaskOutputRequest>(
        "Show the output of command N alone, stdout on stdout, stderr on stderr",
        "One command. Without it: the newest commands."),
    Row<ReadTaskOutputRequest, &ReadTaskOutputRequest::stream>(
        "stream", "With --sequence: show a page of stdout or stderr alone")
        .ForModels("With sequence: a page of it."),
    Row<ReadTaskOutputRequest, &ReadTaskOutputRequest::offset>(
        "offset", "Begin the page, or with --follow stdout, at byte N")
        .In(0, std::int64_t{1} << 53)
        .Of(Unit::kBytes)
        .ForModels("next_offset of the page before."),
    Row<ReadTaskOutputRequest, &ReadTaskOutputRequest::limit>("limit",
                                                              "Show at most N bytes, up to 1048576")
        .In(1, kMaxResultBytes)
        .Of(Unit::kBytes),
    WaitRow<ReadTaskOutputRequest>(
        "Wait up to N seconds for the command's end, and exit with its code, or 124 if it "
        "runs on; units ms, s, m, h"),
};

constexpr Field kTaskEntriesRequest[] = {
    Inline<TaskEntriesRequest, TaskRequest>(),
    Row<TaskEntriesRequest, &TaskEntriesRequest::first>("first", "Begin with command N")
        .In(1)
        .ForModels("List from this command on."),
    Row<TaskEntriesRequest, &TaskEntriesRequest::limit>(
        "limit", "The greatest number of entries; 0: all, -N: the last N"),
};

constexpr Field kExportTaskRequest[] = {
    Inline<ExportTaskRequest, TaskRequest>(),
    Row<ExportTaskRequest, &ExportTaskRequest::path>("path",
                                                     "In the guest; relative ones from /workspace")
        .Required()
        .Positional("PATH")
        .ForModels("Relative to /workspace."),
    Row<ExportTaskRequest, &ExportTaskRequest::destination>(
        "destination", "On this host; a name such as x.tar.gz makes an archive, - is stdout")
        .Required()
        .Positional("DEST")
        .OnHost()
        .ForModels("Absolute path on the host."),
    Row<ExportTaskRequest, &ExportTaskRequest::force>("force",
                                                      "Replace a regular file that is there")
        .ForModels("Replace a regular file that is there."),
};

constexpr Field kRenameTaskRequest[] = {
    Inline<RenameTaskRequest, TaskRequest>(),
    Row<RenameTaskRequest, &RenameTaskRequest::name>("name", "Its new name, up to 64 bytes")
        .Required()
        .Positional("NAME")
        .Longest(kMaxNameBytes),
};

constexpr Field kListTasksRequest[] = {
    Row<ListTasksRequest, &ListTasksRequest::labels>(
        "labels", "Only tasks with this label, or with this value of it; repeatable")
        .Named("KEY[=VALUE]")
        .Option("label")
        .ForModels("KEY or KEY=VALUE: only tasks that have all."),
};

constexpr Field kTaskChanges[] = {
    Row<TaskChanges, &TaskChanges::name>("name", "Its new name")
        .Named("NAME")
        .Longest(kMaxNameBytes),
    LabelsRow<TaskChanges>("Add a label, or give it another value; repeatable"),
    Row<TaskChanges, &TaskChanges::ttl_seconds>(
        "ttl_seconds", "Stop the guest N seconds after its last use; units s, m, h, d")
        .In(1, kMaxTtlSeconds)
        .Of(Unit::kSeconds)
        .NullIfUnset(),
    DefaultEnvRow<TaskChanges>(),
    DefaultCwdRow<TaskChanges>(),
    DefaultUserRow<TaskChanges>(),
    DefaultTimeoutRow<TaskChanges>(),
    Row<TaskChanges, &TaskChanges::unset>(
        "unset",
        "Take away name, labels, env, cwd, user or timeout_seconds, or one label or variable, as "
        "labels.KEY or env.NAME; repeatable")
        .Named("WHAT"),
};

constexpr Field kUpdateTaskRequest[] = {
    Inline<UpdateTaskRequest, TaskRequest>(),
    Inline<UpdateTaskRequest, TaskChanges, &UpdateTaskRequest::changes>(),
};

template <typename Owner, auto kMember>
constexpr Field SnapshotNameRow(const char* name, const char* sentence) {
  return Row<Owner, kMember>(name, sentence).Longest(64).Named("NAME");
}

constexpr Field kTaskSnapshotRequest[] = {
    Inline<TaskSnapshotRequest, TaskRequest>(),
    SnapshotNameRow<TaskSnapshotRequest, &TaskSnapshotRequest::name>(
        "name", "Its name: letters, digits, '.', '_' and '-', up to 64")
        .Required()
        .Positional("NAME"),
};

constexpr Field kResetTaskRequest[] = {
    Inline<ResetTaskRequest, TaskRequest>(),
    SnapshotNameRow<ResetTaskRequest, &ResetTaskRequest::snapshot>(
        "snapshot", "The snapshot; 'create' is the task's first state"),
};

constexpr Field kDiffTaskRequest[] = {
    Inline<DiffTaskRequest, TaskRequest>(),
    SnapshotNameRow<DiffTaskRequest, &DiffTaskRequest::snapshot>(
        "snapshot", "The snapshot; 'create' is the task's first state")
        .ForModels("Without it create, the first state."),
    Row<DiffTaskRequest, &DiffTaskRequest::paths>(
        "paths", "Compare these alone; relative ones from /workspace")
        .Positional("PATH")
        .ForModels("Only these."),
};

constexpr Field kSummarizeTaskRequest[] = {
    Inline<SummarizeTaskRequest, TaskRequest>(),
    SnapshotNameRow<SummarizeTaskRequest, &SummarizeTaskRequest::changes_since>(
        "changes_since", "Count what changed since this snapshot, too; this starts guests"),
};

}  // namespace

PYRO_ROWS(TaskOptions, "TaskOptions",
          "The options of a task. Its disk holds /workspace and every change to the root.",
          kTaskOptions)
PYRO_ROWS(TaskRequest, "TaskRequest", "A task.", kTaskRequest)
PYRO_ROWS(ExecTaskRequest, "ExecTaskRequest", "A command for a task.", kExecTaskRequest)
PYRO_ROWS(StartTaskCommandRequest, "StartTaskCommandRequest",
          "A command that runs on without its caller.", kStartTaskCommandRequest)
PYRO_ROWS(TaskCommandRequest, "TaskCommandRequest", "A command of a task.", kTaskCommandRequest)
PYRO_ROWS(WriteTaskStdinRequest, "WriteTaskStdinRequest", "Bytes for a command of a task.",
          kWriteTaskStdinRequest)
PYRO_ROWS(SignalTaskCommandRequest, "SignalTaskCommandRequest", "A signal for a command of a task.",
          kSignalTaskCommandRequest)
PYRO_ROWS(OutputOffsets, "OutputOffsets", "Where to begin in each stream.", kOutputOffsets)
PYRO_ROWS(GetTaskCommandRequest, "GetTaskCommandRequest", "A command of a task.",
          kGetTaskCommandRequest)
PYRO_ROWS(WaitTaskRequest, "WaitTaskRequest", "Commands of a task to wait for.", kWaitTaskRequest)
PYRO_ROWS(ReadTaskCommandRequest, "ReadTaskCommandRequest", "A command of a task.",
          kReadTaskCommandRequest)
PYRO_ROWS(ReadTaskOutputRequest, "ReadTaskOutputRequest", "A part of a command's output.",
          kReadTaskOutputRequest)
PYRO_ROWS(TaskSnapshotRequest, "TaskSnapshotRequest", "A snapshot of a task.", kTaskSnapshotRequest)
PYRO_ROWS(DiffTaskRequest, "DiffTaskRequest", "A task, and what of it is compared.",
          kDiffTaskRequest)
PYRO_ROWS(SummarizeTaskRequest, "SummarizeTaskRequest", "A task to sum up.", kSummarizeTaskRequest)
PYRO_ROWS(ResetTaskRequest, "ResetTaskRequest", "A task and the snapshot that it becomes.",
          kResetTaskRequest)
PYRO_ROWS(ListTasksRequest, "ListTasksRequest", "Which tasks.", kListTasksRequest)
PYRO_ROWS(TaskChanges, "TaskChanges", "What changes of a task.", kTaskChanges)
PYRO_ROWS(UpdateTaskRequest, "UpdateTaskRequest", "A task and what changes of it.",
          kUpdateTaskRequest)
PYRO_ROWS(RenameTaskRequest, "RenameTaskRequest", "A task and its new name.", kRenameTaskRequest)
PYRO_ROWS(TaskEntriesRequest, "TaskEntriesRequest", "A part of a task's journal.",
          kTaskEntriesRequest)
PYRO_ROWS(ExportTaskRequest, "ExportTaskRequest", "A path of the guest, and its place on the host.",
          kExportTaskRequest)

}  // namespace pyro::api
