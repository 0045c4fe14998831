"""The built pyro, with a state directory of its own, and timing of programs."""

import contextlib
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

import host
from rounds import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKSPACE = "/workspace"  # A guest's, of docs/contract.md. Other places have theirs there too, as prepared sources name it.
HANG_SECONDS = 300  # After this time a single call counts as hung.
PULL_SECONDS = 1800
REAP_SECONDS = 0.5  # Shorter measurements are left alone.


def timed(command: list, seconds: float = HANG_SECONDS, **options) -> tuple[float, subprocess.CompletedProcess]:
    """Runs it to its end: seconds from before the fork to after the wait, and how it ended. Failed unless it exits with 0 within
    `seconds`; one that does not is killed with all that is below it. Output is thrown away unless asked for. What is asked for
    comes through files: a process that a program leaves behind may hold a pipe open for as long as it lives."""
    for name, default in (("stdin", subprocess.DEVNULL), ("stdout", subprocess.DEVNULL), ("stderr", subprocess.PIPE)):
        options.setdefault(name, default)
    with contextlib.ExitStack() as stack:
        kept = {}
        for name in ("stdout", "stderr"):
            if options[name] == subprocess.PIPE:
                kept[name] = options[name] = stack.enter_context(tempfile.TemporaryFile())
        start = time.monotonic()
        try:
            process = subprocess.Popen(command, **options)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        in_time = has_ended(process, seconds)
        taken = time.monotonic() - start
        if not in_time:
            host.end_tree(process)
        for file in kept.values():
            file.seek(0)
        text = {name: file.read() for name, file in kept.items()}
    if in_time and process.returncode == 0:
        return taken, subprocess.CompletedProcess(command, 0, text.get("stdout"), text.get("stderr"))
    talk = (text.get("stderr") or text.get("stdout") or b"").decode(errors="replace").strip().splitlines()
    how = f"exit code {process.returncode} from" if in_time else f"not at its end after {seconds:.0f} s:"
    raise Failed(f"{how} {words(command)}" + (f": {talk[-1][:160]}" if talk else ""))


def has_ended(process: subprocess.Popen, seconds: float) -> bool:
    """Waits for the end of the process alone. The kernel wakes us: a wait with a limit would look only now and then. After a while
    adopted processes that have ended are reaped: `runsc delete` waits until the number of its sandbox, which we have adopted, is free."""
    deadline = time.monotonic() + seconds
    with os.fdopen(os.pidfd_open(process.pid)) as end:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        while not poll.poll(max(min(REAP_SECONDS, deadline - time.monotonic()), 0) * 1000):
            if time.monotonic() >= deadline:
                return False
            host.reap_orphans(process.pid)
    process.wait()
    return True


def words(command: list) -> str:
    text = " ".join(map(str, command))
    return text if len(text) <= 100 else text[:97] + "..."


class Pyro:
    """`pyro` with the environments in `cache`; nothing of the user's own state is touched. `machine` is what runs its guests."""

    def __init__(self, program: pathlib.Path, cache: pathlib.Path, state: pathlib.Path, machine: str = ""):
        self.program = program
        self.cache = cache
        self.state = state
        self.env = {**os.environ, "PYRO_STATE_DIR": str(state), "PYRO_CACHE_DIR": str(cache)}
        if machine:
            self.env["PYRO_MACHINE"] = machine

    def time(self, *args: str, env: dict | None = None) -> float:
        return timed([self.program, *args], env={**self.env, **(env or {})})[0]

    def out(self, *args: str, env: dict | None = None) -> str:
        done = timed([self.program, *args], env={**self.env, **(env or {})}, stdout=subprocess.PIPE)[1]
        return done.stdout.decode(errors="replace")

    def timed_json(self, *args: str, env: dict | None = None) -> tuple[float, dict]:
        taken, done = timed([self.program, *args], env={**self.env, **(env or {})}, stdout=subprocess.PIPE)
        return taken, json.loads(done.stdout)

    def json(self, *args: str) -> dict:
        return self.timed_json(*args)[1]

    def popen(self, *args: str, **options) -> subprocess.Popen:
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        return subprocess.Popen([self.program, *args], env=self.env, **options)

    def pull(self, environment: str) -> None:
        """Installs what is missing of it, which may take minutes, and makes what its guests start from."""
        timed([self.program, "env", "pull", environment], PULL_SECONDS, env=self.env, stderr=None)

    # Tasks.

    def create(self, environment: str, *flags: str) -> str:
        return self.out("task", "create", "-q", *flags, environment).strip()

    def delete(self, *tasks: str) -> None:
        for task in tasks:
            self.time("task", "delete", task)

    def delete_all(self) -> None:
        self.delete(*self.out("task", "list", "-q").split())

    def processes(self, task: str) -> list[host.Process]:
        """The supervisor of a task, told by the lock that it holds, and everything below it."""
        lock = str(self.state / "tasks" / task / "lock")
        for process in host.descendants(os.getpid()):
            if process.program == "pyro-supervisor" and lock in open_files(process.pid):
                return [process, *host.descendants(process.pid)]
        return []


def open_files(pid: int) -> set[str]:
    directory = f"/proc/{pid}/fd"
    found = set()
    try:
        for fd in os.listdir(directory):
            try:
                found.add(os.readlink(f"{directory}/{fd}"))
            except OSError:
                continue
    except OSError:
        pass
    return found
