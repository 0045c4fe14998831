"""Snapshots of a task's disk, and its reset to one."""

import os
import signal
import subprocess

import harness
import pytest

REFLINKS = ("mkfs.xfs", "-q", "-m", "reflink=1")


def names(task):
    return [one["name"] for one in task.json("snapshot list")["snapshots"]]


def snapshot(task, name):
    return task.pyro("task", "snapshot", "create", "--json", task.id, name)


def held(task, point, *words):
    """A call that is stopped at a named place."""
    call = task.pyro.start("task", *words, "--json", env={"PYRO_FAILPOINT": point, "PYRO_FAILPOINT_SIGNAL": "STOP"})
    harness.wait_until(lambda: harness.read_process(call.pid).state == "T", f"the call is held at {point}")
    return call


def let_go(call):
    call.send_signal(signal.SIGCONT)
    return harness.finish(call)


@pytest.fixture
def reflinks(pyro, scratch):
    """The state directory on a small disk whose files can share blocks."""
    if os.getuid() != 0:
        harness.cannot_run("only root mounts a disk")
    image = scratch / "disk"
    with open(image, "wb") as file:
        file.truncate(400 << 20)
    pyro.state.mkdir(mode=0o700)
    try:
        subprocess.run([*REFLINKS, image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, pyro.state], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this host mounts no xfs: {error}")
    pyro.state.chmod(0o700)
    yield
    harness.wait_until(lambda: subprocess.run(["umount", pyro.state], capture_output=True).returncode == 0,
                       "the disk is unmounted", 60)


def test_a_reset_brings_back_every_file_and_ends_every_process(create, scratch):
    seed = scratch / "seed"
    seed.mkdir()
    (seed / "f").write_text("first\n")
    task = create("--source-path", seed)
    assert names(task) == ["create"]
    # Not synced, in the workspace and in the root; and a process that goes on writing.
    done = task.exec("sh", "-c", "echo second > f; ln -s f l; echo x > /etc/mark; "
                     "(while echo again; do :; done > busy 2>&1) & echo $!")
    assert done.code == 0, done
    assert snapshot(task, "second").code == 0
    assert task.exec("sh", "-c", "rm f /etc/mark; echo third > g; test -s busy").code == 0
    reset = task.json("reset", "--snapshot", "second")
    assert (reset["snapshot"], reset["sequence"]) == ("second", 2)
    assert task.json("status")["state"] == "stopped"
    done = task.exec("sh", "-c", "cat f; readlink l; cat /etc/mark; ls g; dmesg")
    assert done.out.startswith(b"second\nf\nx\n"), done
    assert b"No such file" in done.err, done
    # It was frozen: nothing had to be repaired.
    for word in (b"EXT4-fs error", b"recovery", b"orphan"):
        assert word not in done.out, done
    task.json("reset")
    assert task.exec("sh", "-c", "cat f; ls l busy /etc/mark").out == b"first\n"
    logs = task.json("logs")
    assert [entry["sequence"] for entry in logs["entries"]] == [1, 2, 3, 4]
    assert [(one["sequence"], one["snapshot"]) for one in logs["resets"]] == [(2, "second"), (3, "create")]
    shown = task.pyro("task", "logs", task.id).text
    assert shown.index("=== 2 ") < shown.index("reset to snapshot second") < shown.index("=== 3 ")
    assert shown.index("=== 3 ") < shown.index("reset to snapshot create") < shown.index("=== 4 ")


def test_a_guest_whose_snapshot_is_forgotten_goes_on_by_itself(create):
    task = create()
    call = held(task, "task.snapshot.copied", "snapshot", "create", task.id, "late")
    # The disk holds still until the guest has waited for long enough; then this one gets on.
    assert task.exec("sh", "-c", "echo x > f").code == 0
    harness.expect_error(let_go(call), 1, "unavailable")
    assert names(task) == ["create"]
    assert sorted(path.name for path in (task.directory / "snapshots").iterdir()) == [".lock", "create"]
    assert snapshot(task, "now").code == 0


def test_a_task_that_stops_or_goes_during_a_snapshot(create):
    """Neither waits for the snapshot, which is none then."""
    task = create()
    call = held(task, "task.snapshot.copied", "snapshot", "create", task.id, "s")
    assert task.stop()["state"] == "stopped"
    harness.expect_error(let_go(call), 1, "guest_unavailable")
    assert names(task) == ["create"]
    assert task.exec("true").code == 0
    call = held(task, "task.snapshot.copied", "snapshot", "create", task.id, "s")
    assert task.delete()["deleted"] is True
    assert let_go(call).code == 1
    assert harness.task_directories(task.pyro) == []


def test_a_command_during_a_reset_runs_before_or_after_it(create):
    task = create()
    assert task.exec("sh", "-c", "echo x > f").code == 0
    call = held(task, "task.reset.copied", "reset", task.id)  # The guest still runs.
    assert task.exec("cat", "f").out == b"x\n"
    assert let_go(call).code == 0
    call = held(task, "task.reset.guest-ended", "reset", task.id)
    late = task.start("ls")
    assert let_go(call).code == 0
    done = harness.finish(late)
    assert (done.code, done.out) == (0, b""), done


def test_a_first_state_that_is_dear_is_not_kept_unasked(create, pyro, scratch):
    seed = scratch / "seed"
    seed.mkdir()
    with open(seed / "big", "wb") as file:
        file.write(os.urandom(70 << 20))
    made = pyro("task", "create", "--json", "--source-path", seed, harness.BASE).json
    task = harness.Task(pyro, made["task_id"])
    if names(task) == ["create"]:
        pytest.skip("the state directory is on a file system with reflinks")
    [notice] = made["notices"]
    assert f"pyro task snapshot create {task.id} create" in notice
    harness.expect_error(pyro("task", "reset", "--json", task.id), 1, "not_found")
    assert snapshot(task, "create").code == 0
    assert task.exec("rm", "big").code == 0
    assert task.json("reset")["snapshot"] == "create"
    assert task.exec("stat", "-c", "%s", "big").out == b"%d\n" % (70 << 20)
    use = task.json("df")
    assert use["snapshots"][0]["disk_bytes"] > 70 << 20
    assert use["total_bytes"] > 140 << 20


def test_snapshots_share_their_blocks_where_the_file_system_can(reflinks, create, scratch):
    seed = scratch / "seed"
    seed.mkdir()
    with open(seed / "big", "wb") as file:
        file.write(os.urandom(70 << 20))
    task = create("--source-path", seed)
    assert names(task) == ["create"]  # However big it is.
    assert snapshot(task, "again").code == 0
    use = task.json("df")
    assert use["exact"] is True
    assert use["count"] == 2
    for one in use["snapshots"]:
        assert one["disk_bytes"] > 70 << 20 and one["own_bytes"] < 8 << 20, one
    assert use["total_bytes"] < 110 << 20
    assert task.exec("rm", "big").code == 0
    task.json("reset")
    assert task.exec("stat", "-c", "%s", "big").out == b"%d\n" % (70 << 20)
    assert task.delete()["deleted"] is True


def test_a_copy_that_finds_no_room_is_none(pyro, mounts, create):
    if os.getuid() != 0:
        harness.cannot_run("only root mounts a small disk")
    pyro.state.mkdir(mode=0o700)
    mounts("tmpfs", pyro.state, "size=160m,mode=0700")
    task = create("--disk-mib", "256")
    assert task.exec("sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x > f").code == 0
    harness.expect_error(snapshot(task, "s"), 1, "no_space")
    assert names(task) == ["create"]
    assert sorted(path.name for path in (task.directory / "snapshots").iterdir()) == [".lock", "create"]
    assert task.exec("sh", "-c", "echo on > g && cat g").out == b"on\n"
    task.json("reset")
    assert task.exec("ls").out == b""
