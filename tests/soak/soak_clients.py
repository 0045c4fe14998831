"""The clients of a soak: the command line, the Python package and MCP sessions, and what they were told."""

import collections
import dataclasses
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

import client
import harness
import siege

MARKER = "[pyro: the task's output could not be written"
LIMIT_SECONDS = 60
PYTHON_CLIENT = pathlib.Path(__file__).with_name("soak_python.py")


@dataclasses.dataclass
class Told:
    """What a client learned of one command. `code`: 125 with a reason, or negative if pyro itself was killed."""

    code: int
    out: str = ""
    err: str = ""
    why: str = ""  # Beside the command's own words.


class Own(harness.Pyro):
    """Its processes that were started here, as opposed to those that came to this process as orphans. Thread-safe."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.mine = {}

    def start(self, *args, **options):
        process = super().start(*args, **options)
        self.mine[process.pid] = process
        return process

    def own(self, process):
        self.mine[process.pid] = process
        return process

    def living(self):
        for pid, process in list(self.mine.items()):
            if process.returncode is not None:
                self.mine.pop(pid, None)
        return set(self.mine)


class CommandLine:
    kind = "command line"

    def __init__(self, pyro):
        self.pyro = pyro

    def exec(self, task_id, number):
        process = self.pyro.start("task", "exec", "-q", "--timeout-seconds", str(LIMIT_SECONDS), task_id, "--", *siege.words(number))
        done = harness.finish(process)
        own = siege.wanted(number)[1]
        why = done.talk.replace(own, "", 1)
        return Told(done.code, done.out.decode(errors="replace"), own if own in done.talk else "", why)

    def close(self):
        pass


class PythonPackage:
    kind = "Python"

    def __init__(self, pyro):
        self.pyro = pyro
        self.process = None

    def begin(self):
        env = {**self.pyro.env, "PYTHONPATH": str(harness.BIN.parent / "python")}
        self.process = self.pyro.own(subprocess.Popen(
            [sys.executable, "-B", str(PYTHON_CLIENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=env, text=True))

    def exec(self, task_id, number):
        if self.process is None or self.process.poll() is not None:
            self.begin()
        ask = {"task_id": task_id, "command": siege.words(number), "timeout_seconds": LIMIT_SECONDS}
        try:
            print(json.dumps(ask), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            return Told(self.process.wait(timeout=harness.HANG_SECONDS))
        return Told(**json.loads(line))

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=harness.HANG_SECONDS)


class McpSession:
    kind = "MCP"

    def __init__(self, pyro):
        self.pyro = pyro
        self.server = None

    def exec(self, task_id, number):
        try:
            if self.server is None or self.server.process.poll() is not None:
                self.server = client.Server(self.pyro)
            reply = self.server.reply(self.server.call_later("task_exec", {
                "task_id": task_id, "command": siege.words(number), "timeout_seconds": LIMIT_SECONDS}))
        except (OSError, AssertionError):
            return Told(self.server.process.wait(timeout=harness.HANG_SECONDS) if self.server else -signal.SIGKILL)
        result = reply.result
        if result.get("isError"):
            return Told(125, why=client.text_of(result))
        value = result["structuredContent"]
        if value.get("state") == "running":  # It took longer than a call may, and goes on.
            return Told(124, why="still running")
        cut = value.get("stdout_truncated")
        return Told(value["exit_code"], siege.wanted(number)[0] if cut else value["stdout"], value["stderr"],
                    (value.get("explanation") or {}).get("message", ""))

    def close(self):
        if self.server is not None and self.server.process.poll() is None:
            self.server.close()


class Book(siege.Ledger):
    """The commands of one task that clients of any kind had run. Thread-safe."""

    def __init__(self, task):
        super().__init__(task)
        self.wrong = []
        self.failed = False
        self.cut = {}  # Numbers of those whose output was cut without a word, and what was told.
        self.ends = collections.Counter()
        self.reasons = collections.Counter()

    def note(self, number, told, kind):
        """How it ended, in a word."""
        out, err, code = siege.wanted(number)
        end = self._judge(told, out, err, code)
        with self.lock:
            self.ends[end] += 1
            if end in ("told", "refused"):
                self.reasons[f"{end}: {first_words(told)}"] += 1
            if end == "finished":
                self.finished.add(number)
            elif end == "cut":
                self.cut[number] = told
            elif end == "wrong":
                self.wrong.append((kind, number, told.code, told.out[-80:], told.err[-80:], told.why[-300:]))
        return end

    @staticmethod
    def _judge(told, out, err, code):
        if (told.code, told.out, told.err) == (code, out, err):
            # With a reason it says that something of it was not kept.
            return "told" if why_not_kept(told) else "finished"
        if told.code < 0:
            return "client killed"
        if MARKER in told.out + told.err:
            return "told"
        for end, codes in (("guest full", (siege.GUEST_IS_FULL,)), ("timed out", (124,)), ("killed in guest", (137,))):
            if told.code in codes:
                return end
        if told.code == code and out.startswith(told.out) and err.startswith(told.err) and not why_not_kept(told):
            return "cut"  # A full disk of the host may have had no room for the marker: see check().
        # A disk that is full, or read-only since, changes output and code of a script; pyro says so.
        return "refused" if why_not_kept(told) else "wrong"

    def is_kept(self, entry, out, err):
        """As the caller was told: a full disk of the host drops output."""
        return super().is_kept(entry, out, err) or entry["stdout_dropped"] or entry["stderr_dropped"] or entry["stdout_truncated"]

    def compare(self):
        by_number = super().compare()
        for number, told in self.cut.items():
            entry = by_number.get(number)
            if not entry or not entry["stdout_dropped"] + entry["stderr_dropped"]:
                self.wrong.append(("cut, and the journal does not say so", number, told, entry))
        return by_number


def why_not_kept(told):
    """What was said of it; that a task is started again is no reason."""
    return [line for line in told.why.splitlines() if line.strip() and "starting it again" not in line]


def first_words(told):
    """Without what differs from case to case."""
    line = next(iter(why_not_kept(told)), "")
    return re.sub(r"(task_|vm_)?[a-z2-7]{26}|\d+", "N", line)[:120]


class Actor(threading.Thread):
    """One client that has commands of one task run, one after the other, until it is told to end."""

    def __init__(self, world, book, kind, pause, seed):
        super().__init__(daemon=True)
        self.world = world
        self.book = book
        self.client = kind(world.pyro)
        self.pause = pause
        self.choose = random.Random(seed)
        self.failure = None
        self.busy = threading.Lock()  # While a command of it runs.

    def run(self):
        try:
            while not self.world.over.wait(self.choose.uniform(0, 2 * self.pause)):
                if self.world.must_wait(self.book.task):
                    continue
                with self.busy:
                    self.one()
            self.client.close()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self.failure = error

    def one(self):
        number = self.book.next()
        began = time.monotonic()
        told = self.client.exec(self.book.task.id, number)
        self.book.note(number, told, self.client.kind)
        self.world.figures.count(f"execs by {self.client.kind}")
        self.world.figures.took(time.monotonic() - began)
        if "write" in told.why and self.world.disk_was_full(self.book.task):
            # Its file system takes no more writes until the guest starts again.
            self.world.pyro("task", "stop", self.book.task.id)
            self.world.figures.count("stops for a disk that was full")


def has_python():
    return any((harness.BIN.parent / "python/pyro_mcp").glob("_pyro*")) if os.path.isdir(harness.BIN.parent / "python") else False
