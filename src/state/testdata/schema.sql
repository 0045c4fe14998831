CREATE TABLE commands (
  task_id TEXT NOT NULL REFERENCES "instances" (id) ON DELETE CASCADE,
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
  stderr_dropped INTEGER NOT NULL CHECK (stderr_dropped >= 0), output_left_open INTEGER NOT NULL DEFAULT 0
  CHECK (output_left_open IN (0, 1)), user TEXT NOT NULL DEFAULT '', disk_failed INTEGER NOT NULL DEFAULT 0
  CHECK (disk_failed IN (0, 1)),
  PRIMARY KEY (task_id, sequence),
  CHECK ((state = 'ended') = (outcome IS NOT NULL) AND (outcome IS NULL) = (ended_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE "instances" (
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
  output_bytes INTEGER NOT NULL CHECK (output_bytes >= 0), owner TEXT NOT NULL DEFAULT 'lease'
  CHECK (owner IN ('lease', 'run')), name TEXT NOT NULL DEFAULT '', machine TEXT NOT NULL DEFAULT '', labels TEXT NOT NULL DEFAULT '{}', cwd TEXT NOT NULL DEFAULT '', user TEXT NOT NULL DEFAULT '', timeout_seconds INTEGER CHECK (timeout_seconds >= 0), network_rules TEXT NOT NULL DEFAULT '', secret_refs TEXT NOT NULL DEFAULT '', cache INTEGER NOT NULL DEFAULT 0 CHECK (cache IN (0, 1)),
  CHECK (execution_mode <> 'host_compat' OR allow_host_compat = 1)
) STRICT;
CREATE INDEX commands_running ON commands (task_id, sequence) WHERE state = 'running';
PRAGMA user_version = 12;
