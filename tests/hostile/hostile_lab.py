"""A place for hostile guests: programs of the fake, whose guests lie where a test says so, and the eyes on their supervisors."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import threading
import time

import harness

FAKE = harness.BIN.parent / "tests/fake"
DOUBLE = pathlib.Path(__file__).resolve().parent / "agent_double.py"
ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
HASTE = 20  # A supervisor's waits are so many times shorter.
CALL_SECONDS = 60  # Far beyond every wait of a supervisor in haste; a call that takes it hangs.


class Done:
    """A call of pyro that has ended, or was ended because it hung."""

    def __init__(self, words, code, out, err, kib, hung):
        self.words, self.code, self.out, self.err, self.kib, self.hung = words, code, out, err, kib, hung

    def __str__(self):
        return f"{self.words} => {'hangs' if self.hung else self.code}\n  out: {self.out[-300:]!r}\n  err: {self.err[-600:]!r}"


class Lab:
    def __init__(self):
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
        home, programs, cache = (self.scratch / name for name in ("home", "programs", "cache"))
        home.mkdir()
        programs.mkdir()
        for name in ("pyro-supervisor", "pyro-agent"):
            shutil.copy(FAKE / name, programs)
        shutil.copy(FAKE / "pyro-guest-on-host", programs / "honest-guest")
        shutil.copy(DOUBLE, programs / "pyro-guest-on-host")
        (programs / "pyro-guest-on-host").chmod(0o755)
        (programs / "haste").write_text(str(HASTE))
        harness.copy_base(harness.CACHE, cache)
        for size in (1024, 10240):
            (cache / "blank").mkdir(exist_ok=True)
            (cache / f"blank/ext4-1-{size}m.img").write_text("blank")
        self.pyro = harness.Pyro(self.scratch / "state", cache, home)
        self.pyro.env |= {"PYRO_LIBEXEC_DIR": str(programs), "PYRO_ACCELERATOR": "tcg", "PYRO_WARM_START": "0"}
        self.watch = Watch()
        self.base = self.create()
        done = self.call("task", "exec", "-q", self.base.id, "--", "sh", "-c", "echo kept > f")
        assert done.code == 0, str(done)
        self.base.stop()

    def close(self):
        self.watch.close()  # A second time is fine.
        subprocess.run(["rm", "-rf", self.scratch], check=True)

    def create(self, *flags):
        done = self.call("task", "create", "-q", "--ttl-seconds", "3600", *flags, harness.BASE)
        assert done.code == 0, str(done)
        return harness.Task(self.pyro, done.out.decode().strip())

    def task(self, step=None, act=None):
        """A stopped task with a file f, whose guest is hostile so."""
        task = harness.Task(self.pyro, "task_" + "".join(random.choices(ALPHABET, k=25)) + "a")
        # Other calls adopt a directory as soon as it has its name.
        made = self.scratch / task.id
        subprocess.run(["cp", "-a", "--sparse=always", self.base.directory, made], check=True)
        manifest = made / "manifest.json"
        manifest.write_text(manifest.read_text().replace(self.base.id, task.id))
        (made / "control.sock").unlink(missing_ok=True)
        if step is not None:
            self.become_hostile(made, step, act)
        made.rename(task.directory)
        return task

    @staticmethod
    def become_hostile(directory, step, act):
        (directory / "hostile.json").write_text(json.dumps({"step": step, "act": act}))

    @staticmethod
    def become_honest(task):
        (task.directory / "hostile.json").unlink()

    @staticmethod
    def journal(task):
        """The ends that its journal has, by sequence; None for a command without one."""
        ends = {}
        for line in (task.directory / "journal.jsonl").read_text().splitlines():
            event = json.loads(line)
            ends[event["sequence"]] = event if event["event"] == "end" else None
        return ends

    def call(self, *words, data=b"", seconds=CALL_SECONDS, env=None, start=None):
        """Ends for sure; what it prints goes to files, as a caller with much memory would read it."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(data)
            given.seek(0)
            process = (start or self.pyro.start)(*words, stdin=given, stdout=out, stderr=err, env=env)
            deadline = time.monotonic() + seconds * harness.patience
            hung = False
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid != 0:
                    break
                if time.monotonic() > deadline and not hung:
                    hung = True
                    process.kill()
                time.sleep(0.01)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            err.seek(0)
            return Done(words, process.returncode, out.read(1 << 20), err.read(1 << 20), usage.ru_maxrss, hung)


class Watch:
    """Reaps the supervisors of this process's tests, and knows how much memory each task's took at most."""

    def __init__(self):
        self.kib = {}  # By task; the most of its supervisors.
        self.known = {}  # Live ones: pid to task.
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.02):
            self.look()

    def look(self):
        with self.lock:
            for pid in children():
                if pid not in self.known:
                    one = harness.read_process(pid)
                    if one is None or one.name != "pyro-supervisor":
                        continue
                    self.known[pid] = None
                if self.known[pid] is None:
                    self.known[pid] = harness.task_of_supervisor(pid)
            for pid, task in list(self.known.items()):
                try:
                    ended, _, usage = os.wait4(pid, os.WNOHANG)
                except ChildProcessError:
                    del self.known[pid]
                    continue
                if ended:
                    del self.known[pid]
                    # None: it ended before its lock was seen.
                    self.kib[task] = max(self.kib.get(task, 0), usage.ru_maxrss)

    def gone(self, task):
        self.look()
        return task not in self.known.values()

    def await_end(self, task):
        """The most memory that its supervisors took, in KiB; 0: none was seen. None: one has not ended."""
        deadline = time.monotonic() + CALL_SECONDS
        self.look()
        while task in self.known.values():
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        return self.kib.get(task, 0)

    def close(self):
        self.over.set()
        self.thread.join()


def children():
    found = []
    for thread in os.listdir("/proc/self/task"):
        try:
            found += map(int, pathlib.Path(f"/proc/self/task/{thread}/children").read_text().split())
        except OSError:
            continue
    return found


def is_harmless(data):
    """Text that no terminal obeys."""
    return all(byte >= 32 or byte in b"\n\t" for byte in data) and b"\x7f" not in data and "\u202e".encode() not in data
