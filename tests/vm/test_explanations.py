"""What the command line tells of a command whose exit code says too little."""

import json

import harness
import pytest


@pytest.fixture
def task(create):
    return create()


def test_a_background_command_has_no_limit_unless_one_is_given(pyro, task):
    assert pyro("task", "exec", "--background", "-q", task.id, "--", "sleep", "1000").text == "1\n"
    assert task.exec("sleep", "1000", flags=("--background", "-q", "--timeout-seconds", "1")).text == "2\n"
    entry = harness.wait_until(
        lambda: next((one for one in task.entries() if one["outcome"] == "timed_out"), None), "the second is killed")
    assert entry["sequence"] == 2 and "limit of 1 s" in entry["explanation"]["message"]
    first = task.entries()[0]
    assert (first["state"], first["timeout_seconds"]) == ("running", 0)
    assert first["duration_ms"] >= 1000


@pytest.mark.parametrize("words, code, message", [
    (["nosuch"], 127, "no program 'nosuch' is in the PATH"),
    (["ls -la"], 127, "'ls -la' is not a program"),
    (["cd", "src"], 127, "cd is a shell builtin, not a program"),
    (["/etc"], 126, "'/etc' is a directory, not a program"),
])
def test_a_command_that_did_not_start_says_why(pyro, words, code, message):
    done = pyro.run(*words)
    assert done.code == code and f"pyro: {message}" in done.talk and "\nhint: " in done.talk, done
    done = pyro.run(*words, flags=("--json",))
    why = json.loads(done.text)["explanation"]
    assert done.code == code and why["message"] == message and why["hint"], done


def test_a_kill_at_the_limit_says_the_option(pyro):
    done = pyro.run("sleep", "1000", flags=("--timeout-seconds", "2"))
    assert done.code == 124 and "pyro: the command was killed at its limit of 2 s" in done.talk, done
    assert "hint: give a longer --timeout-seconds, up to 604800\n" in done.talk, done


def test_output_that_is_left_open_is_told_unless_quiet_is_asked_for(pyro, task):
    words = ("sh", "-c", "(sleep 1000; echo late) & echo now")
    done = task.exec(*words, flags=())
    assert (done.code, done.text) == (0, "now\n") and "is not kept" in done.talk, done
    done = task.exec(*words, flags=("-q",))
    assert (done.code, done.text, done.talk) == (0, "now\n", ""), done
    assert task.exec(*words, flags=("--json",)).json["output_left_open"] is True
    assert "ended with the VM" in pyro.run(*words, flags=()).talk
