// The engine that works on this host. Calls share nothing but the context: each opens what it
// needs, so that threads need no locks and other processes are seen.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/context.h"
#include "pyro/engine.h"

namespace pyro::engine {

class LocalEngine final : public Engine {
 public:
  explicit LocalEngine(Context context) : context_(std::move(context)) {}

  Result<std::vector<EnvironmentInfo>> ListEnvironments() override;
  Result<PulledEnvironment> PullEnvironment(const PullEnvironmentRequest& request,
                                            const CallIo& io) override;
  Result<EnvironmentInfo> TagEnvironment(const std::string& environment,
                                         const std::string& name) override;
  Result<CommittedEnvironment> CommitEnvironment(const CommitEnvironmentRequest& request,
                                                 const CallIo& io) override;
  Result<ExportedEnvironment> ExportEnvironment(const ExportEnvironmentRequest& request, int out_fd,
                                                const CallIo& io) override;
  Result<RemovedEnvironment> RemoveEnvironment(const std::string& environment) override;
  Result<EnvironmentDetails> InspectEnvironment(const std::string& name, Verify verify) override;
  Result<PrunedEnvironments> PruneEnvironments(PruneScope scope) override;
  Result<ExecResult> RunInVm(const VmOptions& options, const Command& command,
                             std::int64_t timeout_seconds, const CallIo& io) override;
  Result<VmInfo> CreateVm(const VmOptions& options, const CallIo& io) override;
  Result<VmInfo> StartVm(const std::string& vm_id, const CallIo& io) override;
  Result<ExecResult> ExecVm(const std::string& vm_id, const Command& command,
                            std::int64_t timeout_seconds, const CallIo& io) override;
  Result<VmInfo> StopVm(const std::string& vm_id) override;
  Result<std::string> DeleteVm(const std::string& vm_id) override;
  Result<VmInfo> StatusVm(const std::string& vm_id) override;
  Result<std::vector<VmInfo>> ListVms() override;
  Result<VmNetworkInfo> NetworkInfoVm(const std::string& vm_id) override;
  Result<TaskNetwork> NetworkTask(const std::string& task_id) override;
  Result<TaskNetwork> AllowInTask(const std::string& task_id,
                                  const std::vector<std::string>& hosts) override;
  Result<TaskNetwork> DenyInTask(const std::string& task_id,
                                 const std::vector<std::string>& hosts) override;
  Result<PolicyAnswer> CheckPolicy(const CheckPolicyRequest& request) override;
  Result<ReapedVms> ReapExpired() override;
  Result<SparePoolInfo> KeepSpares(const VmOptions& options, std::int64_t count,
                                   const CallIo& io) override;
  Result<SparePoolInfo> KeepOwnSpares(const VmOptions& options, std::int64_t count,
                                      const CallIo& io) override;
  Result<std::vector<SparePoolInfo>> ListSparePools() override;
  Result<TaskInfo> CreateTask(const TaskOptions& options, const CallIo& io) override;
  Result<TaskExecResult> ExecTask(const std::string& task_id, const Command& command,
                                  std::optional<std::int64_t> timeout_seconds, const CallIo& io,
                                  Keep keep) override;
  Result<StartedTaskCommand> StartTaskCommand(const std::string& task_id, const Command& command,
                                              std::int64_t timeout_seconds, const CallIo& io,
                                              StdinEnd end) override;
  Result<WrittenStdin> WriteTaskStdin(const std::string& task_id, std::int64_t sequence,
                                      CloseStdin close, std::int64_t timeout_seconds,
                                      const CallIo& io) override;
  Result<SignalledTaskCommand> SignalTaskCommand(const std::string& task_id, std::int64_t sequence,
                                                 const std::string& signal, SignalTarget target,
                                                 const CallIo& io) override;
  Result<TaskCommandInfo> CancelTaskCommand(const std::string& task_id, std::int64_t sequence,
                                            const CallIo& io) override;
  Result<TaskInfo> StatusTask(const std::string& task_id) override;
  Result<std::vector<TaskInfo>> ListTasks(const std::vector<std::string>& labels) override;
  Result<TaskWait> WaitTask(const std::string& task_id, std::optional<std::int64_t> sequence,
                            std::chrono::milliseconds limit, const CallIo& io) override;
  Result<TaskCommandInfo> GetTaskCommand(const std::string& task_id, std::int64_t sequence,
                                         std::chrono::milliseconds wait, const CallIo& io) override;
  Result<TaskCommandPage> ListTaskCommands(const std::string& task_id, std::int64_t first,
                                           std::int64_t limit) override;
  Result<TaskOutput> ReadTaskOutput(const std::string& task_id, std::int64_t sequence,
                                    OutputStream stream, std::uint64_t offset, std::int64_t limit,
                                    std::chrono::milliseconds wait, const CallIo& io) override;
  Result<TaskLogs> LogsTask(const std::string& task_id, std::int64_t first,
                            std::int64_t limit) override;
  Result<TaskCommand> ReadTaskCommand(const std::string& task_id, std::int64_t sequence,
                                      Follow follow, const CallIo& io,
                                      const OutputOffsets& from) override;
  Result<TaskProcesses> ListTaskProcesses(const std::string& task_id, const CallIo& io) override;
  Result<TaskInfo> RenameTask(const std::string& task_id, const std::string& name) override;
  Result<TaskInfo> UpdateTask(const std::string& task_id, const TaskChanges& changes) override;
  Result<TaskInfo> StopTask(const std::string& task_id) override;
  Result<std::string> DeleteTask(const std::string& task_id) override;
  Result<ExportedPath> ExportTask(const std::string& task_id, const std::string& path,
                                  const std::string& destination, const ExportOptions& options,
                                  const CallIo& io) override;
  Result<TaskSnapshotInfo> CreateTaskSnapshot(const std::string& task_id, const std::string& name,
                                              const CallIo& io) override;
  Result<TaskSnapshots> ListTaskSnapshots(const std::string& task_id) override;
  Result<DeletedTaskSnapshot> DeleteTaskSnapshot(const std::string& task_id,
                                                 const std::string& name) override;
  Result<TaskResetInfo> ResetTask(const std::string& task_id, const std::string& snapshot,
                                  const CallIo& io) override;
  Result<TaskDiff> DiffTask(const DiffTaskRequest& request, const CallIo& io) override;
  Result<TaskSummary> SummarizeTask(const std::string& task_id, const std::string& changes_since,
                                    const CallIo& io) override;
  Result<TaskDiskUse> DfTask(const std::string& task_id) override;
  Result<TaskFileRead> ReadTaskFile(const ReadTaskFileRequest& request, const CallIo& io) override;
  Result<TaskFileInfo> WriteTaskFile(const WriteTaskFileRequest& request,
                                     const CallIo& io) override;
  Result<TaskFileInfo> StatTaskFile(const TaskPathRequest& request, const CallIo& io) override;
  Result<TaskFileList> ListTaskFiles(const ListTaskFilesRequest& request,
                                     const CallIo& io) override;
  Result<TaskFilesWritten> WriteTaskFiles(const TaskPathRequest& request,
                                          const CallIo& io) override;
  Result<TaskFileInfo> MakeTaskDirectory(const MakeTaskDirectoryRequest& request,
                                         const CallIo& io) override;
  Result<TaskPathRemoved> RemoveTaskPath(const RemoveTaskPathRequest& request,
                                         const CallIo& io) override;
  Result<TaskFileInfo> MoveTaskPath(const TaskPathsRequest& request, const CallIo& io) override;
  Result<TaskFileInfo> CopyTaskPath(const TaskPathsRequest& request, const CallIo& io) override;
  Result<CopiedPath> CopyIntoTask(const CopyIntoTaskRequest& request, const CallIo& io) override;
  Result<CopiedPath> CopyFromTask(const CopyFromTaskRequest& request, int out_fd,
                                  const CallIo& io) override;
  Result<TaskPatch> PatchTask(const PatchTaskRequest& request, const CallIo& io) override;
  Result<SyncedTask> SyncTask(const SyncTaskRequest& request, const CallIo& io) override;
  Result<TaskFilesWatched> WatchTaskFiles(const WatchTaskFilesRequest& request,
                                          const CallIo& io) override;
  Result<std::unique_ptr<EventStream>> Watch(const std::string& id) override;
  Result<SettingList> ListSettings() override;
  Result<Setting> GetSetting(const std::string& name) override;
  Result<Setting> SetSetting(const std::string& name, const std::string& value) override;
  Result<Setting> UnsetSetting(const std::string& name) override;
  Result<DiskReport> Df() override;
  Result<GarbageReport> CollectGarbage(DryRun dry_run) override;
  Result<LimitList> ListLimits() override;
  std::string KnownAccelerator() override;
  std::string KnownMachine() override;
  Result<DoctorReport> Doctor(const CallIo& io) override;

 private:
  const Context context_;
};

}  // namespace pyro::engine
