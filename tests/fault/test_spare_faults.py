"""kill -9 at every named point of a spare's life: runs go on, nothing is left, nothing is stuck."""

import signal

import failpoints
import harness
import pytest


def waiting(pyro):
    done = pyro("warm", "--json")
    assert done.code == 0, done
    return sum(pool["waiting"] for pool in done.json["pools"])


def end_spares(pyro):
    assert pyro("warm", harness.BASE, "--count", "0").code == 0
    harness.wait_until(lambda: harness.descendants() == [], "no process is left")
    assert pyro("warm", "--json").json["pools"] == []
    assert list((pyro.state / "spares").iterdir()) == []


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
    end_spares(pyro)


@pytest.mark.parametrize("point", failpoints.SPARE_TASK)
def test_killed_while_it_becomes_a_tasks_guest(pyro, scratch, record_property, point):
    log = scratch / "reached"
    env = {"PYRO_FAILPOINT": point, "PYRO_FAILPOINT_LOG": str(log)}
    (scratch / "seed").mkdir()
    (scratch / "seed" / "f").write_text("seeded")
    in_supervisor = failpoints.SPARE_TASK.index(point) < 4
    kept = pyro("warm", harness.BASE, "--count", "1", "--json", env=env if in_supervisor else None)
    assert kept.code == 0, kept
    create = ("task", "create", "-q", "--source-path", str(scratch / "seed"), harness.BASE)
    done = pyro(*create, env=None if in_supervisor else env)
    assert point in log.read_text().split(), "the point was not reached"
    record_property("kills", 1)
    # A kill of the spare stops no task: it gets another guest. A kill of the maker leaves all of it or nothing.
    whole = in_supervisor or point == "task.create.finished"
    assert done.code == (0 if in_supervisor else -signal.SIGKILL), done
    harness.wait_until(lambda: len(pyro("task", "list", "-q").text.split()) == whole, "no half-made task is left")
    names = harness.task_directories(pyro)
    assert names == pyro("task", "list", "-q").text.split()
    for name in names:
        task = harness.Task(pyro, name)
        assert task.exec("cat", "f").out == b"seeded"
        assert [entry["stdout"] for entry in task.entries()] == ["seeded"]
        task.delete()
    end_spares(pyro)
