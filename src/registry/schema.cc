#include "registry/schema.h"

namespace pyro::registry {
namespace {

// To change the tables: append; never edit one that was released. Then update
// testdata/schema.sql and add a fixture of the version that was current before.
constexpr db::Sql kMigrations[] = {
    // Version 1.
    R"sql(
CREATE TABLE vms (
  id TEXT NOT NULL PRIMARY KEY,
  environment TEXT NOT NULL,
  environment_digest TEXT NOT NULL,
  owner TEXT NOT NULL CHECK (owner IN ('lease', 'run')),
  vcpu_count INTEGER NOT NULL CHECK (vcpu_count >= 1),
  mem_mib INTEGER NOT NULL CHECK (mem_mib >= 1),
  ttl_seconds INTEGER NOT NULL CHECK (ttl_seconds BETWEEN 1 AND 315360000),
  network INTEGER NOT NULL CHECK (network IN (0, 1)),
  allow_host_compat INTEGER NOT NULL CHECK (allow_host_compat IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN ('created', 'started', 'stopped')),
  execution_mode TEXT NOT NULL
    CHECK (execution_mode IN ('pending', 'guest_virtio_serial', 'guest_vsock', 'host_compat')),
  accelerator TEXT NOT NULL,
  network_json TEXT NOT NULL,
  last_error TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  last_used_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  CHECK (execution_mode <> 'host_compat' OR allow_host_compat = 1)
) STRICT;
)sql",
};

}  // namespace

std::span<const db::Sql> Migrations() { return kMigrations; }

}  // namespace pyro::registry
