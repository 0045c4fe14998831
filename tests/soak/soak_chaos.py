"""What goes wrong in a soak: kills of every kind of process, full disks, steps of the clock, pauses, memory that runs short."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import harness

MACHINES = ("linux", "qemu-system-x86_64")
# As root of the guest: writes over the code of PID 1, which then crashes.
KILL_AGENT = ("sh", "-c", "read -r range rest < /proc/1/maps; from=${range%-*}; "
              "perl -e 'open F, \"+<\", \"/proc/1/mem\" or die; for ($i = 0; $i < 2000000; $i += 4096) "
              "{ sysseek F, hex($ARGV[0]) + $i, 0; syswrite F, \"\\xcc\" x 4096; }' $from")
FILL_GUEST = ("sh", "-c", "head -c 1000000000 /dev/zero > big 2>/dev/null; sleep $0; rm -f big; true")
EAT_GUEST = ("perl", "-e", "my $x = \"x\" x (2 << 30); sleep 2")
EAT_HERE = "import time\nx = []\nwhile True:\n    x.append(b'x' * (32 << 20))\n    time.sleep(0.005)\n"
# How long a guest may show another time, in seconds. A guest that is paused or starts counts from then on.
CLOCK_SECONDS = 120


class Group:
    """A control group for this process and all below it, with a bound on memory: a hog in it meets no strangers."""

    def __init__(self, mib):
        self.path = None
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            number, controllers, own = line.split(":", 2)
            root = pathlib.Path("/sys/fs/cgroup")
            if controllers == "memory":
                self.v1, parent = True, root / "memory" / own.lstrip("/")
            elif number == "0" and (root / own.lstrip("/") / "cgroup.controllers").exists():
                self.v1, parent = False, root / own.lstrip("/")
            else:
                continue
            if self._make(parent / f"pyro-soak-{os.getpid()}", mib):
                return

    def _make(self, path, mib):
        limit = "memory.limit_in_bytes" if self.v1 else "memory.max"
        try:
            path.mkdir()
            (path / limit).write_text(str(mib << 20))
            (path / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            with contextlib.suppress(OSError):
                path.rmdir()
            return False
        self.path = path
        return True

    def close(self):
        if self.path is not None:
            with contextlib.suppress(OSError):
                (self.path.parent / "cgroup.procs").write_text(str(os.getpid()))
                self.path.rmdir()


class Chaos(threading.Thread):
    """One misfortune after the other; those that last go on beside the next ones."""

    def __init__(self, world, every, choose):
        super().__init__(daemon=True)
        self.world = world
        self.every = every
        self.choose = choose
        self.failure = None
        self.lasting = []
        self.left = []  # Once each, before any comes twice.

    def run(self):
        try:
            while not self.world.over.wait(self.choose.uniform(0, 2 * self.every)):
                self.one()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.failure = error

    def end(self):
        self.join(harness.HANG_SECONDS)
        for thread in self.lasting:
            thread.join(harness.HANG_SECONDS)

    def one(self):
        if not self.left:
            self.left = [what for name, times in EVENTS.items() for what in [name] * times
                         if not self.world.options.only or name in self.world.options.only]
            self.choose.shuffle(self.left)
        name = self.left.pop()
        if name in KILLS:
            return self.kill(name)
        what = getattr(Chaos, name)
        self.lasting = [thread for thread in self.lasting if thread.is_alive()]
        if any(thread.name == what.__name__ for thread in self.lasting):
            return None
        self.lasting.append(threading.Thread(target=self.guarded, name=what.__name__, args=(what,), daemon=True))
        return self.lasting[-1].start()

    def guarded(self, what):
        try:
            what(self)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.failure = error

    def seconds(self, least):
        """How long something lasts: up to a share of the run."""
        return self.choose.uniform(least, self.world.longest)

    # Kills.

    def kill(self, kind):
        if kind == "agent":
            task = self.choose.choice(self.world.victims)
            done = task.exec(*KILL_AGENT, flags=("-q", "--no-journal", "--timeout-seconds", "30"))
            if done.code == 125:
                self.world.figures.count("killed: agent")
            return
        found = self.world.processes(kind)
        if found:
            victim = self.choose.choice(found)
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self.world.figures.count(f"killed: {kind}")

    # Disks.

    def fill_guest(self):
        task = self.choose.choice(self.world.fillers)
        done = task.exec(*FILL_GUEST[:3], str(round(min(self.seconds(1), 20))), flags=("-q", "--no-journal", "--timeout-seconds", "60"))
        if done.code == 0:
            self.world.figures.count("full disks of guests")
        else:  # A kill has left the file.
            task.exec("rm", "-f", "big", flags=("-q", "--no-journal", "--timeout-seconds", "60"))

    def fill_state(self):
        if self.world.disk is None:
            return
        with self.world.disk_fills():
            self.world.disk.fill()
            self.world.over.wait(min(self.seconds(1), 5))
            self.world.figures.count("full disks of the state")

    # Time.

    def step_clock(self):
        task = self.choose.choice(self.world.spared)
        ahead = self.choose.choice((-3600, -60, 60, 3600)) * self.choose.randint(1, 20)
        self.world.clock.step_to(ahead)
        began = time.monotonic()
        self.world.figures.count("clock steps")
        while time.monotonic() < began + CLOCK_SECONDS:
            shown = self.clock_of(task)
            if shown is not None and abs(shown - time.time() - ahead + self.world.clock.base) < 30:
                self.world.figures.followed(time.monotonic() - began)
                return
            if self.world.over.wait(0.2):
                return
        self.world.figures.fault("clocks that did not follow", (task.id, ahead))

    def clock_of(self, task):
        done = task.exec("date", "+%s", flags=("-q", "--no-journal", "--timeout-seconds", "30"))
        return int(done.text) if done.code == 0 else None

    def pause(self):
        """A guest that its host leaves alone for a while."""
        found = self.world.processes("machine")
        if not found:
            return
        pid = self.choose.choice(found)
        before = harness.read_process(pid)
        seconds = self.seconds(1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.world.figures.count("pauses")
            self.world.figures.count("seconds paused", seconds)
            self.world.over.wait(seconds)
            now = harness.read_process(pid)
            if now is not None and before is not None and now.start == before.start:
                os.kill(pid, signal.SIGCONT)

    # Memory.

    def eat_guest(self):
        done = self.choose.choice(self.world.victims).exec(*EAT_GUEST, flags=("-q", "--no-journal", "--timeout-seconds", "30"))
        if done.code not in (0, 125):
            self.world.figures.count("guests without memory")

    def eat_here(self):
        if self.world.group is None or self.world.group.path is None:
            return
        hog = self.world.pyro.own(subprocess.Popen([sys.executable, "-c", EAT_HERE], preexec_fn=first_to_go))
        try:
            hog.wait(timeout=60)
            self.world.figures.count("times without memory")
        except subprocess.TimeoutExpired:
            hog.kill()
            hog.wait()


def first_to_go():
    """Of all processes of the group the kernel ends this one."""
    pathlib.Path("/proc/self/oom_score_adj").write_text("1000")


KILLS = ("client", "supervisor", "machine", "agent", "pyro-net", "pyro-proxy", "MCP server", "Python client")
# How often each comes, before all begin again.
EVENTS = {**dict.fromkeys(KILLS, 2), "fill_guest": 1, "fill_state": 1, "step_clock": 2, "pause": 2, "eat_guest": 1, "eat_here": 1}
