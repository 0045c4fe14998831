// Engine::Watch: tells what happens to VMs and tasks by comparing what is recorded with what was
// told. inotify says when to compare, and what.

#include "pyro/watch.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/ids.h"
#include "base/text.h"
#include "base/try.h"
#include "engine/environments.h"
#include "engine/instance/instance_files.h"
#include "engine/local_engine.h"
#include "engine/state_watch.h"
#include "state/journal/journal.h"

namespace pyro {
namespace engine {
namespace {

namespace fs = std::filesystem;
using state::CommandRecord;
using state::InstanceRecord;
using state::InstanceState;
using std::chrono::milliseconds;

// After a change, for those that come with it: a command that writes line by line is one look.
constexpr milliseconds kGather{20};
// A dead supervisor's files are closed a moment before its lock is free, and one may die before its
// files are watched.
constexpr milliseconds kSecondLook{200};

using Kind = Event::Kind;

// What was told of a command that runs.
struct ToldCommand {
  std::array<std::uint64_t, 2> bytes{};
  bool followed = false;
};

// What was told of a VM or a task.
struct Told {
  InstanceState state = InstanceState::kCreated;
  std::optional<WallTime> started_at;
  std::int64_t next_sequence = 1;
  bool followed = false;
  std::map<std::int64_t, ToldCommand> running;
};

class Watching final : public EventStream {
 public:
  Watching(const Context& context, StateWatch changes)
      : context_(context), changes_(std::move(changes)) {}

  // Tells what is there. `only`: the beginning of an id, or empty.
  Status Begin(const std::string& only) {
    PYRO_RETURN_IF_ERROR(OpenRegistryAgain());
    if (!only.empty()) PYRO_RETURN_IF_ERROR(Resolve(only));
    environments_ = EnvironmentsNow();
    PYRO_RETURN_IF_ERROR(LookAtRows());
    first_ = false;
    return OkStatus();
  }

  Result<std::vector<Event>> Next(milliseconds wait, const CallIo& io) override {
    if (wait < milliseconds(0) || wait > std::chrono::seconds(kMaxTimeoutSeconds)) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("the time to wait is {} ms", wait.count()),
                       "wait for 0 seconds to 7 days");
    }
    const Deadline deadline = Deadline::After(wait);
    while (true) {
      PYRO_RETURN_IF_ERROR(Look());
      const bool interrupted = std::exchange(interrupted_, false);
      if (!events_.empty() || deadline.Expired() || interrupted) return std::exchange(events_, {});
      pollfd polls[] = {{io.cancel_fd, POLLIN, 0}, {changes_.fd(), POLLIN, 0}};
      ::poll(polls, 2, deadline.PollTimeout());
      // Alone, so that further changes do not end it.
      if (polls[1].revents != 0) ::poll(polls, 1, static_cast<int>(kGather.count()));
      if (polls[0].revents != 0) return MakeError(ErrorCode::kCancelled, "cancelled");
    }
  }

  void Interrupt() override { changes_.Interrupt(); }

  int fd() const override { return changes_.fd(); }

 private:
  Status Resolve(const std::string& only) {
    const bool maybe_task = !only.starts_with("vm_");
    const bool maybe_vm = !only.starts_with("task_");
    std::vector<std::string> found;
    std::optional<Error> failed;
    for (const InstanceKind kind : {InstanceKind::kTask, InstanceKind::kVm}) {
      if (!(kind == InstanceKind::kTask ? maybe_task : maybe_vm)) continue;
      const auto one = registry_->Find(kind, only);
      if (one) {
        found.push_back(one->id.str());
      } else if (!failed || failed->code == ErrorCode::kNotFound) {
        failed = one.error();
      }
    }
    if (found.size() == 2) {
      return MakeError(ErrorCode::kInvalidArgument,
                       fmt::format("'{}' fits a VM and a task", Printable(only, 64)),
                       "put vm_ or task_ before it");
    }
    if (found.size() == 1 && (!failed || failed->code == ErrorCode::kNotFound)) {
      only_ = found[0];
      return OkStatus();
    }
    if (maybe_task && maybe_vm) {
      if (failed->code == ErrorCode::kNotFound) {
        failed->message = fmt::format("there is no VM or task '{}'", Printable(only, 64));
        failed->hint = "it was deleted, or its lease has ended";
      }
    }
    return *failed;
  }

  Status OpenRegistryAgain() {
    PYRO_ASSIGN_OR_RETURN(state::Registry registry, OpenReconciled(context_, InstanceKind::kTask));
    registry_.emplace(std::move(registry));
    (void)ReconcileAll(*registry_, context_, InstanceKind::kVm);
    return OkStatus();
  }

  // What an error keeps from being told is told by the next look, which is one at everything.
  Status Look() {
    const bool behind = std::exchange(behind_, true);
    PYRO_ASSIGN_OR_RETURN(const StateChanges changes, changes_.Take());
    interrupted_ = interrupted_ || changes.interrupted;
    const bool everything = behind || changes.everything;
    // If it was replaced, but could not be opened then, or if inotify lost that.
    if (changes.registry_gone || everything) {
      PYRO_RETURN_IF_ERROR(OpenRegistryAgain());
    }
    if (changes.deaths) changes_.LookAgainIn(kSecondLook);
    const bool reaps = changes.deaths || changes.again || everything;
    if (reaps) PYRO_RETURN_IF_ERROR(LookForDeaths());
    appeared_.insert(changes.appeared.begin(), changes.appeared.end());
    for (const auto& [id, sequence] : changes.output) LookAtOutput(id, sequence);
    if (changes.rows || reaps) {
      PYRO_RETURN_IF_ERROR(AwaitWriter());
      PYRO_RETURN_IF_ERROR(LookAtRows());
    }
    if (changes.environments || everything) LookAtEnvironments();
    behind_ = false;
    return OkStatus();
  }

  // SQLite writes its log, which inotify tells, then syncs it, and only then shows the change to
  // others, which nothing tells: on a slow disk the look would come too early. The writer holds the
  // lock until then.
  Status AwaitWriter() {
    return registry_->WithExclusive([] { return OkStatus(); });
  }

  Status LookForDeaths() {
    PYRO_RETURN_IF_ERROR(ReconcileAll(*registry_, context_, InstanceKind::kTask));
    PYRO_RETURN_IF_ERROR(ReconcileAll(*registry_, context_, InstanceKind::kVm));
    return OkStatus();
  }

  Status LookAtRows() {
    std::set<std::string> present;
    for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
      PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> instances, registry_->List(kind));
      for (const InstanceRecord& instance : instances) {
        if (!Wanted(instance.id.str())) continue;
        present.insert(instance.id.str());
        PYRO_RETURN_IF_ERROR(TellEnds(instance.id));
        Told& told = TellStart(instance);
        if (!told.followed) PYRO_RETURN_IF_ERROR(Follow(instance.id));
        told.followed = true;
        PYRO_RETURN_IF_ERROR(TellCommands(instance, told));
        TellStop(instance, told);
      }
    }
    TellDeletions(present);
    return OkStatus();
  }

  fs::path DirectoryOf(const InstanceId& id) const {
    return context_.state / state::PolicyOf(id.kind()).folder / id.str();
  }

  bool Wanted(const std::string& id) const { return only_.empty() || id == only_; }

  void Tell(Kind kind, const std::string& id, std::optional<WallTime> at, Event event = {}) {
    event.kind = kind;
    event.id = id;
    event.at = FormatTime(at.value_or(context_.clock.Now()));
    events_.push_back(std::move(event));
  }

  Status Follow(const InstanceId& id) {
    changes_.LookAgainIn(kSecondLook);
    return changes_.FollowGuest(id.str(), DirectoryOf(id));
  }

  // Its creation and its starts, as far as they have not been told.
  Told& TellStart(const InstanceRecord& record) {
    const std::string id = record.id.str();
    const auto [entry, is_new] = told_.try_emplace(id);
    Told& told = entry->second;
    const bool is_start = record.started_at && record.started_at != told.started_at;
    if (is_new && first_) {
      Event event;
      event.state = record.state;
      Tell(Kind::kPresent, id, std::nullopt, std::move(event));
      told.state = record.state;
    } else {
      if (is_new) Tell(Kind::kCreated, id, record.created_at);
      if (is_start) {
        if (told.state == InstanceState::kStarted) Tell(Kind::kStopped, id, std::nullopt);
        Tell(Kind::kStarted, id, record.started_at);
        told.state = InstanceState::kStarted;
      }
    }
    if (is_start) told.followed = false;  // Its console is another file.
    told.started_at = record.started_at;
    return told;
  }

  void TellStop(const InstanceRecord& record, Told& told) {
    if (record.state == InstanceState::kStopped && told.state != InstanceState::kStopped) {
      Event event;
      event.last_error = record.last_error;
      Tell(Kind::kStopped, record.id.str(), std::nullopt, std::move(event));
    }
    told.state = record.state;
  }

  // The ends of commands whose begin was told.
  Status TellEnds(const InstanceId& id) {
    const auto found = told_.find(id.str());
    if (found == told_.end()) return OkStatus();
    auto& running = found->second.running;
    for (auto one = running.begin(); one != running.end();) {
      const auto command = registry_->GetCommand(id, one->first);
      if (!command) {
        // Deleted since the list was made: the next look tells that.
        if (command.error().code == ErrorCode::kNotFound) return OkStatus();
        return command.error();
      }
      TellCommand(*command, one->second);
      one = command->end ? running.erase(one) : std::next(one);
    }
    return OkStatus();
  }

  // Those that have begun since, whether they have ended or not. At first only those that run.
  Status TellCommands(const InstanceRecord& task, Told& told) {
    if (task.next_sequence <= told.next_sequence) return OkStatus();
    if (first_ && task.state != InstanceState::kStarted) {
      told.next_sequence = task.next_sequence;
      return OkStatus();
    }
    PYRO_ASSIGN_OR_RETURN(const std::vector<CommandRecord> commands,
                          registry_->ListCommands(task.id, {.from_sequence = told.next_sequence}));
    for (const CommandRecord& command : commands) {
      told.next_sequence = command.sequence + 1;
      if (first_ && command.end) continue;
      Event event = OfCommand(command.sequence);
      event.command = command.argv;
      Tell(Kind::kCommandBegan, task.id.str(), command.started_at, std::move(event));
      ToldCommand begun;
      TellCommand(command, begun);
      if (!command.end) told.running.emplace(command.sequence, begun);
    }
    return OkStatus();
  }

  // What it has written, and its end if it has ended.
  void TellCommand(const CommandRecord& command, ToldCommand& told) {
    const std::string id = command.task_id.str();
    if (!command.end && !told.followed) {
      const auto directory =
          state::CommandDirectory(DirectoryOf(command.task_id), command.sequence);
      const bool on_host = command.execution_mode == ExecutionMode::kHostCompat;
      told.followed =
          changes_.FollowCommand(id, command.sequence, directory, on_host).value_or(false);
    }
    TellOutput(command.task_id, command.sequence, told);
    if (!command.end) return;
    changes_.ForgetCommand(id, command.sequence);
    Event event = OfCommand(command.sequence);
    event.outcome = command.end->outcome;
    event.exit_code = command.end->ExitCode();
    Tell(Kind::kCommandEnded, id, command.end->ended_at, std::move(event));
  }

  void TellOutput(const InstanceId& id, std::int64_t sequence, ToldCommand& told) {
    const auto sizes = state::ReadOutputSizes(DirectoryOf(id), sequence);
    if (!sizes) return;
    const std::array<std::uint64_t, 2> bytes = {sizes->stdout_bytes, sizes->stderr_bytes};
    for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
      const auto which = static_cast<std::size_t>(stream);
      if (bytes[which] <= told.bytes[which]) continue;
      Event event = OfCommand(sequence);
      event.stream = stream;
      event.bytes = told.bytes[which] = bytes[which];
      Tell(Kind::kOutput, id.str(), std::nullopt, std::move(event));
    }
  }

  void LookAtOutput(const std::string& id, std::int64_t sequence) {
    const auto task = InstanceId::Parse(InstanceKind::kTask, id);
    const auto told = told_.find(id);
    if (!task || told == told_.end()) return;
    const auto command = told->second.running.find(sequence);
    if (command != told->second.running.end()) TellOutput(*task, sequence, command->second);
  }

  void TellDeletions(const std::set<std::string>& present) {
    for (auto one = told_.begin(); one != told_.end();) {
      if (present.contains(one->first)) {
        ++one;
        continue;
      }
      for (const auto& [sequence, command] : one->second.running) {
        changes_.ForgetCommand(one->first, sequence);
      }
      changes_.ForgetGuest(one->first);
      appeared_.erase(one->first);
      Tell(Kind::kDeleted, one->first, std::nullopt);
      one = told_.erase(one);
    }
    // Came and went between two looks. A directory is there a moment before its row.
    for (auto id = appeared_.begin(); id != appeared_.end();) {
      const bool task = InstanceId::Parse(InstanceKind::kTask, *id).ok();
      const bool known = present.contains(*id) ||
                         !(task || InstanceId::Parse(InstanceKind::kVm, *id).ok()) || !Wanted(*id);
      if (!known &&
          ::access((context_.state / (task ? "tasks" : "vms") / *id).c_str(), F_OK) == 0) {
        ++id;
        continue;
      }
      if (!known) {
        Tell(Kind::kCreated, *id, std::nullopt);
        Tell(Kind::kDeleted, *id, std::nullopt);
      }
      id = appeared_.erase(id);
    }
  }

  std::string EnvironmentsNow() const {
    Environments environments(context_);
    std::string now;
    for (const auto& one : environments.store().List()) {
      now += fmt::format("{} {} {}\n", one.name, static_cast<int>(one.state), one.digest);
    }
    return now;
  }

  void LookAtEnvironments() {
    std::string now = EnvironmentsNow();
    if (now == environments_) return;
    environments_ = std::move(now);
    if (only_.empty()) Tell(Kind::kEnvironments, "", std::nullopt);
  }

  static Event OfCommand(std::int64_t sequence) {
    Event event;
    event.sequence = sequence;
    return event;
  }

  const Context context_;
  StateWatch changes_;
  std::optional<state::Registry> registry_;
  std::string only_;     // The whole id, or empty: all.
  bool first_ = true;    // What is found was there before.
  bool behind_ = false;  // A look has failed.
  bool interrupted_ = false;
  std::map<std::string, Told> told_;
  std::set<std::string> appeared_;
  std::string environments_;
  std::vector<Event> events_;
};

}  // namespace
}  // namespace engine

Result<std::unique_ptr<EventStream>> LocalEngine::Watch(const std::string& id) {
  // First of all, so that a change during the first look is noticed by the second.
  PYRO_ASSIGN_OR_RETURN(engine::StateWatch changes,
                        engine::StateWatch::Open(impl_->context.state, impl_->context.cache));
  auto watching = std::make_unique<engine::Watching>(impl_->context, std::move(changes));
  PYRO_RETURN_IF_ERROR(watching->Begin(id));
  return std::unique_ptr<EventStream>(std::move(watching));
}

}  // namespace pyro
