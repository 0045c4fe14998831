// The tables of registry.db, as the migrations that lead to them.

#pragma once

#include <span>

#include "db/database.h"

namespace pyro::state {

// For db::Migrate. docs/REGISTRY.md describes the result.
std::span<const db::Sql> Migrations();

}  // namespace pyro::state
