"""Commands that outlast a call, are killed at their limit, do not start, or leave something behind: what a model is told."""

import json

import client
import harness
import pytest

ANSWER = "3"  # Seconds instead of the usual 45.


@pytest.fixture
def task_id(pyro):
    done = pyro("task", "create", "-q", "--mem-mib", "512", harness.BASE)
    assert done.code == 0, done
    yield done.text.strip()
    assert pyro("task", "delete", "-q", done.text.strip()).code == 0


@pytest.fixture
def session(pyro, serve):
    """A server that waits for the end of each command here."""
    return serve("--answer-seconds", "600", pyro=pyro)


@pytest.fixture
def hasty(pyro, serve):
    """A server that answers soon."""
    return serve("--answer-seconds", ANSWER, pyro=pyro)


def wait_for_end(session, task_id, sequence):
    def ended():
        entry = session.value("task_logs", task_id=task_id, sequence=sequence, wait_seconds=250)["entries"][0]
        return entry if entry["state"] == "ended" else None
    return harness.wait_until(ended, "the command has ended")


@pytest.mark.parametrize("progress", [None, "p"])
def test_a_call_answers_in_time_and_its_command_goes_on(hasty, session, task_id, progress):
    result = hasty.call("task_exec", {
        "task_id": task_id, "timeout_seconds": 900,
        "command": "echo before; until [ -e go ]; do sleep 0.1; done; echo after; exit 5"}, progress=progress)
    value = result["structuredContent"]
    assert (value["state"], value["sequence"], value["stdout"]) == ("running", 1, "before\n"), value
    assert "exit_code" not in value and "outcome" not in value and value["duration_ms"] > 0
    text = client.text_of(result)
    assert "still running and goes on; its limit is 900 s" in text and "before\n" in text
    assert f'task_logs(task_id="{task_id}", sequence=1, wait_seconds=40)' in text
    # A wait is not longer than a call, either, and says how long the command runs.
    waited = hasty.value("task_logs", task_id=task_id, sequence=1, wait_seconds=500)["entries"][0]
    assert waited["state"] == "running" and waited["duration_ms"] > value["duration_ms"]
    assert "running, " in client.text_of(session.call("task_logs", {"task_id": task_id}))
    session.value("task_exec", task_id=task_id, command="touch go", timeout_seconds=250)
    entry = wait_for_end(session, task_id, 1)
    assert (entry["outcome"], entry["exit_code"], entry["stdout"]) == ("exited", 5, "before\nafter\n")


def test_a_command_in_the_background_has_no_limit_unless_one_is_given(session, pyro, task_id):
    started = session.call("task_exec", {"task_id": task_id, "background": True, "command": "sleep 1000"})
    assert "it has no time limit" in client.text_of(started)
    limited = session.call("task_exec", {"task_id": task_id, "background": True, "timeout_seconds": 2,
                                         "command": "sleep 1000"})
    assert "its limit is 2 s" in client.text_of(limited)
    assert wait_for_end(session, task_id, 2)["explanation"]["message"].startswith("the command was killed at its limit of 2 s")
    entries = pyro("task", "logs", "--json", task_id).json["entries"]
    assert [one["timeout_seconds"] for one in entries] == [0, 2]
    assert [one["state"] for one in entries] == ["running", "ended"]
    assert entries[0]["duration_ms"] > 2000


@pytest.mark.parametrize("tool", ["vm_run", "task_exec"])
def test_a_kill_at_the_limit_says_the_limit_and_what_to_do(session, request, tool):
    arguments = {"command": "echo begun; sleep 1000", "timeout_seconds": 2}
    if tool == "vm_run":
        arguments["environment"] = harness.BASE
    else:
        arguments["task_id"] = request.getfixturevalue("task_id")
    result = session.call(tool, arguments)
    value = result["structuredContent"]
    assert (value["exit_code"], value["outcome"], value["stdout"]) == (124, "timed_out", "begun\n")
    why = value["explanation"]
    assert why["message"].startswith("the command was killed at its limit of 2 s")
    assert "timeout_seconds" in why["hint"] and ("background" in why["hint"]) == (tool == "task_exec")
    emulated = "No KVM on this host" in session.greeting["instructions"]
    assert ("emulates the CPU" in why["message"]) == emulated
    assert why["message"] in client.text_of(result) and why["hint"] in client.text_of(result)


@pytest.mark.parametrize("command, message, hint", [
    (["ls -la"], "'ls -la' is not a program", "give one string to a shell, as in sh -c 'ls -la'"),
    (["cd", "src"], "cd is a shell builtin", "give one string to a shell"),
    (["nosuch"], "no program 'nosuch' is in the PATH", "install the package"),
    (["./nosuch"], "'./nosuch' does not exist", "/workspace"),
    (["./script"], "'./script' is there, but the interpreter", "first line"),
    (["/etc"], "'/etc' is a directory", "program"),
    (["/etc/passwd"], "'/etc/passwd' is not executable", "chmod +x"),
])
def test_a_command_that_did_not_start_says_why(session, task_id, command, message, hint):
    session.value("task_exec", task_id=task_id, timeout_seconds=250,
                  command="printf '#!/no/such/interpreter\\n' > script; chmod +x script")
    result = session.call("task_exec", {"task_id": task_id, "command": command, "timeout_seconds": 250})
    value = result["structuredContent"]
    assert value["outcome"] == "not_started" and value["exit_code"] in (126, 127)
    assert message in value["explanation"]["message"] and hint in value["explanation"]["hint"], value
    assert message in client.text_of(result) and hint in client.text_of(result)


def test_a_string_is_run_by_bash_and_by_sh_where_there_is_none(session, pyro, task_id):
    script = "source /etc/os-release; set -o pipefail; x=(a b); pushd /tmp >/dev/null; echo $ID ${x[1]} $PWD $SHELL"
    done = session.value("task_exec", task_id=task_id, command=script, timeout_seconds=250)
    assert (done["stdout"], done["exit_code"]) == ("debian b /tmp /bin/bash\n", 0), done
    run = session.value("vm_run", environment=harness.BASE, command=script, timeout_seconds=250)
    assert run["stdout"] == done["stdout"]
    session.value("task_exec", task_id=task_id, command=["mv", "/bin/bash", "/bin/bash.gone"], timeout_seconds=250)
    session.value("task_stop", task_id=task_id)
    plain = session.value("task_exec", task_id=task_id, command="echo $0 $SHELL", timeout_seconds=250)
    assert plain["stdout"] == "/bin/sh /bin/sh\n"
    entries = pyro("task", "logs", "--json", task_id).json["entries"]
    assert [one["command"][0] for one in entries] == ["/bin/bash", "mv", "/bin/sh"]


def test_output_after_a_commands_end_is_said_to_be_dropped(session, pyro, task_id):
    command = "(until [ -e go ]; do sleep 0.1; done; echo late) & echo now"
    result = session.call("task_exec", {"task_id": task_id, "command": command, "timeout_seconds": 250})
    value = result["structuredContent"]
    assert (value["stdout"], value["exit_code"], value["output_left_open"]) == ("now\n", 0, True)
    assert "is not kept" in value["explanation"]["message"] and "is not kept" in client.text_of(result)
    done = session.value("task_exec", task_id=task_id, timeout_seconds=250,
                         command="(sleep 1000 >log 2>&1) & touch go; echo quiet")
    assert "explanation" not in done and "output_left_open" not in done, done
    entries = pyro("task", "logs", "--json", task_id).json["entries"]
    assert [one["output_left_open"] for one in entries] == [True, False]
    assert entries[0]["stdout"] == "now\n" and "is not kept" in entries[0]["explanation"]["message"]
    # What is lost with the registry comes back with it.
    assert pyro("task", "stop", "-q", task_id).code == 0
    for name in ("registry.db", "registry.db-wal", "registry.db-shm"):
        (pyro.state / name).unlink(missing_ok=True)
    entries = pyro("task", "logs", "--json", task_id).json["entries"]
    assert [one["output_left_open"] for one in entries] == [True, False]


def test_results_hold_nothing_that_helps_no_reader(session, task_id):
    result = session.call("task_exec", {"task_id": task_id, "command": "echo x", "timeout_seconds": 250})
    assert result["structuredContent"].keys() == {
        "task_id", "sequence", "state", "outcome", "exit_code", "duration_ms", "started_at", "stdout", "stderr"}
    assert [block["type"] for block in result["content"]] == ["text"]
    run = session.value("vm_run", environment=harness.BASE, command="echo x", timeout_seconds=250)
    assert run.keys() == {"outcome", "exit_code", "duration_ms", "environment", "machine", "stdout", "stderr"}
    for tool, arguments in (("task_logs", {}), ("task_logs", {"sequence": 1}), ("task_status", {}),
                            ("task_stop", {"sequence": 1}), ("task_stop", {})):
        result = session.call(tool, {"task_id": task_id, **arguments})
        text = client.text_of(result)
        assert len(text) < len(json.dumps(result["structuredContent"])) and not text.startswith("{"), text
        assert "echo x" in text, text


def test_a_call_that_must_build_first_says_how_far_it_is_and_the_next_joins(bare, serve):
    server = serve("--answer-seconds", "1", pyro=bare)
    for tool, arguments in (("task_create", {}), ("vm_run", {"command": "true"})):
        error = server.failure(tool, environment=harness.BASE, **arguments)
        assert error["code"] == "unavailable" and "is being built: step '" in error["message"], error
        assert "same call again" in error["hint"], error
    assert len(list(bare.cache.glob("environments/debian-12-base/.pull-*"))) == 1
