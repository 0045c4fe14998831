// registry.db as the schema's version 3 made it: the fixture of version 2, with another VM and
// another task. A fixture of a released version: never edited.

#pragma once

namespace pyro::state {

inline constexpr char kSchemaV3[] = R"sql(
ALTER TABLE commands ADD COLUMN output_left_open INTEGER NOT NULL DEFAULT 0
  CHECK (output_left_open IN (0, 1));
INSERT INTO vms VALUES ('vm_aiaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12', 'sha256:cccc', 'lease', 3,
  513, 77, 0, 1, 'stopped', 'host_compat', '', '', 'it''s "odd"', 1700000000500, 1700000000600,
  1700000000700, 1700000077700);
INSERT INTO tasks VALUES ('task_amaaaaaaaaaaaaaaaaaaaaaaaa', 'debian:12-build', 'sha256:dddd', 4,
  4096, 512, 3600, 1, 1, 'started', 'host_compat', 'kvm', '{"address":"10.0.2.15"}', 'full',
  1700000005000, 1700000006000, 1700000007000, 1700003607000, 8, 3, 12345678901);
INSERT INTO commands VALUES ('task_amaaaaaaaaaaaaaaaaaaaaaaaa', 7, X'82646563686F626869', X'2F776F726B7370616365',
  30000, 'host_compat', 'ended', 1700000006000, 1700000006500, 'signalled', 9, 137, 500000, 70, 6, 5, 4, 1);
PRAGMA user_version = 3;
)sql";

}  // namespace pyro::state
