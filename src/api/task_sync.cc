// Syncs of a directory of the host and one of a task: the rows of arguments and results.

#include "api/rows.h"
#include "api/shared_rows.h"

namespace pyro::api {
namespace {

constexpr const char* kSyncKinds = "added|modified|removed";

constexpr Field kTaskSyncChange[] = {
    Row<TaskSyncChange, &TaskSyncChange::path>("path", "From the directories on"),
    Row<TaskSyncChange, &TaskSyncChange::kind>("kind", "What happens to it").OneOf(kSyncKinds),
    Row<TaskSyncChange, &TaskSyncChange::type>("type", "What it is, or was")
        .OneOf("file|directory|symlink|other"),
};

constexpr Field kTaskSyncConflict[] = {
    Row<TaskSyncConflict, &TaskSyncConflict::path>("path", "From the directories on"),
    Row<TaskSyncConflict, &TaskSyncConflict::host>("host", "What happened on the host")
        .OneOf(kSyncKinds),
    Row<TaskSyncConflict, &TaskSyncConflict::task>("task", "What happened in the task")
        .OneOf(kSyncKinds),
};

constexpr Field kSyncedTask[] = {
    TaskIdRow<SyncedTask>(),
    Row<SyncedTask, &SyncedTask::path>("path", "The absolute path in the guest"),
    Row<SyncedTask, &SyncedTask::host_path>("host_path", "The absolute path on the host"),
    Row<SyncedTask, &SyncedTask::pull>("pull", "The changes went to the host"),
    Row<SyncedTask, &SyncedTask::dry_run>("dry_run", "Nothing was changed"),
    Row<SyncedTask, &SyncedTask::first>("first", "No earlier sync says what the two had in common"),
    Row<SyncedTask, &SyncedTask::added>("added", "Of the changes"),
    Row<SyncedTask, &SyncedTask::modified>("modified", "Of the changes"),
    Row<SyncedTask, &SyncedTask::removed>("removed", "Of the changes"),
    Row<SyncedTask, &SyncedTask::bytes>("bytes", "Of the files that were brought").Of(Unit::kBytes),
    Row<SyncedTask, &SyncedTask::changes>("changes", "The first 1000"),
    Row<SyncedTask, &SyncedTask::conflicts>("conflicts",
                                            "Of a dry run: what changed on both sides, 1000"),
    Row<SyncedTask, &SyncedTask::truncated>("truncated", "There is more than is listed"),
    RestartRow<SyncedTask>(),
    Row<SyncedTask, &SyncedTask::notices>("notices", "What was left out, one sentence each")
        .OutIfUnset(),
};

constexpr Field kSyncTaskRequest[] = {
    Inline<SyncTaskRequest, TaskRequest>(),
    Row<SyncTaskRequest, &SyncTaskRequest::host_path>("host_path", "A directory of this host")
        .Required()
        .Positional("HOST_DIR")
        .OnHost(),
    Row<SyncTaskRequest, &SyncTaskRequest::path>("path",
                                                 "In the guest; relative ones from /workspace")
        .Positional("PATH"),
    Row<SyncTaskRequest, &SyncTaskRequest::pull>("pull",
                                                 "From the task to the host, not into the task"),
    Row<SyncTaskRequest, &SyncTaskRequest::prefer>(
        "prefer", "Which side is right where both have changed: host or task"),
    Row<SyncTaskRequest, &SyncTaskRequest::exclude>(
        "exclude", "Leave alone what matches: '*.o', /build; repeatable")
        .Named("PATTERN"),
    Row<SyncTaskRequest, &SyncTaskRequest::no_ignore>(
        "no_ignore", "Do not read .gitignore, .git/info/exclude and .dockerignore"),
    Row<SyncTaskRequest, &SyncTaskRequest::delete_unknown>("delete_unknown",
                                                           "Remove also what no sync has brought")
        .Option("delete"),
    Row<SyncTaskRequest, &SyncTaskRequest::dry_run>("dry_run", "Tell what would change"),
};

}  // namespace

PYRO_ROWS(TaskSyncChange, "TaskSyncChange", "What a sync brings.", kTaskSyncChange)
PYRO_ROWS(TaskSyncConflict, "TaskSyncConflict", "What changed on both sides.", kTaskSyncConflict)
PYRO_ROWS(SyncedTask, "SyncedTask", "A sync of a directory of this host and one of a task.",
          kSyncedTask)
PYRO_ROWS(SyncTaskRequest, "SyncTaskRequest", "Two directories, and how they are synced.",
          kSyncTaskRequest)

}  // namespace pyro::api
