"""Guests that wait for a command: taken at once, each one once, and others in their place."""

import os
import signal

import harness
import pytest

IDENTITY = ("cat /etc/machine-id /proc/sys/kernel/random/boot_id; hostname; "
            "head -c 16 /dev/urandom | od -An -tx1; date +%s")


# How a guest starts that is no spare.
OTHERWISE = "boot" if harness.USERMODE else "template"


@pytest.fixture
def warm(pyro):
    """warm(count, *flags): what `pyro warm` says of the pool. All are ended with the test."""
    def keep(count, *flags):
        done = pyro("warm", harness.BASE, "--count", str(count), "--json", *flags)
        assert done.code == 0, done
        return done.json

    yield keep
    for pool in pools(pyro):
        flags = ["--mem-mib", str(pool["mem_mib"])] + (["--network"] if pool["network"] else [])
        keep(0, *flags)
    assert not (pyro.state / "spares").exists() or list((pyro.state / "spares").iterdir()) == []


def pools(pyro):
    done = pyro("warm", "--json")
    assert done.code == 0, done
    return done.json["pools"]


def waiting(pyro):
    return sum(pool["waiting"] for pool in pools(pyro))


def supervisors():
    return harness.of_program(harness.descendants(), "pyro-supervisor")


def start_of(done):
    assert done.code == 0, done
    return done.json["timings"]["start"]


def test_a_run_takes_one_and_another_takes_its_place(pyro, warm):
    pool = warm(2)
    assert (pool["count"], pool["waiting"], pool["mem_mib"]) == (2, 2, 1024)
    done = pyro.run("echo", "hello", flags=("--json",))
    assert start_of(done) == "spare"
    assert (done.json["stdout"], done.json["exit_code"]) == ("hello\n", 0)
    harness.wait_until(lambda: waiting(pyro) == 2, "the pool is full again")
    assert start_of(pyro.run("true", flags=("--json",))) == "spare"


def test_no_two_runs_get_the_same_machine(pyro, warm):
    warm(2)
    running = [pyro.start_run("sh", "-c", IDENTITY, flags=("--json",)) for _ in range(4)]
    done = [harness.finish(process) for process in running]
    starts = [start_of(one) for one in done]
    assert starts.count("spare") >= 2 and set(starts) <= {"spare", OTHERWISE}, starts
    for line in range(4):
        assert len({one.json["stdout"].split("\n")[line] for one in done}) == 4, (line, done)
    now = int(harness.time.time())
    assert all(abs(int(one.json["stdout"].split("\n")[4]) - now) < 120 for one in done)


def test_what_one_run_leaves_no_other_sees(pyro, warm):
    warm(1)
    assert start_of(pyro.run("sh", "-c", "echo x > /workspace/x; echo x > /etc/x",
                             flags=("--json",))) == "spare"
    harness.wait_until(lambda: waiting(pyro) == 1, "the pool is full again")
    done = pyro.run("sh", "-c", "ls /workspace; [ ! -e /etc/x ]", flags=("--json",))
    assert start_of(done) == "spare"
    assert done.json["stdout"] == "", done


def test_a_long_command_does_not_keep_the_pool_short(pyro, warm):
    warm(1)
    running = pyro.start_run("sleep", "600", flags=("-q", "--timeout-seconds", "600"))
    harness.wait_until(lambda: len(supervisors()) == 2, "one runs, one waits")
    harness.wait_until(lambda: waiting(pyro) == 1, "the pool is full again")
    running.send_signal(signal.SIGINT)
    assert harness.finish(running).code == 130


def spares(pyro):
    return [path.name for path in (pyro.state / "spares").glob("*/vm_*")]


def test_a_task_takes_one_with_all_that_is_a_tasks(pyro, warm, create, scratch):
    warm(1, "--network")
    [spare] = spares(pyro)
    (scratch / "source").mkdir()
    (scratch / "source" / "f").write_text("seeded\n")
    task = create("--name", "mine", "--ttl-seconds", "500", "--source-path", scratch / "source",
                  "--network")
    assert task.id == "task_" + spare[3:]
    harness.wait_until(lambda: waiting(pyro) == 1, "the pool is full again")
    other = create("--network")
    status = task.json("status")
    assert (status["state"], status["name"], status["ttl_seconds"]) == ("started", "mine", 500)
    assert status["machine"] == other.json("status")["machine"] != ""
    assert sorted(path.name for path in task.directory.iterdir()) == [
        "commands", "console.log", "control.sock", "data.img", "lock", "manifest.json", "snapshots", "sync"]
    done = [one.exec("sh", "-c", IDENTITY + "; cat /etc/hostname; grep name /etc/gitconfig; ls -A /workspace",
                     flags=("--json",)) for one in (task, other)]
    lines = [one.json["stdout"].split("\n") for one in done]
    assert all(first != second for first, second in zip(lines[0][:4], lines[1][:4])), lines
    for one, of in zip(lines, (task, other)):
        assert one[2] == one[5] == "pyro-" + of.id[5:13]
        assert abs(int(one[4]) - harness.time.time()) < 120
        assert one[6].strip() == "name = pyro"
    assert "f" in lines[0][7:] and "f" not in lines[1][7:]
    for one in (task, other):
        assert b"nameserver" in one.exec("grep", "nameserver", "/etc/resolv.conf").out
        assert b"\t00000000\t" in one.exec("cat", "/proc/net/route").out  # The way out.
    assert task.exec("sh", "-c", "echo kept > kept").code == 0
    assert task.stop()["state"] == "stopped"
    again = task.exec("cat", "kept", "f")
    assert (again.code, again.out) == (0, b"kept\nseeded\n")
    assert [entry["sequence"] for entry in task.entries()] == list(range(1, len(task.entries()) + 1))


def test_a_tasks_guest_that_was_one_is_stopped_and_never_removed(pyro, warm, create):
    warm(1)
    task = create()
    assert task.exec("sh", "-c", "echo kept > kept").code == 0
    supervisor = harness.of_program(task.processes(), "pyro-supervisor")[0]
    os.kill(supervisor.pid, signal.SIGTERM)
    harness.wait_until(lambda: not task.processes(), "its guest has powered off")
    assert task.json("status")["state"] == "stopped"
    assert task.exec("cat", "kept").out == b"kept\n"
    task.kill_guest()
    assert task.json("status")["state"] == "stopped"
    assert task.exec("cat", "kept").out == b"kept\n"


def test_options_that_differ_take_none(pyro, warm):
    warm(1)
    assert start_of(pyro.run("true", flags=("--json", "--mem-mib", "512"))) != "spare"
    assert waiting(pyro) == 1
    harness.wait_until(lambda: not any(map(harness.makes_template, harness.descendants())),
                       "no template is being made")


def test_fewer_are_kept_when_fewer_are_wanted(pyro, warm):
    assert warm(3)["waiting"] == 3
    assert warm(1)["waiting"] == 1
    harness.wait_until(lambda: len(supervisors()) == 1, "two have ended")
    assert warm(0) == {**warm(0), "count": 0, "waiting": 0, "expires_at": None}
    assert harness.descendants() == []


def test_they_go_by_themselves_when_none_is_taken(pyro, warm):
    # Shorter than their starts: their time begins when both wait.
    assert warm(2, "--ttl-seconds", "1")["count"] == 2
    harness.wait_until(lambda: harness.descendants() == [], "nothing of the spares is left")
    assert start_of(pyro.run("true", flags=("--json",))) == OTHERWISE
    assert pools(pyro) == []


@pytest.mark.parametrize("program", ["pyro-supervisor", harness.MACHINE])
def test_a_killed_spare_stops_no_run(pyro, warm, program):
    warm(2)
    victim = harness.of_program(harness.descendants(), program)[0]
    os.kill(victim.pid, signal.SIGKILL)
    harness.wait_until(lambda: waiting(pyro) == 1, "one is gone")
    assert start_of(pyro.run("true", flags=("--json",))) == "spare"
    harness.wait_until(lambda: waiting(pyro) == 2, "the pool is full again")


def test_too_many_are_refused(pyro, warm):
    done = pyro("warm", harness.BASE, "--count", "65")
    harness.expect_error(done, 2)
    done = pyro("warm", harness.BASE, "--count", "64", "--mem-mib", "1000000")
    harness.expect_error(done, 1)
    assert "half of this host's" in done.talk
    done = pyro("warm", harness.BASE, env={"PYRO_WARM_START": "0"})
    harness.expect_error(done, 1)
    assert pools(pyro) == [] and harness.descendants() == []


def test_a_damaged_pool_stops_no_run(pyro, warm):
    warm(1)
    pool = next((pyro.state / "spares").iterdir())
    (pool / "pool.json").write_text("{")
    assert start_of(pyro.run("true", flags=("--json",))) == "spare"
    harness.wait_until(lambda: harness.descendants() == [], "the last one has ended")
    assert start_of(pyro.run("true", flags=("--json",))) == OTHERWISE
    assert pools(pyro) == []
