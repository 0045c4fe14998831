"""What the black-box suites share: running pyro, and finding what it left behind.

The built programs are in $PYRO_TEST_BIN (default: build/bin), the environments that guests boot in
$PYRO_TEST_CACHE (default: build/test-cache). Every test has a state directory of its own.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("PYRO_TEST_BIN") or ROOT / "build/bin")
CACHE = pathlib.Path(os.environ.get("PYRO_TEST_CACHE") or ROOT / "build/test-cache")
BASE = "debian:12-base"
FULL = os.environ.get("PYRO_TEST_FULL") or "debian:12"  # Or the other one, where a second one would take long.
# Whether guests run in user mode, and the program that is a guest; tests/fault/long_run.py puts another in its place.
USERMODE = os.environ.get("PYRO_ACCELERATOR") == "usermode"
MACHINE = "linux" if USERMODE else "qemu-system-x86_64"


def only_on(machine, reason):
    """A mark for tests, also as a file's `pytestmark`, that cannot pass on other machines: they are left out there. `machine` is
    "qemu" or "usermode"; `reason` is for readers of the test."""
    assert machine in ("qemu", "usermode") and len(reason.split()) > 3, (machine, reason)
    return pytest.mark.only_on(machine, reason)


def leave_out(items):
    """Leaves in `items` the tests that can pass on this machine, and returns the others."""
    here = "usermode" if USERMODE else "qemu"
    machines = [{mark.args[0] for mark in item.iter_markers("only_on")} for item in items]
    nowhere = [item for item, only in zip(items, machines) if len(only) > 1]
    assert nowhere == [], f"marks of the test and its file together leave it out everywhere: {nowhere}"
    others = [item for item, only in zip(items, machines) if only - {here}]
    items[:] = [item for item in items if item not in others]
    return others


# How long anything may take before it counts as hung. Never part of what a test promises.
HANG_SECONDS = 600
# So many times longer is waited for everything, where others come first on the machine.
patience = 1
MAKER_SECONDS = 160

PR_SET_CHILD_SUBREAPER = 36
NORMAL_USER = 61000  # With subordinate ids, where a test is that user: become_normal_user().


def adopt_orphans():
    """Makes this process the parent of every orphan below it, so that nothing can slip away."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def cannot_run(reason):
    """Skips the test, or fails it where a skip is not allowed."""
    if os.environ.get("PYRO_REQUIRE_QEMU") == "1":
        pytest.fail(f"{reason} (PYRO_REQUIRE_QEMU=1)")
    pytest.skip(reason)


def wait_until(condition, what, seconds=HANG_SECONDS):
    """Returns the first true value of `condition()`; fails when there is none for too long."""
    deadline = time.monotonic() + seconds * patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain: {what() if callable(what) else what}")
        time.sleep(0.02)


def await_template(made, what, start_guest):
    """Waits until a guest's end has led to a template. The maker gives its guest 120 s, and a busy host may take longer: the
    next guest then starts another maker."""
    started = time.monotonic()

    def made_at_last():
        nonlocal started
        if time.monotonic() - started > MAKER_SECONDS:
            start_guest()
            started = time.monotonic()
        return made()

    return wait_until(made_at_last, what)


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str
    state: str
    start: int  # With the pid: who it is, even after the number was used again.

    @property
    def program(self):
        try:
            return os.path.basename(os.readlink(f"/proc/{self.pid}/exe"))
        except OSError:
            return ""

    def status(self, field):
        """The number of a line such as 'VmHWM:   1234 kB' in its status."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise KeyError(field)


def read_process(pid):
    """None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    fields = text[text.rindex(")") + 2:].split()
    return Process(int(pid), int(fields[1]), name, fields[0], int(fields[19]))


def descendants(root=None, ignore=()):
    """Every live process below `root` (this one by default), except `ignore` and the processes below it.

    With adopt_orphans() that is everything that any test ever started, however it was detached. What makes a template in the
    background is left out: it belongs to no guest and ends by itself.
    """
    children = {}
    for entry in os.listdir("/proc"):
        process = read_process(entry) if entry.isdigit() else None
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found = []
    pending = [root or os.getpid()]
    while pending:
        for process in children.get(pending.pop(), []):
            if process.pid in ignore or makes_template(process):
                continue
            pending.append(process.pid)
            if process.state not in "ZX":
                found.append(process)
    return found


def makes_template(process):
    try:
        words = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"pyro-supervisor") and words[1:2] == [b"template"]


def of_program(processes, name):
    """Those of that program, without the ones below another of them: a kernel in user mode has such, for its guest's programs."""
    found = [process for process in processes if process.program == name]
    pids = {process.pid for process in found}
    return [process for process in found if process.parent not in pids]


@dataclasses.dataclass
class Finished:
    args: list
    code: int
    out: bytes
    err: bytes

    @property
    def text(self):
        return self.out.decode()

    @property
    def talk(self):
        return self.err.decode()

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"{self.args} => {self.code}\nstdout: {self.out[-2000:]!r}\nstderr: {self.err[-2000:]!r}"


class Pyro:
    """The program with directories of its own."""

    def __init__(self, state, cache, home, prefix=()):
        self.state = pathlib.Path(state)
        self.cache = pathlib.Path(cache)
        self.program = BIN / "pyro"
        self.prefix = list(prefix)  # Words before the program, such as nsenter's.
        self.temporary = pathlib.Path(home) / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.temporary.chmod(0o1777)
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "TMPDIR": str(self.temporary),
            "LANG": "C.UTF-8",
            "PYRO_STATE_DIR": str(self.state),
            "PYRO_CACHE_DIR": str(self.cache),
        }
        for name in ("http_proxy", "https_proxy", "PYRO_APT_SOURCES", "PYRO_ACCELERATOR"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def start(self, *args, env=None, **options):
        """Popen. stdin is /dev/null, stdout and stderr are pipes unless said otherwise."""
        for name, default in (("stdin", subprocess.DEVNULL), ("stdout", subprocess.PIPE),
                              ("stderr", subprocess.PIPE)):
            options.setdefault(name, default)
        merged = {name: value for name, value in {**self.env, **(env or {})}.items()
                  if value is not None}
        return subprocess.Popen([*self.prefix, str(self.program), *map(str_or_bytes, args)],
                                env=merged, **options)

    def __call__(self, *args, input=None, **options):
        if input is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*args, **options)
        return finish(process, input)

    def run(self, *command, environment=BASE, flags=("-q",), **options):
        """pyro run FLAGS ENVIRONMENT -- COMMAND, with a limit that a busy machine keeps too."""
        given = options.pop("input", None)
        if given is not None:
            options["stdin"] = subprocess.PIPE
        return finish(self.start_run(*command, environment=environment, flags=flags, **options),
                      given)

    def start_run(self, *command, environment=BASE, flags=("-q",), **options):
        if "--timeout-seconds" not in flags:
            flags = (*flags, "--timeout-seconds", str(250 * patience))
        return self.start("run", *flags, environment, "--", *command, **options)

    # What there is on disk.

    def directories(self):
        vms = self.state / "vms"
        return sorted(entry.name for entry in vms.iterdir()) if vms.is_dir() else []

    def rows(self):
        database = self.state / "registry.db"
        if not database.exists():
            return []
        connection = sqlite3.connect(database, timeout=30)
        try:
            return [row[0] for row in connection.execute("SELECT id FROM instances WHERE id GLOB 'vm_*' ORDER BY id")]
        finally:
            connection.close()


class Task:
    """One task, by its id."""

    def __init__(self, pyro, task_id):
        self.pyro = pyro
        self.id = task_id
        self.directory = pyro.state / "tasks" / task_id

    def start(self, *command, flags=("-q",), **options):
        """pyro task exec FLAGS ID -- COMMAND, with a limit that a busy machine keeps too."""
        if "--timeout-seconds" not in flags:
            flags = (*flags, "--timeout-seconds", str(250 * patience))
        return self.pyro.start("task", "exec", *flags, self.id, "--", *command, **options)

    def exec(self, *command, input=None, **options):
        if input is not None:
            options["stdin"] = subprocess.PIPE
        return finish(self.start(*command, **options), input)

    def json(self, action, *flags):
        done = self.pyro("task", *action.split(), self.id, "--json", *flags)
        assert done.code == 0, done
        return done.json

    def entries(self, *flags):
        return self.json("logs", *flags)["entries"]

    def stop(self):
        return self.json("stop")

    def delete(self):
        return self.json("delete")

    def copy(self, task_id):
        """Another task like this one, which is stopped. It is a directory alone: no database knows it yet."""
        copied = Task(self.pyro, task_id)
        subprocess.run(["cp", "-a", "--sparse=always", self.directory, copied.directory], check=True)
        (copied.directory / "control.sock").unlink(missing_ok=True)
        manifest = copied.directory / "manifest.json"
        manifest.write_text(manifest.read_text().replace(self.id, task_id))
        return copied

    def processes(self):
        """Its supervisor, and what is below that."""
        found = []
        for one in of_program(descendants(), "pyro-supervisor"):
            if task_of_supervisor(one.pid) == self.id:
                found += [one, *descendants(one.pid)]
        return found

    def kill_guest(self):
        """As when the host goes down: supervisor and machine at one moment."""
        processes = self.processes()
        assert {"pyro-supervisor", MACHINE} <= {one.program for one in processes}
        kill_all(processes)
        self.expect_no_guest()

    def expect_no_guest(self):
        """Waits until no process of it is left; a failure names those that stay."""
        left = []

        def gone():
            left[:] = [(one.pid, one.name, one.state) for one in self.processes()]
            return not left

        wait_until(gone, lambda: f"the guest is gone; there is {left}", 120)


def copy_base(cache, into):
    """Makes a cache in which debian:12-base is installed. Templates stay behind: pyro never trusts a copy of one."""
    (into / "environments").mkdir(parents=True, mode=0o700)
    subprocess.run(["cp", "-a", cache / "environments/debian-12-base", into / "environments"], check=True)
    for name in ("blank", "accelerator.json"):
        if (cache / name).exists():
            subprocess.run(["cp", "-a", cache / name, into], check=True)


def become_normal_user(scratch, subordinate_ids=True):
    """pyro of a user as `useradd` makes one, or one without subordinate ids, with programs, state and cache of its own below `scratch`.
    The user is seen only in a mount namespace of each call. The test is root's."""
    name = "pyro-test"
    lines = {"passwd": f"{name}:x:{NORMAL_USER}:{NORMAL_USER}::{scratch}:/bin/sh", "group": f"{name}:x:{NORMAL_USER}:"}
    if subordinate_ids:
        lines |= {"subuid": f"{name}:3000000:65536", "subgid": f"{name}:3000000:65536"}
    mounts = []
    for file, line in lines.items():
        real = pathlib.Path("/etc") / file
        if not real.exists():
            cannot_run(f"there is no {real}: is uidmap installed?")
        (scratch / file).write_text(real.read_text() + line + "\n")
        mounts.append(f"mount --bind {scratch / file} {real}")
    become = f'exec setpriv --reuid={NORMAL_USER} --regid={NORMAL_USER} --clear-groups "$@"'
    own = scratch / "user"
    own.mkdir()
    shutil.copytree(BIN, own / "bin")
    subprocess.run(["chown", "-R", f"{NORMAL_USER}:{NORMAL_USER}", str(own)], check=True)
    scratch.chmod(0o755)
    user = Pyro(own / "state", own / "cache", own)
    os.chown(user.temporary, NORMAL_USER, NORMAL_USER)
    user.program = own / "bin/pyro"
    user.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join([*mounts, become]), "sh"]
    return user


def task_of_supervisor(pid):
    """Told by the lock that it holds; None for one that is gone or is no task's."""
    try:
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return None
    for descriptor in descriptors:
        try:
            link = pathlib.Path(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
        except OSError:
            continue  # It has just been closed.
        if link.name == "lock" and link.parent.parent.name == "tasks":
            return link.parent.name
    return None


def task_directories(pyro):
    tasks = pyro.state / "tasks"
    return sorted(entry.name for entry in tasks.iterdir()) if tasks.is_dir() else []


def expect_task_directories(pyro, expected, what=""):
    """A supervisor that removes its task goes on for a moment after the task is listed no more. What no process removes stays, and fails."""
    with contextlib.suppress(pytest.fail.Exception):
        wait_until(lambda: task_directories(pyro) == sorted(expected), "only these are left")
    assert task_directories(pyro) == sorted(expected), what


def str_or_bytes(word):
    return word if isinstance(word, (str, bytes)) else str(word)


def finish(process, input=None):
    try:
        out, err = process.communicate(input, timeout=HANG_SECONDS * patience)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"{process.args} hangs\nstdout: {out!r}\nstderr: {err!r}")
    return Finished(process.args, process.returncode, out or b"", err or b"")


def expect_nothing_left(pyro, ignore=()):
    """No process, file, directory or row. A process may take a moment to be gone."""
    last = []

    def gone():
        last[:] = descendants(ignore=ignore)
        return not last

    deadline = time.monotonic() + 60 * patience
    while not gone() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not last, f"processes are left: {[(p.pid, p.program or p.name) for p in last]}"
    assert pyro.directories() == [], "directories are left"
    assert pyro.rows() == [], "rows are left"
    temporary = [entry.name for entry in pyro.temporary.iterdir()]
    assert temporary == [], "temporary files are left"


@contextlib.contextmanager
def nothing_is_left(pyro, helpers):
    """Gives pyro away; every process that it started must be gone at the end, and is killed if it is not."""
    yield pyro
    try:
        expect_nothing_left(pyro, helpers)
    finally:
        kill_all(descendants(ignore=helpers))


def kill_all(processes):
    """Last resort of a failed test, so that it does not spoil the next ones."""
    for process in processes:
        now = read_process(process.pid)
        if now is not None and now.start == process.start:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def is_one_sentence_and_hint(talk):
    """`pyro: sentence` and `hint: what to do`, and nothing else."""
    lines = talk.splitlines()
    return (len(lines) == 2 and lines[0].startswith("pyro: ") and lines[1].startswith("hint: ")
            and len(lines[0]) > 12 and len(lines[1]) > 8)


def expect_error(done, code, name=None):
    assert done.code == code, done
    if name is not None:
        assert done.json["error"]["code"] == name, done
    else:
        assert done.out == b"" and is_one_sentence_and_hint(done.talk), done
