#include "engine/host/host_task.h"

#include <optional>
#include <utility>

#include "base/try.h"
#include "engine/capture.h"
#include "engine/context.h"
#include "engine/describe.h"
#include "engine/exec_result.h"
#include "engine/host/host_compat.h"
#include "engine/instance/instance_files.h"
#include "state/instance/instance_directory.h"
#include "state/instance/task_variables.h"
#include "state/journal/command_log.h"
#include "state/journal/journal.h"
#include "sys/files.h"

namespace pyro::engine {
namespace {

namespace fs = std::filesystem;

// Writes to the journal the output that the caller has taken: a caller that does not read delays
// only its own command.
class JournalSink : public OutputSink {
 public:
  JournalSink(state::JournalWriter& writer, OutputSink& next) : writer_(writer), next_(next) {}

  int WritableFd(OutputStream stream) override { return next_.WritableFd(stream); }

  Result<std::size_t> Write(OutputStream stream, std::string_view bytes) override {
    PYRO_ASSIGN_OR_RETURN(const std::size_t taken, next_.Write(stream, bytes));
    writer_.Append(stream, bytes.substr(0, taken));
    return taken;
  }

 private:
  state::JournalWriter& writer_;
  OutputSink& next_;
};

}  // namespace

Result<TaskInfo> CreateHostTask(const Context& context, const TaskOptions& options,
                                const Error& why, const CallIo& io) {
  if (!options.source_path.empty()) {
    return MakeError(
        ErrorCode::kGuestUnavailable,
        "no guest can start, and a workspace on the host cannot be seeded: " + why.message,
        "create the task without --source-path and copy the files by a command");
  }
  if (io.on_notice) io.on_notice(HostCompatNotice(why));
  PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenReconciled(context, InstanceKind::kTask));
  const state::InstanceSpec spec = MakeSpec(InstanceKind::kTask, options, "");
  PYRO_ASSIGN_OR_RETURN(const NewInstance created, CreateOnDisk(registry, context, spec));
  Status made = sys::MakeDirectories(state::HostWorkspace(context.state, spec.id));
  if (made) {
    made = state::WriteTaskVariables(state::InstanceDirectory(context.state, spec.id), options.env);
  }
  if (made) made = state::FinishCreation(context.state, spec.id);
  if (!made) {
    (void)RemoveFromDisk(registry, context, spec.id);
    return std::move(made).error();
  }
  state::InstanceChanges changes;
  changes.execution_mode = ExecutionMode::kHostCompat;
  PYRO_ASSIGN_OR_RETURN(const state::InstanceRecord task,
                        registry.Apply(spec.id, state::InstanceEvent::kStart, changes));
  return DescribeTask(context, registry, task);
}

Result<TaskExecResult> ExecOnHost(const Context& context, state::Registry& registry,
                                  const state::InstanceRecord& task, const wire::Exec& asked,
                                  const CallIo& io) {
  PYRO_RETURN_IF_ERROR(CheckForHost(asked));
  const wire::Exec exec = ForHost(asked);
  const fs::path directory = state::InstanceDirectory(context.state, task.id);
  PYRO_ASSIGN_OR_RETURN(state::CommandLog log, state::CommandLog::Open(directory));
  PYRO_ASSIGN_OR_RETURN(
      const state::CommandRecord command,
      registry.BeginCommand(task.id, exec.ForJournal(), ExecutionMode::kHostCompat));
  state::OutputBudget budget(task.output_bytes);
  std::optional<state::JournalWriter> writer;
  if (exec.kept) {
    PYRO_ASSIGN_OR_RETURN(writer, state::JournalWriter::Open(directory, command.sequence, budget));
  }
  PYRO_RETURN_IF_ERROR(log.Begin(command));
  CaptureSink capture(io);
  std::optional<JournalSink> sink;
  CallIo own = io;
  own.sink = writer ? &sink.emplace(*writer, *capture.sink()) : capture.sink();
  CommandEnd end;
  auto result =
      RunInHostJail(state::HostWorkspace(context.state, task.id), ToOptions(task), exec, own, &end);
  if (!result) {
    const bool cancelled = result.error().code == ErrorCode::kCancelled;
    end.outcome = cancelled ? Outcome::kCancelled : Outcome::kInterrupted;
  }
  end.ended_at = context.clock.Now();
  end.stdout_bytes = end.stderr_bytes = 0;
  if (writer) {
    writer->CountInto(end);
    PYRO_RETURN_IF_ERROR(writer->Finish());
  }
  PYRO_RETURN_IF_ERROR(log.End(command.sequence, end));
  PYRO_RETURN_IF_ERROR(registry.EndCommand(task.id, command.sequence, end));
  if (!result) return std::move(result).error();
  TaskExecResult told{std::move(*result)};
  capture.Fill(told);
  told.task_id = task.id.str();
  told.sequence = command.sequence;
  told.command = exec.argv;
  told.cwd = exec.cwd;
  return told;
}

}  // namespace pyro::engine
