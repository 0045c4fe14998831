"""Broken files below a task: every readable part is returned, and the rest is reported."""

import os
import shutil

import harness
import pytest

from siege import registry_files


@pytest.fixture
def task(create):
    one = create()
    assert one.exec("sh", "-c", "echo hello > f; echo said; echo err >&2; exit 3").code == 3
    return one


def expect_whole(task):
    entry = task.entries()[0]
    assert (entry["sequence"], entry["stdout"], entry["stderr"]) == (1, "said\n", "err\n")
    assert (entry["outcome"], entry["exit_code"], entry["command"][0]) == ("exited", 3, "sh")
    done = task.exec("cat", "f")
    assert (done.code, done.out) == (0, b"hello\n"), done


def test_a_removed_registry_is_made_again(pyro, task):
    task.stop()
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    status = task.json("status")
    assert (status["state"], status["command_count"]) == ("stopped", 1)
    expect_whole(task)
    assert [entry["sequence"] for entry in task.entries()] == [1, 2]


def test_a_registry_removed_below_a_running_guest(pyro, task):
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    task.kill_guest()
    expect_whole(task)


@pytest.mark.parametrize("kind", ["garbage", "cut"])
def test_a_broken_registry_is_told_and_the_tasks_come_back(pyro, task, kind):
    task.stop()
    database, *others = registry_files(pyro)
    for path in others:
        path.unlink(missing_ok=True)
    if kind == "garbage":
        database.write_bytes(os.urandom(database.stat().st_size))
    else:
        os.truncate(database, database.stat().st_size // 2)
    for action in (("list",), ("status", task.id), ("delete", task.id)):
        done = pyro("task", *action)
        assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done
    done = task.exec("true")
    assert done.code == 125 and harness.is_one_sentence_and_hint(done.talk), done
    assert "registry.db" in done.talk
    assert task.directory.is_dir()
    database.unlink()  # As the hint says: out of the way.
    expect_whole(task)


@pytest.mark.parametrize("size", [0, 4096, 1 << 20])
def test_a_cut_disk_is_told_and_can_be_deleted(pyro, task, size):
    task.stop()
    os.truncate(task.directory / "data.img", size)
    done = task.exec("cat", "f")
    assert done.code == 125 and done.out == b"" and "pyro: " in done.talk, done
    print(done.talk.strip())
    assert task.entries()[0]["stdout"] == "said\n"  # The journal is not on that disk.
    assert task.json("status")["state"] == "stopped"
    harness.wait_until(lambda: not harness.descendants(), "nothing of it runs", 90)
    assert pyro("task", "delete", task.id).code == 0
    harness.expect_task_directories(pyro, [])


def test_a_removed_disk_is_told_and_can_be_deleted(pyro, task):
    task.stop()
    (task.directory / "data.img").unlink()
    done = task.exec("cat", "f")
    said, hint = done.talk.splitlines()[-2:]
    assert done.code == 125 and "data.img" in said and "removed" in hint, done
    assert pyro("task", "delete", task.id).code == 0


def test_a_removed_directory_is_told_and_can_be_deleted(pyro, task):
    task.stop()
    shutil.rmtree(task.directory)
    done = task.exec("cat", "f")
    assert done.code == 125 and "pyro: " in done.talk, done
    # It cannot be restored: a row without a directory is removed.
    assert pyro("task", "delete", task.id).code in (0, 1)
    assert pyro("task", "list", "--json").json["count"] == 0


def test_a_broken_journal_does_not_hide_what_the_registry_knows(pyro, task):
    task.stop()
    journal = task.directory / "journal.jsonl"
    with open(journal, "ab") as file:
        file.write(b'{"event":"end","sequence":1,"cut off')
    expect_whole(task)
    assert [entry["outcome"] for entry in task.entries()] == ["exited", "exited"]
    task.stop()
    for path in registry_files(pyro):
        path.unlink(missing_ok=True)
    entries = task.entries()
    assert [entry["exit_code"] for entry in entries] == [3, 0]
