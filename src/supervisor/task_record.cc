// A task's row and journal, as its supervisor keeps them.

#include <map>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/time.h"
#include "base/try.h"
#include "registry/command_log.h"
#include "registry/journal.h"
#include "registry/registry.h"
#include "registry/task_directory.h"
#include "supervisor/guest_record.h"
#include "supervisor/network_json.h"

namespace pyro::supervisor {
namespace {

using registry::CommandEnd;
using registry::CommandOutcome;
using registry::TaskEvent;

CommandOutcome OutcomeOf(wire::Outcome::Kind kind) {
  switch (kind) {
    case wire::Outcome::Kind::kExited:
      return CommandOutcome::kExited;
    case wire::Outcome::Kind::kSignalled:
      return CommandOutcome::kSignalled;
    case wire::Outcome::Kind::kTimedOut:
      return CommandOutcome::kTimedOut;
    case wire::Outcome::Kind::kCancelled:
      return CommandOutcome::kCancelled;
    case wire::Outcome::Kind::kNotStarted:
      return CommandOutcome::kNotStarted;
    case wire::Outcome::Kind::kLost:
      return CommandOutcome::kInterrupted;
  }
  return CommandOutcome::kInterrupted;
}

registry::OutputStream StreamOf(wire::Stream stream) {
  return stream == wire::Stream::kStdout ? registry::OutputStream::kStdout
                                         : registry::OutputStream::kStderr;
}

class TaskRow : public GuestRecord, public CommandJournal {
 public:
  explicit TaskRow(const wire::SupervisorConfig& config)
      : id_(*TaskId::Parse(config.id)),
        state_dir_(config.state_dir),
        directory_(config.directory) {}

  CommandJournal* journal() override { return this; }

  bool unfinished() const override {
    const auto files = registry::LookAtTaskFiles(state_dir_, id_);
    return files && *files == registry::TaskFiles::kCreating;
  }

  Status Started(const wire::Ready& ready,
                 const std::optional<wire::GuestNetwork>& network) override {
    registry::TaskChanges changes;
    changes.execution_mode = registry::ExecutionMode::kGuestVirtioSerial;
    changes.accelerator = ready.accelerator;
    changes.network_json = network ? ToJsonLine(NetworkJson(*network)) : "";
    return Apply(TaskEvent::kStart, changes);
  }

  Status Renewed() override { return Apply(TaskEvent::kRenew, {}); }
  Status Stopped() override { return Apply(TaskEvent::kStop, {}); }

  Status Lost(const std::string& why) override {
    registry::TaskChanges changes;
    changes.last_error = why.substr(0, 2000);
    return Apply(TaskEvent::kLost, changes);
  }

  Status Removed() override {
    PYRO_RETURN_IF_ERROR(Open());
    commands_.clear();
    PYRO_RETURN_IF_ERROR(registry_->WithExclusive([this]() -> Status {
      (void)registry_->ApplyTask(id_, TaskEvent::kLost);
      PYRO_RETURN_IF_ERROR(registry::RetireTaskDirectory(state_dir_, id_));
      return registry_->DeleteTask(id_);
    }));
    return registry::RemoveTaskDirectory(state_dir_, id_);
  }

  Result<std::int64_t> Begin(const wire::Exec& exec) override {
    PYRO_RETURN_IF_ERROR(OpenJournal());
    PYRO_RETURN_IF_ERROR(RecordEarlierEnds());
    registry::CommandSpec spec;
    spec.argv = exec.argv;
    spec.cwd = exec.cwd;
    spec.timeout_ms = exec.timeout_ms;
    spec.execution_mode = registry::ExecutionMode::kGuestVirtioSerial;
    PYRO_ASSIGN_OR_RETURN(const registry::CommandRecord command,
                          registry_->BeginCommand(id_, spec));
    auto writer = registry::JournalWriter::Open(directory_, command.sequence, *budget_);
    Status logged = writer ? log_->Begin(command) : Status(writer.error());
    if (!logged) {
      // It is recorded, so it must end there, too, though it never ran.
      CommandEnd end;
      end.outcome = CommandOutcome::kInterrupted;
      end.exit_code = registry::kInterruptedExitCode;
      end.ended_at = SystemClock().Now();
      (void)registry_->EndCommand(id_, command.sequence, end);
      return logged.error();
    }
    commands_.emplace(command.sequence, std::move(*writer));
    return command.sequence;
  }

  void Append(std::int64_t sequence, wire::Stream stream, std::string_view bytes) override {
    const auto command = commands_.find(sequence);
    if (command != commands_.end()) command->second.Append(StreamOf(stream), bytes);
  }

  void End(std::int64_t sequence, const wire::Exited& exited) override {
    const auto command = commands_.find(sequence);
    if (command == commands_.end()) return;
    registry::JournalWriter& writer = command->second;
    CommandEnd end;
    end.outcome = OutcomeOf(exited.outcome.kind);
    end.code = exited.outcome.code;
    end.exit_code = exited.outcome.ExitCode();
    end.duration_us = exited.duration_us;
    end.ended_at = SystemClock().Now();
    end.stdout_bytes = writer.bytes(registry::OutputStream::kStdout);
    end.stderr_bytes = writer.bytes(registry::OutputStream::kStderr);
    end.stdout_dropped = writer.dropped(registry::OutputStream::kStdout);
    end.stderr_dropped = writer.dropped(registry::OutputStream::kStderr);
    // What is recorded as ended is on disk. Where that fails, on a full disk, the command stays
    // recorded as running until the next one begins or, at the worst, until the task is reconciled.
    if (!writer.Finish() || !RecordEnd(sequence, end)) unrecorded_.emplace(sequence, end);
    commands_.erase(command);
  }

 private:
  Status Open() {
    if (registry_) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(registry::Registry registry,
                          registry::Registry::Open(state_dir_, SystemClock()));
    registry_.emplace(std::move(registry));
    return OkStatus();
  }

  // The log first: from it a row can be made again.
  Status RecordEnd(std::int64_t sequence, const CommandEnd& end) {
    PYRO_RETURN_IF_ERROR(log_->End(sequence, end));
    PYRO_RETURN_IF_ERROR(registry_->EndCommand(id_, sequence, end));
    return OkStatus();
  }

  // No command begins while the end of an earlier one cannot be stored: its own could not be,
  // either.
  Status RecordEarlierEnds() {
    while (!unrecorded_.empty()) {
      const auto first = unrecorded_.begin();
      const Status status = RecordEnd(first->first, first->second);
      // Somebody else has settled it meanwhile.
      const bool settled = !status && (status.error().code == ErrorCode::kWrongState ||
                                       status.error().code == ErrorCode::kNotFound);
      if (!status && !settled) return status;
      unrecorded_.erase(first);
    }
    return OkStatus();
  }

  Status OpenJournal() {
    PYRO_RETURN_IF_ERROR(Open());
    if (!log_) {
      PYRO_ASSIGN_OR_RETURN(registry::CommandLog log, registry::CommandLog::Open(directory_));
      log_.emplace(std::move(log));
    }
    if (!budget_) {
      PYRO_ASSIGN_OR_RETURN(const registry::TaskRecord task, registry_->GetTask(id_));
      budget_.emplace(task.output_bytes);
    }
    return OkStatus();
  }

  Status Apply(TaskEvent event, const registry::TaskChanges& changes) {
    PYRO_RETURN_IF_ERROR(Open());
    PYRO_RETURN_IF_ERROR(registry_->ApplyTask(id_, event, changes));
    return OkStatus();
  }

  TaskId id_;
  std::filesystem::path state_dir_;
  std::filesystem::path directory_;
  std::optional<registry::Registry> registry_;
  std::optional<registry::CommandLog> log_;
  std::optional<registry::OutputBudget> budget_;
  std::map<std::int64_t, CommandEnd> unrecorded_;  // Ends that the disk has had no room for yet.
  std::map<std::int64_t, registry::JournalWriter> commands_;  // Those that run, by sequence.
};

}  // namespace

std::unique_ptr<GuestRecord> MakeTaskRecord(const wire::SupervisorConfig& config) {
  return std::make_unique<TaskRow>(config);
}

}  // namespace pyro::supervisor
