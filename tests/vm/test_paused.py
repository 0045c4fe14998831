"""Guests that stand still for a while, as on a host that sleeps, and their clocks."""

import contextlib
import os
import signal
import time

import harness
import pytest

# One of the guest's clock: long past, and beyond any time that a test takes.
PAST = "2001-01-01 00:00:00"


def qemu_of(task):
    [one] = harness.of_program(task.processes(), harness.MACHINE)
    return one.pid


@contextlib.contextmanager
def paused(task):
    """The guest stands still meanwhile, all of its CPUs and devices."""
    pid = qemu_of(task)
    os.kill(pid, signal.SIGSTOP)
    harness.wait_until(lambda: harness.read_process(pid).state == "T", "QEMU stands still")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def clock(task):
    done = task.exec("date", "+%s")
    assert done.code == 0, done
    return int(done.text)


@pytest.mark.cost(40)
def test_a_command_that_times_out_in_a_guest_that_stands_still_ends_no_other(create):
    task = create()
    other = task.start("sh", "-c", "echo begun; read line; echo $line", stdin=-1)
    assert other.stdout.readline() == b"begun\n"
    victim = task.start("sh", "-c", "echo begun; sleep 200", flags=("-q", "--timeout-seconds", "3"))
    assert victim.stdout.readline() == b"begun\n"
    with paused(task):
        done = harness.finish(victim)
        assert done.code == 124, done
        entry = task.entries()[1]
        assert (entry["exit_code"], entry["stdout"]) == (124, "begun\n"), entry
    out, err = other.communicate(b"alive\n", timeout=harness.HANG_SECONDS)
    assert (other.returncode, out) == (0, b"alive\n"), err
    # The killed command is gone in the guest too, and the guest is the same one.
    left = task.exec("sh", "-c", "grep -l sleep /proc/[0-9]*/comm || true")
    assert (left.code, left.out) == (0, b""), left
    assert [entry["outcome"] for entry in task.entries()] == ["exited", "timed_out", "exited"]


@pytest.mark.cost(200)
def test_a_guest_that_stays_silent_is_given_up_and_started_again(create):
    task = create()
    other = task.start("sleep", "250")
    harness.wait_until(lambda: len(task.entries()) == 1, "the first command runs")
    pid = qemu_of(task)
    victim = task.start("sleep", "250", flags=("-q", "--timeout-seconds", "1"))
    harness.wait_until(lambda: len(task.entries()) == 2, "the second command runs")
    os.kill(pid, signal.SIGSTOP)
    assert harness.finish(victim).code == 124
    assert harness.finish(other).code == 125
    again = task.exec("echo", "fine")
    assert (again.code, again.out) == (0, b"fine\n"), again
    assert [entry["outcome"] for entry in task.entries()] == ["interrupted", "timed_out", "exited"]


@pytest.fixture
def beats(pyro, scratch):
    """beats(n): waits until the supervisor has looked after its guest n more times."""
    log = scratch / "reached"
    log.touch()
    pyro.env["PYRO_FAILPOINT_LOG"] = str(log)

    def count():
        return log.read_text().split().count("supervisor.beat")

    def wait(more):
        wanted = count() + more
        harness.wait_until(lambda: count() >= wanted, f"{more} more beats")

    return wait


@pytest.mark.cost(110)
def test_a_clock_that_a_command_sets_stays_until_the_guest_stood_still(beats, create):
    task = create()
    assert task.exec("date", "-s", PAST).code == 0
    beats(3)
    assert clock(task) < 1_000_000_000, "it was set back while nothing happened"
    with paused(task):
        beats(3)  # One asks, the next ones miss the answer.
    harness.wait_until(lambda: abs(clock(task) - time.time()) < 60, "the guest has the host's time")
    # And it can be set again.
    assert task.exec("date", "-s", PAST).code == 0
    beats(2)
    assert clock(task) < 1_000_000_000


@pytest.mark.cost(60)
def test_a_guest_that_stands_still_is_no_answer_and_answers_again_when_it_goes_on(create):
    task = create()
    with paused(task):
        done = task.pyro("task", "processes", task.id, "--json")
        assert (done.code, done.json["error"]["code"]) == (1, "guest_unavailable"), done
        assert done.json["error"]["message"] == "the guest has not answered for 20 s"
    assert task.json("processes")["processes"][0]["pid"] == 1
