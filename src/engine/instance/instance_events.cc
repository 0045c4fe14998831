#include "engine/instance/instance_events.h"

#include <chrono>
#include <filesystem>
#include <iterator>
#include <system_error>

#include "base/ids.h"
#include "base/try.h"
#include "state/instance/instance_directory.h"
#include "state/journal/journal.h"

namespace pyro::engine {
namespace {

using state::CommandRecord;
using state::InstanceRecord;
using state::InstanceState;
using Kind = Event::Kind;

// One may die before its files are watched.
constexpr std::chrono::milliseconds kLookAfterFollowing{200};

}  // namespace

Event& InstanceEvents::Tell(Kind kind, const std::string& id, std::optional<WallTime> at) {
  Event& event = events_.emplace_back();
  event.kind = kind;
  event.id = id;
  event.at = FormatTime(at.value_or(context_.clock.Now()));
  return event;
}

Status InstanceEvents::LookAtRows(state::Registry& registry) {
  std::set<std::string> present;
  for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
    PYRO_ASSIGN_OR_RETURN(const std::vector<InstanceRecord> instances, registry.List(kind));
    for (const InstanceRecord& instance : instances) {
      if (!Wanted(instance.id.str())) continue;
      present.insert(instance.id.str());
      PYRO_RETURN_IF_ERROR(LookAt(registry, instance));
    }
  }
  TellDeletions(present);
  first_ = false;
  return OkStatus();
}

Status InstanceEvents::LookAt(state::Registry& registry, const InstanceRecord& instance) {
  const auto before = told_.find(instance.id.str());
  if (before != told_.end()) {
    PYRO_RETURN_IF_ERROR(TellEnds(registry, instance.id, before->second));
  }
  ToldInstance& told = TellStart(instance);
  if (!told.followed) {
    changes_.LookAgainIn(kLookAfterFollowing);
    PYRO_RETURN_IF_ERROR(changes_.FollowGuest(
        instance.id.str(), state::InstanceDirectory(context_.state, instance.id)));
  }
  told.followed = true;
  PYRO_RETURN_IF_ERROR(TellBegins(registry, instance, told));
  if (instance.state == InstanceState::kStopped && told.state != InstanceState::kStopped) {
    Tell(Kind::kStopped, instance.id.str()).last_error = instance.last_error;
  }
  told.state = instance.state;
  return OkStatus();
}

// Its creation and its starts, as far as they have not been told.
InstanceEvents::ToldInstance& InstanceEvents::TellStart(const InstanceRecord& instance) {
  const std::string& id = instance.id.str();
  const auto [entry, is_new] = told_.try_emplace(id);
  ToldInstance& told = entry->second;
  const bool is_start = instance.started_at && instance.started_at != told.started_at;
  if (is_new && first_) {
    Tell(Kind::kPresent, id).state = told.state = instance.state;
  } else {
    if (is_new) Tell(Kind::kCreated, id, instance.created_at);
    if (is_start) {
      if (told.state == InstanceState::kStarted) Tell(Kind::kStopped, id);
      Tell(Kind::kStarted, id, instance.started_at);
      told.state = InstanceState::kStarted;
    }
  }
  if (is_start) told.followed = false;  // Its console is another file.
  told.started_at = instance.started_at;
  return told;
}

// The ends of commands whose begin was told.
Status InstanceEvents::TellEnds(state::Registry& registry, const InstanceId& id,
                                ToldInstance& told) {
  for (auto one = told.running.begin(); one != told.running.end();) {
    const auto command = registry.GetCommand(id, one->first);
    if (!command) {
      // Deleted since the list was made: the next look tells that.
      if (command.error().code == ErrorCode::kNotFound) return OkStatus();
      return command.error();
    }
    TellCommand(*command, one->second);
    one = command->end ? told.running.erase(one) : std::next(one);
  }
  return OkStatus();
}

// Those that have begun since, whether they have ended or not. At first only those that run.
Status InstanceEvents::TellBegins(state::Registry& registry, const InstanceRecord& task,
                                  ToldInstance& told) {
  if (task.next_sequence <= told.next_sequence) return OkStatus();
  if (first_ && task.state != InstanceState::kStarted) {
    told.next_sequence = task.next_sequence;
    return OkStatus();
  }
  PYRO_ASSIGN_OR_RETURN(const std::vector<CommandRecord> commands,
                        registry.ListCommands(task.id, {.from_sequence = told.next_sequence}));
  for (const CommandRecord& command : commands) {
    told.next_sequence = command.sequence + 1;
    if (first_ && command.end) continue;
    Event& event = Tell(Kind::kCommandBegan, task.id.str(), command.started_at);
    event.sequence = command.sequence;
    event.command = command.argv;
    ToldCommand begun;
    TellCommand(command, begun);
    if (!command.end) told.running.emplace(command.sequence, begun);
  }
  return OkStatus();
}

// What it has written, and its end if it has ended.
void InstanceEvents::TellCommand(const CommandRecord& command, ToldCommand& told) {
  const std::string& id = command.task_id.str();
  if (!command.end && !told.followed) {
    const auto directory = state::CommandDirectory(
        state::InstanceDirectory(context_.state, command.task_id), command.sequence);
    const bool on_host = command.execution_mode == ExecutionMode::kHostCompat;
    told.followed =
        changes_.FollowCommand(id, command.sequence, directory, on_host).value_or(false);
  }
  TellOutput(id, command.sequence, told);
  if (!command.end) return;
  changes_.ForgetCommand(id, command.sequence);
  Event& event = Tell(Kind::kCommandEnded, id, command.end->ended_at);
  event.sequence = command.sequence;
  event.outcome = command.end->outcome;
  event.exit_code = command.end->ExitCode();
}

void InstanceEvents::TellOutput(const std::string& id, std::int64_t sequence, ToldCommand& told) {
  const auto tasks = state::InstancesDirectory(context_.state, InstanceKind::kTask);
  const auto sizes = state::ReadOutputSizes(tasks / id, sequence);
  if (!sizes) return;
  const std::array<std::uint64_t, 2> bytes = {sizes->stdout_bytes, sizes->stderr_bytes};
  for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
    const auto which = static_cast<std::size_t>(stream);
    if (bytes[which] <= told.bytes[which]) continue;
    Event& event = Tell(Kind::kOutput, id);
    event.sequence = sequence;
    event.stream = stream;
    event.bytes = told.bytes[which] = bytes[which];
  }
}

void InstanceEvents::LookAtOutput(const std::string& id, std::int64_t sequence) {
  const auto told = told_.find(id);
  if (told == told_.end()) return;
  const auto command = told->second.running.find(sequence);
  if (command != told->second.running.end()) TellOutput(id, sequence, command->second);
}

void InstanceEvents::TellDeletions(const std::set<std::string>& present) {
  std::erase_if(told_, [&](const auto& entry) {
    const auto& [id, told] = entry;
    if (present.contains(id)) return false;
    for (const auto& [sequence, command] : told.running) changes_.ForgetCommand(id, sequence);
    changes_.ForgetGuest(id);
    appeared_.erase(id);
    Tell(Kind::kDeleted, id);
    return true;
  });
  // Came and went between two looks. A directory is there a moment before its row.
  std::erase_if(appeared_, [&](const std::string& id) {
    const auto kind = id.starts_with("task_") ? InstanceKind::kTask : InstanceKind::kVm;
    const auto parsed = InstanceId::Parse(kind, id);
    if (!parsed || !Wanted(id) || present.contains(id)) return true;
    std::error_code ignored;
    if (std::filesystem::exists(state::InstanceDirectory(context_.state, *parsed), ignored)) {
      return false;
    }
    Tell(Kind::kCreated, id);
    Tell(Kind::kDeleted, id);
    return true;
  });
}

}  // namespace pyro::engine
