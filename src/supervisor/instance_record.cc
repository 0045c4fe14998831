// The rows and files of a supervisor's guest.

#include <cerrno>
#include <chrono>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "base/try.h"
#include "state/disk_reserve.h"
#include "state/instance/instance_directory.h"
#include "state/journal/command_log.h"
#include "state/journal/journal.h"
#include "state/pool/spare_pool.h"
#include "state/quota.h"
#include "state/registry.h"
#include "supervisor/guest_record.h"
#include "sys/failpoint.h"
#include "sys/files.h"

namespace pyro::supervisor {
namespace {

using state::InstanceChanges;
using state::InstanceEvent;
using state::Registry;

constexpr std::size_t kMaxErrorBytes = 2000;

// registry.db, opened at the first use; after an error, tried again at the next.
class LazyRegistry {
 public:
  LazyRegistry(std::filesystem::path state_dir, const Clock& clock)
      : state_dir_(std::move(state_dir)), clock_(clock) {}

  Result<Registry*> Open() {
    if (!registry_) {
      PYRO_ASSIGN_OR_RETURN(registry_, Registry::Open(state_dir_, clock_));
    }
    return &*registry_;
  }

 private:
  std::filesystem::path state_dir_;
  const Clock& clock_;
  std::optional<Registry> registry_;
};

class TaskJournal : public CommandJournal {
 public:
  TaskJournal(const wire::SupervisorConfig& config, InstanceId id, LazyRegistry& registry,
              const Clock& clock)
      : id_(std::move(id)), directory_(config.directory), opens_(registry), clock_(clock) {}

  // Records the ends that are left, with their output marked as cut off or not.
  Status Finish() { return RecordEnds(Markers::kGivenUp); }

  // The task is about to be removed.
  void Abandon() {
    commands_.clear();
    // A row cannot be deleted on a disk without any room.
    if (reserve_) (void)reserve_->Release();
  }

  Result<std::int64_t> Begin(const wire::Exec& exec) override {
    PYRO_RETURN_IF_ERROR(OpenJournal());
    PYRO_RETURN_IF_ERROR(RecordEnds(Markers::kWanted));
    PYRO_FAILPOINT("task.exec.asked");
    PYRO_ASSIGN_OR_RETURN(const state::CommandRecord command,
                          registry_->BeginCommand(id_, exec.ForJournal()));
    PYRO_FAILPOINT("task.exec.row-inserted");
    std::optional<state::JournalWriter> writer;
    Status logged = exec.kept ? OpenWriter(command.sequence, writer) : OkStatus();
    PYRO_FAILPOINT("task.exec.files-made");
    if (logged) logged = log_->Begin(command);
    PYRO_FAILPOINT("task.exec.begin-logged");
    if (!logged) {
      // It is recorded, so it must also end there, although it never ran.
      const CommandEnd end{.outcome = Outcome::kInterrupted, .ended_at = clock_.Now()};
      RecordEnd(command.sequence, {.end = end, .writer = std::nullopt});
      return logged.error();
    }
    commands_.emplace(command.sequence, Running{.writer = std::move(writer), .denied = {}});
    return command.sequence;
  }

  void Append(std::int64_t sequence, OutputStream stream, std::string_view bytes) override {
    const auto command = commands_.find(sequence);
    if (command == commands_.end() || !command->second.writer) return;
    command->second.writer->Append(stream, bytes);
    PYRO_FAILPOINT("task.exec.output-appended");
    if (command->second.writer->owes_marker()) UseReserve();
  }

  void Deny(const Denied& denied) override {
    for (auto& [sequence, running] : commands_) AddDenied(running.denied, denied);
  }

  void End(std::int64_t sequence, const CommandEnd& told) override {
    const auto command = commands_.find(sequence);
    if (command == commands_.end()) return;
    std::optional<state::JournalWriter>& writer = command->second.writer;
    CommandEnd end = told;
    end.ended_at = clock_.Now();
    end.stdout_bytes = end.stderr_bytes = 0;
    if (writer) writer->CountInto(end);
    PYRO_FAILPOINT("task.exec.exited");
    // It has the words of processes.
    if (end.killed && writer) state::WriteKilled(directory_, sequence, *end.killed);
    if (writer) state::WriteDenied(directory_, sequence, command->second.denied);
    // An end without a sync tells nothing of the disk: only a new start clears the mark.
    if (end.disk_failed) state::MarkReadOnly(directory_, true);
    RecordEnd(sequence, {.end = end, .writer = std::move(writer)});
    commands_.erase(command);
  }

  bool settled() const override { return unrecorded_.empty() && !starving_; }

  void Settle() override {
    WriteMarkers();
    if (!RecordEnds(Markers::kWanted) || !reserve_->Fill()) return;
    starving_ = false;
    budget_->Reopen();
  }

 private:
  Status OpenWriter(std::int64_t sequence, std::optional<state::JournalWriter>& writer) {
    PYRO_ASSIGN_OR_RETURN(writer, state::JournalWriter::Open(directory_, sequence, *budget_));
    return OkStatus();
  }

  // One whose output is not kept has no writer.
  struct Running {
    std::optional<state::JournalWriter> writer;
    std::vector<Denied> denied;
  };

  // An end, and the progress of its recording.
  struct Unrecorded {
    CommandEnd end;
    std::optional<state::JournalWriter> writer;  // Until its files are on disk.
    bool logged = false;
  };

  // Whether an end waits until its output can be marked as cut off.
  enum class Markers { kWanted, kGivenUp };

  // The disk is full: the rest of its room, with the reserve, is for the ends of running commands.
  void UseReserve() {
    starving_ = true;
    budget_->Close(ENOSPC);
    if (!reserve_->Release()) return;
    WriteMarkers();
  }

  void WriteMarkers() {
    for (auto& [sequence, running] : commands_) {
      if (running.writer) running.writer->WriteMarkers();
    }
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
    PYRO_ASSIGN_OR_RETURN(registry_, opens_.Open());
    if (!log_) {
      PYRO_ASSIGN_OR_RETURN(state::CommandLog log, state::CommandLog::Open(directory_));
      log_.emplace(std::move(log));
    }
    if (!budget_) {
      PYRO_ASSIGN_OR_RETURN(const state::InstanceRecord task, registry_->Get(id_));
      budget_.emplace(task.output_bytes);
    }
    if (!reserve_) reserve_.emplace(directory_);
    // Without one, a disk that is full already reports its own error.
    if (!starving_) (void)reserve_->Fill();
    return OkStatus();
  }

  InstanceId id_;
  std::filesystem::path directory_;
  LazyRegistry& opens_;
  const Clock& clock_;
  Registry* registry_ = nullptr;  // Once the journal is open.
  std::optional<state::CommandLog> log_;
  std::optional<state::OutputBudget> budget_;
  std::optional<state::DiskReserve> reserve_;
  bool starving_ = false;                          // The reserve is used, or was never there.
  std::map<std::int64_t, Unrecorded> unrecorded_;  // Ends for which the disk has had no room yet.
  std::map<std::int64_t, Running> commands_;       // By sequence.
};

// The row and the files of a VM or a task.
class InstanceRow : public GuestRecord {
 public:
  InstanceRow(const wire::SupervisorConfig& config, InstanceId id, const Clock& clock)
      : id_(std::move(id)),
        state_dir_(config.state_dir),
        base_disk_(config.base_disk),
        registry_(config.state_dir, clock) {
    if (state::PolicyOf(id_.kind()).keeps_work) journal_.emplace(config, id_, registry_, clock);
  }

  CommandJournal* journal() override { return journal_ ? &*journal_ : nullptr; }

  bool unfinished() const override {
    const auto files = state::LookAtFiles(state_dir_, id_);
    return files && *files == state::InstanceFiles::kCreating;
  }

  Status Started(const wire::Ready& ready,
                 const std::optional<wire::GuestNetwork>& network) override {
    InstanceChanges changes;
    changes.execution_mode = ExecutionMode::kGuestVirtioSerial;
    changes.accelerator = ready.accelerator;
    changes.network_json = network ? ToJsonLine({{"mac", network->mac},
                                                 {"address", network->address},
                                                 {"prefix_length", network->prefix_length},
                                                 {"gateway", network->gateway},
                                                 {"dns", network->dns},
                                                 {"ipv6_address", network->address6},
                                                 {"ipv6_gateway", network->gateway6}})
                                   : "";
    state::MarkReadOnly(state::InstanceDirectory(state_dir_, id_), false);
    if (denied_.empty()) state::ForgetGuestDenied(state::InstanceDirectory(state_dir_, id_));
    return Apply(InstanceEvent::kStart, changes);
  }

  void Deny(const Denied& denied) override {
    AddDenied(denied_, denied);
    state::WriteGuestDenied(state::InstanceDirectory(state_dir_, id_), denied_);
    if (journal_) journal_->Deny(denied);
  }

  // Makes the task of a manifest, whose guest runs already in the directory `spare`. After an error
  // there is no such task.
  Status Create(const state::InstanceRecord& task, const std::filesystem::path& spare,
                const wire::Ready& ready, const std::optional<wire::GuestNetwork>& network) {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, registry_.Open());
    bool named = false;
    Status made = registry->WithExclusive([&]() -> Status {
      PYRO_RETURN_IF_ERROR(state::CheckTaskLimit(*registry, state::ReadGuestLimits(state_dir_)));
      // As in the engine: no version is removed in a transaction that sees this row.
      if (::access(base_disk_.c_str(), F_OK) != 0) {
        return MakeError(ErrorCode::kNotFound, "the spare's environment is not installed any more");
      }
      PYRO_RETURN_IF_ERROR(state::TurnIntoTask(state_dir_, spare, task));
      named = true;
      PYRO_RETURN_IF_ERROR(registry->Insert(task));
      PYRO_FAILPOINT("spare.task.row-inserted");
      return Started(ready, network);
    });
    if (!made && named) (void)state::RemoveInstanceDirectory(state_dir_, id_);
    PYRO_FAILPOINT("spare.task.row-committed");
    return made;
  }

  Status TakenForTask(const std::string&, const wire::Ready&,
                      const std::optional<wire::GuestNetwork>&) override {
    return MakeError(ErrorCode::kInternal, "this guest is no spare");
  }

  Result<std::string> NetworkRulesNow() override {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, registry_.Open());
    PYRO_ASSIGN_OR_RETURN(const state::InstanceRecord instance, registry->Get(id_));
    return instance.network_rules;
  }

  std::optional<std::chrono::seconds> LeaseNow() override {
    const auto registry = registry_.Open();
    if (!registry) return std::nullopt;
    const auto instance = (*registry)->Get(id_);
    if (!instance) return std::nullopt;
    return instance->ttl;
  }

  Status Renewed() override { return Apply(InstanceEvent::kRenew, {}); }

  // A task with ends to record stays recorded as started: so the next process reconciles it.
  Status Stopped() override {
    if (journal_) PYRO_RETURN_IF_ERROR(journal_->Finish());
    return Apply(InstanceEvent::kStop, {});
  }

  Status Lost(const std::string& why) override {
    if (journal_) PYRO_RETURN_IF_ERROR(journal_->Finish());
    InstanceChanges changes;
    changes.last_error = why.substr(0, kMaxErrorBytes);
    return Apply(InstanceEvent::kLost, changes);
  }

  Status Removed() override {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, registry_.Open());
    if (journal_) journal_->Abandon();
    PYRO_RETURN_IF_ERROR(registry->WithExclusive([&]() -> Status {
      // A started one cannot be deleted; ours is off, even if its row says otherwise. A missing row
      // is no error.
      (void)registry->Apply(id_, InstanceEvent::kLost);
      if (journal_) {
        PYRO_RETURN_IF_ERROR(state::RetireDirectory(state_dir_, id_));
        PYRO_FAILPOINT("supervisor.remove.directory-retired");
      }
      return registry->Delete(id_);
    }));
    return state::RemoveInstanceDirectory(state_dir_, id_);
  }

 private:
  Status Apply(InstanceEvent event, const InstanceChanges& changes) {
    PYRO_ASSIGN_OR_RETURN(Registry* const registry, registry_.Open());
    PYRO_RETURN_IF_ERROR(registry->Apply(id_, event, changes));
    return OkStatus();
  }

  InstanceId id_;
  std::filesystem::path state_dir_;
  const std::filesystem::path base_disk_;
  LazyRegistry registry_;
  std::optional<TaskJournal> journal_;  // If commands are kept.
  std::vector<Denied> denied_;          // Since the guest's start.
};

// A spare has no row, until it is a task's guest.
class SpareFiles : public GuestRecord {
 public:
  SpareFiles(wire::SupervisorConfig config, const Clock& clock)
      : config_(std::move(config)), clock_(clock) {}

  CommandJournal* journal() override { return task_ ? task_->journal() : nullptr; }
  bool unfinished() const override { return task_ && task_->unfinished(); }

  void Taken() override {
    state::MarkSpareTaken(config_.directory);
    state::TouchSparePool(config_.spare_pool);
  }

  Status TakenForTask(const std::string& manifest, const wire::Ready& ready,
                      const std::optional<wire::GuestNetwork>& network) override {
    state::TouchSparePool(config_.spare_pool);
    PYRO_ASSIGN_OR_RETURN(const state::InstanceRecord task, state::ParseTaskManifest(manifest));
    const InstanceId id = state::TaskOfSpare(config_.directory);
    if (task.id != id) return MakeError(ErrorCode::kInvalidArgument, "another spare's task");
    wire::SupervisorConfig config = config_;
    config.kind = wire::GuestKind::kTask;
    config.directory = state::InstanceDirectory(config_.state_dir, id);
    auto row = std::make_unique<InstanceRow>(config, id, clock_);
    PYRO_RETURN_IF_ERROR(row->Create(task, config_.directory, ready, network));
    task_ = std::move(row);
    return OkStatus();
  }

  // As long as its pool, which every client that takes a spare renews.
  std::optional<std::chrono::milliseconds> WaitsFor() const override {
    return state::SparesWaitFor(config_.spare_pool, clock_.Now());
  }

  Status Started(const wire::Ready&, const std::optional<wire::GuestNetwork>&) override {
    return OkStatus();
  }
  void Deny(const Denied& denied) override {
    if (task_) return task_->Deny(denied);
    // Taken for a VM, it keeps its directory.
    AddDenied(denied_, denied);
    state::WriteGuestDenied(config_.directory, denied_);
  }
  Result<std::string> NetworkRulesNow() override {
    return task_ ? task_->NetworkRulesNow() : std::string();
  }
  std::optional<std::chrono::seconds> LeaseNow() override {
    return task_ ? task_->LeaseNow() : std::nullopt;
  }
  Status Renewed() override { return task_ ? task_->Renewed() : OkStatus(); }
  Status Stopped() override { return task_ ? task_->Stopped() : Removed(); }
  Status Lost(const std::string& why) override { return task_ ? task_->Lost(why) : Removed(); }
  Status Removed() override {
    if (task_) return task_->Removed();
    const auto pool = state::ReadSparePool(config_.spare_pool);
    PYRO_RETURN_IF_ERROR(sys::RemoveTree(config_.directory));
    // The last one of a process that was killed leaves no pool.
    if (pool && !pool->keeper.empty()) state::ReapSpares(config_.state_dir, clock_.Now());
    return OkStatus();
  }

 private:
  const wire::SupervisorConfig config_;
  const Clock& clock_;
  std::unique_ptr<InstanceRow> task_;  // Once it has become one.
  std::vector<Denied> denied_;
};

}  // namespace

std::unique_ptr<GuestRecord> MakeGuestRecord(const wire::SupervisorConfig& config,
                                             const Clock& clock) {
  if (!config.spare_pool.empty()) return std::make_unique<SpareFiles>(config, clock);
  const auto kind = config.kind == wire::GuestKind::kVm ? InstanceKind::kVm : InstanceKind::kTask;
  return std::make_unique<InstanceRow>(config, *InstanceId::Parse(kind, config.id), clock);
}

}  // namespace pyro::supervisor
