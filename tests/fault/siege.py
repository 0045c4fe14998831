"""A task under attack, and what its clients were told: nothing of that may be lost."""

import contextlib
import os
import pathlib
import random
import signal
import threading

import harness
import pytest

KILLS = int(os.environ.get("PYRO_FAULT_KILLS") or 12)
SEED = int(os.environ.get("PYRO_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))

SUPERVISOR = "pyro-supervisor"
MACHINE = harness.MACHINE

# $0 numbers the command, $1 is its exit code, $2 how much more it says. Most are quick.
GUEST_IS_FULL = 98
SCRIPT = (f"echo out-$0; echo err-$0 >&2; {{ echo $0 > f$0; }} 2>/dev/null || exit {GUEST_IS_FULL}; "
          "[ $2 = 0 ] || { head -c $2 /dev/zero | tr '\\0' x; sleep 0.2; }; echo end; exit $1")


def size(number):
    return number * 7919 % 100_000 if number % 8 == 0 else 0


def wanted(number):
    """What it says, what it complains, its exit code."""
    return f"out-{number}\n{'x' * size(number)}end\n", f"err-{number}\n", number % 90


def words(number):
    return ["sh", "-c", SCRIPT, str(number), str(number % 90), str(size(number))]


def supervisors(task_id=None):
    """Of one task, or of all."""
    found = [(harness.task_of_supervisor(one.pid), one)
             for one in harness.of_program(harness.descendants(), SUPERVISOR)]
    return [one for of, one in found if of is not None and task_id in (None, of)]


def process_of_task(program, task_id):
    """The pid of its supervisor or of its machine, or None."""
    for one in supervisors(task_id):
        if program == SUPERVISOR:
            return one.pid
        for below in harness.of_program(harness.descendants(one.pid), program):
            return below.pid
    return None


def kill(pid):
    """True: it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, TypeError):
        return False
    return True


def orphans():
    """Processes that are neither a supervisor nor below one."""
    found = harness.descendants()
    owned = {one.pid for supervisor in harness.of_program(found, SUPERVISOR)
             for one in harness.descendants(supervisor.pid)}
    return [one for one in found if one.pid not in owned and one.program != SUPERVISOR]


def wait_for_no_orphans(what):
    harness.wait_until(lambda: not orphans(), f"no orphans after {what}: {harness.descendants()}", 120)


class Part:
    """One of several tests that together try `kills` random kills, each with random numbers of its own."""

    def __init__(self, part, parts, kills=KILLS):
        self.kills = kills * (part + 1) // parts - kills * part // parts
        self.choose = random.Random(f"{SEED}-{part}")
        print(f"PYRO_FAULT_SEED={SEED} PYRO_FAULT_KILLS={KILLS}: {self.kills} kills, part {part + 1} of {parts}")


class Ledger:
    """The commands of one task by their numbers, and which of them a client saw to finish. Thread-safe."""

    def __init__(self, task):
        self.task = task
        self.lock = threading.Lock()
        self.number = 0
        self.finished = set()
        self.lost = []

    def next(self):
        with self.lock:
            self.number += 1
            return self.number

    def start(self, env=None):
        """Number and process of the next command."""
        number = self.next()
        return number, self.task.start(*words(number), env=env)

    def finish(self, number, process):
        """Whether it was seen to finish; if not, pyro was killed or has said why."""
        done = harness.finish(process)
        out, err, code = wanted(number)
        if (done.code, done.text) == (code, out):
            assert err in done.talk, done
            with self.lock:
                self.finished.add(number)
            return True
        assert done.code in (125, -signal.SIGKILL), done
        assert done.code != 125 or "pyro: " in done.talk, done
        return False

    def exec(self, env=None):
        return self.finish(*self.start(env))

    def compare(self):
        """With the journal, whether the guest runs or not. Its entries of these commands, by their numbers."""
        entries = self.task.entries()
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1)), "numbers have gaps"
        by_number = {}
        for entry in entries:
            if entry["command"][:3] == ["sh", "-c", SCRIPT]:
                number = int(entry["command"][3])
                assert number not in by_number, f"command {number} has two entries"
                by_number[number] = entry
        for number in sorted(self.finished):
            entry = by_number.get(number)
            out, err, code = wanted(number)
            if not entry or (entry["outcome"], entry["exit_code"]) != ("exited", code) or not self.is_kept(entry, out, err):
                self.lost.append((number, entry and {**entry, "stdout": entry["stdout"][-80:]}))
        return by_number

    def is_kept(self, entry, out, err):
        return (entry["stdout"], entry["stderr"]) == (out, err)

    def check(self):
        """The entries."""
        by_number = self.compare()
        assert self.lost == [], self.lost
        return list(by_number.values())

    def compare_files(self):
        """With the workspace; starts the guest if it is off."""
        done = self.task.exec("sh", "-c", "for f in f*; do read -r number < $f; echo $f-$number; done")
        assert done.code == 0, done
        files = set(done.text.split())
        self.lost += [(number, "its file") for number in sorted(self.finished) if f"f{number}-{number}" not in files]

    def check_files(self):
        self.compare_files()
        assert self.lost == [], self.lost

    def totals(self):
        return f"{len(self.finished)} commands seen to finish, {len(self.lost)} lost"


def wait_for_no_leftovers(pyro, what):
    """Of creations and removals that were cut off. The last call cleared them; one that a supervisor is about to remove may stay a moment."""
    def leftovers():
        return [name for name in harness.task_directories(pyro) if not name.startswith("task_")]
    with contextlib.suppress(pytest.fail.Exception):
        harness.wait_until(lambda: leftovers() == [], "nothing half-made is left")
    assert leftovers() == [], what


def registry_files(pyro):
    return [pathlib.Path(pyro.state) / name
            for name in ("registry.db", "registry.db-wal", "registry.db-shm")]
