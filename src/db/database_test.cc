#include "db/database.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include "db/test_support.h"

namespace pyro::db {
namespace {

std::int64_t QueryInt(Database& database, Sql sql) {
  auto statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok());
  const auto row = statement->Step();
  EXPECT_TRUE(row.ok() && *row);
  return statement->Int(0);
}

std::string QueryText(Database& database, Sql sql) {
  auto statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok());
  EXPECT_TRUE(statement->Step().ok());
  return statement->Text(0);
}

void Fill(const std::filesystem::path& path) {
  auto database = Database::Open(path);
  ASSERT_TRUE(database.ok());
  ASSERT_TRUE(database
                  ->Execute("CREATE TABLE t (v TEXT) STRICT;"
                            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                            "WHERE i < 2000) INSERT INTO t SELECT 'value ' || i FROM n;")
                  .ok());
}

TEST(DatabaseTest, OpensWithTheSettingsThatKeepDataWhole) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database.ok()) << database.error().message;
  EXPECT_EQ(QueryText(*database, "PRAGMA journal_mode"), "wal");
  EXPECT_EQ(QueryInt(*database, "PRAGMA synchronous"), 2);
  EXPECT_EQ(QueryInt(*database, "PRAGMA foreign_keys"), 1);
  EXPECT_EQ(QueryInt(*database, "PRAGMA trusted_schema"), 0);
  EXPECT_EQ(QueryInt(*database, "PRAGMA busy_timeout"), 10'000);
}

TEST(DatabaseTest, EveryFileIsForItsOwnerOnlyUnderAnyUmask) {
  const TestFile file;
  const mode_t before = umask(0);
  Fill(file.path());
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("DELETE FROM t").ok());
  umask(before);
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(file.directory())) {
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms(0600)) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 3);  // The database, its WAL and its shared memory.
}

TEST(DatabaseTest, ValuesComeBackAsTheyWereBound) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(
      database->Execute("CREATE TABLE t (a INTEGER, b TEXT, c BLOB, d INTEGER) STRICT").ok());
  const std::string text("quo'te\0nul \xc3\xa9", 13);
  const std::uint8_t blob[] = {0, 255, 39};
  auto insert = database->Prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4)");
  ASSERT_TRUE(insert.ok());
  insert->BindInt(1, INT64_MIN).BindText(2, text).BindBlob(3, blob).BindNull(4);
  ASSERT_TRUE(insert->Run().ok());
  insert->BindInt(1, 0).BindText(2, {}).BindBlob(3, {}).BindInt(4, 0);
  ASSERT_TRUE(insert->Run().ok());
  EXPECT_EQ(database->changes(), 1);

  auto select = database->Prepare("SELECT a, b, c, d FROM t ORDER BY rowid");
  ASSERT_TRUE(*select->Step());
  EXPECT_EQ(select->Int(0), INT64_MIN);
  EXPECT_EQ(select->Text(1), text);
  EXPECT_EQ(select->Blob(2), std::string("\0\xff'", 3));
  EXPECT_TRUE(select->IsNull(3));
  EXPECT_TRUE(select->IsNull(3));
  ASSERT_TRUE(*select->Step());
  EXPECT_FALSE(select->IsNull(1));  // Empty is not NULL.
  EXPECT_FALSE(select->IsNull(2));
  EXPECT_FALSE(select->IsNull(3));
  EXPECT_EQ(select->Int(3), 0);
  EXPECT_FALSE(*select->Step());
}

TEST(DatabaseTest, UniquenessIsAlreadyExistsAndOtherConstraintsAreBugs) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(
      database->Execute("CREATE TABLE t (k TEXT PRIMARY KEY CHECK (k <> 'no')) STRICT").ok());
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES ('a')").ok());
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES ('a')").error().code,
            ErrorCode::kAlreadyExists);
  EXPECT_EQ(database->Execute("INSERT INTO t VALUES ('no')").error().code, ErrorCode::kInternal);
  EXPECT_EQ(database->Prepare("SELECT nonsense FROM nowhere").error().code, ErrorCode::kInternal);
}

TEST(TransactionTest, IsRolledBackUnlessCommitted) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("CREATE TABLE t (v INTEGER) STRICT").ok());
  {
    auto transaction = Transaction::Begin(*database);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1)").ok());
    EXPECT_TRUE(database->in_transaction());
  }
  EXPECT_FALSE(database->in_transaction());
  EXPECT_EQ(QueryInt(*database, "SELECT count(*) FROM t"), 0);
  {
    auto transaction = Transaction::Begin(*database);
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (2)").ok());
    ASSERT_TRUE(transaction->Commit().ok());
  }
  auto other = Database::Open(file.path());
  EXPECT_EQ(QueryInt(*other, "SELECT count(*) FROM t"), 1);
}

// Counts the syncs of all databases that are opened while it lives.
class SyncCounter {
 public:
  SyncCounter() {
    real_ = sqlite3_vfs_find(nullptr);
    own_ = *real_;
    own_.zName = "counter";
    own_.xOpen = &Open;
    sqlite3_vfs_register(&own_, 1);
  }
  ~SyncCounter() { sqlite3_vfs_unregister(&own_); }
  SyncCounter(const SyncCounter&) = delete;
  SyncCounter& operator=(const SyncCounter&) = delete;

  static int Take() { return std::exchange(syncs_, 0); }

 private:
  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
    const int code = real_->xOpen(real_, name, file, flags, out);
    if (code != SQLITE_OK || file->pMethods == nullptr) return code;
    sqlite3_io_methods& methods = methods_[file->pMethods];
    methods = *file->pMethods;
    sync_ = std::exchange(methods.xSync, &Sync);
    file->pMethods = &methods;
    return code;
  }
  static int Sync(sqlite3_file* file, int flags) {
    ++syncs_;
    return sync_(file, flags);
  }

  static inline sqlite3_vfs* real_ = nullptr;
  static inline std::map<const sqlite3_io_methods*, sqlite3_io_methods> methods_;
  static inline int (*sync_)(sqlite3_file*, int) = nullptr;
  static inline int syncs_ = 0;
  sqlite3_vfs own_;
};

TEST(TransactionTest, OneThatIsSyncedLaterWaitsForNoDiskAndTheNextOneIsSyncedAsBefore) {
  const TestFile file;
  const SyncCounter counter;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("CREATE TABLE t (v INTEGER) STRICT").ok());
  (void)SyncCounter::Take();
  for (const bool commits : {true, false}) {
    auto transaction = Transaction::Begin(*database, Sync::kLater);
    ASSERT_TRUE(transaction.ok());
    ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (1)").ok());
    if (commits) {
      ASSERT_TRUE(transaction->Commit().ok());
    }
  }
  EXPECT_EQ(SyncCounter::Take(), 0);
  auto other = Database::Open(file.path());
  EXPECT_EQ(QueryInt(*other, "SELECT count(*) FROM t"), 1);
  EXPECT_EQ(QueryInt(*database, "PRAGMA synchronous"), 2);
  auto transaction = Transaction::Begin(*database);
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (2)").ok());
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(SyncCounter::Take(), 1);
}

TEST(TransactionTest, FullFileIsNoSpaceAndLeavesWhatWasCommitted) {
  const TestFile file;
  Fill(file.path());
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("PRAGMA max_page_count = 1").ok());  // Clamped to the present size.
  Status status = OkStatus();
  {
    auto transaction = Transaction::Begin(*database);
    status = database->Execute("INSERT INTO t SELECT * FROM t");
  }
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNoSpace);
  EXPECT_FALSE(status.error().hint.empty());
  EXPECT_EQ(QueryInt(*database, "SELECT count(*) FROM t"), 2000);
  EXPECT_TRUE(database->Execute("DELETE FROM t WHERE rowid = 1").ok());
}

TEST(DatabaseDeathTest, DoesNotCrossFork) {
  const TestFile file;
  auto database = Database::Open(file.path());
  const pid_t child = Fork([&] { return database->Execute("SELECT 1").ok() ? 0 : 1; });
  EXPECT_EQ(Reap(child), -SIGABRT);
  // A child that only lets go of it must not touch the parent's WAL.
  ASSERT_TRUE(database->Execute("CREATE TABLE t (v INTEGER) STRICT").ok());
  EXPECT_EQ(Reap(Fork([&] {
              database = MakeError(ErrorCode::kInternal, "");
              return 0;
            })),
            0);
  EXPECT_TRUE(std::filesystem::exists(file.path().string() + "-wal"));
  EXPECT_TRUE(database->Execute("INSERT INTO t VALUES (1)").ok());
}

TEST(BrokenFileTest, WrongMagicIsDataLossWithAWayOut) {
  const TestFile file;
  std::ofstream(file.path()) << std::string(8192, 'x');
  const auto database = Database::Open(file.path());
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.error().code, ErrorCode::kDataLoss);
  EXPECT_NE(database.error().message.find(file.path().string()), std::string::npos);
  EXPECT_NE(database.error().hint.find("move it away"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(file.path()));
  // The hint works.
  std::filesystem::rename(file.path(), file.directory() / "away");
  EXPECT_TRUE(Database::Open(file.path()).ok());
}

TEST(BrokenFileTest, TruncatedFileIsDataLoss) {
  const TestFile file;
  Fill(file.path());
  std::filesystem::resize_file(file.path(), 8192 + 100);
  auto database = Database::Open(file.path());
  const Error error =
      database.ok() ? database->Execute("SELECT count(*) FROM t").error() : database.error();
  EXPECT_EQ(error.code, ErrorCode::kDataLoss) << error.message;
}

TEST(BrokenFileTest, OverwrittenPagesAreDataLoss) {
  const TestFile file;
  Fill(file.path());
  {
    std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(4096);
    stream << std::string(8 * 4096, '\xa5');
  }
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database.ok()) << database.error().message;
  const Status status = database->Execute("UPDATE t SET v = v || 'x'");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kDataLoss) << status.error().message;
}

TEST(UnwritableTest, MissingDirectoryIsNotFound) {
  EXPECT_EQ(Database::Open("/nonexistent/directory/x.db").error().code, ErrorCode::kNotFound);
}

// As a user without privileges, because root may write everywhere.
int OpenAsAnotherUser(const std::filesystem::path& path) {
  return Reap(Fork([&] {
    if (getuid() == 0 &&
        (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
      return 255;
    const auto database = Database::Open(path);
    return database.ok() ? 0 : static_cast<int>(database.error().code);
  }));
}

TEST(UnwritableTest, ReadOnlyDirectoryIsPermissionDenied) {
  const TestFile file;
  ASSERT_EQ(chmod(file.directory().c_str(), 0555), 0);
  EXPECT_EQ(OpenAsAnotherUser(file.path()), static_cast<int>(ErrorCode::kPermissionDenied));
  EXPECT_EQ(chmod(file.directory().c_str(), 0755), 0);
}

TEST(UnwritableTest, ReadOnlyFileIsPermissionDenied) {
  const TestFile file;
  Fill(file.path());
  ASSERT_EQ(chmod(file.path().c_str(), 0444), 0);
  ASSERT_EQ(chmod(file.directory().c_str(), 0755), 0);
  EXPECT_EQ(OpenAsAnotherUser(file.path()), static_cast<int>(ErrorCode::kPermissionDenied));
}

TEST(UnwritableTest, WritableFileInReadOnlyDirectoryIsPermissionDenied) {
  const TestFile file;
  Fill(file.path());
  ASSERT_EQ(chmod(file.path().c_str(), 0666), 0);
  ASSERT_EQ(chmod(file.directory().c_str(), 0555), 0);
  EXPECT_EQ(OpenAsAnotherUser(file.path()), static_cast<int>(ErrorCode::kPermissionDenied));
  EXPECT_EQ(chmod(file.directory().c_str(), 0755), 0);
}

}  // namespace
}  // namespace pyro::db
