// The one translation of SQLite's codes into an Error.

#pragma once

#include <string>
#include <string_view>

#include "pyro/error.h"

struct sqlite3;

namespace pyro::db {

// For the call on `handle` that has just returned `code` (an extended one). Names the file.
Error SqliteError(sqlite3* handle, int code);

// For the call that was to open the file at `path`, and has made `handle`, or nullptr.
Error OpenError(sqlite3* handle, int code, std::string_view path);

// For a system call on `path`, or one that SQLite made.
Error FileError(int number, std::string_view path);

// `what` describes the damage of the file at `path`.
Error BrokenDatabase(std::string_view path, std::string_view what);

}  // namespace pyro::db
