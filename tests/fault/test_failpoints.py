"""kill -9 at every named point: nothing finished is lost, nothing half-made stays, nothing is stuck."""

import collections
import random
import signal

import failpoints
import harness
import pytest
import siege

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def test_every_named_point_is_in_the_table():
    names = failpoints.in_sources()
    assert sorted(names) == sorted(set(names)), "a name stands twice in the sources"
    assert sorted(names) == sorted(failpoints.ALL)


def test_every_named_point_of_tasks_is_in_one_stage():
    assert sorted(point for _, points in STAGES.values() for point in points) == sorted(failpoints.TASKS)


class Campaign:
    def __init__(self, pyro, create, scratch):
        self.pyro = pyro
        self.scratch = scratch
        self.log = scratch / "reached"
        self.killed = collections.Counter()
        template = create()
        assert template.exec("echo", "precious").code == 0
        template.stop()
        self.template = template
        self.task = create()
        self.task.stop()
        self.ledger = siege.Ledger(self.task)

    def env(self, point, number=1):
        return {"PYRO_FAILPOINT": f"{point}:{number}", "PYRO_FAILPOINT_LOG": str(self.log)}

    def expect_gone(self, task=None):
        task = task or self.task
        harness.wait_until(lambda: not task.processes(), f"{task.id} has no process left", 120)

    def count(self, point):
        self.killed[point] += 1
        print(f"  killed at {point}", flush=True)

    def check(self, point):
        """What holds after each kill, as the next calls of others see it."""
        self.count(point)
        siege.wait_for_no_orphans(point)
        listed = self.pyro("task", "list", "-q")
        assert listed.code == 0, (point, listed)
        siege.wait_for_no_leftovers(self.pyro, point)
        self.ledger.check()
        return [harness.Task(self.pyro, name) for name in listed.text.split()
                if name not in (self.task.id, self.template.id)]

    def expect_no_other(self, point):
        """Half-made or half-gone, it is cleared; its supervisor may need a moment to do it."""
        self.check(point)
        harness.wait_until(lambda: self.pyro("task", "list", "-q").text.split() ==
                           [self.template.id, self.task.id], f"{point} leaves no task", 120)
        harness.expect_task_directories(self.pyro, [self.template.id, self.task.id], point)

    def expect_whole_or_gone(self, point, other):
        """Of a delete: if it is still there, all of it is."""
        if other.id in [task.id for task in self.check(point)]:
            assert [entry["stdout"] for entry in other.entries()] == ["precious\n"], point
            assert other.delete()["deleted"] is True
        self.expect_gone(other)
        assert other.id not in "".join(harness.task_directories(self.pyro))

    def clone(self):
        return self.template.copy("task_" + "".join(random.choices(ALPHABET, k=25)) + "a")

    # One each for what is to be done. The task's guest is off at the begin of most.

    def commands(self):
        for point in failpoints.START:
            assert not self.ledger.exec(self.env(point)), f"{point} was not reached"
            self.expect_gone()
            self.check(point)
        for point in failpoints.EXEC:
            results = [self.ledger.exec(self.env(point, 3))]
            while results[-1] and len(results) < 5:
                results.append(self.ledger.exec())
            assert not results[-1], f"{point} was not reached"
            self.expect_gone()
            self.check(point)
            assert self.task.json("status")["state"] == "stopped"

    def clients(self):
        for point in failpoints.START_CLIENT:
            assert not self.ledger.exec(self.env(point)), f"{point} was not reached"
            self.check(point)
        for point in failpoints.EXEC_CLIENT:
            assert self.ledger.exec()
            assert not self.ledger.exec(self.env(point)), f"{point} was not reached"
            self.check(point)
        # What they had asked for goes on without them.
        harness.wait_until(lambda: all(entry["state"] == "ended" for entry in self.task.entries()),
                           "the orphaned commands end", 120)

    def stops(self):
        for point in failpoints.STOP_CLIENT:
            assert self.ledger.exec()
            done = self.pyro("task", "stop", self.task.id, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            self.check(point)
            assert self.task.stop()["state"] == "stopped"
            self.expect_gone()
        for point in failpoints.STOP:
            assert self.ledger.exec(self.env(point))
            done = self.pyro("task", "stop", self.task.id)
            assert done.code == 0 or done.talk.startswith("pyro: "), (point, done)
            self.expect_gone()
            self.check(point)
            assert self.task.json("status")["state"] == "stopped"

    def losses(self):
        for point in failpoints.LOST:
            assert self.ledger.exec(self.env(point))
            assert siege.kill(siege.process_of_task(siege.MACHINE, self.task.id))
            self.expect_gone()
            self.check(point)
            assert self.task.json("status")["state"] == "stopped"

    def exports(self):
        assert self.task.exec("sh", "-c", "echo exported > e").code == 0
        for number, point in enumerate(failpoints.EXPORT):
            target = self.scratch / f"export-{number}"
            done = self.pyro("task", "export", self.task.id, "e", target, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            assert not target.exists() or target.read_text() == "exported\n", point
            self.check(point)
            again = self.pyro("task", "export", self.task.id, "e", f"{target}-again")
            assert again.code == 0, (point, again)

    def settling(self):
        for point in failpoints.SETTLE:
            running = self.task.start("sh", "-c", "echo begun; exec sleep 300")
            assert running.stdout.readline() == b"begun\n"
            self.task.kill_guest()
            harness.finish(running)
            done = self.pyro("task", "status", self.task.id, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            self.check(point)
            entry = self.task.entries()[-1]
            assert (entry["outcome"], entry["stdout"]) == ("interrupted", "begun\n")
        for point in failpoints.LEFTOVER:
            leftover = self.task.directory.parent / (".new-" + self.task.id[:-1] + "a")
            leftover.mkdir()
            done = self.pyro("task", "list", env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            self.check(point)

    def adoptions(self):
        for point in failpoints.ADOPT:
            other = self.clone()
            done = self.pyro("task", "list", env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            assert [task.id for task in self.check(point)] == [other.id]
            assert [entry["stdout"] for entry in other.entries()] == ["precious\n"]
            other.delete()

    def creations(self):
        seed = self.scratch / "seed"
        seed.mkdir()
        (seed / "f").write_text("seeded")
        for point in [*failpoints.CREATE, *failpoints.SEED]:
            flags = ("--source-path", seed) if point in failpoints.SEED else ()
            done = self.pyro("task", "create", "-q", *flags, harness.BASE, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            if point == "task.create.finished":
                other, = self.check(point)
                assert other.exec("echo", "whole").out == b"whole\n"
                other.delete()
                self.expect_gone(other)
            else:
                self.expect_no_other(point)

    def deletions(self):
        for point in failpoints.DELETE:
            other = self.clone()
            assert other.json("status")["state"] == "stopped"
            done = self.pyro("task", "delete", other.id, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            self.expect_whole_or_gone(point, other)
        for point in failpoints.DELETE_RUNNING:
            other = self.clone()
            in_supervisor = point.startswith("supervisor.")
            assert other.exec("true", env=self.env(point) if in_supervisor else None).code == 0
            done = self.pyro("task", "delete", other.id,
                             env=None if in_supervisor else self.env(point))
            assert done.code == (0 if in_supervisor else -signal.SIGKILL), (point, done)
            self.expect_gone(other)
            self.check(point)
            assert other.id not in "".join(harness.task_directories(self.pyro)), point

    def snapshots(self):
        """A snapshot is whole or not there, and the disk is the old one or the new one."""
        other = self.clone()

        def names():
            return [one["name"] for one in other.json("snapshot list")["snapshots"]]

        def killed(point, *words):
            done = self.pyro("task", *words, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            assert [task.id for task in self.check(point)] == [other.id]

        assert other.exec("sh", "-c", "echo old > f").code == 0
        for point in failpoints.SNAPSHOT:
            killed(point, "snapshot", "create", other.id, "old")
            assert names() == ["create", *["old"] * (point == "task.snapshot.named")], point
        # What a killed snapshot has left frozen goes on by itself.
        assert other.exec("sh", "-c", "echo new > f").code == 0
        for point in failpoints.SNAPSHOT_DELETE:
            assert self.pyro("task", "snapshot", "create", other.id, "x").code == 0
            killed(point, "snapshot", "delete", other.id, "x")
            assert names() == ["create", "old"], point
        resets = 0
        for point in failpoints.RESET:
            assert other.exec("sh", "-c", "echo new > f").code == 0
            killed(point, "reset", other.id, "--snapshot", "old")
            done = point in ("task.reset.replaced", "task.reset.recorded")
            resets += done
            assert other.exec("cat", "f").out == (b"old\n" if done else b"new\n"), point
            assert len(other.json("logs").get("resets", [])) == resets, point
            assert names() == ["create", "old"], point
        assert self.pyro("task", "reset", other.id, "--snapshot", "old").code == 0
        assert other.exec("cat", "f").out == b"old\n"
        assert sorted(path.name for path in (other.directory / "snapshots").iterdir()) == [
            ".lock", "create", "old"]
        other.delete()
        self.expect_gone(other)

    def differences(self):
        """The guest that has the snapshot goes with its caller."""
        for point in failpoints.DIFF:
            done = self.pyro("task", "diff", self.task.id, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            self.check(point)
            harness.wait_until(lambda: self.pyro("vm", "list", "-q").text == "", f"{point} leaves no guest", 120)

    def updates(self):
        """Row and variables are both the old or both the new ones, and the same call again makes both new."""
        other = self.clone()

        def label():
            return other.json("status")["labels"]["at"]

        def variable():
            return other.exec("sh", "-c", "echo $AT").text

        assert self.pyro("task", "update", other.id, "--label", "at=begin", "--env", "AT=begin").code == 0
        for point in failpoints.UPDATE:
            words = ("task", "update", other.id, "--label", f"at={point}", "--env", f"AT={point}")
            old = label()
            done = self.pyro(*words, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            assert [task.id for task in self.check(point)] == [other.id]
            new = point in ("task.update.row-committed", "task.update.variables-settled")
            assert (label(), variable()) == ((point, f"{point}\n") if new else (old, f"{old}\n")), point
            assert self.pyro(*words).code == 0
            assert (label(), variable()) == (point, f"{point}\n")
        other.delete()
        self.expect_gone(other)

    def networks(self):
        """The rules are the old or the new ones, and the same call again makes them new, for the guest too."""
        made = self.pyro("task", "create", "-q", "--allow", "begin.example", harness.BASE)
        assert made.code == 0, made
        other = harness.Task(self.pyro, made.text.strip())

        def rules():
            return other.json("network show")["network_rules"]

        for point in failpoints.NETWORK:
            host = f"{point}.example"
            words = ("task", "network", "allow", other.id, host)
            old = rules()
            done = self.pyro(*words, env=self.env(point))
            assert done.code == -signal.SIGKILL, (point, done)
            assert [task.id for task in self.check(point)] == [other.id]
            new = point == "task.network.row-committed"
            assert rules() == ([*old, f"allow {host}"] if new else old), point
            assert self.pyro(*words).code == 0
            assert rules() == [*old, f"allow {host}"], point
        other.delete()
        self.expect_gone(other)

    def leases(self):
        for point in failpoints.LEASE:
            done = self.pyro("task", "create", "-q", "--ttl-seconds", "1", harness.BASE,
                             env=self.env(point))
            assert done.code == 0, (point, done)
            other = harness.Task(self.pyro, done.text.strip())
            self.expect_gone(other)
            assert other.id in [task.id for task in self.check(point)]
            assert other.json("status")["state"] == "stopped"
            other.delete()


def test_a_guest_that_dies_while_a_call_is_on_its_way_to_it(create):
    """A process that starts it again reconciles first: its old commands must not look like those of the new guest."""
    task = create()
    running = task.start("sh", "-c", "echo begun; exec sleep 300")
    assert running.stdout.readline() == b"begun\n"
    late = task.start("echo", "late", env={"PYRO_FAILPOINT": "task.start.found",
                                           "PYRO_FAILPOINT_SIGNAL": "STOP"})
    harness.wait_until(lambda: harness.read_process(late.pid).state == "T", "the call is held")
    task.kill_guest()
    late.send_signal(signal.SIGCONT)
    done = harness.finish(late)
    assert (done.code, done.out) == (0, b"late\n"), done
    harness.finish(running)
    assert [(entry["outcome"], entry["stdout"]) for entry in task.entries()] == [
        ("interrupted", "begun\n"), ("exited", "late\n")]


def test_a_guest_that_dies_in_a_stop_leaves_no_command_running(create):
    """The call that stops it records the ends that the supervisor could not."""
    task = create()
    running = task.start("sh", "-c", "echo begun; exec sleep 300")
    assert running.stdout.readline() == b"begun\n"
    stop = task.pyro.start("task", "stop", "-q", task.id, env={"PYRO_FAILPOINT": "task.stop.taken-over",
                                                               "PYRO_FAILPOINT_SIGNAL": "STOP"})
    harness.wait_until(lambda: harness.read_process(stop.pid).state == "T", "the call is held")
    task.kill_guest()
    stop.send_signal(signal.SIGCONT)
    done = harness.finish(stop)
    assert done.code == 0, done
    harness.finish(running)
    # In this order: no earlier call may reconcile what the stop has left.
    [entry] = task.entries()
    assert (entry["state"], entry["outcome"], entry["stdout"]) == ("ended", "interrupted", "begun\n")
    assert task.json("status")["state"] == "stopped"


# What is done to one task after the other, and the points that are reached by it.
STAGES = {
    "calls": ([Campaign.clients, Campaign.stops],
              [*failpoints.START_CLIENT, *failpoints.EXEC_CLIENT, *failpoints.STOP, *failpoints.STOP_CLIENT]),
    "commands": ([Campaign.commands, Campaign.losses],
                 [*failpoints.START, *failpoints.EXEC, *failpoints.LOST]),
    "removals": ([Campaign.settling, Campaign.exports, Campaign.adoptions, Campaign.deletions],
                 [*failpoints.SETTLE, *failpoints.LEFTOVER, *failpoints.EXPORT, *failpoints.ADOPT,
                  *failpoints.DELETE, *failpoints.DELETE_RUNNING]),
    "snapshots": ([Campaign.snapshots, Campaign.differences, Campaign.updates, Campaign.networks],
                  [*failpoints.SNAPSHOT, *failpoints.SNAPSHOT_DELETE, *failpoints.RESET, *failpoints.DIFF, *failpoints.UPDATE,
                   *failpoints.NETWORK]),
    "creations": ([Campaign.creations, Campaign.leases],
                  [*failpoints.CREATE, *failpoints.SEED, *failpoints.LEASE]),
}


@pytest.mark.cost(20)
@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_at_every_named_point(pyro, create, scratch, record_property, stage):
    actions, points = STAGES[stage]
    campaign = Campaign(pyro, create, scratch)
    for action in actions:
        action(campaign)
    campaign.ledger.check_files()
    campaign.ledger.check()
    reached = set(campaign.log.read_text().split())
    missing = [point for point in points if point not in reached]
    record_property("kills", campaign.killed.total())
    print(f"{campaign.killed.total()} kills at {len(campaign.killed)} of {len(points)} named "
          f"points; {campaign.ledger.totals()}")
    assert missing == [], f"never reached: {missing}"
    assert sorted(campaign.killed) == sorted(points)
