// registry.db as the schema's version 11 made it: the fixture of version 10 after its migration,
// with one more task that has each of its columns, and a command. A fixture of a released version:
// never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV11[] = R"sql(
ALTER TABLE instances ADD COLUMN cache INTEGER NOT NULL DEFAULT 0 CHECK (cache IN (0, 1));
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes, name, machine, labels, cwd, user, timeout_seconds, network_rules, secret_refs,
  cache)
VALUES ('task_azaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:aaaa', 'lease', 1, 1024, 10240,
  600, 1, 0, 'started', 'guest_virtio_serial', 'kvm', '', '', 1700000010000, 1700000010100,
  1700000010200, 1700000610200, 2, 1, 3, 'cached', 'kvm', '{}', '/srv', 'daemon', 60,
  '', '', 1);
INSERT INTO commands (task_id, sequence, argv, cwd, timeout_ms, execution_mode, state, started_at,
  ended_at, outcome, code, exit_code, duration_us, stdout_bytes, stderr_bytes, stdout_dropped,
  stderr_dropped, output_left_open, user)
VALUES ('task_azaaaaaaaaaaaaaaaaaaaaaaaa', 1, x'816474727565', x'2f776f726b7370616365', 60000,
  'guest_virtio_serial', 'ended', 1700000010100, 1700000010200, 'exited', 0, 0, 1000, 3, 0, 0, 0,
  1, 'daemon');
PRAGMA user_version = 11;
)sql";

}  // namespace pyro::state
