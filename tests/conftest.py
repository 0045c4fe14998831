import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import shards  # noqa: E402
from terminal import Terminal  # noqa: E402

harness.adopt_orphans()
# A shell's background jobs ignore these, and so would every pyro below this process.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config, items):
    for item in items:
        item.add_marker(pathlib.Path(item.fspath).parent.name)
    others = harness.leave_out(items) + shards.take(items, os.environ.get("PYRO_TEST_SHARD"))
    if others:
        config.hook.pytest_deselected(items=others)


@pytest.fixture(scope="session", autouse=True)
def built_programs():
    if not any(harness.BIN.glob("pyro*")):
        pytest.exit(f"there is no program in {harness.BIN}: build first, or set PYRO_TEST_BIN", 2)
    if harness.USERMODE and not (harness.BIN / "pyro-usermode-kernel").exists():
        harness.cannot_run("there is no kernel for guests in user mode: make usermode")


@pytest.fixture
def scratch():
    """A short path: sockets have room for little more than 100 bytes."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def state_dir(scratch):
    return scratch / "state"


@pytest.fixture(scope="session")
def cache_dir():
    """With debian:12 and debian:12-base in it, built when the first test needs them."""
    harness.CACHE.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="pyro-test-") as home:
        pyro = harness.Pyro(pathlib.Path(home) / "state", harness.CACHE, home)
        for environment in (harness.BASE, harness.FULL):
            pulled = pyro("env", "pull", environment)
            assert pulled.code == 0, pulled
    return harness.CACHE


@pytest.fixture
def helpers():
    """Pids of a test's own helpers, which do not count as left behind."""
    return set()


@pytest.fixture
def pyro(state_dir, cache_dir, scratch, helpers):
    """pyro as most tests need it. Every process that it started must be gone when the test ends."""
    home = scratch / "home"
    home.mkdir()
    with harness.nothing_is_left(harness.Pyro(state_dir, cache_dir, home), helpers) as program:
        yield program


@pytest.fixture
def guestless(pyro, scratch):
    """pyro without its helper programs beside it."""
    shutil.copy(pyro.program, scratch / "pyro")
    pyro.program = scratch / "pyro"
    pyro.env["PYRO_LIBEXEC_DIR"] = str(scratch)
    if os.path.exists("/usr/lib/pyro-mcp") or os.path.exists("/usr/local/lib/pyro-mcp"):
        harness.cannot_run("pyro is installed on this host, so its helpers are always found")
    return pyro


@pytest.fixture
def create(pyro):
    """create(*flags, environment): a harness.Task. All tasks are deleted when the test ends, and
    must then have left nothing."""

    def make(*flags, environment=harness.BASE):
        done = pyro("task", "create", "-q", *flags, environment)
        assert done.code == 0, done
        return harness.Task(pyro, done.text.strip())

    yield make
    done = pyro("task", "list", "-q")
    assert done.code == 0, done
    for task_id in done.text.split():
        deleted = pyro("task", "delete", task_id)
        assert deleted.code == 0, deleted
    harness.expect_task_directories(pyro, [])


@pytest.fixture
def bare(scratch, helpers):
    """pyro with an empty cache, for tests that need no guest."""
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    with harness.nothing_is_left(harness.Pyro(scratch / "state", scratch / "cache", home), helpers) as program:
        yield program


@pytest.fixture
def normal_user(scratch, helpers):
    """pyro of a user with subordinate ids and an empty cache, for tests that root runs."""
    if os.geteuid() != 0:
        pytest.skip("this is what the other tests do when they are not run by root")
    with harness.nothing_is_left(harness.become_normal_user(scratch), helpers) as program:
        yield program


@pytest.fixture
def lone_user(scratch, helpers):
    """The same of a user without subordinate ids."""
    if os.geteuid() != 0:
        harness.cannot_run("only root can become another user")
    with harness.nothing_is_left(harness.become_normal_user(scratch, subordinate_ids=False), helpers) as program:
        yield program


@pytest.fixture
def mounts():
    """mounts(device, path, type, options): for root; undone afterwards."""
    made = []

    def mount(kind, path, options):
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", kind, "-o", options, kind, str(path)],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            harness.cannot_run(f"a {kind} cannot be mounted: {done.stderr.strip()}")
        made.append(path)

    yield mount
    for path in made:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def terminal():
    end = Terminal()
    yield end
    end.close()
