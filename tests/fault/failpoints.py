"""The named places where pyro can be killed (src/sys/failpoint.h), by what has to be done to reach them."""

import re

import harness

# A command in a task whose guest has to be started: what its supervisor does on the way.
START = ["supervisor.configured", "supervisor.detached", "supervisor.listening",
         "supervisor.machine-launched", "supervisor.agent-greeted", "supervisor.guest-ready",
         "supervisor.start-recorded"]
# What it does for each command.
EXEC = ["task.exec.asked", "task.exec.row-inserted", "task.exec.files-made",
        "task.exec.begin-logged", "task.exec.output-appended", "task.exec.exited",
        "task.exec.output-synced", "task.exec.end-logged", "task.exec.row-ended"]
# What the `pyro` that asked does: where the guest is off, and for each command.
START_CLIENT = ["task.start.found", "task.start.taken-over", "guest.reserved", "task.start.supervised"]
EXEC_CLIENT = ["task.exec.client-asking", "task.exec.client-accepted", "task.exec.client-told"]
STOP = ["supervisor.stop.commands-ended", "supervisor.stop.guest-off", "supervisor.stop.recorded"]
STOP_CLIENT = ["task.stop.taken-over", "task.stop.guest-ended"]
LOST = ["supervisor.lost.commands-ended", "supervisor.lost.recorded"]
LEASE = ["supervisor.lease-over"]
CREATE = ["task.create.directory-made", "task.create.manifest-written",
          "task.create.directory-named", "task.create.row-inserted", "task.create.row-committed",
          "task.create.disk-made", "task.create.supervised", "task.create.guest-ready",
          "task.create.finished"]
SEED = ["task.seed.packing", "task.seed.unpacked", "task.create.seeded"]
EXPORT = ["task.export.receiving", "task.export.received", "task.export.in-place"]
# A delete of a stopped task, and of one whose guest runs.
DELETE = ["task.delete.taken-over", "task.delete.directory-retired", "task.delete.row-deleted",
          "task.delete.row-committed"]
DELETE_RUNNING = ["task.delete.guest-ended", "supervisor.remove.guest-off",
                  "supervisor.remove.directory-retired", "supervisor.remove.recorded"]
# A snapshot of a task whose guest runs, its deletion, and a reset to it.
SNAPSHOT = ["task.snapshot.staged", "task.snapshot.copied", "task.snapshot.recorded", "task.snapshot.named"]
SNAPSHOT_DELETE = ["task.snapshot.retired", "task.snapshot.removed"]
RESET = ["task.reset.copied", "task.reset.guest-ended", "task.reset.announced", "task.reset.replaced",
         "task.reset.recorded"]
# A change of a task's name, labels, lease or defaults.
UPDATE = ["task.update.variables-written", "task.update.manifest-written", "task.update.row-committed",
          "task.update.variables-settled"]
# A change of the rules of its network.
NETWORK = ["task.network.manifest-written", "task.network.row-committed"]
# A comparison with a snapshot, by a guest of its own.
DIFF = ["reader.filled", "task.diff.compared"]
# Of a guest that unpacks an image, in the `pyro` that pulls it.
LAYERS = ["layers.ready", "layers.applied", "layers.copied"]
# What the next call does after a crash.
SETTLE = ["task.settle.lost-recorded", "task.settle.commands-interrupted"]
LEFTOVER = ["task.settle.leftover-removed"]
ADOPT = ["task.adopt.rows-inserted", "task.adopt.rows-committed"]
# Of a spare: while it is made, and when it is taken.
SPARE = ["spare.directory-made", "spare.disk-made", "spare.started", "spare.taken"]

# Of one that becomes a task's guest: in its supervisor, and in the `pyro` that makes the task. The first are of any new task.
SPARE_TASK = ["task.create.manifest-written", "task.create.directory-named", "spare.task.row-inserted",
              "spare.task.row-committed", "task.create.spare-claimed", "task.create.guest-ready",
              "task.create.seeded", "task.create.finished"]

# Of a collection of garbage.
GC = ["gc.instances-removed", "environment.prune.retired", "gc.environments-removed"]

# Of any client of a supervisor: it has connected, and it has been greeted.
OWNER = ["client.connected", "client.greeted"]
# What a supervisor does every five seconds of a guest's life.
BEAT = ["supervisor.beat"]

# Of a write to a file of a task: in the client, and in the program of the agent that carries it out.
FILES_CLIENT = ["task.files.writing", "task.files.written"]
FILES_GUEST = ["files.write.received", "files.write.synced", "files.write.named", "files.write.in-place"]

# Of a patch: in the client, and in the program of the agent that changes its files as one.
PATCH_CLIENT = ["task.patch.sending", "task.patch.applied"]
FILES_CHANGE = ["files.change.begun", "files.change.staged", "files.change.noted", "files.change.step",
                "files.change.taken", "files.change.finished", "files.change.cleaned"]

# Of a sync to a task, and of one to the host; each file or directory that is changed is a step, on either side.
SYNC_PUSH = ["task.sync.planned", "task.sync.pushed", "task.sync.applied", "task.sync.recorded"]
SYNC_PULL = ["task.sync.planned", "task.sync.pulled", "task.sync.applied", "task.sync.recorded"]
SYNC = [*{*SYNC_PUSH, *SYNC_PULL, "sync.step"}]

# What tests/fault/test_failpoints.py goes through; the rest is of test_spare_faults.py, test_owner.py, test_file_faults.py, test_patch_faults.py,
# test_gc.py and test_sync_faults.py, and of tests/images/test_layer_guest.py.
TASKS = [*START, *EXEC, *START_CLIENT, *EXEC_CLIENT, *STOP, *STOP_CLIENT, *LOST, *LEASE, *CREATE, *SEED,
         *EXPORT, *SNAPSHOT, *SNAPSHOT_DELETE, *RESET, *DIFF, *UPDATE, *NETWORK, *DELETE, *DELETE_RUNNING, *SETTLE, *LEFTOVER, *ADOPT]
ALL = [*{*TASKS, *SPARE, *SPARE_TASK, *GC, *OWNER, *BEAT, *FILES_CLIENT, *FILES_GUEST, *PATCH_CLIENT, *FILES_CHANGE, *SYNC, *LAYERS}]


def in_sources():
    """Every name that the sources give a place, as often as they do."""
    names = []
    for path in sorted((harness.ROOT / "src").rglob("*.cc")):
        if not path.name.endswith("_test.cc"):
            names += re.findall(r'PYRO_FAILPOINT\("([^"]+)"\)', path.read_text())
    return names
