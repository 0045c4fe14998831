"""kill -9 in a sync: each file is old or new, nothing is left lying about, and the next sync ends it."""

import collections
import os
import signal
import subprocess

import failpoints
import harness
import pytest
import siege

FILES = 4


def write_all(top, text):
    for number in range(FILES):
        (top / f"f{number}").write_text(f"{text} {number}\n" * 10_000)


def content(top):
    return {path.name: path.read_bytes() for path in sorted(top.iterdir()) if path.name.startswith("f")}


def version(text):
    return {f"f{number}": (f"{text} {number}\n" * 10_000).encode() for number in range(FILES)}


def expect_whole(found, *texts):
    for name, read in found.items():
        assert read in [version(text).get(name) for text in texts], f"a half of {name}"


def apply_as_agent(top, steps, env):
    """The agent's own program, in a process of this host."""
    return subprocess.run([harness.BIN / "pyro-agent", "apply", top, ".pyro-sync"], input=steps,
                          env={**os.environ, **env}, check=False, capture_output=True)


def kill_push_in_guest(top, passes):
    """The steps of a push, killed behind so many; `top` is a new directory."""
    def staged():
        (top / ".pyro-sync").mkdir(parents=True, exist_ok=True)
        write_all(top / ".pyro-sync", "new")
        steps = b""
        for number in range(FILES):
            path = top / f"f{number}"
            info = path.stat() if path.exists() else None
            there = f"{info.st_ino} {info.st_ctime_ns}" if info else "0 0"
            steps += f"p 0 {there}\0f{number}\0".encode()
        return steps

    top.mkdir(parents=True)
    write_all(top, "old")
    steps = staged()
    done = apply_as_agent(top, steps, {"PYRO_FAILPOINT": f"sync.step:{passes}"})
    assert done.returncode == -signal.SIGKILL, done
    found = content(top)
    assert len(found) == FILES
    expect_whole(found, "old", "new")
    assert sum(found[name] == read for name, read in version("new").items()) == passes
    done = apply_as_agent(top, staged(), {})
    assert (done.returncode, done.stdout) == (0, b""), done
    assert content(top) == version("new") and not (top / ".pyro-sync").exists()


@pytest.mark.parametrize("passes", range(1, FILES + 1))
def test_a_push_that_is_killed_in_the_guest_has_no_half(scratch, passes):
    kill_push_in_guest(scratch / "top", passes)


def kill_syncs(pyro, create, scratch):
    """A new task, and the named points at which syncs of it were killed: in both directions, each ended by the next sync."""
    top = scratch / "top"
    top.mkdir()
    write_all(top, "begin")
    task = create("--source-path", top)
    copy = scratch / "copy"
    kills = collections.Counter()

    def killed(point, *words):
        done = pyro("task", "sync", "-q", task.id, top, *words, env={"PYRO_FAILPOINT": point})
        assert done.code == -signal.SIGKILL, (point, done)
        siege.wait_for_no_orphans(point)
        kills[f"{point} {'pull' if words else 'push'}"] += 1

    def in_task(name):
        done = pyro("task", "export", "-q", task.id, ".", copy / name)
        assert done.code == 0, done
        return content(copy / name)

    def expect_clean():
        assert not [name for name in os.listdir(top) if name.startswith(".pyro")]
        assert task.exec("ls", "-A").text.split() == sorted(version(""))
        assert sorted(os.listdir(task.directory / "sync"))[0] == ".lock" and len(os.listdir(task.directory / "sync")) == 2

    copy.mkdir()
    last = "begin"
    for point in failpoints.SYNC_PUSH:
        write_all(top, point)
        killed(point)
        expect_whole(in_task(point), last, point)
        done = pyro("task", "sync", "-q", task.id, top)
        assert done.code == 0, (point, done)
        assert in_task(f"{point}-ended") == version(point), point
        expect_clean()
        last = point
    for point in [*failpoints.SYNC_PULL, "sync.step:1", "sync.step:3"]:
        written = "".join(f"yes '{point} {number}' | head -n 10000 > f{number}; " for number in range(FILES))
        assert task.exec("sh", "-c", written).code == 0
        killed(point, "--pull")
        expect_whole(content(top), last, point)
        done = pyro("task", "sync", "-q", task.id, top, "--pull")
        assert done.code == 0, (point, done)
        assert content(top) == version(point), point
        expect_clean()
        last = point
    return task, kills


def test_a_sync_that_is_killed_at_a_named_point_is_ended_by_the_next(pyro, create, scratch):
    kills = kill_syncs(pyro, create, scratch)[1]
    assert {name.split()[0].split(":")[0] for name in kills} == {*failpoints.SYNC}
    assert kills.total() == len(failpoints.SYNC_PUSH) + len(failpoints.SYNC_PULL) + 2


@pytest.mark.parametrize("pull", [False, True], ids=["push", "pull"])
def test_a_sync_that_is_killed_while_a_file_becomes_a_directory_needs_no_choice(pyro, create, scratch, pull):
    """By hand, as a kill between the removal of the one and the coming of the other leaves it."""
    top = scratch / "top"
    top.mkdir()
    for name in ("file", "other"):
        (top / name).write_text("old\n")
    (top / "directory").mkdir()
    task = create("--source-path", top)
    script = "rm file other; rmdir directory; mkdir file; echo new > file/f; echo new > directory; ln -s x other"
    words = ("task", "sync", "-q", task.id, top, *(("--pull",) if pull else ()))
    if pull:
        assert task.exec("sh", "-c", script).code == 0
        subprocess.run(["sh", "-c", "rm file other; rmdir directory"], cwd=top, check=True)
    else:
        subprocess.run(["sh", "-c", script], cwd=top, check=True)
        assert task.exec("sh", "-c", "rm file other; rmdir directory").code == 0
    done = pyro(*words)
    assert done.code == 0, done
    look = "ls -F; cat file/f directory; readlink other"
    there = (task.exec("sh", "-c", look).text, subprocess.run(["sh", "-c", look], cwd=top, check=True, capture_output=True, text=True).stdout)
    assert there == ("directory\nfile/\nother@\nnew\nnew\nx\n",) * 2
