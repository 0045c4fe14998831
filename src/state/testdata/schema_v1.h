// registry.db as pyro 2.1.0 made it, with VMs in it. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV1[] = R"sql(
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
INSERT INTO vms VALUES ('vm_aeaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:aaaa', 'lease', 1,
  1024, 600, 0, 0, 'created', 'pending', '', '', '', 1700000000000, NULL, 1700000000000,
  1700000600000);
INSERT INTO vms VALUES ('vm_amaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12-build', 'sha256:bbbb', 'run', 2,
  2048, 60, 1, 1, 'started', 'guest_virtio_serial', 'tcg', '{"address":"10.0.2.15"}',
  'the guest''s clock stood', 1700000001000, 1700000002000, 1700000003000, 1700000063000);
PRAGMA user_version = 1;
)sql";

}  // namespace pyro::state
