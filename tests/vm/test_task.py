"""Tasks: what is in them stays until task delete."""

import concurrent.futures
import json
import os
import re
import signal

import harness

EXEC_KEYS = {"stdout", "stderr", "exit_code", "duration_ms", "execution_mode", "environment",
             "task_id", "sequence", "command", "cwd"}
TASK_KEYS = {"task_id", "environment", "state", "workspace_path", "execution_mode", "vcpu_count",
             "mem_mib", "ttl_seconds", "created_at", "expires_at", "network_enabled",
             "allow_host_compat", "command_count", "last_command"}
ENTRY_KEYS = {"sequence", "command", "cwd", "exit_code", "duration_ms", "stdout", "stderr"}


# A life from create to delete.

def test_a_life_in_json(pyro, create, scratch):
    made = pyro("task", "create", "--json", "debian:12-base", "--mem-mib", "512")
    assert made.code == 0 and made.err == b"", made
    info = made.json
    assert TASK_KEYS <= info.keys()
    assert re.fullmatch(r"task_[a-z2-7]{26}", info["task_id"])
    assert (info["environment"], info["state"]) == ("debian:12-base", "started")
    assert (info["workspace_path"], info["mem_mib"], info["ttl_seconds"]) == ("/workspace", 512, 600)
    assert (info["command_count"], info["last_command"]) == (0, None)
    task = harness.Task(pyro, info["task_id"])
    assert task.entries() == []

    done = task.exec("sh", "-c", "pwd; echo err >&2; echo kept > f; exit 7", flags=("--json",))
    assert done.code == 7 and done.err == b"", done
    result = done.json
    assert EXEC_KEYS <= result.keys()
    assert (result["stdout"], result["stderr"]) == ("/workspace\n", "err\n")
    assert (result["exit_code"], result["outcome"], result["restarted"]) == (7, "exited", False)
    assert (result["task_id"], result["sequence"], result["cwd"]) == (task.id, 1, "/workspace")

    logs = task.json("logs")
    assert (logs["task_id"], logs["count"], len(logs["entries"])) == (task.id, 1, 1)
    entry = logs["entries"][0]
    assert ENTRY_KEYS <= entry.keys()
    for name in ("sequence", "command", "cwd", "exit_code", "stdout", "stderr", "execution_mode"):
        assert entry[name] == result[name], name
    assert (entry["state"], entry["outcome"], entry["stdout_bytes"]) == ("ended", "exited", 11)
    assert entry["started_at"] <= entry["ended_at"]

    status = task.json("status")
    assert status.keys() == info.keys()
    assert (status["state"], status["command_count"]) == ("started", 1)
    assert status["last_command"]["command"] == result["command"]
    assert status["last_command"]["exit_code"] == 7
    assert status["expires_at"] >= info["expires_at"]  # RFC 3339 in UTC sorts as text.
    listed = pyro("task", "list", "--json").json
    assert listed["count"] == 1 and listed["tasks"][0]["task_id"] == task.id

    exported = task.json("export", "f", str(scratch / "f"))
    assert (exported["task_id"], exported["path"]) == (task.id, "/workspace/f")
    assert exported["destination"] == str(scratch / "f")
    assert exported["bytes"] == 5
    assert (scratch / "f").read_text() == "kept\n"

    assert task.stop()["state"] == "stopped"
    assert not harness.descendants()
    assert task.stop()["state"] == "stopped"
    assert task.json("delete") == {"task_id": task.id, "deleted": True}
    assert task.json("delete") == {"task_id": task.id, "deleted": True}
    harness.expect_error(pyro("task", "status", task.id, "--json"), 1, "not_found")


def test_a_life_for_people(pyro, create):
    made = pyro("task", "create", "debian:12-base")
    assert made.code == 0, made
    fields = dict(line.split(": ", 1) for line in made.text.splitlines())
    assert fields["Environment"] == "debian:12-base" and fields["Workspace"] == "/workspace"
    assert fields["Resources"] == "1 vCPU / 1024 MiB" and fields["Command count"] == "0"
    task = harness.Task(pyro, fields["Task"])
    done = task.exec("sh", "-c", "echo out; echo err >&2; exit 3", flags=())
    assert (done.code, done.out) == (3, b"out\n"), done
    lines = done.talk.splitlines()
    assert lines[0] == "err" and len(lines) == 2
    assert re.fullmatch(rf"\[task-exec\] exit_code=3 duration_ms=\d+ sequence=1 task_id={task.id[:13]}", lines[1])
    logs = pyro("task", "logs", task.id)
    assert logs.code == 0 and "sequence" not in logs.text, logs
    assert "echo out; echo err >&2; exit 3" in logs.text and "exit_code=3" in logs.text
    assert "--- stdout\n| out\n--- stderr\n| err\n" in logs.text
    one = pyro("task", "logs", task.id, "--sequence", "1")
    assert (one.code, one.out, one.err) == (0, b"out\n", b"err\n"), one
    fields = dict(line.split(": ", 1)
                  for line in pyro("task", "status", task.id).text.splitlines())
    assert fields["State"] == "started" and fields["Command count"] == "1"
    assert fields["Last command"].endswith("(exit_code=3)")
    header, line = pyro("task", "list").text.splitlines()
    assert header.split() == ["TASK", "ENVIRONMENT", "STATE", "NET", "CMDS", "DISK", "USED", "LAST"]
    assert re.fullmatch(rf"{task.id} +debian:12-base +started +no +1 +[0-9.]+ [KM]iB +\d+ (s|min) +sh -c .* \(3\)",
                        line), line
    assert pyro("task", "stop", task.id).code == 0
    assert pyro("task", "delete", task.id).text == f"Deleted task: {task.id}\n"


def test_a_killed_guest_loses_nothing(pyro, create):
    task = create(environment=harness.FULL)
    first = task.exec("sh", "-c", "echo hello > f; echo root > /opt/mark; apt-get --version | head -1")
    assert first.code == 0 and first.out.startswith(b"apt "), first
    task.kill_guest()
    assert task.json("status")["state"] == "stopped"
    second = task.exec("cat", "f", "/opt/mark", flags=())
    assert (second.code, second.out) == (0, b"hello\nroot\n"), second
    assert sum("was stopped" in line for line in second.talk.splitlines()) == 1, second
    entries = task.entries()
    assert [entry["sequence"] for entry in entries] == [1, 2]
    assert [entry["stdout"] for entry in entries] == [first.text, "hello\nroot\n"]
    assert [entry["outcome"] for entry in entries] == ["exited", "exited"]


def test_a_stopped_task_comes_back_with_its_root_and_workspace(create):
    task = create()
    assert task.exec("sh", "-c", "echo w > f; chmod 640 f; ln -s f l; echo r > /etc/mark").code == 0
    task.stop()
    done = task.exec("sh", "-c", "cat f l /etc/mark; stat -c %a f", flags=("--json",))
    assert (done.code, done.json["stdout"]) == (0, "w\nw\nr\n640\n"), done
    assert done.json["restarted"] is True


# Commands.

def test_streams_and_exit_codes(create):
    task = create()
    cases = [(["sh", "-c", "echo out; echo err >&2; exit 7"], 7, b"out\n", "exited"),
             (["true"], 0, b"", "exited"),
             (["/etc/passwd"], 126, b"", "not_started"),
             (["no-such-program"], 127, b"", "not_started"),
             (["sh", "-c", "echo out; kill -9 $$"], 137, b"out\n", "signalled")]
    for sequence, (command, code, out, outcome) in enumerate(cases, 1):
        done = task.exec(*command)
        assert (done.code, done.out) == (code, out), done
        entry, = task.entries("--sequence", str(sequence))
        assert (entry["exit_code"], entry["outcome"], entry["command"]) == (code, outcome, command)
        assert entry["stdout"].encode() == out
    done = task.exec("sh", "-c", "echo begun; sleep 100", flags=("-q", "--timeout-seconds", "1"))
    assert (done.code, done.out) == (124, b"begun\n"), done
    entry = task.entries()[-1]
    assert (entry["exit_code"], entry["outcome"]) == (124, "timed_out")
    assert (entry["stdout"], entry["timeout_seconds"]) == ("begun\n", 1)
    assert task.entries()[0]["stderr"] == "err\n"
    assert task.exec("true").code == 0


def test_stdin_and_binary_output(create):
    task = create()
    data = bytes(range(256)) * 2000 + os.urandom(1 << 20)
    done = task.exec("cat", input=data)
    assert done.code == 0 and done.out == data
    one = task.pyro("task", "logs", task.id, "--sequence", "1")
    assert one.code == 0 and one.out == data
    done = task.exec("cat")  # From /dev/null.
    assert (done.code, done.out) == (0, b"")


def test_ctrl_c_is_recorded_as_cancelled(create):
    task = create()
    process = task.start("sh", "-c", "echo begun; exec sleep 200")
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130
    entry, = task.entries()
    assert (entry["state"], entry["outcome"], entry["stdout"]) == ("ended", "cancelled", "begun\n")
    done = task.exec("sh", "-c", "ps -e | grep -c '[s]leep' || true", flags=("-q",))
    assert done.code == 0 and done.text.strip() in ("", "0"), done
    assert task.json("status")["state"] == "started"


def test_a_killed_cli_leaves_its_command_running(pyro, create):
    task = create()
    process = task.start("sh", "-c", "echo begun; while [ ! -e go ]; do sleep 0.1; done; "
                         "echo rest; echo also >&2; exit 5")
    assert process.stdout.readline() == b"begun\n"
    process.kill()
    harness.finish(process)
    entry, = task.entries()
    assert (entry["state"], entry["outcome"], entry["exit_code"]) == ("running", None, None)
    follower = pyro.start("task", "logs", task.id, "--sequence", "1", "--follow")
    assert follower.stdout.readline() == b"begun\n"
    assert task.exec("touch", "go").code == 0
    followed = harness.finish(follower)
    assert (followed.code, followed.out, followed.err) == (5, b"rest\n", b"also\n"), followed
    entry = task.entries()[0]
    assert (entry["outcome"], entry["exit_code"]) == ("exited", 5)
    assert (entry["stdout"], entry["stderr"]) == ("begun\nrest\n", "also\n")


def test_eight_processes_at_once(create):
    task = create()

    def run(worker):
        for number in range(25):
            done = task.exec("echo", f"{worker}-{number}")
            assert (done.code, done.text) == (0, f"{worker}-{number}\n"), done

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(8)))
    entries = task.entries()
    assert [entry["sequence"] for entry in entries] == list(range(1, 201))
    said = set()
    for entry in entries:
        assert (entry["exit_code"], entry["stdout"]) == (0, entry["command"][1] + "\n")
        said.add(entry["command"][1])
    assert said == {f"{worker}-{number}" for worker in range(8) for number in range(25)}
    assert task.json("status")["command_count"] == 200


def test_much_output_is_whole_in_the_journal(pyro, create):
    task = create()
    done = task.exec("sh", "-c", "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo last",
                     flags=("--json",))
    assert done.code == 0, done
    whole = b"first\n" + b"x" * 3_000_000 + b"last\n"
    for form in (done.json, task.entries()[0]):
        assert form["stdout_truncated"] is True and form["stdout_bytes"] == len(whole)
        assert len(form["stdout"]) < 1_100_000
        assert form["stdout"].startswith("first\n") and form["stdout"].endswith("xlast\n")
    one = pyro("task", "logs", task.id, "--sequence", "1")
    assert one.code == 0 and one.out == whole
    task.stop()
    assert pyro("task", "logs", task.id, "--sequence", "1").out == whole


# Long journals.

def lengthen(task, entries):
    """Adds entries behind the only one of a stopped task, through its files and an adoption."""
    begin, end = map(json.loads, (task.directory / "journal.jsonl").read_text().splitlines())
    with open(task.directory / "journal.jsonl", "a") as log:
        for sequence in range(2, entries + 1):
            for line in (begin, end):
                log.write(json.dumps({**line, "sequence": sequence}) + "\n")
    for name in ("registry.db", "registry.db-wal", "registry.db-shm"):
        (task.pyro.state / name).unlink(missing_ok=True)


def test_ten_thousand_entries_are_counted_and_the_last_are_shown(pyro, create):
    task = create()
    assert task.exec("echo", "said").code == 0
    task.stop()
    lengthen(task, 10_000)
    assert task.json("status")["command_count"] == 10_000
    shown = pyro("task", "logs", task.id)
    assert shown.code == 0
    assert [line.split()[1] for line in shown.text.splitlines() if line.startswith("=== ")] == [
        str(sequence) for sequence in range(9901, 10_001)]
    assert shown.talk == "pyro: 9900 earlier entries are not shown; --all shows them\n"
    shown = pyro("task", "logs", task.id, "--all")
    assert shown.text.count("=== ") == 10_000 and shown.err == b"", shown.talk
    shown = pyro("task", "logs", task.id, "--tail", "3")
    assert shown.text.count("=== ") == 3 and shown.err == b"", shown
    assert len(task.entries()) == 10_000
    done = task.exec("echo", "next", flags=("--json",))
    assert (done.code, done.json["sequence"]) == (0, 10_001), done
    entry, = task.entries("--sequence", "10001")
    assert (entry["stdout"], entry["outcome"]) == ("next\n", "exited")
