#include "db/database.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include <fmt/format.h>
#include <sqlite3.h>

#include "base/check.h"
#include "base/time.h"
#include "base/try.h"
#include "db/sqlite_error.h"

namespace pyro::db {

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::Bound(int code) {
  PYRO_CHECK(code != SQLITE_RANGE && code != SQLITE_MISUSE);
  if (bind_error_ == SQLITE_OK) bind_error_ = code;
}

Statement& Statement::BindInt(int parameter, std::int64_t value) {
  Bound(sqlite3_bind_int64(statement_.get(), parameter, value));
  return *this;
}

Statement& Statement::BindText(int parameter, std::string_view value) {
  const char* data =
      value.data() == nullptr ? "" : value.data();  // A null pointer would bind NULL.
  Bound(sqlite3_bind_text64(statement_.get(), parameter, data, value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
  return *this;
}

Statement& Statement::BindBlob(int parameter, std::span<const std::uint8_t> value) {
  const void* data = value.data() == nullptr ? static_cast<const void*>("") : value.data();
  Bound(sqlite3_bind_blob64(statement_.get(), parameter, data, value.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::BindNull(int parameter) {
  Bound(sqlite3_bind_null(statement_.get(), parameter));
  return *this;
}

Result<bool> Statement::Step() {
  const int bind_error = std::exchange(bind_error_, SQLITE_OK);
  const int code = bind_error != SQLITE_OK ? bind_error : sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(statement_.get());
    return false;
  }
  Error error = SqliteError(sqlite3_db_handle(statement_.get()), code);
  sqlite3_reset(statement_.get());
  return error;
}

Status Statement::Run() {
  while (true) {
    PYRO_ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return OkStatus();
  }
}

void Statement::CheckColumn(int column) const {
  PYRO_CHECK(column >= 0 && column < sqlite3_data_count(statement_.get()));
}

std::int64_t Statement::Int(int column) const {
  CheckColumn(column);
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::Text(int column) const {
  CheckColumn(column);
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
}

std::string Statement::Blob(int column) const {
  CheckColumn(column);
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  if (bytes == nullptr) return {};
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size));
}

bool Statement::IsNull(int column) const {
  CheckColumn(column);
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* handle) const {
  // In a forked child the locks are not ours, and closing could checkpoint while the parent uses
  // the file.
  if (getpid() == opened_by) sqlite3_close_v2(handle);
}

Result<Database> Database::Open(const std::filesystem::path& path) {
  // SQLite would take the umask's mode. Not open(2): closing any descriptor of the file would drop
  // the locks of every other Database that this process has on it.
  if (mknod(path.c_str(), S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
    return FileError(errno, path.native());
  }
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return BrokenDatabase(path.native(), "it is not a regular file");
  }
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  Database database(Handle(raw, Close{getpid()}));
  if (code != SQLITE_OK) return OpenError(raw, code, path.native());
  PYRO_RETURN_IF_ERROR(database.Configure());
  return database;
}

Status Database::Configure() {
  sqlite3* handle = handle_.get();
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, static_cast<int>(kBusyTimeout.count()));
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // SQLite falls back to reading silently; we would notice at the first write only.
  if (sqlite3_db_readonly(handle, "main") == 1) return SqliteError(handle, SQLITE_READONLY);
  PYRO_RETURN_IF_ERROR(
      Execute("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"));
  return EnableWal();
}

Status Database::EnableWal() {
  // To change the mode SQLite needs the file for itself, and does not use its busy handler for it.
  const Deadline deadline = Deadline::After(kBusyTimeout);
  while (true) {
    PYRO_ASSIGN_OR_RETURN(auto pragma, Prepare("PRAGMA journal_mode = WAL"));
    const auto row = pragma.Step();
    if (row && *row && pragma.Text(0) == "wal") return OkStatus();
    if (row) {
      return MakeError(ErrorCode::kUnavailable,
                       fmt::format("'{}': its file system cannot be used for it", path().native()),
                       "keep it on a local file system");
    }
    const bool busy = (sqlite3_errcode(handle_.get()) & 0xff) == SQLITE_BUSY;
    if (!busy || deadline.Expired()) return row.error();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Database::CheckProcess() const { PYRO_CHECK(handle_.get_deleter().opened_by == getpid()); }

Result<Statement> Database::Prepare(Sql sql) {
  CheckProcess();
  sqlite3_stmt* raw = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(handle_.get(), sql.text(), -1, &raw, &rest);
  Statement statement(raw);
  if (code != SQLITE_OK) return SqliteError(handle_.get(), code);
  PYRO_CHECK(raw != nullptr && *rest == '\0');  // One statement, no more.
  return statement;
}

Status Database::Execute(Sql sql) {
  CheckProcess();
  const int code = sqlite3_exec(handle_.get(), sql.text(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return SqliteError(handle_.get(), code);
  return OkStatus();
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_.get()); }

bool Database::in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

std::filesystem::path Database::path() const { return sqlite3_db_filename(handle_.get(), "main"); }

void Transaction::End::operator()(sqlite3* handle) const {
  // After some errors SQLite has rolled back by itself. A failure to roll back needs no action: the
  // file is unchanged, because no change was committed.
  if (sqlite3_get_autocommit(handle) == 0) {
    sqlite3_exec(handle, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  if (sync == Sync::kAtCommit) return;
  PYRO_CHECK(sqlite3_exec(handle, "PRAGMA synchronous = FULL", nullptr, nullptr, nullptr) ==
             SQLITE_OK);
}

Result<Transaction> Transaction::Begin(Database& database, Sync sync) {
  PYRO_CHECK(!database.in_transaction());
  Transaction transaction(database.handle_.get(), sync);
  // In the mode WAL that leaves out the sync at a commit, and no other.
  if (sync == Sync::kLater) {
    PYRO_RETURN_IF_ERROR(database.Execute("PRAGMA synchronous = NORMAL"));
  }
  PYRO_RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  return transaction;
}

Status Transaction::Commit() {
  PYRO_CHECK(handle_ != nullptr);
  Status status = OkStatus();
  const int code = sqlite3_exec(handle_.get(), "COMMIT", nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) status = SqliteError(handle_.get(), code);
  handle_.reset();
  return status;
}

}  // namespace pyro::db
