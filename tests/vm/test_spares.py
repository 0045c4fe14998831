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
    warm(2, "--ttl-seconds", "1")
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
    harness.expect_error(done, 1)
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
