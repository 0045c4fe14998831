// registry.db as the schema's version 5 made it: the fixture of version 3 after its migrations,
// with one more task. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV5[] = R"sql(
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
ALTER TABLE instances ADD COLUMN name TEXT NOT NULL DEFAULT '';
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes, name)
VALUES ('task_aqaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:eeee', 'lease', 1, 1024, 10240,
  600, 0, 0, 'stopped', 'guest_virtio_serial', 'tcg', '', '', 1700000008000, 1700000008100,
  1700000008200, 1700000608200, 4, 3, 21, 'the "old" one');
PRAGMA user_version = 5;
)sql";

}  // namespace pyro::state
