#!/usr/bin/python3
"""Many tasks at work while everything goes wrong: `make soak MINUTES=30 TASKS=30`.

    python3 tests/soak/soak.py --minutes 30 --tasks 30

Clients of three kinds have commands run in all tasks: the command line, the Python package and MCP sessions. Meanwhile
processes of every kind are killed, disks fill, the clock is stepped, guests are paused and memory runs short. One line a
minute and a table at the end say what happened. The exit code is 1 if a finished command was lost, a process, lock, row or
directory was left, or the supervisors that lived through took more than a tenth more memory.

It kills only processes below itself, and runs as root or as a user; only root's has a small disk for the state. The clock
that is stepped is that of its supervisors. --step-clock steps this host's own: only for a machine where nothing else runs.
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / name) for name in (".", "fault", "mcp")]
import harness  # noqa: E402
import siege  # noqa: E402
import soak_chaos  # noqa: E402
import soak_clients  # noqa: E402
import soak_figures  # noqa: E402
import stepped_clock  # noqa: E402

# What a task has on the state's disk and in memory, about.
TASK_DISK_MIB = 80
TASK_MEMORY_MIB = 200
GUEST_MIB = 256


class HostClock:
    """This host's own."""

    def __init__(self):
        self.base = 0  # How far the clock that this process reads is ahead because of it.

    def use(self, pyro):
        pass

    def step_to(self, seconds):
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds - self.base)
        self.base = seconds


class SupervisorsClock(stepped_clock.SteppedClock):
    base = 0


class World:
    """What runs, what it runs on, and what may be done to it."""

    def __init__(self, options):
        self.options = options
        self.choose = random.Random(options.seed)
        self.over = threading.Event()
        self.longest = min(120, options.minutes * 60 / 10)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
        home = self.scratch / "home"
        home.mkdir()
        self.pyro = soak_clients.Own(self.scratch / "state", harness.CACHE, home)
        self.pyro.state.mkdir(mode=0o700)
        self.disk = self._small_disk()
        self.clock = HostClock() if options.step_clock else SupervisorsClock(self.scratch / "programs")
        self.clock.use(self.pyro)
        self.group = soak_chaos.Group(options.tasks * TASK_MEMORY_MIB + 2048)
        self.figures = soak_figures.Figures()
        self.full = threading.Event()
        self.last_full = 0.0
        self.books = []
        self.actors = []
        self.spared = []   # Tasks whose guests live through.
        self.victims = []  # The others.
        self.fillers = []  # Those of the others whose disks fill.

    def _small_disk(self):
        import test_full_disk
        if os.getuid() != 0:
            return None
        size = 512 + self.options.tasks * TASK_DISK_MIB
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0700", "none", str(self.pyro.state)], check=True)
        return test_full_disk.SmallDisk(self.pyro.state)

    def machines(self):
        """One for each task: most in user mode, if there is its kernel."""
        usual = "usermode" if (harness.BIN / "pyro-usermode-kernel").exists() else "auto"
        forced = os.environ.get("PYRO_ACCELERATOR")
        emulated = 0 if forced or usual == "auto" else min(self.options.emulated, self.options.tasks)
        return ["tcg"] * emulated + [usual] * (self.options.tasks - emulated)

    def create(self, number, machine):
        flags = ["--mem-mib", str(GUEST_MIB), "--disk-mib", "256", "--ttl-seconds", "7200"]
        if not os.environ.get("PYRO_ACCELERATOR"):
            flags += ["--machine", machine]
        if number % 4 == 1:
            flags += ["--network", "--cache"]
        done = self.pyro("task", "create", "-q", *flags, harness.BASE)
        assert done.code == 0, done
        return harness.Task(self.pyro, done.text.strip())

    def fill(self):
        """Makes the tasks and their clients."""
        kinds = [soak_clients.CommandLine] * 3 + [soak_clients.McpSession]
        if soak_clients.has_python():
            kinds.append(soak_clients.PythonPackage)
        else:
            print("without clients of the Python package: it is not built (make python)", flush=True)
        pause = self.options.tasks * 60 / self.options.rate
        for number, machine in enumerate(self.machines()):
            task = self.create(number, machine)
            self.books.append(soak_clients.Book(task))
            (self.spared if number % 5 == 0 else self.victims).append(task)
            self.actors.append(soak_clients.Actor(self, self.books[-1], kinds[number % len(kinds)], pause, self.choose.random()))
        self.victims = self.victims or self.spared
        self.fillers = self.victims[-4:]

    # Of the processes.

    def victims_ids(self):
        return {task.id for task in self.victims}

    def supervisors(self):
        return [(harness.task_of_supervisor(one.pid), one) for one in harness.of_program(harness.descendants(), "pyro-supervisor")]

    def processes(self, kind):
        """Pids of processes of that kind that may be killed; all are below this one."""
        found = harness.descendants()
        if kind == "supervisor":
            return [one.pid for task_id, one in self.supervisors() if task_id in self.victims_ids()]
        if kind == "machine":
            return [machine.pid for task_id, one in self.supervisors() if task_id in self.victims_ids()
                    for below in [harness.descendants(one.pid)]
                    for name in soak_chaos.MACHINES for machine in harness.of_program(below, name)]
        if kind in ("pyro-net", "pyro-proxy"):
            return [one.pid for one in found if one.name == kind]  # Their jail has the program by another path.
        mine = self.pyro.living()
        words = {"client": [b"exec"], "MCP server": [b"mcp", b"serve"], "Python client": [b"soak_python.py"]}[kind]
        return [one.pid for one in found if one.pid in mine and all(word in command_line(one.pid) for word in words)]

    def strays(self):
        """Processes that no owner has and that are no supervisors."""
        mine = self.pyro.living()
        return [one for one in harness.descendants() if one.parent == os.getpid() and one.pid not in mine
                and one.program not in ("pyro-supervisor", "") and not harness.makes_template(one)]

    # Of the disk.

    @contextlib.contextmanager
    def disk_fills(self):
        """The disk of the state is full meanwhile. Clients of the spared tasks rest, so that their guests write nothing."""
        self.full.set()
        try:
            for actor in self.actors:
                if actor.book.task in self.spared:
                    with actor.busy:
                        pass
            yield
        finally:
            self.disk.filler.unlink(missing_ok=True)
            self.last_full = time.monotonic()
            self.full.clear()

    def must_wait(self, task):
        return self.full.is_set() and task in self.spared

    def disk_was_full(self, task):
        """Now, or since that task's guest last may have written."""
        return task not in self.spared and self.last_full > 0 and not self.full.is_set()

    # The end.

    def settle(self):
        """Waits until clients and chaos have ended."""
        deadline = time.monotonic() + harness.HANG_SECONDS
        for actor in self.actors:
            actor.join(max(0, deadline - time.monotonic()))
            if actor.is_alive() or actor.failure:
                self.figures.fault("clients that failed", actor.failure and "".join(traceback.format_exception(actor.failure)) or
                                   f"{actor.client.kind} of {actor.book.task.id} hangs")

    def compare(self):
        """Rows with directories."""
        def differences():
            with contextlib.closing(sqlite3.connect(self.pyro.state / "registry.db", timeout=30)) as registry:
                rows = {row[0] for row in registry.execute("SELECT id FROM instances")}
            directories = {*harness.task_directories(self.pyro), *self.pyro.directories()}
            return rows - directories, directories - rows
        deadline = time.monotonic() + 60
        while any(differences()) and time.monotonic() < deadline:
            time.sleep(0.5)
        alone, left = differences()
        for one in alone:
            self.figures.fault("rows without a directory", one)
        for one in left:
            self.figures.fault("directories without a row", one)

    def check(self):
        for book in self.books:
            try:
                book.compare()
                book.task.stop()
                book.task.exec("rm", "-f", "big")
                book.compare_files()
            except BaseException as error:  # pylint: disable=broad-exception-caught
                book.failed = True
                self.figures.fault("wrong answers", "".join(traceback.format_exception(error)))
            for one in book.lost:
                self.figures.fault("finished commands lost", (book.task.id, one))
            for one in book.wrong:
                self.figures.fault("wrong answers", (book.task.id, one))

    def clear(self):
        """Deletes all; then nothing is left."""
        for book in self.books:
            if book.lost or book.wrong or book.failed:
                book.task.stop()  # Stays for a look at it.
                continue
            deleted = self.pyro("task", "delete", book.task.id)
            if deleted.code != 0:
                self.figures.fault("wrong answers", str(deleted))
        with contextlib.suppress(AssertionError):
            harness.expect_nothing_left(self.pyro)
        bury(self.pyro.living())
        for one in siege.orphans() + harness.descendants():
            self.figures.fault("orphans", (one.pid, one.program or one.name))
        for path in (*self.pyro.state.rglob("lock"), *self.pyro.state.rglob("*.lock")):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    self.figures.fault("stuck locks", path)

    def close(self, keep):
        if self.options.step_clock:
            self.clock.step_to(0)
        harness.kill_all(harness.descendants())
        if self.group is not None:
            self.group.close()
        if keep:
            print(f"kept: {self.scratch}", flush=True)
            return
        if self.disk is not None:
            subprocess.run(["umount", "--lazy", str(self.pyro.state)], check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)


def command_line(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.path.basename(word) for word in text.split(b"\0")]


ended_before = set()


def bury(mine):
    """Collects orphans that have ended, of which no object here waits. A new one may be that of a start that is not noted yet."""
    ended = set()
    for entry in os.listdir("/proc"):
        process = harness.read_process(entry) if entry.isdigit() else None
        if process is not None and process.parent == os.getpid() and process.state == "Z" and process.pid not in mine:
            ended.add((process.pid, process.start))
    for pid, start in ended & ended_before:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    ended_before.clear()
    ended_before.update(ended)


def spared_supervisors(world):
    spared = {task.id for task in world.spared}
    return [one for task_id, one in world.supervisors() if task_id in spared]


def watch(world, seconds):
    """Until the time is over: a line each minute, and the first measure of supervisors once they are warm."""
    began = last = time.monotonic()
    warm = began + min(60, seconds / 4)
    measured = False
    while time.monotonic() < began + seconds:
        time.sleep(1)
        if not measured and time.monotonic() > warm:
            measured = True
            world.figures.begin([one for _, one in world.supervisors()])
        if time.monotonic() > last + min(60, seconds / 3):
            last = time.monotonic()
            bury(world.pyro.living())
            print(f"[{time.monotonic() - began:5.0f} s] {world.figures.line(world.books)}; {len(world.supervisors())} guests, "
                  f"{len(world.strays())} processes without an owner", flush=True)


def soak(world):
    began = time.monotonic()
    world.fill()
    print(f"[{time.monotonic() - began:5.0f} s] {len(world.books)} tasks", flush=True)
    chaos = soak_chaos.Chaos(world, world.options.every, random.Random(f"{world.options.seed}-chaos"))
    began = time.monotonic()
    for thread in (*world.actors, chaos):
        thread.start()
    try:
        watch(world, world.options.minutes * 60)
    finally:
        world.over.set()
    minutes = (time.monotonic() - began) / 60
    chaos.end()
    world.settle()
    if chaos.failure:
        world.figures.fault("wrong answers", "".join(traceback.format_exception(chaos.failure)))
    time.sleep(1)
    world.figures.end([one for _, one in world.supervisors()])
    world.compare()
    world.check()
    world.clear()
    for detail in world.figures.details[:40]:
        print(detail)
    print(world.figures.table(world.books, minutes), flush=True)
    return world.figures.verdict(sum(book.number for book in world.books))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--tasks", type=int, default=30, help="that are alive at once")
    parser.add_argument("--emulated", type=int, default=4, help="how many of them have QEMU without KVM, where there is user mode")
    parser.add_argument("--rate", type=float, default=600, help="commands a minute, at most")
    parser.add_argument("--every", type=float, default=1.5, help="seconds between two misfortunes")
    parser.add_argument("--only", nargs="+", choices=list(soak_chaos.EVENTS), default=[], help="which misfortunes; all without this")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(1 << 32)))
    parser.add_argument("--step-clock", action="store_true", help="step this host's clock: only where nothing else runs")
    options = parser.parse_args()
    if options.step_clock and os.getuid() != 0:
        parser.error("only root steps the host's clock")
    harness.adopt_orphans()
    harness.patience = 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"seed {options.seed}: {options.tasks} tasks for {options.minutes:g} minutes", flush=True)
    world = World(options)
    code = 1
    try:
        code = soak(world)
    finally:
        world.over.set()
        world.close(keep=code != 0)
    return code


if __name__ == "__main__":
    sys.exit(main())
