// Tasks: create, exec, status, list, stop, delete.

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/rows.h"
#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/environments.h"
#include "engine/exec_result.h"
#include "engine/guest_process.h"
#include "engine/host_task.h"
#include "engine/local_engine.h"
#include "engine/requests.h"
#include "engine/session/journaled_command.h"
#include "engine/task_files.h"
#include "engine/task_transfer.h"
#include "engine/transfer_notices.h"
#include "environment/blank.h"
#include "registry/command_log.h"
#include "registry/task_adoption.h"
#include "registry/task_directory.h"
#include "sys/failpoint.h"
#include "sys/files.h"
#include "sys/sparse_copy.h"

namespace pyro {
namespace engine {
namespace {

using registry::InstanceEvent;
using registry::InstanceRecord;
using registry::InstanceState;
using registry::Registry;
using std::chrono::seconds;

constexpr seconds kTaskReadyLimit{180};  // Longer than the supervisor's own limit for a boot.
constexpr seconds kTaskStopLimit{60};

wire::SupervisorConfig TaskSupervisor(const Context& context, const InstanceRecord& task) {
  wire::SupervisorConfig config;
  config.kind = wire::GuestKind::kTask;
  config.id = task.id.str();
  config.directory = registry::TaskDirectory(context.state, task.id);
  config.vcpu_count = static_cast<int>(task.vcpu_count);
  config.mem_mib = static_cast<int>(task.mem_mib);
  config.network = task.network;
  config.ttl = task.ttl;
  return config;
}

// Starts the guest of a task whose lock we hold, and returns a link to its supervisor. `blank`: the
// image that its disk is a copy of, if it is new; else empty.
Result<SupervisorLink> StartTaskGuest(const Context& context, const InstanceRecord& task,
                                      const sys::FileLock& lock, const std::filesystem::path& blank,
                                      const CallIo& io) {
  Environments environments(context);
  auto found = environments.store().FindVersion(task.environment, task.environment_digest);
  if (!found) {
    Error error = std::move(found).error();
    error.message = "the task's environment is not installed any more: " + error.message;
    return error;
  }
  PYRO_ASSIGN_OR_RETURN(const GuestParts parts, PrepareParts(context, std::move(*found), io));
  wire::SupervisorConfig config = TaskSupervisor(context, task);
  config.blank_disk = blank;
  PYRO_RETURN_IF_ERROR(StartSupervisor(context, parts, std::move(config), lock));
  return SupervisorLink::Connect(registry::TaskControlSocket(context.state, task.id));
}

// Returns the image that it is a copy of.
Result<std::filesystem::path> FillDisk(const Context& context, const registry::InstanceSpec& spec) {
  PYRO_ASSIGN_OR_RETURN(
      std::filesystem::path blank,
      environment::EnsureBlankDisk(context.cache, static_cast<std::uint64_t>(spec.disk_mib) << 20));
  PYRO_ASSIGN_OR_RETURN(const sys::UniqueFd disk,
                        sys::CloneSparse(blank, registry::TaskDataImage(context.state, spec.id)));
  return blank;
}

// Boots the new task's guest and seeds its workspace.
Status BringUp(const Context& context, const NewTask& task, const std::optional<Seed>& seed,
               const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(std::filesystem::path blank, FillDisk(context, task.record));
  // No template is made for each size that a disk can have.
  if (static_cast<std::uint64_t>(task.record.disk_mib) << 20 != kDataDiskBytes) blank.clear();
  PYRO_FAILPOINT("task.create.disk-made");
  if (io.on_progress) io.on_progress("start", "", -1);
  PYRO_ASSIGN_OR_RETURN(SupervisorLink link,
                        StartTaskGuest(context, task.record, *task.lock, blank, io));
  PYRO_FAILPOINT("task.create.supervised");
  PYRO_RETURN_IF_ERROR(link.AwaitReady(Deadline::After(kTaskReadyLimit), io));
  PYRO_FAILPOINT("task.create.guest-ready");
  if (seed) {
    PYRO_RETURN_IF_ERROR(SeedWorkspace(link, *seed, io));
    PYRO_FAILPOINT("task.create.seeded");
  }
  PYRO_RETURN_IF_ERROR(registry::FinishTaskCreation(context.state, task.record.id));
  PYRO_FAILPOINT("task.create.finished");
  return OkStatus();
}

// A started task; starts it if it was not.
struct Running {
  InstanceRecord task;
  std::optional<SupervisorLink> link;  // Otherwise it runs on the host, and we hold its lock.
  std::optional<sys::FileLock> lock;
  bool restarted = false;
};

Result<Running> EnsureRunning(const Context& context, FoundTask& found, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(const registry::TaskFiles files,
                        registry::LookAtTaskFiles(context.state, found.task.id));
  if (files != registry::TaskFiles::kReady) {
    // A command in it now could be removed with it.
    return MakeError(ErrorCode::kWrongState, "the task is still being created, or is being deleted",
                     "wait for 'pyro task create' to end");
  }
  PYRO_FAILPOINT("task.start.found");
  PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context, found.task.id)));
  if (held.link) return Running{std::move(found.task), std::move(held.link), std::nullopt, false};
  // Reconcile again under the lock: commands of a supervisor that died meanwhile would be taken for
  // the new one's.
  PYRO_RETURN_IF_ERROR(SettleTask(found.registry, context, found.task.id));
  PYRO_ASSIGN_OR_RETURN(InstanceRecord task, found.registry.Get(found.task.id));
  if (task.execution_mode == ExecutionMode::kHostCompat && task.state == InstanceState::kStarted) {
    return Running{std::move(task), std::nullopt, std::move(held.lock), false};
  }
  if (io.on_notice) {
    io.on_notice(fmt::format("task {} was stopped; starting it again with its workspace as it was",
                             task.id.str()));
  }
  PYRO_FAILPOINT("task.start.taken-over");
  auto link = StartTaskGuest(context, task, *held.lock, {}, io);
  PYRO_FAILPOINT("task.start.supervised");
  if (!link) return std::move(link).error();
  return Running{std::move(task), std::move(*link), std::nullopt, true};
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

Status Stop(const Context& context, Registry& registry, const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(Held held, TakeOver(PlaceOf(context, id)));
  PYRO_FAILPOINT("task.stop.taken-over");
  if (held.link) {
    PYRO_RETURN_IF_ERROR(
        held.link->Stop(wire::Stop{.remove = false}, Deadline::After(kTaskStopLimit)));
    PYRO_FAILPOINT("task.stop.guest-ended");
  } else {
    PYRO_RETURN_IF_ERROR(SettleTask(registry, context, id));
  }
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, registry.Get(id));
  if (task.state == InstanceState::kStopped) return OkStatus();
  // No supervisor any more, or never one: reconcile the row.
  PYRO_RETURN_IF_ERROR(registry.Apply(
      id, task.state == InstanceState::kStarted ? InstanceEvent::kStop : InstanceEvent::kLost));
  return OkStatus();
}

Result<TaskInfo> MakeTask(const Context& context, const TaskOptions& options,
                          const std::optional<Seed>& seed, const CallIo& io) {
  auto environment = EnsureEnvironment(context, options.environment, io);
  if (!environment) {
    if (!options.allow_host_compat || !MeansNoGuest(environment.error())) {
      return std::move(environment).error();
    }
    return CreateHostTask(context, options, environment.error(), io);
  }
  PYRO_ASSIGN_OR_RETURN(Registry registry, OpenTasks(context));
  const registry::InstanceSpec spec = MakeTaskSpec(options, environment->digest);
  PYRO_ASSIGN_OR_RETURN(NewTask created, CreateTaskOnDisk(registry, context, spec));
  if (Status status = BringUp(context, created, seed, io); !status) {
    created.lock.reset();
    (void)DeleteTaskEverywhere(context, registry, spec.id);
    if (!options.allow_host_compat || !MeansNoGuest(status.error())) {
      return std::move(status).error();
    }
    return CreateHostTask(context, options, status.error(), io);
  }
  PYRO_ASSIGN_OR_RETURN(const InstanceRecord task, registry.Get(spec.id));
  return DescribeTask(context, registry, task);
}

}  // namespace
}  // namespace engine

Result<TaskInfo> LocalEngine::CreateTask(const TaskOptions& options, const CallIo& caller) {
  PYRO_RETURN_IF_ERROR(api::CheckRanges(options));
  engine::NoticeBook notices(caller);
  const CallIo io = notices.Io();
  PYRO_ASSIGN_OR_RETURN(const auto seed, engine::PlanSeed(options, impl_->context, io));
  auto made = engine::MakeTask(impl_->context, options, seed, io);
  if (made) made->notices = notices.Take();
  return made;
}

Result<TaskExecResult> LocalEngine::ExecTask(const std::string& task_id, const Command& command,
                                             std::int64_t timeout_seconds, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec,
                        engine::MakeExec(command, timeout_seconds, engine::TimeLimit::kRequired,
                                         engine::StdinOf(io)));
  exec.journal = true;
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  const engine::Stopwatch watch;
  PYRO_ASSIGN_OR_RETURN(engine::Running running, engine::EnsureRunning(impl_->context, found, io));
  if (!running.link) {
    return engine::ExecOnHost(impl_->context, found.registry, running.task, exec, io);
  }
  const auto directory = registry::TaskDirectory(impl_->context.state, running.task.id);
  engine::CaptureSink capture(io);
  engine::JournaledCommand journaled(*running.link, exec, directory, io);
  engine::CommandSession session(journaled, capture.sink(), io);
  PYRO_RETURN_IF_ERROR(session.Run());
  TaskExecResult result = engine::MakeTaskResult(running.task, journaled, session, exec, watch);
  result.restarted = running.restarted;
  capture.Fill(result);
  return result;
}

Result<StartedTaskCommand> LocalEngine::StartTaskCommand(const std::string& task_id,
                                                         const Command& command,
                                                         std::int64_t timeout_seconds,
                                                         const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(wire::Exec exec,
                        engine::MakeExec(command, timeout_seconds, engine::TimeLimit::kOptional,
                                         engine::Stdin::kEmpty));
  exec.journal = true;
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  PYRO_ASSIGN_OR_RETURN(engine::Running running, engine::EnsureRunning(impl_->context, found, io));
  if (!running.link) {
    return MakeError(ErrorCode::kWrongState,
                     "the task runs on the host, where no command goes on in the background",
                     "run it without the background, or make a task with a guest");
  }
  CallIo own = io;
  own.stdin_fd = -1;
  engine::BackgroundCommand background(*running.link, exec, own);
  PYRO_RETURN_IF_ERROR(engine::CommandSession(background, nullptr, own).Run());
  PYRO_ASSIGN_OR_RETURN(const registry::CommandRecord record,
                        found.registry.GetCommand(running.task.id, background.sequence()));
  StartedTaskCommand started{
      {engine::DescribeCommand(impl_->context, record, running.task.accelerator)}};
  started.task_id = running.task.id.str();
  started.environment = running.task.environment;
  started.restarted = running.restarted;
  return started;
}

Result<TaskInfo> LocalEngine::StatusTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  return engine::DescribeTask(impl_->context, found.registry, found.task);
}

Result<std::vector<TaskInfo>> LocalEngine::ListTasks() {
  PYRO_ASSIGN_OR_RETURN(registry::Registry registry, engine::OpenTasks(impl_->context));
  PYRO_ASSIGN_OR_RETURN(const std::vector<registry::InstanceRecord> tasks,
                        registry.List(InstanceKind::kTask));
  std::vector<TaskInfo> list;
  for (const registry::InstanceRecord& task : tasks) {
    PYRO_ASSIGN_OR_RETURN(TaskInfo info, engine::DescribeTask(impl_->context, registry, task));
    list.push_back(std::move(info));
  }
  return list;
}

Result<TaskInfo> LocalEngine::StopTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  PYRO_RETURN_IF_ERROR(engine::Stop(impl_->context, found.registry, found.task.id));
  PYRO_ASSIGN_OR_RETURN(const registry::InstanceRecord task, found.registry.Get(found.task.id));
  return engine::DescribeTask(impl_->context, found.registry, task);
}

Result<std::string> LocalEngine::DeleteTask(const std::string& task_id) {
  PYRO_ASSIGN_OR_RETURN(registry::Registry registry, engine::OpenTasks(impl_->context));
  const auto task = registry.Find(InstanceKind::kTask, task_id);
  if (!task) {
    const bool gone = task.error().code == ErrorCode::kNotFound &&
                      InstanceId::Parse(InstanceKind::kTask, task_id);
    if (gone) return task_id;
    return task.error();
  }
  PYRO_RETURN_IF_ERROR(engine::DeleteTaskEverywhere(impl_->context, registry, task->id));
  return task->id.str();
}

Result<ExportedPath> LocalEngine::ExportTask(const std::string& task_id, const std::string& path,
                                             const std::string& destination,
                                             const ExportOptions& options, const CallIo& io) {
  PYRO_ASSIGN_OR_RETURN(engine::FoundTask found, engine::FindTask(impl_->context, task_id));
  PYRO_ASSIGN_OR_RETURN(engine::Running running, engine::EnsureRunning(impl_->context, found, io));
  if (!running.link) {
    return MakeError(ErrorCode::kWrongState, "the task runs on the host, and cannot be exported",
                     "its files are in the task's directory, under workspace/");
  }
  PYRO_RETURN_IF_ERROR(running.link->AwaitReady(Deadline::After(engine::kTaskReadyLimit), io));
  return engine::ExportFromGuest(*running.link, running.task.id, path, destination, options, io);
}

}  // namespace pyro
