// The part of Registry for the commands of tasks. Each call takes the same time for any number of
// commands: one row of `instances` and one of `commands`, found by their keys.

#include <fmt/format.h>

#include "base/try.h"
#include "state/registry.h"
#include "state/rows.h"

namespace pyro::state {
Status CheckCommandEnd(const CommandEnd& end) {
  constexpr auto kMax = static_cast<std::uint64_t>(kMaxStreamBytes);
  const bool possible = end.stdout_bytes <= kMax && end.stderr_bytes <= kMax &&
                        end.stdout_dropped <= end.stdout_bytes &&
                        end.stderr_dropped <= end.stderr_bytes && end.duration_us >= 0;
  if (possible) return OkStatus();
  return MakeError(ErrorCode::kInvalidArgument, "a command cannot have ended like this");
}

Result<CommandRecord> Registry::BeginCommand(const InstanceId& id, const CommandSpec& spec,
                                             ExecutionMode mode) {
  if (spec.timeout_ms < 0) {
    return MakeError(ErrorCode::kInvalidArgument, "a command cannot have a negative time limit");
  }
  if (!PolicyOf(id.kind()).keeps_work) {
    return MakeError(ErrorCode::kInvalidArgument,
                     fmt::format("a {} keeps no journal", PolicyOf(id.kind()).thing));
  }
  CommandRecord command(id, 0, CommandBegin{spec, mode, {}});
  PYRO_RETURN_IF_ERROR(Change(id, [&](InstanceRecord& task) -> Status {
    command.started_at = clock_->Now();
    // A supervisor takes commands for started tasks: this one has been stopped since it was asked.
    if (task.state == InstanceState::kStopped) {
      return MakeError(ErrorCode::kWrongState, "the task is being stopped, so no command begins",
                       "run the command again: it starts the task");
    }
    PYRO_RETURN_IF_ERROR(Advance(task, InstanceEvent::kExec, {}, command.started_at));
    command.sequence = task.next_sequence++;
    ++task.command_count;
    return InsertCommandRow(command);
  }));
  return command;
}

Status Registry::InsertCommandRow(const CommandRecord& command) {
  PYRO_ASSIGN_OR_RETURN(auto insert, database_.Prepare(kInsertCommand));
  BindCommand(insert, command);
  return insert.Run();
}

Result<CommandRecord> Registry::EndCommand(const InstanceId& id, std::int64_t sequence,
                                           const CommandEnd& end) {
  PYRO_RETURN_IF_ERROR(CheckCommandEnd(end));
  std::optional<CommandRecord> command;
  const auto record = [&]() -> Status {
    PYRO_ASSIGN_OR_RETURN(command, GetCommand(id, sequence));
    if (command->end) {
      return MakeError(ErrorCode::kWrongState,
                       fmt::format("command {} of '{}' has ended already", sequence, id.str()));
    }
    command->end = end;
    PYRO_RETURN_IF_ERROR(Change(id, [&](InstanceRecord& task) {
      task.output_bytes += end.kept_bytes();
      // An interruption is noticed at some later time, which does not count as use of the task.
      if (task.state == InstanceState::kStarted && end.outcome != Outcome::kInterrupted) {
        BeginLease(task, clock_->Now());
      }
      return OkStatus();
    }));
    PYRO_ASSIGN_OR_RETURN(auto update, database_.Prepare(kUpdateCommand));
    BindCommand(update, *command);
    return update.Run();
  };
  PYRO_RETURN_IF_ERROR(InTransaction(record, db::Sync::kLater));
  return std::move(*command);
}

Result<std::int64_t> Registry::InterruptRunning(
    const InstanceId& id, const std::function<CommandEnd(std::int64_t)>& how) {
  PYRO_ASSIGN_OR_RETURN(const std::vector<std::int64_t> running, RunningCommands(id));
  if (running.empty()) return 0;
  // Files are read before the transaction makes other processes wait.
  std::vector<CommandEnd> ends;
  ends.reserve(running.size());
  for (const std::int64_t sequence : running) ends.push_back(how(sequence));
  PYRO_RETURN_IF_ERROR(InTransaction([&]() -> Status {
    for (std::size_t i = 0; i < running.size(); ++i) {
      const auto ended = EndCommand(id, running[i], ends[i]);
      // Another process may have noticed first.
      if (!ended && ended.error().code != ErrorCode::kWrongState &&
          ended.error().code != ErrorCode::kNotFound) {
        return ended.error();
      }
    }
    return OkStatus();
  }));
  return static_cast<std::int64_t>(running.size());
}

Result<std::vector<std::int64_t>> Registry::RunningCommands(const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(
      auto select,
      database_.Prepare("SELECT sequence FROM commands INDEXED BY commands_running WHERE "
                        "task_id = ?1 AND state = 'running' ORDER BY sequence"));
  select.BindText(1, id.str());
  return ReadRows<std::int64_t>(
      select, [](const db::Statement& row) { return Result<std::int64_t>(row.Int(0)); });
}

Result<CommandRecord> Registry::GetCommand(const InstanceId& id, std::int64_t sequence) {
  PYRO_ASSIGN_OR_RETURN(auto select, database_.Prepare(kSelectCommand));
  PYRO_ASSIGN_OR_RETURN(const bool found, select.BindText(1, id.str()).BindInt(2, sequence).Step());
  if (found) return ReadCommand(select);
  return MakeError(ErrorCode::kNotFound,
                   fmt::format("task '{}' has no command {}", id.str(), sequence),
                   "`pyro task logs` lists its commands");
}

Result<std::vector<CommandRecord>> Registry::ListCommands(const InstanceId& id,
                                                          const CommandRange& range) {
  PYRO_ASSIGN_OR_RETURN(
      auto select, database_.Prepare(range.newest_first ? kSelectCommandsBack : kSelectCommands));
  select.BindText(1, id.str())
      .BindInt(2, range.from_sequence)
      .BindInt(3, std::max<std::int64_t>(range.limit, 0));
  return ReadRows(select, &ReadCommand);
}

Result<std::optional<CommandRecord>> Registry::LastCommand(const InstanceId& id) {
  PYRO_ASSIGN_OR_RETURN(
      auto commands,
      ListCommands(id, {.from_sequence = INT64_MAX, .limit = 1, .newest_first = true}));
  if (commands.empty()) return std::optional<CommandRecord>();
  return std::optional<CommandRecord>(std::move(commands.front()));
}

}  // namespace pyro::state
