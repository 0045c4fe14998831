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

# $0 numbers the command, $1 is its exit code, $2 how much more it says.
SCRIPT = ("echo out-$0; echo err-$0 >&2; { echo $0 > f$0; } 2>/dev/null || exit 98; "
          "[ $2 = 0 ] || { head -c $2 /dev/zero | tr '\\0' x; sleep 0.2; }; echo end; exit $1")
GUEST_IS_FULL = 98
MARKER = "[pyro: the task's output could not be written"
LIMIT_SECONDS = 60
PYTHON_CLIENT = pathlib.Path(__file__).with_name("soak_python.py")


def size(number):
    return number * 7919 % 100_000 if number % 16 == 0 else 0


def wanted(number):
    """What it says, what it complains, its exit code."""
    return f"out-{number}\n{'x' * size(number)}end\n", f"err-{number}\n", number % 90


def words(number):
    return ["sh", "-c", SCRIPT, str(number), str(number % 90), str(size(number))]


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
        process = self.pyro.start("task", "exec", "-q", "--timeout-seconds", str(LIMIT_SECONDS), task_id, "--", *words(number))
        done = harness.finish(process)
        own = wanted(number)[1]
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
        ask = {"task_id": task_id, "command": words(number), "timeout_seconds": LIMIT_SECONDS}
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
                "task_id": task_id, "command": words(number), "timeout_seconds": LIMIT_SECONDS}))
        except (OSError, AssertionError):
            return Told(self.server.process.wait(timeout=harness.HANG_SECONDS) if self.server else -signal.SIGKILL)
        result = reply.result
        if result.get("isError"):
            return Told(125, why=client.text_of(result))
        value = result["structuredContent"]
        if value.get("state") == "running":  # It took longer than a call may, and goes on.
            return Told(124, why="still running")
        cut = value.get("stdout_truncated")
        return Told(value["exit_code"], wanted(number)[0] if cut else value["stdout"], value["stderr"],
                    (value.get("explanation") or {}).get("message", ""))

    def close(self):
        if self.server is not None and self.server.process.poll() is None:
            self.server.close()


class Book:
    """The commands of one task, and which of them a client saw to finish. Thread-safe."""

    def __init__(self, task):
        self.task = task
        self.lock = threading.Lock()
        self.number = 0
        self.finished = set()
        self.lost = []
        self.wrong = []
        self.failed = False
        self.cut = {}  # Numbers of those whose output was cut without a word, and what was told.
        self.ends = collections.Counter()
        self.reasons = collections.Counter()

    def next(self):
        with self.lock:
            self.number += 1
            return self.number

    def note(self, number, told, kind):
        """How it ended, in a word."""
        out, err, code = wanted(number)
        end = self._judge(told, out, err, code)
        with self.lock:
            self.ends[end] += 1
            if end in ("told", "refused"):
                self.reasons[f"{end}: {first_words(told.why)}"] += 1
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
        for end, codes in (("guest full", (GUEST_IS_FULL,)), ("timed out", (124,)), ("killed in guest", (137,))):
            if told.code in codes:
                return end
        if told.code == code and out.startswith(told.out) and err.startswith(told.err) and not told.why.strip():
            return "cut"  # A full disk of the host may have had no room for the marker: see check().
        # A disk that is full, or read-only since, changes output and code of a script; pyro says so.
        return "refused" if told.why.strip() else "wrong"

    def check(self):
        """Compares with the journal, whether the guest runs or not."""
        entries = self.task.entries()
        assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1)), "numbers have gaps"
        by_number = {}
        for entry in entries:
            if entry["command"][:3] == ["sh", "-c", SCRIPT]:
                assert int(entry["command"][3]) not in by_number, f"command {entry['command'][3]} has two entries"
                by_number[int(entry["command"][3])] = entry
        for number in sorted(self.finished):
            entry = by_number.get(number)
            out, err, code = wanted(number)
            seen = entry and (entry["outcome"], entry["exit_code"])
            whole = entry and ((entry["stdout"], entry["stderr"]) == (out, err) or
                               entry["stdout_dropped"] or entry["stderr_dropped"] or entry["stdout_truncated"])
            if seen != ("exited", code) or not whole:
                self.lost.append((number, entry and {**entry, "stdout": entry["stdout"][-80:]}))

        for number, told in self.cut.items():
            entry = by_number.get(number)
            if not entry or not entry["stdout_dropped"] + entry["stderr_dropped"]:
                self.wrong.append(("cut, and the journal does not say so", number, told, entry))

    def check_files(self):
        """Compares with the workspace; starts the guest if it is off."""
        done = self.task.exec("sh", "-c", "rm -f big; for f in f*; do read -r number < $f; echo $f-$number; done")
        assert done.code == 0, done
        files = set(done.text.split())
        self.lost += [(number, "its file") for number in sorted(self.finished) if f"f{number}-{number}" not in files]


def why_not_kept(told):
    """What was said of it; that a task is started again is no reason."""
    return [line for line in told.why.splitlines() if line.strip() and "starting it again" not in line]


def first_words(why):
    """Without what differs from case to case."""
    line = next((line for line in why.splitlines() if line.strip()), "")
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
