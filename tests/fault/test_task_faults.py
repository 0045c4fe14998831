"""kill -9 at random moments: a command that was seen to finish is never lost.

PYRO_FAULT_KILLS: how many kills (default 12). PYRO_FAULT_SEED: which ones; printed, so that a
failure can be looked at again, as far as the machine's own timing lets it.
"""

import collections
import signal
import threading
import time

import harness
import pytest
import siege

PARTS = 4
PARTS_OF_ACTIONS = 2
VICTIMS = ("pyro", siege.SUPERVISOR, siege.MACHINE)
CLIENTS = 4
# Between two kills: so many commands are seen to finish, and at most so many more begin.
LEAST, MOST = 10, 30


class Traffic:
    """Clients that run one short command after the other, until they are told to stop."""

    def __init__(self, ledger):
        self.ledger = ledger
        self.running = {}  # Their processes, by client.
        self.ended = threading.Event()
        self.errors = []
        self.threads = [threading.Thread(target=self._run, args=(client,))
                        for client in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _run(self, client):
        try:
            while not self.ended.is_set():
                number, process = self.ledger.start()
                self.running[client] = process
                self.ledger.finish(number, process)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.errors.append(error)
            raise

    def await_commands(self, count):
        goal = len(self.ledger.finished) + count
        harness.wait_until(lambda: self.errors or len(self.ledger.finished) >= goal,
                           f"{count} more commands finish")
        assert not self.errors, self.errors

    def kill(self, victim, choose):
        if victim != "pyro":
            return siege.kill(siege.process_of_task(victim, self.ledger.task.id))
        process = self.running[choose.randrange(CLIENTS)]
        if process.poll() is not None:
            return False
        process.kill()
        return True


def kill_below_traffic(ledger, wanted, choose, pauses=(LEAST, MOST)):
    """So many kills while clients run commands. Afterwards all that the task has is compared. The kills and the entries."""
    kills = collections.Counter()
    tries = 0
    with Traffic(ledger) as traffic:
        while kills.total() < wanted:
            traffic.await_commands(choose.randrange(*pauses))
            time.sleep(choose.random() * 0.05)
            victim = choose.choice(VICTIMS)
            kills[victim] += traffic.kill(victim, choose)
            tries += 1
            assert tries < 20 * wanted + 20, "hardly any kill hits"
    siege.wait_for_no_orphans("the last kill")
    # The last call of a client that was killed may still be under way.
    harness.wait_until(lambda: ledger.exec() and all(entry["state"] == "ended"
                                                     for entry in ledger.task.entries()),
                       "every command has ended", 120)
    entries = ledger.check()
    ledger.check_files()
    assert len(siege.supervisors()) == 1
    return kills, entries


@pytest.mark.cost(10)
@pytest.mark.parametrize("part", range(PARTS))
def test_kills_below_traffic(create, record_property, part):
    chosen = siege.Part(part, PARTS)
    ledger = siege.Ledger(create())
    kills, entries = kill_below_traffic(ledger, chosen.kills, chosen.choose)
    record_property("kills", kills.total())
    print(f"{kills.total()} kills {dict(kills)} below {CLIENTS} clients; {len(entries)} commands "
          f"recorded, {ledger.totals()}")
    print("  outcomes:", dict(collections.Counter(entry["outcome"] for entry in entries)))
    assert len(ledger.finished) >= 10 * chosen.kills


class Actions:
    """Whole actions that are cut off at a moment in them, on tasks beside one that must stay whole."""

    def __init__(self, pyro, task):
        self.pyro = pyro
        self.task = task
        self.usual = {}
        self.counts = collections.Counter()

    def measure(self):
        """How long each takes here: a kill falls somewhere in it."""
        for action in ("create", "stop", "delete"):
            assert not getattr(self, action)(None, 0)

    def carry_out(self, action, process, victim, moment, is_it):
        """The action's end, and whether the kill hit. One that was not hit tells how long the action takes now."""
        begin = time.monotonic()
        hit = []

        def strike():
            time.sleep(moment)
            while process.poll() is None:
                if victim == "pyro":
                    process.kill()
                    return hit.append(True)
                for one in siege.supervisors():
                    task_id = harness.task_of_supervisor(one.pid)
                    if task_id and is_it(task_id) and siege.kill(
                            siege.process_of_task(victim, task_id)):
                        return hit.append(True)
                time.sleep(0.005)
            return None

        thread = threading.Thread(target=strike if victim else lambda: None)
        thread.start()
        done = harness.finish(process)
        ended = time.monotonic()
        thread.join()
        if not hit:
            self.usual[action] = ended - begin
        assert done.code in ((0, 1, -signal.SIGKILL) if victim else (0,)), done
        if done.code == 1:
            assert done.talk.startswith("pyro: "), done
        return done, bool(hit)

    def others(self):
        done = self.pyro("task", "list", "-q")
        assert done.code == 0, done
        return [task_id for task_id in done.text.split() if task_id != self.task.id]

    def clear_others(self):
        """What was cut off too late or too early is a task like others, or is gone."""
        def gone():
            for task_id in self.others():
                deleted = self.pyro("task", "delete", task_id)
                assert deleted.code == 0, deleted
            return harness.task_directories(self.pyro) == [self.task.id]

        harness.wait_until(gone, "what was cut off is cleared", 120)

    def stop(self, victim, moment):
        assert self.task.exec("true").code == 0
        process = self.pyro.start("task", "stop", self.task.id)
        return self.carry_out("stop", process, victim, moment, lambda task_id: True)[1]

    def create(self, victim, moment):
        process = self.pyro.start("task", "create", "-q", harness.BASE)
        done, hit = self.carry_out("create", process, victim, moment, lambda one: one != self.task.id)
        if done.code == 0:
            assert done.text.strip() in self.others(), done
        self.clear_others()
        return hit

    def delete(self, victim, moment):
        done = self.pyro("task", "create", "-q", harness.BASE)
        assert done.code == 0, done
        other = harness.Task(self.pyro, done.text.strip())
        assert other.exec("echo", "precious").code == 0
        process = self.pyro.start("task", "delete", other.id)
        done, hit = self.carry_out("delete", process, victim, moment, lambda one: one == other.id)
        if done.code == 0:
            assert self.others() == [], done
        elif other.id in self.others():
            logs = self.pyro("task", "logs", other.id, "--json")
            if logs.code == 0:  # It was not deleted, so it is whole.
                assert [entry["stdout"] for entry in logs.json["entries"]] == ["precious\n"]
                self.counts["deletes cut off before anything was removed"] += 1
            else:  # Its supervisor had been asked before the kill, and removed it since the list was made.
                assert logs.json["error"]["code"] == "not_found" and other.id not in self.others(), logs
                self.counts["deletes that the supervisor finished"] += 1
        self.clear_others()
        return hit


def kill_actions(pyro, ledger, wanted, choose):
    """So many kills of creations, stops and deletions beside the ledger's task. The kills and other counts."""
    actions = Actions(pyro, ledger.task)
    actions.measure()
    kills = collections.Counter()
    tries = 0
    while kills.total() < wanted:
        action = choose.choice(["create", "stop", "delete"])
        victim = choose.choice(VICTIMS)
        part = choose.random()
        tries += 1
        assert tries < 20 * wanted + 20, "hardly any kill hits"
        if getattr(actions, action)(victim, part * actions.usual[action]):
            kills[f"{action:6} {victim:18} {'first' if part < 0.5 else 'second'} half"] += 1
        siege.wait_for_no_orphans(f"{action} without {victim} at {part:.2f}")
        assert ledger.exec()
        ledger.check()
    ledger.check_files()
    print(f"{kills.total()} kills in {tries} actions; {ledger.totals()}")
    return kills, actions.counts


@pytest.mark.cost(10)
@pytest.mark.parametrize("part", range(PARTS_OF_ACTIONS))
def test_kills_of_create_stop_and_delete(pyro, create, record_property, part):
    chosen = siege.Part(part, PARTS_OF_ACTIONS, max(3, siege.KILLS // 8))  # Each starts a guest or two.
    kills, counts = kill_actions(pyro, siege.Ledger(create()), chosen.kills, chosen.choose)
    record_property("kills", kills.total())
    for name, count in sorted((kills | counts).items()):
        print(f"  {name}: {count}")
