#include "db/migrations.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/try.h"
#include "db/sqlite_error.h"

namespace pyro::db {

// A PRAGMA takes no bound value. Only the runner uses this.
Status SetUserVersion(Database& database, int version) {
  const std::string sql = fmt::format("PRAGMA user_version = {}", version);
  const int code = sqlite3_exec(database.handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return SqliteError(database.handle_.get(), code);
  return OkStatus();
}

namespace {

// Between 0 and `known`, or an error.
Result<int> CheckedVersion(Database& database, int known) {
  PYRO_ASSIGN_OR_RETURN(auto pragma, database.Prepare("PRAGMA user_version"));
  PYRO_RETURN_IF_ERROR(pragma.Step());
  const std::int64_t version = pragma.Int(0);
  if (version < 0) {
    return BrokenDatabase(database.path().native(), fmt::format("its version is {}", version));
  }
  if (version > known) {
    return MakeError(
        ErrorCode::kUnavailable,
        fmt::format("'{}' was made by a newer pyro: its version is {}, this one knows {}",
                    database.path().native(), version, known),
        "update this pyro, or give it another state directory");
  }
  return static_cast<int>(version);
}

}  // namespace

Status Migrate(Database& database, std::span<const Sql> migrations) {
  const int known = static_cast<int>(migrations.size());
  while (true) {
    // First without a lock: nearly always there is nothing to do.
    PYRO_ASSIGN_OR_RETURN(const int seen, CheckedVersion(database, known));
    if (seen == known) return OkStatus();
    PYRO_ASSIGN_OR_RETURN(auto transaction, Transaction::Begin(database));
    PYRO_ASSIGN_OR_RETURN(const int version, CheckedVersion(database, known));
    if (version == known) return OkStatus();
    PYRO_RETURN_IF_ERROR(database.Execute(migrations[static_cast<std::size_t>(version)]));
    PYRO_RETURN_IF_ERROR(SetUserVersion(database, version + 1));
    PYRO_RETURN_IF_ERROR(transaction.Commit());
  }
}

}  // namespace pyro::db
