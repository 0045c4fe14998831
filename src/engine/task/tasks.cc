// Tasks: create, exec, status, list, stop, delete.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/describe.h"
#include "engine/environments.h"
#include "engine/exec_result.h"
#include "engine/host/host_task.h"
#include "engine/image_defaults.h"
#include "engine/instance/instance_files.h"
#include "engine/instance/instance_guest.h"
#include "engine/instance/spares.h"
#include "engine/limits.h"
#include "engine/local_engine.h"
#include "engine/network_rules.h"
#include "engine/requests.h"
#include "engine/secrets.h"
#include "engine/session/journaled_command.h"
#include "engine/task/running_task.h"
#include "engine/task/snapshots.h"
#include "engine/task/task_diff.h"
#include "engine/task/task_settings.h"
#include "engine/task/task_sync.h"
#include "engine/task/task_transfer.h"
#include "engine/task/transfer_notices.h"
#include "image/store/blank.h"
#include "state/instance/instance_directory.h"
#include "state/instance/task_variables.h"
#include "state/journal/journal.h"
#include "state/snapshot/snapshots.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/sparse_copy.h"

namespace pyro::engine {
namespace {

using state::InstanceRecord;
using state::InstanceState;
using state::Registry;

// Returns the image that it is a copy of.
Result<std::filesystem::path> FillDisk(const Context& context, const state::InstanceSpec& spec) {
  PYRO_ASSIGN_OR_RETURN(
      std::filesystem::path blank,
      image::EnsureBlankDisk(context.cache, static_cast<std::uint64_t>(spec.disk_mib) << 20));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd disk,
                        sys::CloneSparse(blank, state::DataImage(context.state, spec.id)));
  return blank;
}

// What a new task gets in addition to its configuration.
struct Filling {
  std::optional<Seed> seed;
  const std::map<std::string, std::string>& env;
};

// Fills the workspace of a new task whose guest starts, and ends its creation.
Status Complete(const Context& context, const state::InstanceSpec& task, SupervisorLink& link,
                const Filling& filling, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(link.AwaitReady(Deadline::After(kReadyLimit), io));
  PYRO_FAILPOINT("task.create.guest-ready");
  PYRO_RETURN_IF_ERROR(
      state::WriteTaskVariables(state::InstanceDirectory(context.state, task.id), filling.env));
  if (filling.seed) {
    PYRO_RETURN_IF_ERROR(SeedForSync(context, task.id, link, *filling.seed, io));
    PYRO_FAILPOINT("task.create.seeded");
  }
  KeepFirstState(context, task, link, filling.seed.has_value(), io);
  PYRO_RETURN_IF_ERROR(state::FinishCreation(context.state, task.id));
  PYRO_FAILPOINT("task.create.finished");
  return OkStatus();
}

// Boots the new task's guest and completes it.
Status BringUp(const Context& context, const NewInstance& task, const Filling& filling,
               const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path blank, FillDisk(context, task.record));
  // No template is made for each size that a disk can have.
  if (static_cast<std::uint64_t>(task.record.disk_mib) << 20 != kDataDiskBytes) blank.clear();
  PYRO_FAILPOINT("task.create.disk-made");
  if (io.on_progress) io.on_progress("start", "", -1);
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                        StartGuest(context, task.record, task.lock, blank, io));
  PYRO_FAILPOINT("task.create.supervised");
  return Complete(context, task.record, link, filling, io);
}

// On failure nothing is left.
Status CreateWithGuest(const Context& context, Registry& registry, const state::InstanceSpec& spec,
                       const Filling& filling, const CallIo& io) {
  Status status = OkStatus();
  {
    PYRO_ASSIGN_OR_RETURN(const NewInstance created, CreateOnDisk(registry, context, spec));
    status = BringUp(context, created, filling, io);
  }
  if (!status) (void)DeleteEverywhere(context, registry, spec.id);
  return status;
}

// The same for a task whose guest was a spare.
Status CreateOfSpare(const Context& context, Registry& registry, TaskOfASpare task,
                     const state::InstanceSpec& spec, const Filling& filling, const CallIo& io) {
  PYRO_FAILPOINT("task.create.spare-claimed");
  Status status = Complete(context, spec, task.link, filling, io);
  if (!status) (void)DeleteEverywhere(context, registry, spec.id);
  return status;
}

// The message for the guest, with the task's defaults.
Result<wire::Exec> ExecFor(const Context& context, const InstanceRecord& task,
                           const Command& command, std::int64_t timeout_seconds, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const Command whole, WithDefaults(context, task, command));
  PYRO_ASSIGN_OR_RETURN(const auto image, ImageOf(context, task));
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec,
                        MakeImageExec(image, whole, UsualPlace::kOfTask, timeout_seconds, io));
  exec.journal = true;
  return exec;
}

TaskExecResult MakeTaskResult(const InstanceRecord& task, const JournaledCommand& command,
                              const CommandSession& session, const wire::Exec& exec,
                              const Stopwatch& watch) {
  Timings timings;
  timings.ended_ms = watch.Now();
  TaskExecResult result{
      MakeGuestResult(command, session, exec, task.environment, InTask::kYes, watch, timings)};
  result.task_id = task.id.str();
  result.sequence = command.sequence();
  result.command = exec.argv;
  if (exec.script) result.command[0] = command.ready().shell;
  result.cwd = exec.cwd;
  return result;
}

// The environment's own name, and its directory if that was asked for.
Status AdaptTo(const image::InstalledEnvironment& environment, TaskOptions& options) {
  options.environment = environment.name;
  if (!options.image_cwd) return OkStatus();
  const auto image = ImageOf(environment);
  if (image) options.cwd = WorkingDirOf(*image);
  if (image) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument,
                   fmt::format("image_cwd is set, and '{}' is made of no image", environment.name),
                   "name the directory with cwd");
}

Result<TaskInfo> MakeTask(const Context& context, const TaskOptions& asked, const Filling& filling,
                          const CallIo& io) {
  TaskOptions options = asked;
  PYRO_RETURN_IF_ERROR(ResolveNetworkRules(options));
  PYRO_RETURN_IF_ERROR(ResolveSecrets(options));
  PYRO_ASSIGN_OR_RETURN(const MachineWish wish, WishOf(context, options));
  auto environment = EnsureEnvironment(context, options.environment, io);
  if (!environment) {
    if (!options.allow_host_compat || !MeansNoGuest(environment.error())) {
      return std::move(environment).error();
    }
    return CreateHostTask(context, options, environment.error(), io);
  }
  PYRO_RETURN_IF_ERROR(AdaptTo(*environment, options));
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context, InstanceKind::kTask));
  // No spare is spent on a task that there may not be.
  PYRO_RETURN_IF_ERROR(CheckDisk(context));
  PYRO_ASSIGN_OR_RETURN(const Limits limits, ReadLimits(context));
  PYRO_RETURN_IF_ERROR(state::CheckTaskLimit(registry, limits.guests));
  state::InstanceSpec spec = MakeSpec(InstanceKind::kTask, options, environment->digest);
  PYRO_ASSIGN_OR_RETURN(spec.machine, RememberedMachine(context, wish, options.vcpu_count));
  std::optional<TaskOfASpare> spare;
  // A spare's network has no rules, and no secrets.
  if (!NeedsOwnNetwork(options)) {
    spare = TakeSpareForTask(context, *environment, wish, options, spec, io);
  }
  if (spare) spec.id = spare->id;
  Status status = spare ? CreateOfSpare(context, registry, std::move(*spare), spec, filling, io)
                        : CreateWithGuest(context, registry, spec, filling, io);
  if (!status) {
    if (!options.allow_host_compat || !MeansNoGuest(status.error())) {
      return std::move(status).error();
    }
    return CreateHostTask(context, options, status.error(), io);
  }
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, registry.Get(spec.id));
  return DescribeTask(context, registry, task);
}

}  // namespace

Result<TaskInfo> LocalEngine::CreateTask(const TaskOptions& options, const CallIo& caller) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(options));
  PYRO_RETURN_IF_ERROR(CheckSettings(options));
  NoticeBook notices(caller);
  const CallIo io = notices.Io();
  PYRO_ASSIGN_OR_RETURN(auto seed, PlanSeed(options, context_, io));
  auto made = MakeTask(context_, options, {std::move(seed), options.env}, io);
  if (made) made->notices = notices.Take();
  return made;
}

Result<TaskExecResult> LocalEngine::ExecTask(const std::string& task_id, const Command& command,
                                             std::optional<std::int64_t> timeout_seconds,
                                             const CallIo& io, Keep keep) {
  // Before the task is found: an impossible command is that for each task.
  PYRO_RETURN_IF_ERROR(MakeExec(command, timeout_seconds.value_or(0), io));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  const std::int64_t limit =
      timeout_seconds.value_or(found.instance.timeout_seconds.value_or(kDefaultTimeoutSeconds));
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec, ExecFor(context_, found.instance, command, limit, io));
  exec.kept = keep == Keep::kAll;
  const Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(Running running, EnsureRunning(context_, found, io));
  if (!running.taken.link) {
    return ExecOnHost(context_, found.registry, running.taken.instance, exec, io);
  }
  const auto directory = state::InstanceDirectory(context_.state, running.taken.instance.id);
  CaptureSink capture(io);
  JournaledCommand journaled(*running.taken.link, exec, directory, io);
  CommandSession session(journaled, capture.sink(), io);
  PYRO_RETURN_IF_ERROR(session.Run());
  TaskExecResult result = MakeTaskResult(running.taken.instance, journaled, session, exec, watch);
  result.restarted = running.restart.has_value();
  result.restart = running.restart;
  result.denied = DescribeDenied(state::ReadDenied(directory, result.sequence));
  capture.Fill(result);
  AdviseUsermode(context_, result.machine, result.duration_ms, io);
  return result;
}

Result<StartedTaskCommand> LocalEngine::StartTaskCommand(const std::string& task_id,
                                                         const Command& command,
                                                         std::int64_t timeout_seconds,
                                                         const CallIo& io, StdinEnd end) {
  PYRO_RETURN_IF_ERROR(MakeExec(command, timeout_seconds, io));
  PYRO_RETURN_IF_ERROR(CheckBackgroundInput(io));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec,
                        ExecFor(context_, found.instance, command, timeout_seconds, io));
  // If this process is killed before all input is on its way, no end of it follows what came.
  exec.open_stdin = end == StdinEnd::kStaysOpen || io.stdin_fd >= 0;
  PYRO_ASSIGN_OR_RETURN(Running running, EnsureRunning(context_, found, io));
  if (!running.taken.link) {
    return MakeError(ErrorCode::kWrongState,
                     "the task runs on the host, where no command goes on in the background",
                     "run it without the background, or make a task with a guest");
  }
  BackgroundCommand background(*running.taken.link, exec, io, end);
  PYRO_RETURN_IF_ERROR(CommandSession(background, nullptr, io).Run());
  PYRO_ASSIGN_OR_RETURN(
      const state::CommandRecord record,
      found.registry.GetCommand(running.taken.instance.id, background.sequence()));
  StartedTaskCommand started{
      {DescribeCommand(context_, record, running.taken.instance.accelerator)}};
  started.task_id = running.taken.instance.id.str();
  started.environment = running.taken.instance.environment;
  started.restarted = running.restart.has_value();
  started.restart = running.restart;
  return started;
}

Result<TaskInfo> LocalEngine::StatusTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  return DescribeTask(context_, found.registry, found.instance);
}

Result<std::vector<TaskInfo>> LocalEngine::ListTasks(const std::vector<std::string>& labels) {
  PYRO_RETURN_IF_ERROR(CheckLabelFilter(labels));
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context_, InstanceKind::kTask));
  PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> tasks,
                        registry.List(InstanceKind::kTask));
  std::vector<TaskInfo> list;
  for (const InstanceRecord& task : tasks) {
    if (!HasLabels(task, labels)) continue;
    PYRO_ASSIGN_OR_RETURN(TaskInfo info, DescribeTask(context_, registry, task));
    list.push_back(std::move(info));
  }
  return list;
}

Result<TaskInfo> LocalEngine::StopTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_RETURN_IF_ERROR(StopGuest(context_, found.registry, found.instance.id));
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, found.registry.Get(found.instance.id));
  return DescribeTask(context_, found.registry, task);
}

Result<std::string> LocalEngine::DeleteTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenReconciled(context_, InstanceKind::kTask));
  const auto task = registry.Find(InstanceKind::kTask, task_id);
  if (!task) {
    const bool gone = task.error().code == ErrorCode::kNotFound &&
                      InstanceId::Parse(InstanceKind::kTask, task_id);
    if (gone) return task_id;
    return task.error();
  }
  PYRO_RETURN_IF_ERROR(DeleteEverywhere(context_, registry, task->id));
  return task->id.str();
}

Result<ExportedPath> LocalEngine::ExportTask(const std::string& task_id, const std::string& path,
                                             const std::string& destination,
                                             const ExportOptions& options, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, task_id));
  PYRO_ASSIGN_OR_RETURN(Running running,
                        EnsureReadyGuest(context_, found, "cannot be exported", kFilesOnHost, io));
  PYRO_ASSIGN_OR_RETURN(ExportedPath exported,
                        ExportFromGuest(*running.taken.link, running.taken.instance.id, path,
                                        destination, options, io));
  exported.restart = std::move(running.restart);
  return exported;
}

Result<TaskDiff> LocalEngine::DiffTask(const DiffTaskRequest& request, const CallIo& io) {
  PYRO_RETURN_IF_ERROR(PathsBelowWorkspace(request.paths));
  PYRO_ASSIGN_OR_RETURN(Found found, FindTask(context_, request.task_id));
  PYRO_RETURN_IF_ERROR(state::ReadSnapshot(
      state::InstanceDirectory(context_.state, found.instance.id), request.snapshot));
  PYRO_ASSIGN_OR_RETURN(Running running, EnsureReadyGuest(context_, found, "has no snapshots",
                                                          "make a task with a guest", io));
  auto diff = DiffGuest(context_, running.taken.instance, *running.taken.link, request, io);
  if (diff) diff->restart = std::move(running.restart);
  return diff;
}

}  // namespace pyro::engine
