"""Tasks on the host: only if no guest can start, and only on request."""

import os

import harness


def test_without_a_guest_it_is_refused(guestless, create):
    harness.expect_error(guestless("task", "create", harness.BASE), 1)
    assert harness.task_directories(guestless) == []


def test_a_task_on_the_host_if_asked_for(guestless, create):
    made = guestless("task", "create", "--json", "--allow-host-compat", harness.BASE)
    assert made.code == 0 and "virtual machine" in made.talk, made
    assert made.json["execution_mode"] == "host_compat" and made.json["accelerator"] is None
    task = harness.Task(guestless, made.json["task_id"])
    done = task.exec("sh", "-c", "pwd; uname -r; echo kept > f; exit 4", flags=("--json",))
    assert done.code == 4 and done.json["execution_mode"] == "host_compat", done
    assert done.json["stdout"] == f"/workspace\n{os.uname().release}\n"
    done = task.exec("cat", "f", "-", input=b"given\n")
    assert (done.code, done.out) == (0, b"kept\ngiven\n"), done
    for command, code in ((["no-such-program"], 127), (["sh", "-c", "kill -9 $$"], 137)):
        assert task.exec(*command).code == code
    for words in (["files", "list", task.id, "."], ["files", "remove", task.id, "f"], ["cp", f"{task.id}:f", "f"]):
        harness.expect_error(guestless("task", *words, "--json"), 1, "wrong_state")
    done = task.exec("sleep", "100", flags=("-q", "--timeout-seconds", "1"))
    assert done.code == 124, done
    entries = task.entries()
    assert [entry["exit_code"] for entry in entries] == [4, 0, 127, 137, 124]
    assert [entry["sequence"] for entry in entries] == [1, 2, 3, 4, 5]
    assert {entry["execution_mode"] for entry in entries} == {"host_compat"}
    assert entries[1]["stdout"] == "kept\ngiven\n"
    assert not harness.descendants()
