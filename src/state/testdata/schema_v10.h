// registry.db as the schema's version 10 made it: the fixture of version 9 after its migration,
// with one more task that has each of its columns. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV10[] = R"sql(
ALTER TABLE instances ADD COLUMN secret_refs TEXT NOT NULL DEFAULT '';
INSERT INTO instances (id, environment, environment_digest, owner, vcpu_count, mem_mib, disk_mib,
  ttl_seconds, network, allow_host_compat, state, execution_mode, accelerator, network_json,
  last_error, created_at, started_at, last_used_at, expires_at, next_sequence, command_count,
  output_bytes, name, machine, labels, cwd, user, timeout_seconds, network_rules,
  secret_refs)
VALUES ('task_ayaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:aaaa', 'lease', 1, 1024, 10240,
  600, 1, 0, 'stopped', 'guest_virtio_serial', 'kvm', '', '', 1700000010000, 1700000010100,
  1700000010200, 1700000610200, 1, 0, 0, 'api', 'kvm', '{}', '/srv', 'daemon', 60,
  '', 'TOKEN pyro-secret-1 api.example:443 env:TOKEN
');
PRAGMA user_version = 10;
)sql";

}  // namespace pyro::state
