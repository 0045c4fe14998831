// The supervisor's part of a task's row and journal.

#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "base/time.h"
#include "base/try.h"
#include "registry/command_log.h"
#include "registry/disk_reserve.h"
#include "registry/journal.h"
#include "registry/task_directory.h"
#include "supervisor/guest_row.h"
#include "sys/failpoint.h"

namespace pyro::supervisor {
namespace {

using registry::InstanceEvent;
using registry::Registry;

class TaskRow : public GuestRow, public CommandJournal {
 public:
  TaskRow(const wire::SupervisorConfig& config, const Clock& clock)
      : GuestRow(config.state_dir, clock),
        id_(*InstanceId::Parse(InstanceKind::kTask, config.id)),
        directory_(config.directory) {}

  CommandJournal* journal() override { return this; }

  bool unfinished() const override {
    const auto files = registry::LookAtTaskFiles(state_dir(), id_);
    return files && *files == registry::TaskFiles::kCreating;
  }

  // A task with ends to record stays recorded as started: so the next process reconciles it.
  Status Stopped() override {
    PYRO_RETURN_IF_ERROR(RecordEnds(Markers::kGivenUp));
    return GuestRow::Stopped();
  }

  Status Lost(const std::string& why) override {
    PYRO_RETURN_IF_ERROR(RecordEnds(Markers::kGivenUp));
    return GuestRow::Lost(why);
  }

  Status Removed() override {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, Open());
    commands_.clear();
    // A row cannot be deleted on a disk without any room.
    if (reserve_) (void)reserve_->Release();
    PYRO_RETURN_IF_ERROR(registry->WithExclusive([&]() -> Status {
      (void)registry->Apply(id_, InstanceEvent::kLost);
      PYRO_RETURN_IF_ERROR(registry::RetireTaskDirectory(state_dir(), id_));
      PYRO_FAILPOINT("supervisor.remove.directory-retired");
      return registry->Delete(id_);
    }));
    return registry::RemoveTaskDirectory(state_dir(), id_);
  }

  Result<std::int64_t> Begin(const wire::Exec& exec) override {
    PYRO_RETURN_IF_ERROR(OpenJournal());
    PYRO_RETURN_IF_ERROR(RecordEnds(Markers::kWanted));
    PYRO_FAILPOINT("task.exec.asked");
    PYRO_ASSIGN_OR_RETURN(const registry::CommandRecord command,
                          registry_->BeginCommand(id_, exec));
    PYRO_FAILPOINT("task.exec.row-inserted");
    auto writer = registry::JournalWriter::Open(directory_, command.sequence, *budget_);
    PYRO_FAILPOINT("task.exec.files-made");
    Status logged = writer ? log_->Begin(command) : Status(writer.error());
    PYRO_FAILPOINT("task.exec.begin-logged");
    if (!logged) {
      // It is recorded, so it must also end there, although it never ran.
      const CommandEnd end{.outcome = Outcome::kInterrupted, .ended_at = clock().Now()};
      RecordEnd(command.sequence, {.end = end, .writer = std::nullopt});
      return logged.error();
    }
    commands_.emplace(command.sequence, std::move(*writer));
    return command.sequence;
  }

  void Append(std::int64_t sequence, OutputStream stream, std::string_view bytes) override {
    const auto command = commands_.find(sequence);
    if (command == commands_.end()) return;
    command->second.Append(stream, bytes);
    PYRO_FAILPOINT("task.exec.output-appended");
    if (command->second.owes_marker()) UseReserve();
  }

  void End(std::int64_t sequence, const CommandEnd& told) override {
    const auto command = commands_.find(sequence);
    if (command == commands_.end()) return;
    registry::JournalWriter& writer = command->second;
    CommandEnd end = told;
    end.ended_at = clock().Now();
    writer.CountInto(end);
    PYRO_FAILPOINT("task.exec.exited");
    RecordEnd(sequence, {.end = end, .writer = std::move(writer)});
    commands_.erase(command);
  }

  bool settled() const override { return unrecorded_.empty() && !starving_; }

  void Settle() override {
    for (auto& [sequence, writer] : commands_) writer.WriteMarkers();
    if (!RecordEnds(Markers::kWanted) || !reserve_->Fill()) return;
    starving_ = false;
    budget_->Reopen();
  }

 private:
  Status ApplyTo(Registry& registry, InstanceEvent event,
                 const registry::InstanceChanges& changes) override {
    PYRO_RETURN_IF_ERROR(registry.Apply(id_, event, changes));
    return OkStatus();
  }

  // An end, and the progress of its recording.
  struct Unrecorded {
    CommandEnd end;
    std::optional<registry::JournalWriter> writer;  // Until its files are on disk.
    bool logged = false;
  };

  // Whether an end waits until its output can be marked as cut off.
  enum class Markers { kWanted, kGivenUp };

  // The disk is full: the rest of its room, with the reserve, is for the ends of running commands.
  void UseReserve() {
    starving_ = true;
    budget_->Close(ENOSPC);
    if (!reserve_->Release()) return;
    for (auto& [sequence, writer] : commands_) writer.WriteMarkers();
  }

  // At once, with the reserve if needed; otherwise it stays recorded as running until Settle(), or
  // at the latest until the task is reconciled.
  void RecordEnd(std::int64_t sequence, Unrecorded one) {
    unrecorded_.emplace(sequence, std::move(one));
    const Status status = RecordEnds(Markers::kWanted);
    if (status || status.error().code != ErrorCode::kNoSpace) return;
    UseReserve();
    (void)RecordEnds(Markers::kWanted);
  }

  // A command recorded as ended is on disk: first the output, then the log, from which a row can be
  // restored, then the row.
  Status Record(std::int64_t sequence, Unrecorded& one, Markers markers) {
    if (one.writer) {
      one.writer->WriteMarkers();
      if (one.writer->owes_marker() && markers == Markers::kWanted) {
        return MakeError(ErrorCode::kNoSpace, "the disk has no room for a line");
      }
      PYRO_RETURN_IF_ERROR(one.writer->Finish());
      one.writer.reset();
    }
    PYRO_FAILPOINT("task.exec.output-synced");
    if (!one.logged) PYRO_RETURN_IF_ERROR(log_->End(sequence, one.end));
    one.logged = true;
    PYRO_FAILPOINT("task.exec.end-logged");
    PYRO_RETURN_IF_ERROR(registry_->EndCommand(id_, sequence, one.end));
    PYRO_FAILPOINT("task.exec.row-ended");
    return OkStatus();
  }

  // No command begins while the end of an earlier one cannot be stored: its own end could not be
  // stored either.
  Status RecordEnds(Markers markers) {
    while (!unrecorded_.empty()) {
      const auto first = unrecorded_.begin();
      const Status status = Record(first->first, first->second, markers);
      // Another process has reconciled it meanwhile.
      const bool settled = !status && (status.error().code == ErrorCode::kWrongState ||
                                       status.error().code == ErrorCode::kNotFound);
      if (!status && !settled) return status;
      unrecorded_.erase(first);
    }
    return OkStatus();
  }

  Status OpenJournal() {
    PYRO_ASSIGN_OR_RETURN(registry_, Open());
    if (!log_) {
      PYRO_ASSIGN_OR_RETURN(registry::CommandLog log, registry::CommandLog::Open(directory_));
      log_.emplace(std::move(log));
    }
    if (!budget_) {
      PYRO_ASSIGN_OR_RETURN(const registry::InstanceRecord task, registry_->Get(id_));
      budget_.emplace(task.output_bytes);
    }
    if (!reserve_) reserve_.emplace(directory_);
    // Without one, a disk that is full already reports its own error.
    if (!starving_) (void)reserve_->Fill();
    return OkStatus();
  }

  InstanceId id_;
  std::filesystem::path directory_;
  Registry* registry_ = nullptr;  // Once the journal is open.
  std::optional<registry::CommandLog> log_;
  std::optional<registry::OutputBudget> budget_;
  std::optional<registry::DiskReserve> reserve_;
  bool starving_ = false;                          // The reserve is used, or was never there.
  std::map<std::int64_t, Unrecorded> unrecorded_;  // Ends for which the disk has had no room yet.
  std::map<std::int64_t, registry::JournalWriter> commands_;  // Running commands, by sequence.
};

}  // namespace

std::unique_ptr<GuestRecord> MakeTaskRecord(const wire::SupervisorConfig& config,
                                            const Clock& clock) {
  return std::make_unique<TaskRow>(config, clock);
}

}  // namespace pyro::supervisor
