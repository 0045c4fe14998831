"""A guest that ends with its owner does not outlive a caller that dies on the way to it.

The lease of every guest here is an hour, far longer than any test waits: only its owner's end ends it.
"""

import os
import signal
import socket

import failpoints
import harness
import pytest

CALLS = {
    "run": ("run", "-q", "--ttl-seconds", "3600", harness.BASE, "--", "sleep", "200"),
    "task create": ("task", "create", "-q", "--ttl-seconds", "3600", harness.BASE),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("point", failpoints.OWNER)
def test_a_caller_killed_before_its_request_leaves_no_guest(pyro, point, call):
    done = pyro(*CALLS[call], env={"PYRO_FAILPOINT": point})
    assert done.code == -signal.SIGKILL, done
    harness.wait_until(lambda: not harness.descendants(), "its supervisor and its guest are gone")
    assert pyro("env", "list").code == 0
    assert pyro("task", "list", "-q").text == ""


@pytest.mark.cost(15)
@pytest.mark.parametrize("point", failpoints.BEAT)
def test_a_supervisor_killed_in_the_middle_of_a_run_leaves_nothing(pyro, point):
    done = pyro.run("sleep", "200", env={"PYRO_FAILPOINT": point})
    assert done.code == 125, done
    harness.wait_until(lambda: not harness.descendants(), "its guest is gone")
    assert pyro("env", "list").code == 0
    assert pyro.directories() == [] and pyro.rows() == []


def test_a_stranger_that_looks_in_first_does_not_become_the_owner(pyro):
    """It leaves without a word while the caller is held at the moment after it has connected."""
    caller = pyro.start(*CALLS["run"],
                        env={"PYRO_FAILPOINT": "client.connected", "PYRO_FAILPOINT_SIGNAL": "STOP"})
    harness.wait_until(lambda: harness.read_process(caller.pid).state == "T", "the caller is held")
    [directory] = (pyro.state / "vms").iterdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(directory / "control.sock"))
    os.kill(caller.pid, signal.SIGKILL)
    harness.finish(caller)
    harness.wait_until(lambda: not harness.descendants(), "its supervisor and its guest are gone")
    assert pyro.directories() == [] and pyro.rows() == []
