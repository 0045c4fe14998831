"""What is printed and does not arrive is an error, for every command that prints."""

import os
import signal
import subprocess

import harness
import pytest

FULL = "No space left on device"


def into_full(program, *words):
    with open("/dev/full", "wb") as full:
        return harness.finish(program.start(*words, stdout=full))


def lost(done, code=1):
    assert done.code == code, done
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert FULL in done.talk.splitlines()[0]
    return done.talk.splitlines()[1]


@pytest.mark.parametrize("words", [
    ["--help"], ["--version"], ["version"], ["help", "run"], [], ["env", "list"], ["env", "list", "-q"],
    ["env", "list", "--json"], ["env", "prune"], ["env", "prune", "--json"],
    ["task", "list", "--json"], ["task", "delete", "--all", "--json"], ["warm", "--json"], ["__describe"], ["__complete", ""],
], ids=" ".join)
def test_a_full_disk_below_stdout_is_told(bare, words):
    assert "output is lost" in lost(into_full(bare, *words))


def test_a_client_configuration_that_does_not_arrive_is_told(bare):
    assert "elsewhere" in lost(into_full(bare, "mcp", "config", "claude-code"))


def test_what_doctor_prints_is_looked_after_too(pyro):
    for flags in ((), ("--json",)):
        assert "output is lost" in lost(into_full(pyro, "doctor", *flags))


def test_an_error_document_that_does_not_arrive_is_told_once(bare):
    done = into_full(bare, "env", "inspect", "--json", "no-such:1")
    assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done
    assert "no-such:1" in done.talk


def test_a_closed_stdout_is_told_as_well(bare):
    done = harness.finish(subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&-', "sh", str(bare.program), "env", "list"],
        env=bare.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE))
    assert done.code == 1 and "Bad file descriptor" in done.talk, done


def test_a_reader_that_went_away_ends_it_as_other_programs(bare):
    process = bare.start("env", "list")
    process.stdout.close()
    process.stdout = None
    done = harness.finish(process)
    # The text is short: it may be written before the reader goes.
    assert done.code in (0, 128 + signal.SIGPIPE) and done.err == b"", done
    read, write = os.pipe()
    os.close(read)
    try:
        done = harness.finish(bare.start("env", "list", stdout=write))
    finally:
        os.close(write)
    assert (done.code, done.err) == (128 + signal.SIGPIPE, b""), done


def test_a_slow_non_blocking_pipe_loses_nothing(bare):
    read, write = os.pipe()
    os.set_blocking(write, False)
    os.write(write, b"x" * 65536)  # No room at first.
    process = bare.start("__describe", stdout=write)
    os.close(write)
    with open(read, "rb") as reader:
        got = reader.read()
    assert harness.finish(process).code == 0
    assert got == b"x" * 65536 + bare("__describe").out


def test_the_id_of_a_task_is_not_lost(pyro, create):
    for flags in (("-q",), (), ("--json",)):
        hint = lost(into_full(pyro, "task", "create", *flags, harness.BASE))
        (task_id,) = pyro("task", "list", "-q").text.split()
        assert hint == f"hint: the task was made and runs: its id is {task_id}"
        pyro("task", "delete", task_id)


def test_a_result_that_does_not_arrive_is_a_failure_of_pyro(pyro, create):
    task = create()
    lost(into_full(pyro, "run", "-q", "--json", harness.BASE, "--", "true"), 125)
    lost(into_full(pyro, "task", "exec", "-q", "--json", task.id, "--", "true"), 125)
    hint = lost(into_full(pyro, "task", "exec", "-q", "--background", task.id, "--", "true"), 125)
    assert hint == f"hint: the command runs: its sequence in task {task.id} is 2"
    for words in (["task", "status", task.id], ["task", "status", "--json", task.id], ["task", "list"], ["task", "list", "-q"],
                  ["task", "logs", task.id], ["task", "logs", "--json", task.id]):
        lost(into_full(pyro, *words))
    for words in (["run", "-q", harness.BASE], ["task", "exec", "-q", task.id]):
        assert "task logs" in lost(into_full(pyro, *words, "--", "echo", "x"), 125)
    lost(into_full(pyro, "task", "logs", "--sequence", "3", task.id))
