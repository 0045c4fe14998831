#include "db/migrations.h"

#include <gtest/gtest.h>

#include "db/test_support.h"

namespace pyro::db {
namespace {

constexpr Sql kThree[] = {
    "CREATE TABLE t (v INTEGER) STRICT",
    "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
    "ALTER TABLE t ADD COLUMN w INTEGER NOT NULL DEFAULT 7",
};

std::int64_t QueryInt(Database& database, Sql sql) {
  auto statement = database.Prepare(sql);
  EXPECT_TRUE(statement.ok());
  EXPECT_TRUE(statement->Step().ok());
  return statement->Int(0);
}

TEST(MigrationsTest, RunOnceInOrderFromAnyVersion) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(Migrate(*database, std::span(kThree).first(1)).ok());
  EXPECT_EQ(QueryInt(*database, "PRAGMA user_version"), 1);
  ASSERT_TRUE(database->Execute("INSERT INTO t VALUES (40)").ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(Migrate(*database, kThree).ok());
    EXPECT_EQ(QueryInt(*database, "PRAGMA user_version"), 3);
    EXPECT_EQ(QueryInt(*database, "SELECT sum(v + w) FROM t"), 1 + 2 + 40 + 3 * 7);
  }
}

TEST(MigrationsTest, FailedOneLeavesTheVersionBeforeItWhole) {
  const TestFile file;
  auto database = Database::Open(file.path());
  constexpr Sql kBroken[] = {kThree[0], "INSERT INTO t VALUES (1); INSERT INTO nowhere VALUES (2)"};
  EXPECT_FALSE(Migrate(*database, kBroken).ok());
  EXPECT_FALSE(database->in_transaction());
  EXPECT_EQ(QueryInt(*database, "PRAGMA user_version"), 1);
  EXPECT_EQ(QueryInt(*database, "SELECT count(*) FROM t"), 0);
  EXPECT_TRUE(Migrate(*database, kThree).ok());
}

TEST(MigrationsTest, NewerVersionIsRefusedUntouched) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("PRAGMA user_version = 4").ok());
  const Status status = Migrate(*database, kThree);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(status.error().message.find("newer pyro"), std::string::npos);
  EXPECT_FALSE(status.error().hint.empty());
  EXPECT_EQ(QueryInt(*database, "PRAGMA user_version"), 4);
  EXPECT_EQ(QueryInt(*database, "SELECT count(*) FROM sqlite_schema"), 0);
}

TEST(MigrationsTest, NegativeVersionIsDataLoss) {
  const TestFile file;
  auto database = Database::Open(file.path());
  ASSERT_TRUE(database->Execute("PRAGMA user_version = -1").ok());
  EXPECT_EQ(Migrate(*database, kThree).error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace pyro::db
