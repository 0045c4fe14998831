// SQLite, opened in the way that is safe for a file that several processes share and during whose
// use any of them may be killed: WAL, synchronous=FULL, foreign keys on, no content of the file
// trusted.
//
// A Database and everything made from it belong to one thread and to the process that opened it.
// Open after fork, never before: using one in a child aborts, because SQLite's locks do not cross
// fork and the file would be damaged.

#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pyro/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace pyro::db {

// How long a call waits for another process's transaction before it fails with kUnavailable.
inline constexpr std::chrono::milliseconds kBusyTimeout{10'000};

// SQL that is a literal of the program. Values enter it only as bound parameters.
class Sql {
 public:
  consteval Sql(const char* text) : text_(text) {}  // NOLINT: implicit on purpose
  const char* text() const { return text_; }

 private:
  const char* text_;
};

// A prepared statement. Finalize it (let it go out of scope) before the Database it came from, and
// soon: one that stands on a row keeps a read transaction open.
class Statement {
 public:
  // Parameters count from 1; a number that the SQL does not have aborts. Bytes are copied.
  // A value too large to bind is reported by the next Step().
  Statement& BindInt(int parameter, std::int64_t value);
  Statement& BindText(int parameter, std::string_view value);
  Statement& BindBlob(int parameter, std::span<const std::uint8_t> value);
  Statement& BindNull(int parameter);

  // True: it stands on a row. False: there is no further row, and it can be bound and run again.
  // kUnavailable: another process kept its transaction for longer than kBusyTimeout.
  // kAlreadyExists: a uniqueness rule of the table refused the row. kNoSpace, kDataLoss,
  // kPermissionDenied: as for Database::Open. After an error it is reset.
  Result<bool> Step();

  // Steps to the end and drops the rows.
  Status Run();

  // Columns count from 0 and are those of the row it stands on; one that does not exist aborts.
  // NULL reads as 0 and as empty; other types are converted as SQLite does.
  std::int64_t Int(int column) const;
  std::string Text(int column) const;
  std::string Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  void Bound(int code);
  void CheckColumn(int column) const;

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bind_error_ = 0;  // The first SQLite code that a Bind… met.
};

class Database {
 public:
  // Creates the file, with mode 0600, if it is missing; its directory must exist. It must not be on
  // a network file system.
  // kNotFound: no such directory. kPermissionDenied: the user may not write the file or its
  // directory. kDataLoss: not a database, or a broken one; the hint says what to do. kNoSpace.
  // kUnavailable: others were busy with it for longer than kBusyTimeout, or the file system cannot
  // do WAL.
  static Result<Database> Open(const std::filesystem::path& path);

  Result<Statement> Prepare(Sql sql);

  // One or more statements without parameters; rows are dropped. Errors as for Statement::Step.
  Status Execute(Sql sql);

  // Rows that the latest INSERT, UPDATE or DELETE changed.
  std::int64_t changes() const;

  bool in_transaction() const;

  std::filesystem::path path() const;

 private:
  friend class Transaction;
  friend Status SetUserVersion(Database& database, int version);
  struct Close {
    pid_t opened_by = 0;
    void operator()(sqlite3* handle) const;
  };
  using Handle = std::unique_ptr<sqlite3, Close>;

  explicit Database(Handle handle) : handle_(std::move(handle)) {}
  Status Configure();
  Status EnableWal();
  void CheckProcess() const;

  Handle handle_;
};

// When the changes of a transaction are on disk.
enum class Sync {
  kAtCommit,
  // At the latest with the next transaction that is synced. Other processes see them at once, and
  // they survive a kill. A power cut may take them, together with all later ones.
  kLater,
};

// BEGIN IMMEDIATE: no other process writes from here to Commit, so values that were read stay true.
// Rolled back when it goes out of scope uncommitted. Transactions do not nest; beginning one inside
// another aborts. It must be destroyed before its Database.
class Transaction {
 public:
  // kUnavailable: another process kept its transaction for longer than kBusyTimeout.
  static Result<Transaction> Begin(Database& database, Sync sync = Sync::kAtCommit);

  // On success all changes are on disk, or will be as `sync` says; on an error none of them.
  Status Commit();

 private:
  // Rolls back what was not committed.
  struct End {
    Sync sync = Sync::kAtCommit;
    void operator()(sqlite3* handle) const;
  };
  Transaction(sqlite3* handle, Sync sync) : handle_(handle, End{sync}) {}

  std::unique_ptr<sqlite3, End> handle_;  // Borrowed; null once it is over.
};

}  // namespace pyro::db
