"""Leases, stops and deletes of tasks, and the ids that name them."""

import concurrent.futures
import os
import signal

import harness
import pytest


@pytest.mark.cost(15)
def test_the_lease_ends_by_itself_and_an_exec_brings_it_back(create):
    task = create("--ttl-seconds", "5")
    other = create()
    assert task.exec("sh", "-c", "echo kept > f; echo said").code == 0
    harness.wait_until(lambda: not task.processes(), "its lease ends it")
    assert other.processes(), "another task's guest went with it"
    assert task.json("status")["state"] == "stopped"
    assert [entry["stdout"] for entry in task.entries()] == ["said\n"]
    done = task.exec("cat", "f", flags=())
    assert (done.code, done.out) == (0, b"kept\n") and "was stopped" in done.talk, done


@pytest.mark.cost(25)
def test_a_command_outlasts_the_lease(create):
    task = create("--ttl-seconds", "3")
    done = task.exec("sh", "-c", "sleep 8; echo end")
    assert (done.code, done.out) == (0, b"end\n"), done
    assert task.entries()[0]["outcome"] == "exited"


def test_ids_and_prefixes(pyro, create):
    task = create()
    for prefix in (task.id[:11], task.id[:20], task.id):
        done = pyro("task", "exec", "-q", prefix, "--", "echo", "x")
        assert (done.code, done.out) == (0, b"x\n"), (prefix, done)
    for unknown in ("task_" + "a" * 26, "task_zzzzzz", "nonsense"):
        harness.expect_error(pyro("task", "exec", unknown, "--", "true"), 125)
        for action in ("status", "logs", "stop"):
            harness.expect_error(pyro("task", action, unknown), 1)
    for unknown in ("task_zzzzzz", "nonsense"):
        harness.expect_error(pyro("task", "delete", unknown), 1)
    harness.expect_error(pyro("task", "status", task.id[:8]), 1)
    assert pyro("task", "status", "task_" + "a" * 26, "--json").json["error"]["code"] == "not_found"
    # A second one that begins with the same letters, made by adoption of a copy.
    task.stop()
    letters = task.id[:20] + ("a" if task.id[20] != "a" else "b") + task.id[21:]
    task.copy(letters)
    done = pyro("task", "status", task.id[:12])
    harness.expect_error(done, 1)
    assert "is the beginning of 2 ids" in done.talk
    assert pyro("task", "status", task.id[:21]).code == 0
    harness.expect_error(pyro("task", "exec", task.id[:12], "--", "true"), 125)
    assert pyro("task", "list", "--json").json["count"] == 2


@pytest.mark.parametrize("state", ["started", "stopped", "running", "killed"])
def test_delete_at_any_state_and_twice(pyro, create, state):
    task = create()
    running = None
    assert task.exec("touch", "f").code == 0
    if state == "stopped":
        task.stop()
    elif state == "running":
        running = task.start("sh", "-c", "echo begun; exec sleep 200")
        assert running.stdout.readline() == b"begun\n"
    elif state == "killed":
        task.kill_guest()
    assert pyro("task", "delete", task.id).code == 0
    # A caller that is not sure if it was done does it again; the beginning of an id names no task now.
    assert pyro("task", "delete", task.id).code == 0
    harness.expect_error(pyro("task", "delete", task.id[:20]), 1)
    if running is not None:
        done = harness.finish(running)
        assert done.code == 125 and done.talk.startswith("pyro: "), done
    assert harness.task_directories(pyro) == []
    harness.expect_nothing_left(pyro)


def test_delete_while_it_is_created(pyro, create):
    process = pyro.start("task", "create", "-q", harness.BASE)
    names = harness.wait_until(
        lambda: [name for name in harness.task_directories(pyro) if name.startswith("task_")],
        "its directory is there")
    deleted = pyro("task", "delete", names[0])
    made = harness.finish(process)
    assert made.code in (0, 1), made
    # Either delete came in time, or it said why not and the task is whole.
    if deleted.code != 0:
        assert deleted.talk.startswith("pyro: ") and made.code == 0, (deleted, made)
        assert pyro("task", "delete", names[0]).code == 0
    harness.expect_task_directories(pyro, [])
    harness.expect_nothing_left(pyro)


def test_ctrl_c_while_it_is_created_leaves_nothing(pyro, create):
    process = pyro.start("task", "create", "-q", harness.BASE,
                         env={"PYRO_FAILPOINT": "supervisor.machine-launched", "PYRO_FAILPOINT_SIGNAL": "STOP"})
    [supervisor] = harness.wait_until(
        lambda: [one for one in harness.of_program(harness.descendants(), "pyro-supervisor") if one.state == "T"],
        "the supervisor is held")
    process.send_signal(signal.SIGINT)
    os.kill(supervisor.pid, signal.SIGCONT)
    done = harness.finish(process)
    assert (done.code, done.out) == (130, b""), done
    harness.expect_task_directories(pyro, [])


def test_stop_interrupts_what_runs(create):
    task = create()
    process = task.start("sh", "-c", "echo begun; exec sleep 200")
    assert process.stdout.readline() == b"begun\n"
    assert task.stop()["state"] == "stopped"
    done = harness.finish(process)
    assert done.code == 125 and done.talk.startswith("pyro: "), done
    entry, = task.entries()
    assert (entry["state"], entry["outcome"], entry["stdout"]) == ("ended", "interrupted", "begun\n")
    assert task.exec("true").code == 0


def test_stops_and_execs_racing_leave_a_consistent_state(create):
    task = create()

    def stop(_):
        for _ in range(4):
            done = task.pyro("task", "stop", task.id)
            assert done.code == 0 or harness.is_one_sentence_and_hint(done.talk), done

    def run(worker):
        finished = []
        for number in range(5):
            word = f"{worker}-{number}"
            done = task.exec("sh", "-c", "echo $0 > $0; echo $0", word)
            assert done.code in (0, 125), done
            if done.code == 0:
                assert done.text == word + "\n", done
                finished.append(word)
            else:
                assert "pyro: " in done.talk, done
        return finished

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        stopping = pool.submit(stop, 0)
        finished = [word for words in pool.map(run, range(2)) for word in words]
        stopping.result()
    done = task.exec("ls")
    assert done.code == 0 and set(finished) <= set(done.text.split()), (finished, done)
    entries = task.entries()
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    said = [entry["stdout"].strip() for entry in entries if entry["outcome"] == "exited"]
    assert set(finished) <= set(said)
    assert all(entry["state"] == "ended" for entry in entries)
    assert len(harness.of_program(task.processes(), harness.MACHINE)) == 1
    print(f"{len(finished)} of 10 execs finished between 4 stops")


def test_a_full_disk_is_the_guests_own_trouble(create):
    task = create("--disk-mib", "256")
    done = task.exec("dd", "if=/dev/zero", "of=big", "bs=1M")
    assert done.code == 1 and "No space left on device" in done.talk, done
    assert task.exec("echo", "x").text == "x\n"
    task.stop()  # A full disk boots, too.
    done = task.exec("sh", "-c", "rm big && echo ok > f && cat f")
    assert (done.code, done.text) == (0, "ok\n"), done
    status = task.json("status")
    assert status["disk_mib"] == 256 and status["disk_bytes"] < 300 << 20


def test_a_usage_error_makes_nothing(pyro, create):
    for flags in (("--disk-mib", "1"), ("--mem-mib", "1"), ("--ttl-seconds", "0")):
        done = pyro("task", "create", *flags, harness.BASE)
        assert done.code != 0 and done.out == b"", done
    assert pyro("task", "create", "no-such:1").code == 1
    harness.expect_task_directories(pyro, [])
