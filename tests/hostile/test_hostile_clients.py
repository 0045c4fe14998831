"""Clients other than the command line are told of hostile guests: over MCP, and in Python."""

import sys

import harness
import hostile_lab
import pyro_mcp
import pytest

sys.path.insert(0, str(harness.ROOT / "tests/mcp"))
import client  # noqa: E402

# What the guest does, and what the error says.
GUESTS = [("hello", "exit 0", "the guest ended while it started|closed its channel"), ("ready", "flood same", "broke the protocol"),
          ("exec", "silent", "has not begun the command for 120 s"), ("exec", "error escapes", "owned"),
          ("started", "flood nothing", "broke the protocol"), ("exited", "exited code", "broke the protocol"), ("output", "close", "closed its channel|is gone")]


@pytest.fixture(scope="module")
def lab(cache_dir):
    place = hostile_lab.Lab()
    place.watch.close()  # Children of this process are the package's.
    yield place
    try:
        for task_id in place.pyro("task", "list", "-q").text.split():
            assert place.pyro("task", "delete", task_id).code == 0
        harness.wait_until(lambda: not harness.descendants(), "no process is left", 60)
    finally:
        place.close()


def test_a_client_of_mcp_is_told_of_a_hostile_guest(lab):
    server = client.Server(lab.pyro)
    try:
        for step, act, says in GUESTS:
            task = lab.task(step, act)
            error = server.failure("task_exec", task_id=task.id, command="echo out; cat; echo end", timeout_seconds=3600)
            assert error["code"] == "guest_unavailable", (step, act, error)
            # A call that only watches the journal tells what that says.
            assert any(words in error["message"] for words in (*says.split("|"), "went away while command 2 ran")), (step, act, error)
            assert hostile_lab.is_harmless(error["message"].encode()), error
            lab.become_honest(task)
            task.stop()
            again = server.value("task_exec", task_id=task.id, command="cat f", timeout_seconds=3600)
            assert again["stdout"] == "kept\n", (step, act, again)
    finally:
        server.close()


def test_python_is_told_of_a_hostile_guest(lab, monkeypatch):
    for name in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_LIBEXEC_DIR", "PYRO_ACCELERATOR", "PYRO_WARM_START"):
        monkeypatch.setenv(name, lab.pyro.env[name])
    pyro = pyro_mcp.Pyro()
    for step, act, says in GUESTS:
        task = lab.task(step, act)
        with pytest.raises(pyro_mcp.errors.PyroError) as told:  # The guest chooses the code of its own error.
            pyro.exec_task(task.id, command="echo out; cat; echo end", timeout_seconds=3600)
        assert any(words in str(told.value) for words in says.split("|")), (step, act, told.value)
        assert hostile_lab.is_harmless(str(told.value).encode())
        lab.become_honest(task)
        pyro.stop_task(task.id)
        assert pyro.exec_task(task.id, command="cat f", timeout_seconds=3600)["stdout"] == "kept\n"
