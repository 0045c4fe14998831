"""kill -9 of any of pyro's processes at any moment leaves nothing that the next call does not clear.

PYRO_FAULT_KILLS: how many kills (default 12). PYRO_FAULT_SEED: which ones; printed, so that a
failure can be looked at again, as far as the machine's own timing lets it.
"""

import collections
import dataclasses
import os
import pathlib
import signal
import threading
import time

import harness
import pytest
import siege

AT_ONCE = 4
PARTS = 3
# How long a run of the command takes here is measured first; a kill falls somewhere in it.
COMMAND = ("sh", "-c", "head -c 200000 /dev/zero; sleep 1")


@dataclasses.dataclass
class Attempt:
    number: int
    victim: str
    moment: float  # Seconds after the run's begin.
    flags: tuple
    outcome: str = ""


class Run:
    """One pyro run whose processes can be told from those of others: TMPDIR is passed on to them."""

    def __init__(self, pyro, attempt, scratch):
        self.mark = scratch / f"run-{attempt.number}"
        self.mark.mkdir()
        self.attempt = attempt
        self.pyro = pyro.start("run", "-q", *attempt.flags, harness.BASE, "--", *COMMAND,
                               env={"TMPDIR": str(self.mark)})

    def find(self, program):
        if program == "pyro":
            one = harness.read_process(self.pyro.pid)
            return one if one and one.state not in "ZX" else None
        for one in harness.of_program(harness.descendants(), siege.SUPERVISOR):
            try:
                environment = pathlib.Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"TMPDIR={self.mark}".encode() not in environment:
                continue
            if program == siege.SUPERVISOR:
                return one
            below = harness.of_program(harness.descendants(one.pid), program)
            if below:
                return below[0]
        return None

    def carry_out(self):
        """Kills the victim at its moment, or as soon as it exists after that."""
        time.sleep(self.attempt.moment)
        while True:
            victim = self.find(self.attempt.victim)
            if victim is not None:
                try:
                    os.kill(victim.pid, signal.SIGKILL)
                    self.attempt.outcome = "killed"
                except ProcessLookupError:
                    self.attempt.outcome = "too late"
                break
            if self.pyro.poll() is not None:
                self.attempt.outcome = "too late"
                break
            time.sleep(0.005)
        done = harness.finish(self.pyro)
        if self.attempt.outcome == "killed":
            self.attempt.outcome = f"exit {done.code}"


def measure(pyro):
    begin = time.monotonic()
    done = pyro("run", "-q", harness.BASE, "--", *COMMAND)
    assert done.code == 0, done
    return time.monotonic() - begin


def expect_cleared(pyro, attempts, counts):
    """What the kernel and the survivors clear by themselves, and what the next call does."""
    harness.wait_until(lambda: not harness.descendants(),
                       f"processes outlive a kill: {harness.descendants()} {attempts}", 90)
    counts["directories left for the next call"] += len(pyro.directories())
    counts["rows left for the next call"] += len(pyro.rows())
    done = pyro("env", "list")
    assert done.code == 0, (done, attempts)
    assert harness.descendants() == [], attempts
    assert pyro.directories() == [], attempts
    assert pyro.rows() == [], attempts


def kill_runs(pyro, scratch, kills, choose):
    """So many kills of `pyro run` at random moments. How many runs there were, and what became of them."""
    alone = measure(pyro)
    counts = collections.Counter()
    killed = number = 0
    while killed < kills:
        attempts = []
        for _ in range(min(AT_ONCE, kills - killed)):
            victim = choose.choice(["pyro", siege.SUPERVISOR, siege.MACHINE])
            # Four share the cores that one had: later moments still hit a running one.
            moment = choose.random() * alone * 1.5
            flags = ("--network",) if choose.random() < 0.25 else ()
            attempts.append(Attempt(number, victim, moment, flags))
            number += 1
        runs = [Run(pyro, attempt, scratch) for attempt in attempts]
        threads = [threading.Thread(target=run.carry_out) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for attempt in attempts:
            assert attempt.outcome, attempt
            hit = attempt.outcome.startswith("exit")
            killed += hit
            counts[f"{attempt.victim} {attempt.outcome}"] += 1
            # A lost guest is pyro's failure, told as such, and never a success of the command.
            if hit and attempt.victim == "pyro":
                assert attempt.outcome == "exit -9", attempt
            elif hit:
                assert attempt.outcome in ("exit 125", "exit 0"), attempt
        expect_cleared(pyro, attempts, counts)
        assert number < 20 * kills + 20, "hardly any kill hits"
    print(f"{killed} kills in {number} runs; a run alone took {alone:.1f} s")
    return counts


@pytest.mark.cost(20)
@pytest.mark.parametrize("part", range(PARTS))
def test_kills_at_random_moments(pyro, scratch, record_property, part):
    chosen = siege.Part(part, PARTS)
    counts = kill_runs(pyro, scratch, chosen.kills, chosen.choose)
    record_property("kills", chosen.kills)
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count}")


def test_kills_of_everything_at_once(pyro):
    """As when the host runs out of memory: all of a run at one moment."""
    process = pyro.start("run", "-q", harness.BASE, "--", "sh", "-c", "echo begun; sleep 200")
    assert process.stdout.readline() == b"begun\n"
    # The supervisor first: it would clear up after the others.
    harness.kill_all(sorted(harness.descendants(), key=lambda one: one.program != siege.SUPERVISOR))
    harness.finish(process)
    harness.wait_until(lambda: not harness.descendants(), "all of it is gone", 90)
    assert len(pyro.directories()) == 1 and len(pyro.rows()) == 1
    assert pyro("run", "-q", harness.BASE, "--", "true").code == 0
    assert pyro.directories() == [] and pyro.rows() == []


def test_what_a_crash_left_in_the_directories_is_cleared(pyro):
    """Cases (b) and (c) of docs/REGISTRY.md: a half-made directory and a half-removed one."""
    assert pyro("run", "-q", harness.BASE, "--", "true").code == 0
    name = "vm_" + "a" * 26
    for directory in (name, ".gone-vm_" + "b" * 26):
        (pyro.state / "vms" / directory).mkdir(mode=0o700)
        (pyro.state / "vms" / directory / "data.img").write_bytes(bytes(1000))
    (pyro.state / "vms" / name / "lock").touch()
    assert pyro("run", "-q", harness.BASE, "--", "true").code == 0
    assert pyro.directories() == []
