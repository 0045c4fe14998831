// registry.db as the schema's version 7 made it: the fixture of version 6 after its migration, with
// one more task and a command of a user. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV7[] = R"sql(
ALTER TABLE commands ADD COLUMN user TEXT NOT NULL DEFAULT '';
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes, name, machine)
VALUES ('task_avaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:9999', 'lease', 1, 1024, 10240,
  600, 0, 0, 'stopped', 'guest_virtio_serial', 'kvm', '', '', 1700000010000, 1700000010100,
  1700000010200, 1700000610200, 2, 1, 3, 'web', 'kvm');
INSERT INTO commands (task_id, sequence, argv, cwd, timeout_ms, execution_mode, state, started_at,
  ended_at, outcome, code, exit_code, duration_us, stdout_bytes, stderr_bytes, stdout_dropped,
  stderr_dropped, output_left_open, user)
VALUES ('task_avaaaaaaaaaaaaaaaaaaaaaaaa', 1, x'816474727565', x'2f776f726b7370616365', 30000,
  'guest_virtio_serial', 'ended', 1700000010150, 1700000010180, 'exited', 0, 0, 1000, 3, 0, 0, 0,
  0, 'daemon');
PRAGMA user_version = 7;
)sql";

}  // namespace pyro::state
