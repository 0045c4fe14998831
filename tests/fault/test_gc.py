"""A collection of garbage that is killed at each step, and several at once: tasks stay, and the next one frees the rest."""

import shutil
import signal

import failpoints
import harness
import pytest


@pytest.fixture
def littered(pyro, scratch, cache_dir, create):
    """A task, and what a collection removes: a version that nothing needs, and the rests of killed calls."""
    cache = scratch / "cache"
    pyro.env["PYRO_CACHE_DIR"] = str(cache)
    harness.copy_base(cache_dir, cache)
    task = create()
    assert task.exec("sh", "-c", "echo kept > f").code == 0
    task.stop()
    rests = [cache / "environments/debian-12-base/0123456789abcdef", cache / "environments/debian-12-base/.pull-1",
             cache / "templates/.making-abc", pyro.state / "vms" / ("vm_" + "a" * 26)]
    shutil.copytree((rests[0].parent / "current").resolve(), rests[0], symlinks=True)
    for path in rests[1:]:
        path.mkdir(parents=True)
        (path / "data.img").write_bytes(bytes(100_000))
    return task, rests


def expect_clean(pyro, task, rests):
    assert [str(path) for path in rests if path.exists()] == []
    assert pyro("gc").text == "0 B freed\n"
    assert task.exec("cat", "f").out == b"kept\n"
    assert task.entries()[0]["exit_code"] == 0
    names = [entry.name for entry in rests[0].parent.iterdir() if entry.name.startswith(".trash-")]
    assert names == []


@pytest.mark.parametrize("point", failpoints.GC)
def test_killed_at(pyro, littered, scratch, record_property, point):
    log = scratch / "reached"
    done = pyro("gc", env={"PYRO_FAILPOINT": point, "PYRO_FAILPOINT_LOG": str(log)})
    assert done.code == -signal.SIGKILL, done
    assert point in log.read_text().split(), "the point was not reached"
    record_property("kills", 1)
    done = pyro("gc")
    assert done.code == 0, done
    expect_clean(pyro, *littered)


def test_several_at_once_free_each_thing_once(pyro, littered):
    both = [harness.finish(one) for one in [pyro.start("gc", "--json") for _ in range(4)]]
    for done in both:
        assert done.code == 0, done
    assert pyro("gc").code == 0
    expect_clean(pyro, *littered)
