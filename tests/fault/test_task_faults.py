"""kill -9, broken files and full disks: a command that was seen to finish is never lost.

PYRO_FAULT_KILLS: how many kills (default 12). PYRO_FAULT_SEED: which ones; printed, so that a
failure can be looked at again, as far as the machine's own timing lets it.
"""

import collections
import os
import random
import shutil
import signal
import threading
import time

import harness
import pytest

# Every action starts a guest: more of them would take the suite half an hour.
KILLS = min(int(os.environ.get("PYRO_FAULT_KILLS") or 12), 12)
SEED = int(os.environ.get("PYRO_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
SUPERVISOR = "pyro-supervisor"
QEMU = "qemu-system-x86_64"
VICTIMS = ("pyro", SUPERVISOR, QEMU)
# $0 numbers the command, $1 is how much it says, $2 its exit code.
SCRIPT = ("echo begin-$0; echo $0 > f$0; head -c $1 /dev/zero | tr '\\0' x; echo; echo err-$0 >&2; "
          "sleep 0.3; echo end-$0; exit $2")


def command(number):
    return ("sh", "-c", SCRIPT, str(number), str(number * 7919 % 100_000), str(number % 100))


def wanted(number):
    size = number * 7919 % 100_000
    return f"begin-{number}\n{'x' * size}\nend-{number}\n", f"err-{number}\n", number % 100


class Killer:
    """Kills one process of an action at a moment after its begin."""

    def __init__(self, victim, moment, find):
        self.victim = victim
        self.moment = moment
        self.find = find
        self.hit = False

    def watch(self, process):
        """Until the action's end, which is returned."""
        thread = threading.Thread(target=self._kill, args=(process,))
        thread.start()
        done = harness.finish(process)
        thread.join()
        return done

    def _kill(self, process):
        time.sleep(self.moment)
        while process.poll() is None:
            pid = process.pid if self.victim == "pyro" else self.find(self.victim)
            if pid is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                    self.hit = True
                except ProcessLookupError:
                    pass
                return
            time.sleep(0.005)


def process_of_task(program, is_it):
    """The pid of `program` of the task that `is_it(id)` means."""
    for one in harness.of_program(harness.descendants(), SUPERVISOR):
        task_id = harness.task_of_supervisor(one.pid)
        if task_id is None or not is_it(task_id):
            continue
        if program == SUPERVISOR:
            return one.pid
        for below in harness.of_program(harness.descendants(one.pid), program):
            return below.pid
    return None


class Siege:
    """One task under attack, and the promises that were made for it."""

    def __init__(self, pyro, task):
        self.pyro = pyro
        self.task = task
        self.number = 0
        self.finished = set()
        self.unchecked = set()
        self.lost = []
        self.counts = collections.Counter()
        self.usual = {}

    def measure(self):
        """How long each action takes here: a kill falls somewhere in it."""
        for action in ("create", "exec", "stop", "delete"):
            begin = time.monotonic()
            getattr(self, action)(None, 0)
            self.usual[action] = time.monotonic() - begin

    def killer(self, victim, moment, is_it):
        return Killer(victim, moment, lambda program: process_of_task(program, is_it))

    # Each runs one action; with a victim, that is killed at the moment. True: the kill hit.

    def exec(self, victim, moment):
        number = self.number = self.number + 1
        process = self.task.start(*command(number))
        killer = self.killer(victim, moment, lambda task_id: task_id == self.task.id)
        done = killer.watch(process) if victim else harness.finish(process)
        out, err, code = wanted(number)
        if done.code == code and done.text == out:
            assert err in done.talk, done
            self.finished.add(number)
            self.unchecked.add(number)
        else:
            assert victim, done
            assert done.code in (125, -9), done
            if done.code == 125:
                assert "pyro: " in done.talk, done
        return killer.hit

    def stop(self, victim, moment):
        process = self.pyro.start("task", "stop", self.task.id)
        killer = self.killer(victim, moment, lambda task_id: task_id == self.task.id)
        done = killer.watch(process) if victim else harness.finish(process)
        assert done.code in ((0, 1, -9) if victim else (0,)), done
        if done.code == 1:
            assert done.talk.startswith("pyro: "), done
        return killer.hit

    def create_other(self):
        done = self.pyro("task", "create", "-q", harness.BASE)
        assert done.code == 0, done
        return harness.Task(self.pyro, done.text.strip())

    def others(self):
        done = self.pyro("task", "list", "-q")
        assert done.code == 0, done
        return [task_id for task_id in done.text.split() if task_id != self.task.id]

    def clear_others(self):
        """Tasks whose creation or removal was cut off too late or too early can be deleted."""
        def gone():
            for task_id in self.others():
                deleted = self.pyro("task", "delete", task_id)
                assert deleted.code == 0 or "no task" in deleted.talk, deleted
            left = [name for name in harness.task_directories(self.pyro) if name != self.task.id]
            return not left

        harness.wait_until(gone, "what was cut off is cleared", 120)

    def delete(self, victim, moment):
        other = self.create_other()
        assert other.exec("echo", "precious").code == 0
        process = self.pyro.start("task", "delete", other.id)
        killer = self.killer(victim, moment, lambda task_id: task_id == other.id)
        done = killer.watch(process) if victim else harness.finish(process)
        if done.code == 0:
            assert self.others() == [], done
        elif other.id in self.others():
            # It was not deleted, so it is whole.
            assert [entry["stdout"] for entry in other.entries()] == ["precious\n"]
            self.counts["deletes cut off before anything was removed"] += 1
        assert done.code in (0, 1, -9), done
        self.clear_others()
        return killer.hit

    def create(self, victim, moment):
        process = self.pyro.start("task", "create", "-q", harness.BASE)
        killer = self.killer(victim, moment, lambda task_id: task_id != self.task.id)
        done = killer.watch(process) if victim else harness.finish(process)
        assert done.code in ((0, 1, -9) if victim else (0,)), done
        if done.code == 0:
            assert done.text.strip() in self.others(), done
        elif done.code == 1:
            assert done.talk.startswith("pyro: "), done
        self.clear_others()
        return killer.hit

    # What must hold after each.

    def check(self, what):
        self.expect_no_orphans(what)
        done = self.task.exec("true", "next")  # Also brings the task back.
        assert done.code == 0, (what, done)
        self.check_finished(self.unchecked, self.task.entries("--tail", "8"))
        self.unchecked.clear()
        guests = [harness.task_of_supervisor(one.pid)
                  for one in harness.of_program(harness.descendants(), SUPERVISOR)]
        assert guests == [self.task.id], (what, guests)

    def expect_no_orphans(self, what):
        def none():
            found = harness.descendants()
            owned = {one.pid for supervisor in harness.of_program(found, SUPERVISOR)
                     for one in harness.descendants(supervisor.pid)}
            return all(one.pid in owned or one.program == SUPERVISOR for one in found)

        harness.wait_until(none, f"no orphans after {what}: {harness.descendants()}", 120)

    def check_finished(self, numbers, entries):
        by_number = {int(entry["command"][3]): entry for entry in entries
                     if len(entry["command"]) > 3}
        for number in numbers:
            out, err, code = wanted(number)
            entry = by_number.get(number)
            seen = entry and (entry["outcome"], entry["exit_code"], entry["stdout"],
                              entry["stderr"])
            if seen != ("exited", code, out, err):
                self.lost.append((number, entry and {**entry, "stdout": entry["stdout"][-80:]}))

    def check_all(self):
        entries = self.task.entries()
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
        assert all(entry["state"] == "ended" for entry in entries)
        self.check_finished(self.finished, entries)
        done = self.task.exec("sh", "-c", "for f in f*; do echo $f-$(cat $f); done")
        assert done.code == 0, done
        files = set(done.text.split())
        self.lost += [(number, "its file") for number in sorted(self.finished)
                      if f"f{number}-{number}" not in files]
        return entries


def test_kills_at_random_moments(pyro, create):
    print(f"PYRO_FAULT_SEED={SEED} PYRO_FAULT_KILLS={KILLS}")
    choose = random.Random(SEED)
    siege = Siege(pyro, create())
    siege.measure()
    kills = collections.Counter()
    attempts = 0
    while kills.total() < KILLS:
        action = choose.choice(["exec", "exec", "exec", "create", "stop", "delete"])
        victim = choose.choice(VICTIMS)
        part = choose.random()
        attempts += 1
        assert attempts < 20 * KILLS + 20, "hardly any kill hits"
        if getattr(siege, action)(victim, part * siege.usual[action]):
            kills[f"{action:6} {victim:18} {'first' if part < 0.5 else 'second'} half"] += 1
        siege.check(f"{action} without {victim} at {part:.2f}")
    entries = siege.check_all()
    print(f"{kills.total()} kills in {attempts} actions; {len(entries)} commands recorded, "
          f"{len(siege.finished)} seen to finish, {len(siege.lost)} lost")
    print("  outcomes:", dict(collections.Counter(entry["outcome"] for entry in entries)))
    for name, count in sorted((kills | siege.counts).items()):
        print(f"  {name}: {count}")
    assert siege.lost == []


def test_kills_below_commands_that_run_at_once(pyro, create):
    """Four clients at once, and the guest goes down again and again."""
    print(f"PYRO_FAULT_SEED={SEED}")
    choose = random.Random(SEED + 1)
    siege = Siege(pyro, create())
    rounds = max(2, KILLS // 4)
    codes = collections.Counter()
    number = 0
    for _ in range(rounds):
        if choose.random() < 0.7:  # Otherwise they find it stopped, and one of them starts it.
            assert siege.task.exec("true", "next").code == 0
        processes = []
        for _ in range(4):
            number += 1
            processes.append((number, siege.task.start(*command(number))))
        victim = choose.choice((SUPERVISOR, QEMU))
        time.sleep(choose.random() * 2)
        pid = process_of_task(victim, lambda task_id: True)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        for one, process in processes:
            done = harness.finish(process)
            out, _, code = wanted(one)
            codes["finished" if done.code == code else done.code] += 1
            if (done.code, done.text) == (code, out):
                siege.finished.add(one)
            else:
                assert done.code == 125 and "pyro: " in done.talk, done
    assert siege.task.exec("true", "next").code == 0
    siege.check_all()
    print(f"{rounds} kills below {number} commands: {dict(codes)}, {len(siege.lost)} lost")
    assert siege.lost == []


# Broken files.

@pytest.fixture
def task(create):
    one = create()
    assert one.exec("sh", "-c", "echo hello > f; echo said; echo err >&2; exit 3").code == 3
    return one


def expect_whole(task):
    entry = task.entries()[0]
    assert (entry["sequence"], entry["stdout"], entry["stderr"]) == (1, "said\n", "err\n")
    assert (entry["outcome"], entry["exit_code"], entry["command"][0]) == ("exited", 3, "sh")
    done = task.exec("cat", "f")
    assert (done.code, done.out) == (0, b"hello\n"), done


def registry_files(pyro):
    return [pyro.state / name for name in ("registry.db", "registry.db-wal", "registry.db-shm")]


def test_a_removed_registry_is_made_again(pyro, task):
    task.stop()
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    status = task.json("status")
    assert (status["state"], status["command_count"]) == ("stopped", 1)
    expect_whole(task)
    assert [entry["sequence"] for entry in task.entries()] == [1, 2]


def test_a_registry_removed_below_a_running_guest(pyro, task):
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    task.kill_guest()
    expect_whole(task)


@pytest.mark.parametrize("kind", ["garbage", "cut"])
def test_a_broken_registry_is_told_and_the_tasks_come_back(pyro, task, kind):
    task.stop()
    database, *others = registry_files(pyro)
    for path in others:
        path.unlink(missing_ok=True)
    if kind == "garbage":
        database.write_bytes(os.urandom(database.stat().st_size))
    else:
        os.truncate(database, database.stat().st_size // 2)
    for action in (("list",), ("status", task.id), ("delete", task.id)):
        done = pyro("task", *action)
        assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done
    done = task.exec("true")
    assert done.code == 125 and harness.is_one_sentence_and_hint(done.talk), done
    assert "registry.db" in done.talk
    assert task.directory.is_dir()
    database.unlink()  # As the hint says: out of the way.
    expect_whole(task)


@pytest.mark.parametrize("size", [0, 4096, 1 << 20])
def test_a_cut_disk_is_told_and_can_be_deleted(pyro, task, size):
    task.stop()
    os.truncate(task.directory / "data.img", size)
    done = task.exec("cat", "f")
    assert done.code == 125 and done.out == b"" and "pyro: " in done.talk, done
    print(done.talk.strip())
    assert task.entries()[0]["stdout"] == "said\n"  # The journal is not on that disk.
    assert task.json("status")["state"] == "stopped"
    harness.wait_until(lambda: not harness.descendants(), "nothing of it runs", 90)
    assert pyro("task", "delete", task.id).code == 0
    assert harness.task_directories(pyro) == []


def test_a_removed_disk_is_told_and_can_be_deleted(pyro, task):
    task.stop()
    (task.directory / "data.img").unlink()
    done = task.exec("cat", "f")
    assert done.code == 125 and "data.img" in done.talk.splitlines()[-1], done
    assert pyro("task", "delete", task.id).code == 0


def test_a_removed_directory_is_told_and_can_be_deleted(pyro, task):
    task.stop()
    shutil.rmtree(task.directory)
    done = task.exec("cat", "f")
    assert done.code == 125 and "pyro: " in done.talk, done
    # Nobody can bring it back: a row without a directory goes.
    assert pyro("task", "delete", task.id).code in (0, 1)
    assert pyro("task", "list", "--json").json["count"] == 0


def test_a_broken_journal_does_not_hide_what_the_registry_knows(pyro, task):
    task.stop()
    journal = task.directory / "journal.jsonl"
    with open(journal, "ab") as file:
        file.write(b'{"event":"end","sequence":1,"cut off')
    expect_whole(task)
    assert [entry["outcome"] for entry in task.entries()] == ["exited", "exited"]
    task.stop()
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    entries = task.entries()
    assert [entry["exit_code"] for entry in entries] == [3, 0]
