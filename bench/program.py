"""The built pyro, with a state directory of its own, and timing of programs."""

import json
import os
import pathlib
import subprocess
import time

import host
from rounds import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent
HANG_SECONDS = 300  # After this time a single call counts as hung.


def timed(command: list, **options) -> tuple[float, subprocess.CompletedProcess]:
    """Runs it to its end: seconds from before the fork to after the wait, and how it ended. Failed unless it exits with 0.
    Output is thrown away unless asked for."""
    for name, default in (("stdin", subprocess.DEVNULL), ("stdout", subprocess.DEVNULL), ("stderr", subprocess.PIPE)):
        options.setdefault(name, default)
    start = time.monotonic()
    try:
        done = subprocess.run(command, timeout=HANG_SECONDS, check=False, **options)
    except subprocess.TimeoutExpired:
        raise Failed(f"hangs: {words(command)}") from None
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    taken = time.monotonic() - start
    if done.returncode != 0:
        talk = (done.stderr or b"").decode(errors="replace").strip().splitlines()
        raise Failed(f"exit code {done.returncode} from {words(command)}" + (f": {talk[-1][:160]}" if talk else ""))
    return taken, done


def words(command: list) -> str:
    text = " ".join(map(str, command))
    return text if len(text) <= 100 else text[:97] + "..."


class Pyro:
    """`pyro` with the environments in `cache`; nothing of the user's own state is touched."""

    def __init__(self, program: pathlib.Path, cache: pathlib.Path, state: pathlib.Path):
        self.program = program
        self.cache = cache
        self.state = state
        self.env = {**os.environ, "PYRO_STATE_DIR": str(state), "PYRO_CACHE_DIR": str(cache)}

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
        """Installs what is missing of it, which may take a minute, and makes what its guests start from."""
        timed([self.program, "env", "pull", environment], env=self.env, stderr=None)

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
