// Rows of registry.db in which something else has written: any value of a column is read or
// refused, and a row that is read can be written again.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "db/database.h"
#include "db/migrations.h"
#include "memory_directory.h"
#include "state/rows.h"
#include "state/schema.h"

namespace {

using namespace pyro;

const InstanceId& TaskId() {
  static const InstanceId id = InstanceId::FromBits(InstanceKind::kTask, {});
  return id;
}

state::InstanceRecord Instance() {
  state::InstanceRecord instance(state::InstanceSpec{.id = TaskId()});
  instance.environment = "debian:12";
  return instance;
}

state::CommandRecord CommandOf(std::string_view word) {
  state::CommandBegin begin;
  begin.argv = {std::string(word)};
  return {TaskId(), 1, begin};
}

// A registry that each input finds as the one before did.
class Registry {
 public:
  Registry() {
    database_.emplace(std::move(db::Database::Open(directory_.path() / "registry.db")).value());
    PYRO_CHECK(db::Migrate(*database_, state::Migrations()).ok());
    PYRO_CHECK(database_->Execute("BEGIN").ok());
  }

  db::Database& database() { return *database_; }
  db::Statement Prepare(db::Sql sql) { return std::move(database_->Prepare(sql)).value(); }

 private:
  MemoryDirectory directory_;
  std::optional<db::Database> database_;
};

// The number of a parameter, the kind of its value, and the value.
void BindForeign(db::Statement& statement, int parameter, unsigned kind, std::string_view value) {
  std::int64_t number = 0;
  std::memcpy(&number, value.data(), std::min(value.size(), sizeof number));
  if (kind % 4 == 0) {
    statement.BindNull(parameter);
  } else if (kind % 4 == 1) {
    statement.BindInt(parameter, number);
  } else if (kind % 4 == 2) {
    statement.BindText(parameter, value);
  } else {
    statement.BindBlob(parameter,
                       {reinterpret_cast<const std::uint8_t*>(value.data()), value.size()});
  }
}

void TryInstance(Registry& registry, int parameter, unsigned kind, std::string_view value) {
  auto insert = registry.Prepare(state::kInsertInstance);
  state::BindInstance(insert, Instance());
  if (parameter > 0) BindForeign(insert, parameter, kind, value);
  if (!insert.Run()) return;
  auto select = registry.Prepare(state::kSelectInstance);
  select.BindText(1, TaskId().str());
  const auto row = select.Step();
  PYRO_CHECK(row.ok() && *row);
  const auto read = state::ReadInstance(select);
  if (!read) {
    PYRO_CHECK(read.error().code == ErrorCode::kDataLoss && !read.error().hint.empty());
    return;
  }
  PYRO_CHECK(state::ParseTaskManifest(state::FormatTaskManifest(*read)).ok());
  auto update = registry.Prepare(state::kUpdateInstance);
  state::BindInstance(update, *read);
  PYRO_CHECK(update.Run().ok());
}

void TryCommand(Registry& registry, int parameter, unsigned kind, std::string_view value) {
  auto insert = registry.Prepare(state::kInsertCommand);
  state::BindCommand(insert, CommandOf("true"));
  BindForeign(insert, parameter, kind, value);
  if (!insert.Run()) return;
  auto select = registry.Prepare(state::kSelectCommand);
  select.BindText(1, TaskId().str());
  select.BindInt(2, 1);
  const auto row = select.Step();
  PYRO_CHECK(row.ok() && *row);
  const auto read = state::ReadCommand(select);
  if (!read) {
    PYRO_CHECK(read.error().code == ErrorCode::kDataLoss && !read.error().hint.empty());
    return;
  }
  auto update = registry.Prepare(state::kUpdateCommand);
  state::BindCommand(update, *read);
  PYRO_CHECK(update.Run().ok());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Registry registry;
  if (size < 3) return 0;
  const std::string_view value(reinterpret_cast<const char*>(data) + 3, size - 3);
  PYRO_CHECK(registry.database().Execute("SAVEPOINT clean").ok());
  // The keys come last, and find the rows again.
  constexpr int kCommandColumns = 4 + static_cast<int>(std::size(state::kCommandBeginFields) +
                                                       std::size(state::kCommandEndFields));
  if (data[0] % 2 == 0) {
    TryInstance(registry, 1 + data[1] % static_cast<int>(std::size(state::kInstanceFields)),
                data[2], value);
  } else {
    TryInstance(registry, 0, 0, "");
    TryCommand(registry, 1 + data[1] % kCommandColumns, data[2], value);
  }
  PYRO_CHECK(registry.database().Execute("ROLLBACK TO clean").ok());
  return 0;
}
