// What can be asked of tasks: the rows of operations.

#include <chrono>

#include "api/operations.h"
#include "api/rows.h"
#include "api/shared_rows.h"
#include "base/try.h"

namespace pyro::api {

template <>
const Struct& Rows<RenameTaskRequest>();
template <>
const Struct& Rows<TaskProcesses>();
template <>
const Struct& Rows<WrittenStdin>();
template <>
const Struct& Rows<SignalledTaskCommand>();

namespace {

Result<StartedTaskCommand> CallStartTaskCommand(Engine& engine,
                                                const StartTaskCommandRequest& request,
                                                const CallIo& io) {
  return engine.StartTaskCommand(
      request.task_id, request.command, request.timeout_seconds, io,
      request.keep_stdin ? Engine::StdinEnd::kStaysOpen : Engine::StdinEnd::kAfterInput);
}

Result<TaskCommand> CallReadTaskCommand(Engine& engine, const ReadTaskCommandRequest& request,
                                        const CallIo& io) {
  return engine.ReadTaskCommand(request.task_id, request.sequence,
                                request.follow ? Engine::Follow::kYes : Engine::Follow::kNo, io,
                                request.from);
}

Result<TaskExecResult> CallExecTask(Engine& engine, const ExecTaskRequest& request,
                                    const CallIo& io) {
  return engine.ExecTask(request.task_id, request.command, request.timeout_seconds, io,
                         request.journal ? Engine::Keep::kAll : Engine::Keep::kCount);
}

Result<TaskWait> CallWaitTask(Engine& engine, const WaitTaskRequest& request, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckRanges(request));
  return engine.WaitTask(request.task_id, request.sequence,
                         std::chrono::seconds(request.timeout_seconds), io);
}

Result<ExportedPath> CallExportTask(Engine& engine, const ExportTaskRequest& request,
                                    const CallIo& io) {
  return engine.ExportTask(request.task_id, request.path, request.destination,
                           {.force = request.force}, io);
}

constexpr Operation kTaskOperations[] = {
    By<TaskOptions, &Engine::CreateTask, kWhole>({
        .name = "task create",
        .method = "create_task",
        .tool = "task_create",
        .effect = Effect::kCreates,
        .needs = kGuest | kHostPath,
        .sentence = "Start a task: a microVM with a lasting /workspace",
        .for_models =
            "Start a Linux VM for work in several steps. The files in its /workspace, installed "
            "packages and the journal of commands stay until task_delete. Returns the task_id for "
            "the other task_* tools. Takes seconds, or a minute if the environment must be built.",
        .for_python =
            "Makes a task and starts its guest.\n\n"
            "The guest is stopped ``ttl_seconds`` after its last use; workspace and journal "
            "stay, and the next command starts it again. ``disk_mib``: the bound of its disk, "
            "from 256; the host pays for what is written. ``source_path``: a directory or a tar "
            "archive to fill /workspace with. ``labels``: for list_tasks. ``env``, ``cwd``, "
            "``user`` and ``timeout_seconds`` are those of commands that name none themselves. The "
            "variables may be secrets: they are in a file of the task's directory that its owner "
            "alone can read. ``exclude``: patterns of what of it is left out, "
            "such as ``*.o`` or ``/build``. ``git``: take what git sees of the directory, which "
            "is no ignored file, but .git. ``notices`` of the result name what was left out "
            "unasked. MissingToolError: there is no git here.",
    }),
    By<ExecTaskRequest, CallExecTask, kWhole>({
        .name = "task exec",
        .method = "exec_task",
        .tool = "task_exec",
        .effect = Effect::kChanges,
        .needs = kGuest | kCommand,
        .sentence = "Run a command in a task's /workspace",
        .for_models =
            "Run a command in a task's /workspace. Files and background processes stay for the "
            "next command; cd and variables do not. A call answers within 45 s: a command that "
            "runs longer goes on, and the result tells its sequence for task_logs, which waits for "
            "its end. Use background for a server. All output is kept in the "
            "journal, except what a process started with & prints after its command has ended. A "
            "non-zero exit_code is a result.",
        .for_python =
            "Runs a command in the task's /workspace; the task stays.\n\n"
            "When this returns, the command's files are on disk, and its words, output and end "
            "are in the journal. ``stdin``: bytes that the command reads, or an open file. "
            "``on_stdout`` and ``on_stderr`` get the output as it arrives, on the calling thread; "
            "the result holds it too. If one of them raises, the command is killed and this call "
            "raises that exception. ``env``: variables of the command, beside the guest's own or "
            "in their place; pyro keeps none of their values. ``cwd``: the directory in the guest; "
            "relative ones count from /workspace. ``user``: a name or uid of the guest, optionally "
            "with ``:group``; without it root. A directory, a user or a program that is not there "
            "is a result whose ``explanation`` names it. ``journal=False``: the command counts and "
            "has a sequence, its times and its end, but neither words nor output are kept, and it "
            "ends with its caller. LimitExceededError: 256 commands already "
            "run in the task.",
    }),
    By<StartTaskCommandRequest, CallStartTaskCommand, kWhole>({
        .name = "task start-command",
        .method = "start_task_command",
        .effect = Effect::kChanges,
        .needs = kGuest | kCommand,
        .sentence = "Start a command in a task, and leave it running",
        .for_python =
            "As exec_task, but returns once the command is recorded. The command goes on "
            "without a caller, to its end, or to its timeout if one is given. ``stdin`` is bytes "
            "or a regular file, with at most 261120 bytes. With ``keep_stdin`` it stays open for "
            "write_task_stdin; so it does if this process dies in the middle of it. The calls "
            "below take its ``sequence``.",
        .command = "task exec --background",
        .no_tool = "task_exec with background",
    }),
    By<WriteTaskStdinRequest, &Engine::WriteTaskStdin, &TaskRequest::task_id,
       &TaskCommandRequest::sequence, &WriteTaskStdinRequest::close,
       &WriteTaskStdinRequest::timeout_seconds>({
        .name = "task stdin",
        .method = "write_task_stdin",
        .effect = Effect::kChanges,
        .needs = kStdin,
        .sentence = "Write stdin to a command started with --keep-stdin",
        .for_python =
            "Writes ``stdin``, which is bytes or an open file, to the stdin of a command that was "
            "started with ``keep_stdin``, and with ``close`` ends it.\n\n"
            "Any process may write, at any time; if it dies, stdin stays open for the next. Waits "
            "while the command does not read, up to ``timeout_seconds``; then ``complete`` is "
            "False and ``bytes`` says how many it took. WrongStateError: the command has ended, or "
            "its stdin is closed.",
        .no_tool = "a model gives task_exec the whole stdin",
    }),
    By<SignalTaskCommandRequest, &Engine::SignalTaskCommand, &TaskRequest::task_id,
       &TaskCommandRequest::sequence, &SignalTaskCommandRequest::signal,
       &SignalTaskCommandRequest::first>({
        .name = "task signal",
        .method = "signal_task_command",
        .effect = Effect::kEnds,
        .sentence = "Send a signal to all processes of a running command",
        .for_python =
            "Sends a signal, by name or number, to every process of a running command, or with "
            "``first_only`` to its first process alone.\n\n"
            "The result lists the processes that got it, and says how many of the command's are "
            "``left`` at most half a second later. WrongStateError: the command has ended.",
        .no_tool = "task_stop with sequence kills; task_exec with kill sends other signals",
    }),
    By<TaskCommandRequest, &Engine::CancelTaskCommand, &TaskRequest::task_id,
       &TaskCommandRequest::sequence>({
        .name = "task cancel-command",
        .method = "cancel_task_command",
        .effect = Effect::kEnds,
        .sentence = "Kill a running command with all it started",
        .for_python =
            "Kills a running command of any caller, with every process that it started. A "
            "command that has ended does not change.",
        .command = "task stop --sequence",
        .no_tool = "task_stop with sequence",
    }),
    By<TaskRequest, &Engine::StatusTask, &TaskRequest::task_id>({
        .name = "task status",
        .method = "status_task",
        .tool = "task_status",
        .effect = Effect::kReads,
        .sentence = "Show one task",
        .for_models = "Show a task's state, lease, disk and newest command.",
    }),
    By<TaskEntriesRequest, &Engine::LogsTask, &TaskRequest::task_id, &TaskEntriesRequest::first,
       &TaskEntriesRequest::limit>({
        .name = "task logs",
        .method = "logs_task",
        .tool = "task_logs",
        .effect = Effect::kReads,
        .sentence = "Show the journal: every command with its output",
        .for_models =
            "Read what commands wrote, ended or still running. With task_id alone: the newest "
            "commands. With sequence: that command; wait_seconds waits for its end. With sequence "
            "and stream: a page of that stream; go on at next_offset until complete.",
        .for_python =
            "Returns the journal: every command with its output. ``first`` and ``limit`` are "
            "those of list_task_commands.",
    }),
    By<GetTaskCommandRequest, &Engine::GetTaskCommand, &TaskRequest::task_id,
       &TaskCommandRequest::sequence, &GetTaskCommandRequest::wait>({
        .name = "task get-command",
        .method = "get_task_command",
        .effect = Effect::kReads,
        .sentence = "Show one command without its output, after waiting for its end",
        .for_python =
            "Returns one entry of the journal, after waiting up to ``wait_seconds`` for its "
            "end.",
        .command = "task logs --sequence --wait-seconds",
        .no_tool = "task_logs with sequence and wait_seconds",
    }),
    By<WaitTaskRequest, CallWaitTask, kWhole>({
        .name = "task wait",
        .method = "wait_task",
        .effect = Effect::kReads,
        .sentence = "Wait until a task runs no command, or one has ended",
        .for_python =
            "Waits until a command has ended or, without ``sequence``, until no command of the "
            "task runs.\n\n"
            "Commands that begin meanwhile count, processes that a command left behind do not. "
            "``commands`` of the result has those that were waited for, with their ``outcome`` "
            "and ``exit_code``. A command whose guest is lost is ``interrupted``. "
            "``timeout_seconds``: the longest wait; 0 is no limit. When it is over, ``complete`` is "
            "False. NotFoundError: no such command, or the task was deleted meanwhile.",
        .no_tool = "task_logs with sequence and wait_seconds waits for a command",
    }),
    By<TaskEntriesRequest, &Engine::ListTaskCommands, &TaskRequest::task_id,
       &TaskEntriesRequest::first, &TaskEntriesRequest::limit>({
        .name = "task list-commands",
        .method = "list_task_commands",
        .effect = Effect::kReads,
        .sentence = "Show the journal without the output of the commands",
        .for_python =
            "Returns entries of the journal without their output, from ``first`` on. ``limit``: "
            "their greatest number; 0 for all. A negative ``limit`` of -N returns the last N.",
        .command = "task logs --all",
        .no_tool = "task_logs lists them with their output",
    }),
    By<ReadTaskOutputRequest, &Engine::ReadTaskOutput, &TaskRequest::task_id,
       &TaskCommandRequest::sequence, &ReadTaskOutputRequest::stream,
       &ReadTaskOutputRequest::offset, &ReadTaskOutputRequest::limit,
       &ReadTaskOutputRequest::wait>({
        .name = "task read-output",
        .method = "read_task_output",
        .effect = Effect::kReads,
        .sentence = "Show a page of one stream of one command",
        .for_python =
            "Returns up to ``limit`` bytes (1 to 1048576) of a command's output from ``offset`` "
            "on.\n\n"
            "Waits up to ``wait_seconds`` for output or for the command's end. Continue at "
            "``next_offset`` until ``complete``.",
        .command = "task logs --sequence --stream --offset --limit",
        .no_tool = "task_logs with sequence and stream",
    }),
    By<ReadTaskCommandRequest, CallReadTaskCommand, kWhole>({
        .name = "task read-command",
        .method = "read_task_command",
        .effect = Effect::kReads,
        .needs = kSink,
        .sentence = "Show one command with its whole output",
        .for_python =
            "One entry of the journal, its whole output given to the callbacks in pieces; with "
            "``follow`` until the command has ended. ``stdout_offset`` and ``stderr_offset`` are "
            "the bytes to begin at: those that an earlier call gave are not given again. An "
            "exception of a callback leaves this call, and the command goes on.",
        .command = "task logs --sequence --follow --offset --stderr-offset",
        .no_tool = "a result has room for pages, which task_logs reads",
    }),
    By<TaskRequest, &Engine::ListTaskProcesses, &TaskRequest::task_id>({
        .name = "task processes",
        .method = "list_task_processes",
        .effect = Effect::kReads,
        .sentence = "Show the processes that run in a task's guest",
        .for_python =
            "Returns the processes in the task's guest, as the guest tells, and for each the "
            "command of the journal that it belongs to. A guest that does not run is not started: "
            "WrongStateError.",
        .no_tool = "task_exec with ps shows them, in an image that has it",
    }),
    By<RenameTaskRequest, &Engine::RenameTask, &TaskRequest::task_id, &RenameTaskRequest::name>({
        .name = "task rename",
        .method = "rename_task",
        .effect = Effect::kChanges,
        .sentence = "Give a task another name",
        .no_tool = "task_create gives a name; the id works always",
    }),
    By<UpdateTaskRequest, &Engine::UpdateTask, &TaskRequest::task_id, &UpdateTaskRequest::changes>({
        .name = "task update",
        .method = "update_task",
        .effect = Effect::kChanges,
        .sentence = "Change a task's name, labels, lease and defaults",
        .for_python =
            "Changes what is given, and leaves the rest. ``unset`` comes first: name, labels, env, "
            "cwd, user or timeout_seconds, or ``labels.KEY`` or ``env.NAME`` for one. A running "
            "guest takes another ``ttl_seconds`` at once, later commands the other defaults.",
        .no_tool = "the user changes names and defaults; task_exec has its own env and cwd",
    }),
    By<&DeletedTask::task_id, TaskRequest, &Engine::DeleteTask, &TaskRequest::task_id>({
        .name = "task delete",
        .method = "delete_task",
        .tool = "task_delete",
        .effect = Effect::kEnds,
        .sentence = "Delete tasks with their workspaces and journals",
        .for_models =
            "Delete a task for good with its files and its journal; running commands are killed. "
            "Copy out first what is still needed.",
        .for_python =
            "Deletes a task with its workspace and journal. A task that does not exist counts "
            "as deleted if the id is whole.",
    }),
    By<&TaskList::tasks, ListTasksRequest, &Engine::ListTasks, &ListTasksRequest::labels>({
        .name = "task list",
        .method = "list_tasks",
        .tool = "task_list",
        .effect = Effect::kReads,
        .sentence = "Show all tasks, or those with labels",
        .for_models = "List all tasks, the newest first, those of other sessions too.",
        .for_python =
            "Returns all tasks, including those of other processes. ``labels``: only those that "
            "have each of them, KEY or KEY=VALUE.",
    }),
    By<TaskRequest, &Engine::StopTask, &TaskRequest::task_id>({
        .name = "task stop",
        .method = "stop_task",
        .tool = "task_stop",
        .effect = Effect::kEnds,
        .sentence = "Power a task's guest off, or kill one command",
        .for_models =
            "With sequence: kill that command with everything it started; its output stays. "
            "Without: power the guest off, which ends every command; files and journal stay, and "
            "task_exec starts it again.",
        .for_python =
            "Powers the guest off and interrupts running commands. The next exec starts it "
            "again.",
    }),
    By<TaskSnapshotRequest, &Engine::CreateTaskSnapshot, &TaskRequest::task_id,
       &TaskSnapshotRequest::name>({
        .name = "task snapshot create",
        .method = "create_task_snapshot",
        .tool = "task_snapshot",
        .effect = Effect::kCreates,
        .sentence = "Keep a task's disk as it is now",
        .for_models =
            "Keep the disk, which has /workspace and installed packages, under a name (create), or "
            "set it back to one (reset): processes end then, and what no snapshot has is lost; the "
            "journal goes on. The snapshot create is the task's first state.",
        .for_python =
            "Keeps the task's disk, which is its workspace and the changes to its root, under a "
            "name.\n\n"
            "``name``: 1 to 64 letters, digits, ``.``, ``_`` or ``-``. Processes of the guest "
            "cannot write meanwhile: for milliseconds on a file system with reflinks, elsewhere as "
            "long as a copy takes. Does not start a guest. AlreadyExistsError: the name is taken. "
            "LimitExceededError: the task has 64 snapshots.",
    }),
    By<TaskRequest, &Engine::ListTaskSnapshots, &TaskRequest::task_id>({
        .name = "task snapshot list",
        .method = "list_task_snapshots",
        .effect = Effect::kReads,
        .sentence = "Show a task's snapshots",
        .no_tool = "task_snapshot with action list",
    }),
    By<TaskSnapshotRequest, &Engine::DeleteTaskSnapshot, &TaskRequest::task_id,
       &TaskSnapshotRequest::name>({
        .name = "task snapshot delete",
        .method = "delete_task_snapshot",
        .effect = Effect::kEnds,
        .sentence = "Delete a snapshot; the task stays as it is",
        .no_tool = "task_snapshot with action delete",
    }),
    By<ResetTaskRequest, &Engine::ResetTask, &TaskRequest::task_id, &ResetTaskRequest::snapshot>({
        .name = "task reset",
        .method = "reset_task",
        .effect = Effect::kEnds,
        .sentence = "Set a task's disk back to a snapshot; processes end",
        .for_python =
            "Ends the guest with all its processes, and gives the task the disk of a snapshot.\n\n"
            "The journal goes on, and logs_task tells the reset. The next command starts the guest "
            "again. A new task has the snapshot ``create``, unless ``notices`` of its creation say "
            "otherwise. What was on the disk before is lost, unless a snapshot has it.",
        .no_tool = "task_snapshot with action reset",
    }),
    By<DiffTaskRequest, &Engine::DiffTask, kWhole>({
        .name = "task diff",
        .method = "diff_task",
        .tool = "task_diff",
        .effect = Effect::kReads,
        .needs = kGuest,
        .sentence = "Show what a workspace has now, against a snapshot",
        .for_models =
            "Show what changed in /workspace since a snapshot: a patch as git writes it. It starts "
            "a guest and takes seconds. Times and owners do not count.",
        .for_python =
            "Returns what the workspace has now, against a snapshot.\n\n"
            "``paths``: compare these alone; relative ones count from /workspace. Times and owners "
            "do not count. ``text`` of a change is a patch as git writes it; files above 256 KiB, "
            "and what is beyond 16 MiB of them, have none. The snapshot is read by a guest of its "
            "own; the present state is told by the task's guest, which is started.",
    }),
    By<SummarizeTaskRequest, &Engine::SummarizeTask, &TaskRequest::task_id,
       &SummarizeTaskRequest::changes_since>({
        .name = "task summary",
        .method = "summarize_task",
        .effect = Effect::kReads,
        .sentence = "Show what ran in a task, what failed and how long",
        .for_python =
            "Returns what ran in the task, what failed, how long it took and what it takes of the "
            "disk.\n\n"
            "``changes_since``: a snapshot such as ``create``; the changes since then are counted "
            "as by diff_task, which starts guests. Without it no guest is started.",
        .no_tool = "task_logs shows the commands, and task_status what the disk takes",
    }),
    By<TaskRequest, &Engine::DfTask, &TaskRequest::task_id>({
        .name = "task df",
        .method = "df_task",
        .effect = Effect::kReads,
        .sentence = "Show what a task takes on this host's disk",
        .for_python =
            "Returns what the task's disk, snapshots and journal take on this host's disk. "
            "``own_bytes``: what no other file has, so what a deletion frees. Where ``exact`` is "
            "false, the host's file system does not tell what is shared, and ``own_bytes`` and "
            "``total_bytes`` are upper bounds.",
        .no_tool = "task_status tells what the disk takes",
    }),
    By<ExportTaskRequest, CallExportTask, kWhole>({
        .name = "task export",
        .method = "export_task",
        .tool = "task_export",
        .effect = Effect::kChanges,
        .needs = kGuest | kHostPath,
        .sentence = "Copy a path of the workspace to this host",
        .for_models =
            "Copy a file or directory out of a task to the host. A directory becomes a new one or "
            "fills an empty one; a file goes into a directory that exists. A destination such as "
            "x.tar or x.tar.gz becomes an archive. Without force, no file is overwritten. With sync, "
            "what changed in a directory since source_path filled it goes back to the host's; what "
            "changed on both sides is refused, or with force taken from the task.",
        .for_python =
            "Copies a path of the guest, relative ones from /workspace, to this host.\n\n"
            "A directory becomes a new one or fills an empty one; a file goes into a directory "
            "that is there. A ``destination`` with the name of a tar archive, such as x.tar.gz, "
            "becomes one. An open file gets a file's bytes, or a tar of a directory. ``force`` "
            "replaces a regular file; otherwise AlreadyExistsError. ``notices`` of the result "
            "name what was left out. Starts a stopped guest.",
    }),
};

}  // namespace

std::span<const Operation> TaskOperations() { return kTaskOperations; }

}  // namespace pyro::api
