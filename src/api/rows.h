// The structs that have rows: arguments and results of the operations, and what these hold.

#pragma once

#include "api/field.h"
#include "pyro/calls.h"
#include "pyro/types.h"

namespace pyro::api {

#define PYRO_HAS_ROWS(type) \
  template <>               \
  const Struct& Rows<type>()

PYRO_HAS_ROWS(Explanation);
PYRO_HAS_ROWS(ReachedProcess);
PYRO_HAS_ROWS(KilledProcesses);
PYRO_HAS_ROWS(DeniedConnection);
PYRO_HAS_ROWS(Restart);
PYRO_HAS_ROWS(Timings);
PYRO_HAS_ROWS(ExecResult);
PYRO_HAS_ROWS(VmOptions);
PYRO_HAS_ROWS(VmInfo);
PYRO_HAS_ROWS(VmList);
PYRO_HAS_ROWS(VmNetworkInfo);
PYRO_HAS_ROWS(TaskNetwork);
PYRO_HAS_ROWS(PolicyAnswer);
PYRO_HAS_ROWS(CheckPolicyRequest);
PYRO_HAS_ROWS(ChangeTaskNetworkRequest);
PYRO_HAS_ROWS(DeletedVm);
PYRO_HAS_ROWS(ReapedVms);
PYRO_HAS_ROWS(SparePoolInfo);
PYRO_HAS_ROWS(SparePools);
PYRO_HAS_ROWS(RunRequest);
PYRO_HAS_ROWS(VmRequest);
PYRO_HAS_ROWS(ExecVmRequest);
PYRO_HAS_ROWS(KeepSparesRequest);

PYRO_HAS_ROWS(TaskOptions);
PYRO_HAS_ROWS(TaskCommand);
PYRO_HAS_ROWS(TaskCommandInfo);
PYRO_HAS_ROWS(StartedTaskCommand);
PYRO_HAS_ROWS(TaskCommandPage);
PYRO_HAS_ROWS(TaskWait);
PYRO_HAS_ROWS(TaskExecResult);
PYRO_HAS_ROWS(TaskInfo);
PYRO_HAS_ROWS(TaskDefaults);
PYRO_HAS_ROWS(TaskChanges);
PYRO_HAS_ROWS(UpdateTaskRequest);
PYRO_HAS_ROWS(ListTasksRequest);
PYRO_HAS_ROWS(TaskList);
PYRO_HAS_ROWS(TaskOutput);
PYRO_HAS_ROWS(TaskReset);
PYRO_HAS_ROWS(TaskResetInfo);
PYRO_HAS_ROWS(TaskNetworkChange);
PYRO_HAS_ROWS(TaskSnapshot);
PYRO_HAS_ROWS(TaskSnapshotInfo);
PYRO_HAS_ROWS(TaskSnapshots);
PYRO_HAS_ROWS(DeletedTaskSnapshot);
PYRO_HAS_ROWS(TaskChange);
PYRO_HAS_ROWS(TaskDiff);
PYRO_HAS_ROWS(DiffTaskRequest);
PYRO_HAS_ROWS(TaskChangeCounts);
PYRO_HAS_ROWS(TaskSummary);
PYRO_HAS_ROWS(SummarizeTaskRequest);
PYRO_HAS_ROWS(TaskSnapshotUse);
PYRO_HAS_ROWS(TaskDiskUse);
PYRO_HAS_ROWS(TaskSnapshotRequest);
PYRO_HAS_ROWS(ResetTaskRequest);
PYRO_HAS_ROWS(TaskLogEntry);
PYRO_HAS_ROWS(TaskLogs);
PYRO_HAS_ROWS(ExportedPath);
PYRO_HAS_ROWS(DeletedTask);
PYRO_HAS_ROWS(TaskFile);
PYRO_HAS_ROWS(TaskFileInfo);
PYRO_HAS_ROWS(TaskFileList);
PYRO_HAS_ROWS(TaskFileRead);
PYRO_HAS_ROWS(TaskFilesWritten);
PYRO_HAS_ROWS(TaskFilesWatched);
PYRO_HAS_ROWS(TaskPathRemoved);
PYRO_HAS_ROWS(PatchOffset);
PYRO_HAS_ROWS(PatchedFile);
PYRO_HAS_ROWS(TaskPatch);
PYRO_HAS_ROWS(CopiedPath);
PYRO_HAS_ROWS(TaskSyncChange);
PYRO_HAS_ROWS(TaskSyncConflict);
PYRO_HAS_ROWS(SyncedTask);
PYRO_HAS_ROWS(TaskRequest);
PYRO_HAS_ROWS(ExecTaskRequest);
PYRO_HAS_ROWS(StartTaskCommandRequest);
PYRO_HAS_ROWS(TaskCommandRequest);
PYRO_HAS_ROWS(WriteTaskStdinRequest);
PYRO_HAS_ROWS(SignalTaskCommandRequest);
PYRO_HAS_ROWS(OutputOffsets);
PYRO_HAS_ROWS(GetTaskCommandRequest);
PYRO_HAS_ROWS(WaitTaskRequest);
PYRO_HAS_ROWS(ReadTaskCommandRequest);
PYRO_HAS_ROWS(ReadTaskOutputRequest);
PYRO_HAS_ROWS(TaskEntriesRequest);
PYRO_HAS_ROWS(ExportTaskRequest);
PYRO_HAS_ROWS(TaskPathRequest);
PYRO_HAS_ROWS(ReadTaskFileRequest);
PYRO_HAS_ROWS(WriteTaskFileRequest);
PYRO_HAS_ROWS(ListTaskFilesRequest);
PYRO_HAS_ROWS(MakeTaskDirectoryRequest);
PYRO_HAS_ROWS(RemoveTaskPathRequest);
PYRO_HAS_ROWS(TaskPathsRequest);
PYRO_HAS_ROWS(WatchTaskFilesRequest);
PYRO_HAS_ROWS(PatchTaskRequest);
PYRO_HAS_ROWS(CopyIntoTaskRequest);
PYRO_HAS_ROWS(CopyFromTaskRequest);
PYRO_HAS_ROWS(SyncTaskRequest);

PYRO_HAS_ROWS(NoArguments);
PYRO_HAS_ROWS(EnvironmentInfo);
PYRO_HAS_ROWS(EnvironmentList);
PYRO_HAS_ROWS(TemplateInfo);
PYRO_HAS_ROWS(ImageInfo);
PYRO_HAS_ROWS(CommitCommand);
PYRO_HAS_ROWS(CommitInfo);
PYRO_HAS_ROWS(EnvironmentDetails);
PYRO_HAS_ROWS(CommittedEnvironment);
PYRO_HAS_ROWS(ExportedEnvironment);
PYRO_HAS_ROWS(PulledEnvironment);
PYRO_HAS_ROWS(RemovedEnvironment);
PYRO_HAS_ROWS(PrunedEnvironments::Item);
PYRO_HAS_ROWS(PrunedEnvironments);
PYRO_HAS_ROWS(EnvironmentRequest);
PYRO_HAS_ROWS(PullEnvironmentRequest);
PYRO_HAS_ROWS(TagEnvironmentRequest);
PYRO_HAS_ROWS(CommitEnvironmentRequest);
PYRO_HAS_ROWS(ExportEnvironmentRequest);
PYRO_HAS_ROWS(InspectEnvironmentRequest);
PYRO_HAS_ROWS(PruneEnvironmentsRequest);
PYRO_HAS_ROWS(DoctorCheck);
PYRO_HAS_ROWS(DoctorKvm);
PYRO_HAS_ROWS(DoctorCapabilities);
PYRO_HAS_ROWS(DoctorNetworking);
PYRO_HAS_ROWS(DoctorAccelerator);
PYRO_HAS_ROWS(DoctorMachine);
PYRO_HAS_ROWS(DoctorChoice);
PYRO_HAS_ROWS(DoctorReport);
PYRO_HAS_ROWS(LimitInfo);
PYRO_HAS_ROWS(LimitList);
PYRO_HAS_ROWS(DiskUse);
PYRO_HAS_ROWS(TaskSize);
PYRO_HAS_ROWS(DiskReport);
PYRO_HAS_ROWS(FreedItem);
PYRO_HAS_ROWS(GarbageReport);
PYRO_HAS_ROWS(CollectGarbageRequest);
PYRO_HAS_ROWS(Setting);
PYRO_HAS_ROWS(SettingList);
PYRO_HAS_ROWS(SettingRequest);
PYRO_HAS_ROWS(SetSettingRequest);

#undef PYRO_HAS_ROWS

}  // namespace pyro::api
