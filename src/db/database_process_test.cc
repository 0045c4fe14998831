#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "db/database.h"
#include "db/migrations.h"
#include "db/test_support.h"

namespace pyro::db {
namespace {

constexpr Sql kSchema[] = {
    "CREATE TABLE counter (value INTEGER NOT NULL) STRICT; INSERT INTO counter VALUES (0)",
    "CREATE TABLE entry (sequence INTEGER PRIMARY KEY, process INTEGER NOT NULL) STRICT",
};

Result<Database> OpenMigrated(const std::filesystem::path& path) {
  auto database = Database::Open(path);
  if (!database) return database;
  if (Status status = Migrate(*database, kSchema); !status) return status.error();
  return database;
}

std::int64_t QueryInt(Database& database, Sql sql) {
  auto statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok());
  EXPECT_TRUE(statement->Step().ok());
  return statement->Int(0);
}

// Reads the counter, stores it plus one, and an entry by that number: lost updates show as a
// uniqueness error, halves of a transaction as counts that differ.
Status AddOne(Database& database, int process) {
  auto transaction = Transaction::Begin(database);
  if (!transaction) return transaction.error();
  const std::int64_t next = QueryInt(database, "SELECT value FROM counter") + 1;
  auto update = database.Prepare("UPDATE counter SET value = ?1");
  if (Status status = update->BindInt(1, next).Run(); !status) return status;
  auto insert = database.Prepare("INSERT INTO entry VALUES (?1, ?2)");
  if (Status status = insert->BindInt(1, next).BindInt(2, process).Run(); !status) return status;
  return transaction->Commit();
}

void ExpectWhole(Database& database, std::int64_t at_least) {
  auto check = database.Prepare("PRAGMA integrity_check");
  ASSERT_TRUE(check->Step().ok());
  EXPECT_EQ(check->Text(0), "ok");
  const std::int64_t value = QueryInt(database, "SELECT value FROM counter");
  EXPECT_GE(value, at_least);
  EXPECT_EQ(QueryInt(database, "SELECT count(*) FROM entry"), value);
  EXPECT_EQ(QueryInt(database, "SELECT coalesce(max(sequence), 0) FROM entry"), value);
}

TEST(DatabaseProcessTest, EightProcessesMakeAndWriteOneFileAtOnce) {
  constexpr int kProcesses = 8;
  constexpr int kWrites = 50;
  const TestFile file;
  TestPipe start;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    children.push_back(Fork([&] {
      start.CloseWrite();
      start.Await();  // End of file when all are there.
      auto database = OpenMigrated(file.path());
      if (!database) return 2;
      for (int i = 0; i < kWrites; ++i) {
        if (!AddOne(*database, process)) return 3;
      }
      return 0;
    }));
  }
  start.CloseWrite();
  for (const pid_t child : children) EXPECT_EQ(Reap(child), 0);

  auto database = OpenMigrated(file.path());
  ASSERT_TRUE(database.ok());
  ExpectWhole(*database, kProcesses * kWrites);
  EXPECT_EQ(QueryInt(*database,
                     "SELECT min(n) FROM (SELECT count(*) AS n FROM entry "
                     "GROUP BY process)"),
            kWrites);
}

TEST(DatabaseProcessTest, KillInsideATransactionUndoesItAndFreesTheFile) {
  const TestFile file;
  TestPipe inside;
  const pid_t child = Fork([&] {
    auto database = OpenMigrated(file.path());
    if (!AddOne(*database, 0)) return 1;
    auto transaction = Transaction::Begin(*database);
    if (!database->Execute("UPDATE counter SET value = 99; INSERT INTO entry VALUES (99, 0)")) {
      return 2;
    }
    inside.Tell();
    while (true) pause();
  });
  inside.CloseWrite();
  ASSERT_TRUE(inside.Await());
  auto database = OpenMigrated(file.path());
  ASSERT_TRUE(database.ok());
  EXPECT_EQ(QueryInt(*database, "SELECT value FROM counter"), 1);  // Reading never waits.
  kill(child, SIGKILL);
  EXPECT_EQ(Reap(child), -SIGKILL);
  EXPECT_TRUE(AddOne(*database, 1).ok());
  ExpectWhole(*database, 2);
}

TEST(DatabaseProcessTest, KillsAtAnyMomentLoseNothingThatWasCommitted) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const TestFile file;
  std::int64_t committed = 0;
  for (int round = 0; round < 25; ++round) {
    TestPipe progress;
    const pid_t child = Fork([&] {
      progress.CloseRead();
      auto database = OpenMigrated(file.path());
      while (database && AddOne(*database, 0)) progress.Tell();
      return 1;
    });
    progress.CloseWrite();
    // The kill comes while the child is on its way to its next commit, or in the first rounds while
    // it makes the file.
    const auto wanted = static_cast<int>(random() % 12);
    for (int i = 0; i < wanted; ++i) {
      ASSERT_TRUE(progress.Await());
      ++committed;
    }
    for (auto spin = random() % 200'000; spin > 0; --spin) {
      asm volatile("");
    }
    kill(child, SIGKILL);
    EXPECT_EQ(Reap(child), -SIGKILL);
    while (progress.Await()) ++committed;

    auto database = OpenMigrated(file.path());
    ASSERT_TRUE(database.ok()) << database.error().message;
    ExpectWhole(*database, committed);
  }
}

}  // namespace
}  // namespace pyro::db
