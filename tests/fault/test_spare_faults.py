"""kill -9 at every named point of a spare's life: runs go on, nothing is left, nothing is stuck."""

import failpoints
import harness
import pytest


def waiting(pyro):
    done = pyro("warm", "--json")
    assert done.code == 0, done
    return sum(pool["waiting"] for pool in done.json["pools"])


@pytest.mark.parametrize("point", failpoints.SPARE)
def test_killed_at(pyro, scratch, record_property, point):
    log = scratch / "reached"
    env = {"PYRO_FAILPOINT": point, "PYRO_FAILPOINT_LOG": str(log)}
    kept = pyro("warm", harness.BASE, "--count", "2", "--json", env=env)
    run = pyro.run("echo", "fine", flags=("--json",))
    assert (run.code, run.json["stdout"]) == (0, "fine\n"), (kept, run)
    assert point in log.read_text().split(), "the point was not reached"
    record_property("kills", 1)
    again = pyro("warm", harness.BASE, "--count", "1", "--json")
    assert again.code == 0, again
    harness.wait_until(lambda: waiting(pyro) >= 1, "the pool works again")
    assert pyro("warm", harness.BASE, "--count", "0").code == 0
    harness.wait_until(lambda: harness.descendants() == [], "no process is left")
    assert pyro("warm", "--json").json["pools"] == []
    assert list((pyro.state / "spares").iterdir()) == []
