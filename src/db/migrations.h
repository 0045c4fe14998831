// Brings the tables of a database file to the form that this program knows.

#pragma once

#include <span>

#include "db/database.h"
#include "pyro/result.h"

namespace pyro::db {

// migrations[i] is the SQL that leads from version i to version i + 1. The version is the file's
// user_version, 0 in a new file. Released migrations never change: append new ones. Each runs in a
// transaction of its own, so that a kill leaves a whole version. Two processes may do this at once.
// kUnavailable: the file was made by a program that knows more migrations. kDataLoss: the version
// is not valid. Otherwise as for Statement::Step; the migrations before the failed one stay.
Status Migrate(Database& database, std::span<const Sql> migrations);

}  // namespace pyro::db
