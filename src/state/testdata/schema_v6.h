// registry.db as the schema's version 6 made it: the fixture of version 5 after its migration, with
// one more task and a command. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV6[] = R"sql(
ALTER TABLE instances ADD COLUMN machine TEXT NOT NULL DEFAULT '';
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes, name, machine)
VALUES ('task_auaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:ffff', 'lease', 1, 1024, 10240,
  600, 0, 0, 'started', 'guest_virtio_serial', 'tcg', '', '', 1700000009000, 1700000009100,
  1700000009200, 1700000609200, 2, 1, 3, '', 'tcg');
INSERT INTO commands (task_id, sequence, argv, cwd, timeout_ms, execution_mode, state, started_at,
  ended_at, outcome, code, exit_code, duration_us, stdout_bytes, stderr_bytes, stdout_dropped,
  stderr_dropped, output_left_open)
VALUES ('task_auaaaaaaaaaaaaaaaaaaaaaaaa', 1, x'816474727565', x'2f776f726b7370616365', 30000,
  'guest_virtio_serial', 'ended', 1700000009150, 1700000009180, 'exited', 0, 0, 1000, 3, 0, 0, 0,
  0);
PRAGMA user_version = 6;
)sql";

}  // namespace pyro::state
