#include "state/instance/instance_row.h"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/try.h"
#include "state/instance/instance_record.h"
#include "state/row_values.h"

namespace pyro::state {
namespace {

// SQL that is put together from the list of fields while this is compiled.
class FieldSql {
 public:
  constexpr FieldSql& operator<<(std::string_view part) {
    for (const char c : part) text_.at(size_++) = c;
    return *this;
  }
  constexpr const char* text() const { return text_.data(); }

 private:
  std::array<char, 1024> text_{};
  std::size_t size_ = 0;
};

constexpr void AddColumns(FieldSql& sql) {
  for (std::size_t i = 0; i < kInstanceFields.size(); ++i) {
    sql << (i == 0 ? "" : ", ") << kInstanceFields.at(i).name;
  }
}

// Each takes the next number.
constexpr void AddParameters(FieldSql& sql) {
  for (std::size_t i = 0; i < kInstanceFields.size(); ++i) sql << (i == 0 ? "?" : ", ?");
}

constexpr FieldSql SelectSql(std::string_view which) {
  FieldSql sql;
  sql << "SELECT ";
  AddColumns(sql);
  sql << ", id FROM instances WHERE " << which;
  return sql;
}

constexpr FieldSql InsertSql() {
  FieldSql sql;
  sql << "INSERT INTO instances (";
  AddColumns(sql);
  sql << ", id) VALUES (";
  AddParameters(sql);
  sql << ", ?)";
  return sql;
}

// Does not set the id, not even to the same value: SQLite would check all commands of the task for
// a reference to the old one.
constexpr FieldSql UpdateSql() {
  FieldSql sql;
  sql << "UPDATE instances SET (";
  AddColumns(sql);
  sql << ") = (";
  AddParameters(sql);
  sql << ") WHERE id = ?";
  return sql;
}

constexpr FieldSql kSelectOneText = SelectSql("id = ?1");
// The alphabet of ids ends before '{'.
constexpr FieldSql kSelectManyText =
    SelectSql("id >= ?1 AND id < ?1 || '{' ORDER BY created_at, id");
constexpr FieldSql kInsertText = InsertSql();
constexpr FieldSql kUpdateText = UpdateSql();

// `thing` names the kind of row, for errors.
template <typename Value>
Status ReadColumn(const db::Statement& row, int column, std::string_view thing, Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    PYRO_ASSIGN_OR_RETURN(value, ParseName<Value>(thing, row.Text(column)));
  } else if constexpr (std::is_same_v<Value, std::string>) {
    value = row.Text(column);
  } else if constexpr (std::is_same_v<Value, WallTime>) {
    value = FromMs(row.Int(column));
  } else if constexpr (std::is_same_v<Value, std::optional<WallTime>>) {
    if (const auto ms = row.OptionalInt(column)) value = FromMs(*ms);
  } else {
    value = static_cast<Value>(row.Int(column));
  }
  return OkStatus();
}

template <typename Value>
void BindValue(db::Statement& statement, int parameter, const Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    statement.BindText(parameter, Name(value));
  } else if constexpr (std::is_same_v<Value, std::string>) {
    statement.BindText(parameter, value);
  } else if constexpr (std::is_same_v<Value, WallTime>) {
    statement.BindInt(parameter, ToMs(value));
  } else if constexpr (std::is_same_v<Value, std::optional<WallTime>>) {
    if (value) {
      statement.BindInt(parameter, ToMs(*value));
    } else {
      statement.BindNull(parameter);
    }
  } else if constexpr (std::is_same_v<Value, std::chrono::seconds>) {
    statement.BindInt(parameter, value.count());
  } else {
    statement.BindInt(parameter, static_cast<std::int64_t>(value));
  }
}

Result<InstanceId> ReadId(const std::string& text) {
  for (const InstanceKind kind : {InstanceKind::kVm, InstanceKind::kTask}) {
    if (auto id = InstanceId::Parse(kind, text)) return std::move(*id);
  }
  return BadRow("VM or task", "id", text);
}

}  // namespace

constinit const db::Sql kSelectInstance = kSelectOneText.text();
constinit const db::Sql kSelectInstances = kSelectManyText.text();
constinit const db::Sql kInsertInstance = kInsertText.text();
constinit const db::Sql kUpdateInstance = kUpdateText.text();

Result<InstanceRecord> ReadInstance(const db::Statement& row) {
  int column = static_cast<int>(kInstanceFields.size());
  PYRO_ASSIGN_OR_RETURN(auto id, ReadId(row.Text(column)));
  const std::string_view thing = PolicyOf(id.kind()).thing;
  InstanceRecord instance(InstanceSpec{.id = std::move(id)});
  column = 0;
  for (const InstanceField& field : kInstanceFields) {
    PYRO_RETURN_IF_ERROR(
        std::visit([&](auto member) { return ReadColumn(row, column, thing, instance.*member); },
                   field.member));
    ++column;
  }
  // Never stored.
  if (instance.state == InstanceState::kDeleted) return BadRow(thing, "state", "deleted");
  return instance;
}

void BindInstance(db::Statement& statement, const InstanceRecord& instance) {
  int parameter = 0;
  for (const InstanceField& field : kInstanceFields) {
    ++parameter;
    std::visit([&](auto member) { BindValue(statement, parameter, instance.*member); },
               field.member);
  }
  statement.BindText(parameter + 1, instance.id.str());
}

}  // namespace pyro::state
