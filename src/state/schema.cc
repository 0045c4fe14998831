#include "state/schema.h"

namespace pyro::state {
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
    // Version 2.
    R"sql(
CREATE TABLE tasks (
  id TEXT NOT NULL PRIMARY KEY,
  environment TEXT NOT NULL,
  environment_digest TEXT NOT NULL,
  vcpu_count INTEGER NOT NULL CHECK (vcpu_count >= 1),
  mem_mib INTEGER NOT NULL CHECK (mem_mib >= 1),
  disk_mib INTEGER NOT NULL CHECK (disk_mib >= 1),
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
  next_sequence INTEGER NOT NULL CHECK (next_sequence >= 1),
  command_count INTEGER NOT NULL CHECK (command_count >= 0),
  output_bytes INTEGER NOT NULL CHECK (output_bytes >= 0),
  CHECK (execution_mode <> 'host_compat' OR allow_host_compat = 1)
) STRICT;
CREATE TABLE commands (
  task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  sequence INTEGER NOT NULL CHECK (sequence >= 1),
  argv BLOB NOT NULL,
  cwd BLOB NOT NULL,
  timeout_ms INTEGER NOT NULL CHECK (timeout_ms >= 0),
  execution_mode TEXT NOT NULL
    CHECK (execution_mode IN ('pending', 'guest_virtio_serial', 'guest_vsock', 'host_compat')),
  state TEXT NOT NULL CHECK (state IN ('running', 'ended')),
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT CHECK (outcome IN ('exited', 'signalled', 'timed_out', 'cancelled', 'not_started',
    'interrupted')),
  code INTEGER NOT NULL,
  exit_code INTEGER NOT NULL,
  duration_us INTEGER NOT NULL CHECK (duration_us >= 0),
  stdout_bytes INTEGER NOT NULL CHECK (stdout_bytes >= stdout_dropped),
  stderr_bytes INTEGER NOT NULL CHECK (stderr_bytes >= stderr_dropped),
  stdout_dropped INTEGER NOT NULL CHECK (stdout_dropped >= 0),
  stderr_dropped INTEGER NOT NULL CHECK (stderr_dropped >= 0),
  PRIMARY KEY (task_id, sequence),
  CHECK ((state = 'ended') = (outcome IS NOT NULL) AND (outcome IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_running ON commands (task_id, sequence) WHERE state = 'running';
)sql",
    // Version 3.
    R"sql(
ALTER TABLE commands ADD COLUMN output_left_open INTEGER NOT NULL DEFAULT 0
  CHECK (output_left_open IN (0, 1));
)sql",
    // Version 4: one table of VMs and tasks. No command is copied: their reference is renamed.
    R"sql(
ALTER TABLE tasks RENAME TO instances;
ALTER TABLE instances ADD COLUMN owner TEXT NOT NULL DEFAULT 'lease'
  CHECK (owner IN ('lease', 'run'));
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes)
SELECT id, environment, environment_digest, owner, vcpu_count, mem_mib, 10240,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, 1, 0,
  0
FROM vms;
DROP TABLE vms;
)sql",
    // Version 5.
    "ALTER TABLE instances ADD COLUMN name TEXT NOT NULL DEFAULT ''",
    // Version 6.
    "ALTER TABLE instances ADD COLUMN machine TEXT NOT NULL DEFAULT ''",
    // Version 7.
    "ALTER TABLE commands ADD COLUMN user TEXT NOT NULL DEFAULT ''",
    // Version 8: labels, and what commands of a task get that name none themselves.
    R"sql(
ALTER TABLE instances ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE instances ADD COLUMN cwd TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN user TEXT NOT NULL DEFAULT '';
ALTER TABLE instances ADD COLUMN timeout_seconds INTEGER CHECK (timeout_seconds >= 0);
)sql",
    // Version 9: what a guest's network may reach.
    "ALTER TABLE instances ADD COLUMN network_rules TEXT NOT NULL DEFAULT ''",
    // Version 10: where the secrets of a guest are.
    "ALTER TABLE instances ADD COLUMN secret_refs TEXT NOT NULL DEFAULT ''",
    // Version 11: guests with the cache of downloads.
    "ALTER TABLE instances ADD COLUMN cache INTEGER NOT NULL DEFAULT 0 CHECK (cache IN (0, 1))",
    // Version 12: commands whose guest could not write to its disk.
    R"sql(
ALTER TABLE commands ADD COLUMN disk_failed INTEGER NOT NULL DEFAULT 0
  CHECK (disk_failed IN (0, 1));
)sql",
};

}  // namespace

std::span<const db::Sql> Migrations() { return kMigrations; }

}  // namespace pyro::state
