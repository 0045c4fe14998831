"""A coding session over MCP by the official TypeScript SDK's client with its default limits: nothing is lost."""

import harness
import npm_tools

CLIENT_LIMIT = 60  # Seconds, of that client by default.


def emulates_without_need(pyro):
    report = pyro("doctor", "--json").json
    works = {one["name"]: one["works"] for one in report["machines"]}
    # A KVM that works may be so slow that it is not chosen.
    return works["usermode"] and report["accelerator"]["name"] == "tcg" and not harness.USERMODE


def test_a_coding_session_with_default_limits_loses_nothing(pyro):
    npm_tools.require()
    steps = npm_tools.steps_of("session.mjs", pyro)
    assert steps.pop("calls")["calls"] >= 15
    shown = sum(len(one["text"]) for one in steps.values()) / 4
    print(f"\n{len(steps)} calls, {shown:.0f} tokens of results, the longest call "
          f"{max(one['seconds'] for one in steps.values()):.1f} s")
    for name, one in steps.items():
        assert not one["failed"] and one["links"] == 0, (name, one)
    value = {name: one["value"] for name, one in steps.items()}
    text = {name: one["text"] for name, one in steps.items()}

    assert value["create"]["environment"] == "debian:12"
    assert value["broken"]["exit_code"] == 1 and "AssertionError" in text["broken"]
    assert value["mend"]["exit_code"] == 0 and value["commit"]["stdout"].strip() == "1"
    assert value["serve"]["state"] == "running" and "no time limit" in text["serve"]

    # The long one: what it had written by then, and how to read on; then all of it, and its exit code.
    task_id, sequence = value["create"]["task_id"], value["long"]["sequence"]
    assert value["long"]["state"] == "running" and value["long"]["stdout"].startswith("line 1\nline 2\n")
    assert f'task_logs(task_id="{task_id}", sequence={sequence}' in text["long"]
    entry, = value["long-end"]["entries"]
    assert (entry["state"], entry["outcome"], entry["exit_code"]) == ("ended", "exited", 3)
    assert entry["stdout"] == "".join(f"line {i}\n" for i in range(1, 71)) + "done\n"
    assert entry["duration_ms"] > CLIENT_LIMIT * 1000
    # Where such a time has a remedy, the user is told once, in the answer to the call that waited for the command.
    advised = [name for name, one in text.items() if "for the user to decide: " in one]
    assert len(advised) == emulates_without_need(pyro), text

    # The server has outlived the foreground's 30 s by far.
    assert value["fetch"]["stdout"] == "def fib(n):\n", text["fetch"]
    assert "GET /fib.py" in text["server-log"]
    assert value["stop-server"]["outcome"] == "cancelled"
    assert value["stop-server"]["duration_ms"] > CLIENT_LIMIT * 1000

    assert value["too-short"]["exit_code"] == 124
    assert "killed at its limit of 2 s" in text["too-short"] and "timeout_seconds" in text["too-short"]
    assert value["too-short"]["stdout"] == "begun\n"
    assert value["no-program"]["exit_code"] == 127
    assert "'ls -la' is not a program" in text["no-program"] and "give one string" in text["no-program"]
    assert value["bash"]["stdout"] == "debian b /tmp\n"
    outcomes = [one["outcome"] for one in value["journal"]["entries"]]
    assert outcomes == ["exited"] * 4 + ["cancelled"] + ["exited"] * 2 + ["timed_out", "not_started", "exited"]
