#include "state/rows.h"

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/try.h"

namespace pyro::state {
namespace {

// Those of the lists, and then others, of which the last ones are the key.
template <std::size_t kOthers, std::size_t... kSizes>
constexpr auto ColumnsOf(const std::string_view (&others)[kOthers],
                         const Field (&... lists)[kSizes]) {
  std::array<std::string_view, kOthers + (... + kSizes)> columns = {};
  auto next = columns.begin();
  const auto add = [&next](const auto& list) {
    for (const Field& field : list) *next++ = field.name;
  };
  (add(lists), ...);
  for (const std::string_view column : others) *next++ = column;
  return columns;
}

constexpr auto kInstanceColumns = ColumnsOf({"id"}, kInstanceFields);
constexpr auto kCommandColumns =
    ColumnsOf({"argv", "cwd", "state", "exit_code", "task_id", "sequence"}, kCommandBeginFields,
              kCommandEndFields);

using Columns = std::span<const std::string_view>;

// SQL that is put together from the lists of fields while this is compiled.
class FieldSql {
 public:
  constexpr FieldSql& operator<<(std::string_view part) {
    for (const char c : part) text_.at(size_++) = c;
    return *this;
  }
  constexpr FieldSql& operator<<(Columns columns) {
    for (std::size_t i = 0; i < columns.size(); ++i) *this << (i == 0 ? "" : ", ") << columns[i];
    return *this;
  }
  // Each takes the next number.
  constexpr FieldSql& Parameters(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) *this << (i == 0 ? "?" : ", ?");
    return *this;
  }
  constexpr const char* text() const { return text_.data(); }

 private:
  std::array<char, 1024> text_{};
  std::size_t size_ = 0;
};

constexpr FieldSql SelectSql(Columns columns, std::string_view rest) {
  return FieldSql() << "SELECT " << columns << rest;
}

constexpr FieldSql InsertSql(std::string_view table, Columns columns) {
  return (FieldSql() << "INSERT INTO " << table << " (" << columns << ") VALUES (")
             .Parameters(columns.size())
         << ")";
}

// Does not set the key, not even to the same value: SQLite would check all commands of a task for
// a reference to the old one.
constexpr FieldSql UpdateSql(std::string_view table, Columns values, std::string_view rest) {
  return (FieldSql() << "UPDATE " << table << " SET (" << values << ") = (")
             .Parameters(values.size())
         << ")" << rest;
}

constexpr FieldSql kOneInstance = SelectSql(kInstanceColumns, " FROM instances WHERE id = ?1");
// The alphabet of ids ends before '{'.
constexpr FieldSql kManyInstances = SelectSql(
    kInstanceColumns, " FROM instances WHERE id >= ?1 AND id < ?1 || '{' ORDER BY created_at, id");
constexpr FieldSql kNewInstance = InsertSql("instances", kInstanceColumns);
constexpr FieldSql kChangedInstance = UpdateSql(
    "instances", Columns(kInstanceColumns).first(kInstanceColumns.size() - 1), " WHERE id = ?");
constexpr FieldSql kOneCommand =
    SelectSql(kCommandColumns, " FROM commands WHERE task_id = ?1 AND sequence = ?2");
constexpr FieldSql kManyCommands =
    SelectSql(kCommandColumns,
              " FROM commands WHERE task_id = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3");
constexpr FieldSql kManyCommandsBack = SelectSql(
    kCommandColumns,
    " FROM commands WHERE task_id = ?1 AND sequence <= ?2 ORDER BY sequence DESC LIMIT ?3");
constexpr FieldSql kNewCommand = InsertSql("commands", kCommandColumns);
constexpr FieldSql kChangedCommand =
    UpdateSql("commands", Columns(kCommandColumns).first(kCommandColumns.size() - 2),
              " WHERE task_id = ? AND sequence = ?");

constexpr std::size_t kMaxPairsBytes = 1024 * 1024;  // Of a map, as JSON.

// `thing` names the kind of row: "VM".
Error BadRow(std::string_view thing, std::string_view what, std::string_view value) {
  return MakeError(
      ErrorCode::kDataLoss,
      fmt::format("the registry holds a {} whose {} is '{}'", thing, what, Printable(value)),
      "something else than pyro has written to registry.db: move it away, and a new one is made");
}

// The columns from `column` on, which is counted up.
Status ReadColumns(const db::Statement& row, int& column, std::string_view thing,
                   std::span<const Field> fields, void* object) {
  for (const Field& field : fields) {
    const int at = column++;
    if (field.kind == FieldKind::kText) {
      std::string text = row.Text(at);
      if (text.size() > static_cast<std::uint64_t>(field.most)) {
        return BadRow(thing, InWords(field), text);
      }
      *static_cast<std::string*>(field.at(object)) = std::move(text);
    } else if (field.kind == FieldKind::kPairs) {
      const auto json = ParseJson(row.Text(at), kMaxPairsBytes);
      if (!json || !ReadFields({&field, 1}, Json{{field.name, *json}}, object)) {
        return BadRow(thing, InWords(field), row.Text(at));
      }
    } else if (field.choice != nullptr) {
      const auto value = ChoiceOf(field, row.Text(at));
      if (!value) return BadRow(thing, InWords(field), row.Text(at));
      field.store(field.at(object), *value);
    } else if (!field.optional || !row.IsNull(at)) {
      if (!StoreNumber(field, row.Int(at), field.at(object))) {
        return BadRow(thing, InWords(field), row.Text(at));
      }
    }
  }
  return OkStatus();
}

void BindColumns(db::Statement& statement, int& parameter, std::span<const Field> fields,
                 const void* object) {
  for (const Field& field : fields) {
    const void* const member = field.at(const_cast<void*>(object));
    const int at = parameter++;
    if (field.kind == FieldKind::kText) {
      statement.BindText(at, *static_cast<const std::string*>(member));
    } else if (field.kind == FieldKind::kPairs) {
      statement.BindText(at, ToJsonLine(FieldsToJson({&field, 1}, object)[field.name]));
    } else if (const std::int64_t value = field.load(member); field.choice != nullptr) {
      statement.BindText(at, field.choice(value));
    } else if (value != kUnset) {
      statement.BindInt(at, value);
    } else {
      statement.BindNull(at);
    }
  }
}

Result<InstanceId> ReadId(const std::string& text) {
  for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
    if (auto id = InstanceId::Parse(kind, text)) return std::move(*id);
  }
  return BadRow("VM or task", "id", text);
}

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

}  // namespace

constinit const db::Sql kSelectInstance = kOneInstance.text();
constinit const db::Sql kSelectInstances = kManyInstances.text();
constinit const db::Sql kInsertInstance = kNewInstance.text();
constinit const db::Sql kUpdateInstance = kChangedInstance.text();
constinit const db::Sql kSelectCommand = kOneCommand.text();
constinit const db::Sql kSelectCommands = kManyCommands.text();
constinit const db::Sql kSelectCommandsBack = kManyCommandsBack.text();
constinit const db::Sql kInsertCommand = kNewCommand.text();
constinit const db::Sql kUpdateCommand = kChangedCommand.text();

Result<InstanceRecord> ReadInstance(const db::Statement& row) {
  PYRO_ASSIGN_OR_RETURN(auto id, ReadId(row.Text(static_cast<int>(kInstanceColumns.size()) - 1)));
  const std::string_view thing = PolicyOf(id.kind()).thing;
  InstanceRecord instance(InstanceSpec{.id = std::move(id)});
  int column = 0;
  PYRO_RETURN_IF_ERROR(ReadColumns(row, column, thing, kInstanceFields, &instance));
  // Never stored.
  if (instance.state == InstanceState::kDeleted) return BadRow(thing, "state", "deleted");
  return instance;
}

void BindInstance(db::Statement& statement, const InstanceRecord& instance) {
  int parameter = 1;
  BindColumns(statement, parameter, kInstanceFields, &instance);
  statement.BindText(parameter, instance.id.str());
}

Result<CommandRecord> ReadCommand(const db::Statement& row) {
  const int others = static_cast<int>(kCommandColumns.size()) - 6;
  auto task_id = InstanceId::Parse(InstanceKind::kTask, row.Text(others + 4));
  if (!task_id) return BadRow("command", "task", row.Text(others + 4));
  CommandBegin begin;
  int column = 0;
  PYRO_RETURN_IF_ERROR(ReadColumns(row, column, "command", kCommandBeginFields, &begin));
  PYRO_ASSIGN_OR_RETURN(begin.argv, ReadArgv(row.Blob(others)));
  begin.cwd = row.Blob(others + 1);
  CommandRecord command(std::move(*task_id), row.Int(others + 5), std::move(begin));
  if (row.Text(others + 2) == Name(CommandState::kEnded)) {
    PYRO_RETURN_IF_ERROR(
        ReadColumns(row, column, "command", kCommandEndFields, &command.end.emplace()));
  }
  return command;
}

void BindCommand(db::Statement& statement, const CommandRecord& command) {
  const CommandBegin& begin = command;
  const CommandEnd end = command.end.value_or(CommandEnd{});
  int parameter = 1;
  BindColumns(statement, parameter, kCommandBeginFields, &begin);
  // Without an end its numbers are 0, and its outcome and time are missing.
  for (const Field& field : kCommandEndFields) {
    const bool missing = field.kind == FieldKind::kChoice || field.kind == FieldKind::kTime;
    if (command.end || !missing) {
      BindColumns(statement, parameter, {&field, 1}, &end);
    } else {
      statement.BindNull(parameter++);
    }
  }
  statement.BindBlob(parameter, Bytes(ToCbor(Json(command.argv))))
      .BindBlob(parameter + 1, Bytes(command.cwd))
      .BindText(parameter + 2, Name(command.end ? CommandState::kEnded : CommandState::kRunning))
      .BindInt(parameter + 3, end.ExitCode())
      .BindText(parameter + 4, command.task_id.str())
      .BindInt(parameter + 5, command.sequence);
}

}  // namespace pyro::state
