"""Limits over all guests of a user, where the disk goes, and what a collection frees: with real guests."""

import os
import shutil
import subprocess

import harness
import pytest


@pytest.fixture
def limit(pyro):
    """limit(name, value): sets one for the test's own user."""
    def change(name, value):
        done = pyro("config", "set", f"limit.{name}", str(value))
        assert done.code == 0, done

    change("free_disk", 0)  # The host of the test may have little.
    change("host_memory", 0)
    return change


def limits(pyro):
    done = pyro("limits", "--json")
    assert done.code == 0, done
    return {one["name"]: one for one in done.json["limits"]}


def expect_refusal(done, setting):
    assert done.code in (1, 125) and harness.is_one_sentence_and_hint(done.talk), done
    assert setting in done.talk, done
    return done


def test_guests_are_counted_until_they_end_however_they_end(pyro, create, limit):
    assert limits(pyro)["limit.guests"]["limit"] is None
    limit("guests", 2)
    one, two = create(), create()
    now = limits(pyro)
    assert (now["limit.guests"]["now"], now["limit.guests"]["limit"], now["limit.guests"]["decided_by"]) == (2, 2, "setting")
    assert now["limit.guest_memory"]["now"] == 2 * one.json("status")["mem_mib"]
    expect_refusal(pyro.run("true"), "limit.guests")
    expect_refusal(pyro("task", "create", "-q", harness.BASE), "limit.guests")
    assert len(pyro("task", "list", "-q").text.split()) == 2 and pyro.directories() == []
    # A command in a guest that runs needs no room.
    assert one.exec("echo", "on").out == b"on\n"
    two.kill_guest()
    assert limits(pyro)["limit.guests"]["now"] == 1
    assert pyro.run("echo", "room").out == b"room\n"
    assert two.exec("true").code == 0
    one.stop()
    assert pyro.run("echo", "room").out == b"room\n"
    document = pyro("task", "exec", "--json", one.id, "--", "true")
    assert document.code == 0, document
    refused = pyro("run", "--json", harness.BASE, "--", "true")
    assert refused.json["error"]["code"] == "limit_exceeded" and "limit.guests" in refused.json["error"]["hint"], refused


def test_of_many_starts_at_once_no_more_succeed_than_may(pyro, limit):
    assert pyro.run("true").code == 0
    limit("guests", 2)
    runs = [pyro.start_run("sh", "-c", "echo up; read line", stdin=subprocess.PIPE) for _ in range(6)]
    # Two guests wait for their input while all others are refused.
    harness.wait_until(lambda: sum(one.poll() is not None for one in runs) == 4, "four are refused")
    done = [harness.finish(one, b"on\n") for one in runs]
    assert sorted(one.code for one in done) == [0, 0, 125, 125, 125, 125], done
    for one in done:
        if one.code:
            expect_refusal(one, "limit.guests")


def test_a_waiting_spare_gives_way(pyro, limit):
    limit("guests", 1)
    assert pyro("warm", harness.BASE, "--count", "1").code == 0
    done = pyro.run("echo", "first", flags=("--json", "--mem-mib", "512"))
    assert (done.code, done.json["stdout"]) == (0, "first\n"), done
    assert done.json["timings"]["start"] != "spare"
    assert pyro("warm", harness.BASE, "--count", "0").code == 0


def test_tasks_memory_and_everything_together_are_limited(pyro, create, limit):
    limit("tasks", 1)
    task = create()
    expect_refusal(pyro("task", "create", "-q", harness.BASE), "limit.tasks")
    limit("tasks", "none")
    limit("guest_memory", 1100)
    expect_refusal(pyro.run("true"), "limit.guest_memory")
    limit("guest_memory", "none")
    limit("disk", 1)
    expect_refusal(pyro.run("true"), "limit.disk")
    expect_refusal(pyro("task", "snapshot", "create", task.id, "s"), "limit.disk")
    assert task.exec("true").code == 0


def test_the_usual_floor_is_a_small_part_of_a_small_disk(pyro, mounts, create):
    if os.getuid() != 0:
        harness.cannot_run("only root mounts a small disk")
    pyro.state.mkdir(mode=0o700)
    mounts("tmpfs", pyro.state, "size=240m,mode=0700")
    floor = limits(pyro)["limit.free_disk"]
    assert (floor["limit"], floor["decided_by"], floor["kind"]) == (12, "default", "at_least")
    task = create("--disk-mib", "256")
    filler = pyro.state / "filler"
    room = os.statvfs(pyro.state).f_bavail * os.statvfs(pyro.state).f_frsize
    with open(filler, "wb") as file:
        file.write(bytes(room - (8 << 20)))
    for done in (pyro.run("true"), pyro("task", "create", "-q", harness.BASE)):
        expect_refusal(done, "limit.free_disk")
        assert "pyro gc" in done.talk and "pyro df" in done.talk
    # What runs goes on, and can be stopped; a start with less room is the user's decision.
    assert task.exec("true").code == 0
    task.stop()
    done = task.exec("true")
    assert done.code == 125 and "limit.free_disk" in done.talk, done
    assert pyro("config", "set", "limit.free_disk", "1").code == 0
    assert task.exec("true").code == 0
    filler.unlink()


def test_the_usual_floor_of_a_small_cache_is_that_of_its_own_disk(pyro, mounts, scratch, cache_dir):
    if os.getuid() != 0:
        harness.cannot_run("only root mounts a small disk")
    mounts("tmpfs", scratch / "cache", "size=300m,mode=0700")
    harness.copy_base(cache_dir, scratch / "cache")
    pyro.env["PYRO_CACHE_DIR"] = str(scratch / "cache")
    info = os.statvfs(scratch / "cache")
    assert pyro.run("true").code == 0
    (scratch / "cache/filler").write_bytes(bytes(info.f_bavail * info.f_frsize - (8 << 20)))
    expect_refusal(pyro.run("true"), "limit.free_disk")


def test_the_report_adds_up_and_a_collection_frees_what_it_said(pyro, scratch, cache_dir, create, limit):
    pyro.env["PYRO_CACHE_DIR"] = str(scratch / "cache")
    harness.copy_base(cache_dir, scratch / "cache")
    task = create()
    assert task.exec("sh", "-c", "head -c 3000000 /dev/urandom > f").code == 0
    assert pyro("task", "snapshot", "create", task.id, "s").code == 0
    task.stop()
    # An older version that nothing needs: it is broken by its name.
    folder = scratch / "cache/environments/debian-12-base"
    shutil.copytree((folder / "current").resolve(), folder / "0123456789abcdef", symlinks=True)
    report = pyro("df", "--json").json
    uses = {use["kind"]: use for use in report["uses"]}
    assert sum(use["bytes"] for use in uses.values()) == report["bytes"]
    assert report["tasks"][0]["task_id"] == task.id
    assert uses["tasks"]["bytes"] >= report["tasks"][0]["bytes"] > 3_000_000
    assert uses["tasks"]["reclaimable_bytes"] == 0 < uses["environments"]["reclaimable_bytes"]
    text = pyro("df").text
    assert "GC FREES" in text and task.id in text and "limit.free_disk" in text, text
    dry = pyro("gc", "--dry-run", "--json").json
    assert dry["dry_run"] and dry["bytes_freed"] == report["reclaimable_bytes"]
    assert (folder / "0123456789abcdef").exists()
    freed = pyro("gc", "--json").json
    assert (freed["freed"], freed["bytes_freed"]) == (dry["freed"], dry["bytes_freed"])
    assert not (folder / "0123456789abcdef").exists()
    assert pyro("gc").text == "0 B freed\n"
    assert task.exec("sh", "-c", "wc -c < f").out == b"3000000\n"
    assert [one["name"] for one in task.json("snapshot list")["snapshots"]] == ["create", "s"]
    assert len(task.entries()) == 2
