#include "state/journal/command_row.h"

#include <span>

#include "base/json.h"
#include "base/try.h"
#include "state/row_values.h"

namespace pyro::state {
namespace {

std::span<const std::uint8_t> Bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// CBOR, whose strings may hold any bytes.
Result<std::vector<std::string>> ReadArgv(const std::string& blob) {
  const auto json = ParseCbor(Bytes(blob));
  if (!json || !json->is_array()) return BadRow("command", "argv", blob);
  std::vector<std::string> argv;
  for (const Json& word : *json) {
    if (!word.is_string()) return BadRow("command", "argv", blob);
    argv.push_back(word.get<std::string>());
  }
  return argv;
}

std::uint64_t Unsigned(std::int64_t value) { return static_cast<std::uint64_t>(value); }
std::int64_t Signed(std::uint64_t value) { return static_cast<std::int64_t>(value); }

Result<CommandEnd> ReadEnd(const db::Statement& row) {
  PYRO_ASSIGN_OR_RETURN(const Outcome outcome, ParseName<Outcome>("command", row.Text(9)));
  return CommandEnd{.outcome = outcome,
                    .code = static_cast<int>(row.Int(10)),
                    .duration_us = row.Int(12),
                    .stdout_bytes = Unsigned(row.Int(13)),
                    .stderr_bytes = Unsigned(row.Int(14)),
                    .output_left_open = row.Int(17) != 0,
                    .ended_at = FromMs(row.Int(8)),
                    .stdout_dropped = Unsigned(row.Int(15)),
                    .stderr_dropped = Unsigned(row.Int(16))};
}

}  // namespace

Result<CommandRecord> ReadCommand(const db::Statement& row) {
  auto task_id = InstanceId::Parse(InstanceKind::kTask, row.Text(0));
  if (!task_id) return BadRow("command", "task", row.Text(0));
  CommandBegin begin;
  PYRO_ASSIGN_OR_RETURN(begin.argv, ReadArgv(row.Blob(2)));
  begin.cwd = row.Blob(3);
  begin.timeout_ms = row.Int(4);
  PYRO_ASSIGN_OR_RETURN(begin.execution_mode, ParseName<ExecutionMode>("command", row.Text(5)));
  begin.started_at = FromMs(row.Int(7));
  CommandRecord command(std::move(*task_id), row.Int(1), std::move(begin));
  if (row.Text(6) == Name(CommandState::kEnded)) {
    PYRO_ASSIGN_OR_RETURN(command.end, ReadEnd(row));
  }
  return command;
}

void BindCommand(db::Statement& statement, const CommandRecord& command) {
  const CommandEnd end = command.end.value_or(CommandEnd{});
  statement.BindText(1, command.task_id.str())
      .BindInt(2, command.sequence)
      .BindBlob(3, Bytes(ToCbor(Json(command.argv))))
      .BindBlob(4, Bytes(command.cwd))
      .BindInt(5, command.timeout_ms)
      .BindText(6, Name(command.execution_mode))
      .BindText(7, Name(command.end ? CommandState::kEnded : CommandState::kRunning))
      .BindInt(8, ToMs(command.started_at))
      .BindInt(11, end.code)
      .BindInt(12, end.ExitCode())
      .BindInt(13, end.duration_us)
      .BindInt(14, Signed(end.stdout_bytes))
      .BindInt(15, Signed(end.stderr_bytes))
      .BindInt(16, Signed(end.stdout_dropped))
      .BindInt(17, Signed(end.stderr_dropped))
      .BindInt(18, end.output_left_open ? 1 : 0);
  if (command.end) {
    statement.BindInt(9, ToMs(end.ended_at)).BindText(10, Name(end.outcome));
  } else {
    statement.BindNull(9).BindNull(10);
  }
}

}  // namespace pyro::state
