"""pyro's MCP tools on real guests, message by message."""

import base64
import json
import os
import re
import signal
import time
import urllib.request

import client
import harness
import pytest


def test_auto_is_what_the_user_has_decided(pyro, serve):
    assert pyro("config", "set", "machine.without_kvm", "usermode").code == 0
    pyro.env["PYRO_MACHINE"] = "tcg"
    pyro.env.pop("PYRO_ACCELERATOR", None)
    value = serve(pyro=pyro).value("vm_run", environment=harness.BASE, command="true", machine="auto", timeout_seconds=250)
    assert value["machine"] == "tcg", value


def test_vm_run_is_one_shot_and_stands_alone_in_both_forms(pyro, serve):
    server = serve(pyro=pyro)
    result = server.call("vm_run", {
        "environment": harness.BASE, "timeout_seconds": 250,
        "command": "echo out | tr a-z A-Z; echo err >&2; pwd; exit 7"})
    value = result["structuredContent"]
    assert (value["stdout"], value["stderr"]) == ("OUT\n/workspace\n", "err\n")
    assert (value["exit_code"], value["outcome"]) == (7, "exited")
    assert "execution_mode" not in value and value["environment"] == harness.BASE
    text = client.text_of(result)
    assert "exit_code=7" in text and "OUT\n" in text and "--- stderr" in text
    words = server.value("vm_run", environment=harness.BASE, timeout_seconds=250, env={"A": "b c"}, cwd="/tmp", user="daemon",
                         command=["sh", "-c", 'printf "%s|" "$@" "$A" "$PWD" "$(id -un)"', "sh", "a b", "$HOME", "*"])
    assert words["stdout"] == "a b|$HOME|*|b c|/tmp|daemon|"


def test_a_vm_lives_from_call_to_call_until_exec(pyro, serve):
    server = serve(pyro=pyro)
    vm_id = server.value("vm_create", environment=harness.BASE, network=False)["vm_id"]
    assert server.value("vm_status", vm_id=vm_id)["state"] == "created"
    assert server.value("vm_start", vm_id=vm_id)["state"] == "started"
    assert server.value("vm_network_info", vm_id=vm_id)["network_enabled"] is False
    assert server.value("vm_stop", vm_id=vm_id)["state"] == "stopped"
    assert server.value("vm_start", vm_id=vm_id)["state"] == "started"
    done = server.value("vm_exec", vm_id=vm_id, command="echo x", timeout_seconds=250)
    assert (done["stdout"], done["exit_code"]) == ("x\n", 0)
    assert server.failure("vm_status", vm_id=vm_id)["code"] == "not_found"
    other = server.value("vm_create", environment=harness.BASE)["vm_id"]
    assert [vm["vm_id"] for vm in server.value("vm_list")["vms"]] == [other]
    assert server.value("vm_delete", vm_id=other) == {"vm_id": other, "deleted": True}
    assert server.value("vm_reap_expired")["count"] == 0


def test_spares_are_kept_listed_and_taken(pyro, serve):
    server = serve(pyro=pyro)
    kept = server.value("vm_keep_spares", environment=harness.BASE, ttl_seconds=900)
    try:
        assert (kept["waiting"], kept["ttl_seconds"]) == (1, 900)
        assert [pool["environment"] for pool in server.value("vm_list")["spares"]] == [harness.BASE]
        ran = server.value("vm_run", environment=harness.BASE, command="echo taken", timeout_seconds=250)
        assert ran["stdout"] == "taken\n"
    finally:
        server.value("vm_keep_spares", environment=harness.BASE, count=0)
    assert server.value("vm_list") == {"count": 0, "vms": [], "spares": []}


def waiting_spare(pyro):
    """The id of the one that waits, once it does."""
    def found():
        return [path.parent.name for path in (pyro.state / "spares").glob("*/vm_*/control.sock")
                if not (path.parent / "taken").exists()]

    return harness.wait_until(found, "a spare waits")[0]


def no_spare_is_left(pyro):
    harness.wait_until(lambda: harness.descendants() == [], "no process is left")
    assert list((pyro.state / "spares").iterdir()) == []


def test_a_server_has_a_guest_that_waits_for_its_calls(pyro, serve):
    server = serve("--spares", "1", pyro=pyro)
    first = waiting_spare(pyro)
    [pool] = server.value("vm_list")["spares"]
    assert (pool["environment"], pool["count"], pool["waiting"]) == (harness.FULL, 1, 1)
    assert "expires_at" not in pool
    ran = server.value("vm_run", command="hostname", timeout_seconds=250)
    assert ran["stdout"] == f"pyro-{first[3:11]}\n"
    second = harness.wait_until(lambda: (spare := waiting_spare(pyro)) != first and spare, "another waits")
    task_id = server.value("task_create")["task_id"]
    assert task_id == "task_" + second[3:]
    assert client.run(server, task_id, "hostname; touch kept")["stdout"] == f"pyro-{second[3:11]}\n"
    assert server.close() == 0
    harness.wait_until(lambda: {process.pid for process in harness.descendants()} ==
                       {process.pid for process in harness.Task(pyro, task_id).processes()}, "only the task's guest is left")
    assert pyro("task", "exec", "-q", task_id, "--", "ls").text == "kept\n"
    assert pyro("task", "delete", task_id).code == 0
    no_spare_is_left(pyro)


def test_the_spares_of_a_killed_server_end(pyro, helpers):
    server = pyro.start("mcp", "serve", "--http", "127.0.0.1:0", "--spares", "1")
    url = server.stderr.readline().decode().split()[-1]
    asked = urllib.request.Request(url, data=json.dumps({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": client.LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
    }).encode(), headers={"Content-Type": "application/json", "Accept": "application/json, text/event-stream"})
    assert urllib.request.urlopen(asked, timeout=harness.HANG_SECONDS).status == 200
    waiting_spare(pyro)
    server.kill()
    harness.wait_until(lambda: server.poll() is not None, "the server has ended")
    no_spare_is_left(pyro)


def test_environments_and_the_host_are_seen_without_paths_of_the_host(pyro, serve):
    server = serve(pyro=pyro)
    inspected = server.value("vm_inspect_environment", environment=harness.BASE, verify=True)
    assert any(line.startswith("dash ") for line in inspected["packages"])
    assert "freed" in str(server.value("vm_prune_environments"))
    report = server.value("vm_doctor")
    assert report["runtime_ok"] is True
    for value in (inspected, report):
        assert str(pyro.cache) not in str(value) and str(pyro.state) not in str(value), value


def test_a_task_keeps_files_and_every_process_sees_it(session, pyro, scratch):
    source = scratch / "source"
    source.mkdir()
    (source / "seed").write_text("seeded\n")
    (source / "left.o").write_text("")
    os.mkfifo(source / "pipe")
    task_id = client.new_task(session, source_path=str(source), exclude=["*.o"])
    assert client.run(session, task_id, "ls")["stdout"] == "pipe\nseed\n"
    first = client.run(session, task_id, "cat seed; echo kept > f; exit 3")
    assert (first["stdout"], first["exit_code"], first["sequence"]) == ("seeded\n", 3, 2)
    assert (first["task_id"], first["state"]) == (task_id, "ended")
    entry = session.value("task_logs", task_id=task_id, sequence=2)["entries"][0]
    assert entry["command"] == ["/bin/bash", "-c", "cat seed; echo kept > f; exit 3"]
    assert client.run(session, task_id, ["cat", "f"])["stdout"] == "kept\n"
    assert pyro("task", "exec", "-q", task_id, "--", "cat", "f").text == "kept\n"
    assert session.value("task_status", task_id=task_id)["command_count"] == 4
    listed = session.value("task_list")
    assert [task["task_id"] for task in listed["tasks"]] == [task_id]
    out = scratch / "out"
    exported = session.value("task_export", task_id=task_id, path="f", destination=str(out))
    assert exported["destination"] == str(out) and out.read_text() == "kept\n"
    out.write_text("older")
    again = {"task_id": task_id, "path": "f", "destination": str(out)}
    assert session.failure("task_export", **again)["code"] == "already_exists"
    assert "notices" not in session.value("task_export", force=True, **again)
    assert out.read_text() == "kept\n"
    told = session.value("task_export", task_id=task_id, path=".", destination=str(scratch / "all"))
    assert told["notices"] == ["left out as FIFOs or devices: 'pipe'"]
    assert session.value("task_stop", task_id=task_id)["state"] == "stopped"
    again = client.run(session, task_id, "cat f")
    assert (again["stdout"], again["restarted"]) == ("kept\n", True)
    assert "starting it again" in again["notices"][0]
    assert session.value("task_delete", task_id=task_id) == {"task_id": task_id, "deleted": True}
    assert session.failure("task_status", task_id=task_id)["code"] == "not_found"


def test_long_output_is_cut_at_characters_and_the_rest_is_told(session):
    task_id = client.new_task(session)
    # 40 000 lines of a character of three bytes, and as much to stderr in control characters.
    result = session.call("task_exec", {
        "task_id": task_id, "timeout_seconds": 250,
        "command": "yes '€uro' | head -n 40000; yes \"$(printf '\\033')[0m\" | head -n 20000 >&2"})
    value = result["structuredContent"]
    assert len(json.dumps(value, ensure_ascii=False)) < client.RESULT_LIMIT
    assert len(client.text_of(result)) < client.RESULT_LIMIT
    assert value["stdout_truncated"] and value["stderr_truncated"]
    assert value["stdout_bytes"] == 40000 * 7 and "\ufffd" not in value["stdout"]
    assert value["stdout"].startswith("€uro\n€uro") and value["stdout"].endswith("€uro\n")
    links = [block["uri"] for block in result["content"] if block["type"] == "resource_link"]
    assert f"pyro://tasks/{task_id}/commands/1/stdout" in links
    # The offset that the cut names leads on without a gap.
    offset = int(re.search(r"stream=\"stdout\", offset=(\d+)", value["stdout"]).group(1))
    pages, at = [], 0
    while True:
        page = session.value("task_logs", task_id=task_id, sequence=1, stream="stdout", offset=at)
        assert len(json.dumps(page, ensure_ascii=False)) < client.RESULT_LIMIT
        pages.append(page["text"])
        at = page["next_offset"]
        if page["complete"]:
            break
    assert "".join(pages) == "€uro\n" * 40000
    assert value["stdout"].encode()[:offset] == ("€uro\n" * 40000).encode()[:offset]
    raw = session.value("task_logs", task_id=task_id, sequence=1, stream="stderr")
    assert len(json.dumps(raw, ensure_ascii=False)) < client.RESULT_LIMIT and raw["next_offset"] > 0
    listed = session.value("task_logs", task_id=task_id)
    assert len(json.dumps(listed, ensure_ascii=False)) < client.RESULT_LIMIT


def test_bytes_that_are_no_text_do_not_break_the_protocol(session):
    task_id = client.new_task(session)
    value = client.run(session, task_id, "head -c 3000 /dev/urandom; printf 'a\\000b\\377' >&2")
    assert "\ufffd" in value["stdout"] and not value.get("stdout_truncated")
    assert value["stderr"] == "a\x00b\ufffd"
    blob = session.request("resources/read", {"uri": f"pyro://tasks/{task_id}/commands/1/stderr"})
    content = blob.result["contents"][0]
    assert content["text"] == "a\x00b\ufffd" or base64.b64decode(content["blob"])


def test_progress_comes_while_a_command_runs_and_grows(session):
    task_id = client.new_task(session)
    number = session.call_later("task_exec", {
        "task_id": task_id, "timeout_seconds": 250,
        "command": "echo begun; until [ -e go ]; do sleep 0.1; done"}, progress="p1")
    session.wait_for_progress("p1", "6 B of output")
    client.run(session, task_id, "touch go")
    assert session.reply(number).result["structuredContent"]["exit_code"] == 0
    seen = session.progress("p1")
    values = [one["progress"] for one in seen]
    assert values == sorted(set(values)) and len(values) >= 2
    assert all(len(one["message"]) <= 200 and one.get("total", 250) == 250 for one in seen)


def test_stdin_reaches_a_command_byte_by_byte_also_in_the_background(session):
    task_id = client.new_task(session, name="reader")
    text = "é\n\x00 last line without an end"
    assert client.run(session, "reader", "cat", stdin=text)["stdout"] == text
    assert client.run(session, task_id, "wc -c", stdin="x" * 200_000)["stdout"] == "200000\n"
    assert client.run(session, task_id, "cat")["stdout"] == ""
    started = session.value("task_exec", task_id=task_id, background=True, command="cat > file", stdin=text)
    ended = session.value("task_logs", task_id=task_id, sequence=started["sequence"], wait_seconds=40)
    assert ended["entries"][0]["exit_code"] == 0, ended
    assert client.run(session, task_id, "od -An -tx1 file | tr -d ' \\n'")["stdout"] == text.encode().hex()
    assert session.value("task_read_file", task_id="reader", path="file")["text"] == text


@pytest.mark.parametrize("tool", ["vm_run", "task_exec"])
def test_cancelling_kills_what_ran_and_nothing_is_answered(session, pyro, tool):
    command = "echo begun; trap '' TERM INT; sleep 1000 & wait; while :; do sleep 1; done"
    arguments = {"command": command, "timeout_seconds": 900}
    if tool == "vm_run":
        arguments["environment"] = harness.BASE
    else:
        arguments["task_id"] = client.new_task(session)
    number = session.call_later(tool, arguments, progress="c")
    session.wait_for_progress("c", "of output")
    session.cancel(number)
    if tool == "vm_run":
        harness.wait_until(lambda: not pyro.directories(), "the VM is gone")
    else:
        entry = harness.wait_until(
            lambda: next((one for one in session.value(
                "task_logs", task_id=arguments["task_id"])["entries"] if one["state"] == "ended"), None),
            "the command has ended")
        assert (entry["outcome"], entry["exit_code"]) == ("cancelled", 130)
        assert entry["stdout"] == "begun\n"
        left = client.run(session, arguments["task_id"],
                   "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $p; echo; done 2>/dev/null "
                   "| grep -c '^[s]leep 1000' || true")
        assert left["stdout"] == "0\n"
    session.request("ping")
    assert not session.answered(number), "a cancelled request is not answered"


def test_background_and_reading_on(session):
    task_id = client.new_task(session)
    started = session.value("task_exec", task_id=task_id, background=True, timeout_seconds=600,
                            command="for i in 1 2 3; do echo line $i; until [ -e go$i ]; do sleep 0.1; done; done")
    assert (started["state"], started["sequence"]) == ("running", 1)
    assert "stdout" not in started and "exit_code" not in started
    page = session.value("task_logs", task_id=task_id, sequence=1, stream="stdout", wait_seconds=250)
    assert (page["text"], page["complete"], page["state"]) == ("line 1\n", False, "running")
    waiting = session.call_later("task_logs", {"task_id": task_id, "sequence": 1, "stream": "stdout",
                                               "offset": page["next_offset"], "wait_seconds": 250})
    client.run(session, task_id, "touch go1")
    assert session.reply(waiting).result["structuredContent"]["text"] == "line 2\n"
    whole = session.call_later("task_logs", {"task_id": task_id, "sequence": 1, "wait_seconds": 250})
    client.run(session, task_id, "touch go2 go3")
    entry = session.reply(whole).result["structuredContent"]["entries"][0]
    assert (entry["state"], entry["outcome"], entry["exit_code"]) == ("ended", "exited", 0)
    assert entry["stdout"] == "line 1\nline 2\nline 3\n"


def test_one_command_is_stopped_and_the_task_goes_on(session):
    task_id = client.new_task(session)
    session.value("task_exec", task_id=task_id, background=True, command="echo x; sleep 1000",
                  timeout_seconds=900)
    session.value("task_logs", task_id=task_id, sequence=1, stream="stdout", wait_seconds=250)
    stopped = session.value("task_stop", task_id=task_id, sequence=1)
    assert (stopped["outcome"], stopped["exit_code"], stopped["state"]) == ("cancelled", 130, "ended")
    assert client.run(session, task_id, "echo on")["stdout"] == "on\n"
    missing = session.failure("task_stop", task_id=task_id, sequence=99)
    assert missing["code"] == "not_found" and "task_logs" in missing["hint"]
    assert session.failure("task_logs", task_id=task_id, sequence=99)["code"] == "not_found"


@pytest.mark.parametrize("how", ["kill -9", "end of stdin", "SIGTERM"])
def test_a_server_that_goes_leaves_tasks_running_and_takes_vms_along(session, pyro, serve, how):
    task_id = client.new_task(session)
    number = session.call_later("task_exec", {
        "task_id": task_id, "timeout_seconds": 900,
        "command": "echo before; until [ -e go ]; do sleep 0.1; done; echo after"}, progress="t")
    session.wait_for_progress("t", "of output")
    one_shot = session.call_later("vm_run", {"environment": harness.BASE, "timeout_seconds": 900,
                                             "command": "echo in; sleep 1000"}, progress="v")
    session.wait_for_progress("v", "of output")
    if how == "kill -9":
        session.kill()
    elif how == "SIGTERM":
        session.process.send_signal(signal.SIGTERM)
        assert session.process.wait(timeout=60) == 0
    else:
        began = time.monotonic()
        assert session.close() == 0
        assert time.monotonic() - began < 20
    assert not session.answered(number) and not session.answered(one_shot)
    harness.wait_until(lambda: not pyro.directories(), "the one-shot VM is gone")
    second = serve("--answer-seconds", "600", pyro=pyro)
    entry = second.value("task_logs", task_id=task_id)["entries"][0]
    assert (entry["state"], entry["stdout"]) == ("running", "before\n")
    client.run(second, task_id, "touch go")
    entry = second.value("task_logs", task_id=task_id, sequence=1, wait_seconds=250)["entries"][0]
    assert (entry["state"], entry["exit_code"], entry["stdout"]) == ("ended", 0, "before\nafter\n")


TASKS = {"extensions": {"io.modelcontextprotocol/tasks": {}}}


def test_mcp_tasks_are_backed_by_the_journal_and_outlive_the_server(session, pyro, serve):
    task_id = client.new_task(session)
    modern = serve(pyro=pyro, era="modern", capabilities=TASKS)
    quick = modern.call("task_exec", {"task_id": task_id, "command": "echo quick"})
    assert quick["resultType"] in ("complete", "task")
    created = modern.request("tools/call", {"name": "task_exec", "arguments": {
        "task_id": task_id, "timeout_seconds": 900,
        "command": "echo begun; until [ -e go ]; do sleep 0.1; done; exit 5"}}).result
    assert (created["resultType"], created["status"]) == ("task", "working"), created
    handle = created["taskId"]
    assert handle == f"{task_id}.2"
    modern.kill()
    other = serve(pyro=pyro, era="modern", capabilities=TASKS)
    state = other.request("tasks/get", {"taskId": handle}).result
    assert state["status"] == "working" and "command 2 runs" in state["statusMessage"]
    client.run(session, task_id, "touch go")
    state = harness.wait_until(
        lambda: (lambda s: s if s["status"] != "working" else None)(
            other.request("tasks/get", {"taskId": handle}).result), "the MCP task ends")
    assert state["status"] == "completed", state
    assert state["result"]["structuredContent"]["exit_code"] == 5
    assert state["result"]["structuredContent"]["stdout"] == "begun\n"
    # One more, cancelled through the extension.
    created = other.request("tools/call", {"name": "task_exec", "arguments": {
        "task_id": task_id, "timeout_seconds": 900, "command": "sleep 1000"}}).result
    other.request("tasks/cancel", {"taskId": created["taskId"]})
    state = other.request("tasks/get", {"taskId": created["taskId"]}).result
    assert state["status"] == "cancelled"
    sequence = int(created["taskId"].split(".")[1])
    entry = session.value("task_logs", task_id=task_id, sequence=sequence)["entries"][0]
    assert entry["outcome"] == "cancelled"
    for bad in (f"{task_id[:12]}.1", f"{task_id}.99", f"{task_id}.01", task_id, "x", f"{task_id}.-1"):
        assert other.request("tasks/get", {"taskId": bad}).error["code"] == -32602, bad


def test_resources_show_tasks_and_tell_of_changes(session):
    task_id = client.new_task(session)
    uris = [one["uri"] for one in session.request("resources/list").result["resources"]]
    assert f"pyro://tasks/{task_id}" in uris and f"pyro://tasks/{task_id}/logs" in uris

    def read(path):
        content = session.request("resources/read", {"uri": f"pyro://tasks{path}"}).result["contents"]
        return content[0]["text"]

    session.value("task_exec", task_id=task_id, background=True, timeout_seconds=900,
                  command="echo one; until [ -e go ]; do sleep 0.1; done; echo two")
    session.value("task_logs", task_id=task_id, sequence=1, stream="stdout", wait_seconds=250)
    assert json.loads(read(""))["tasks"][0]["task_id"] == task_id
    assert json.loads(read(f"/{task_id}"))["command_count"] == 1
    assert json.loads(read(f"/{task_id}/logs"))["entries"][0]["stdout"] == "one\n"
    assert json.loads(read(f"/{task_id}/commands/1"))["state"] == "running"
    stream = f"pyro://tasks/{task_id}/commands/1/stdout"
    assert read(f"/{task_id}/commands/1/stdout") == "one\n"
    session.request("resources/subscribe", {"uri": stream})
    client.run(session, task_id, "touch go")
    session.wait_for("an update", lambda one: one["method"] == "notifications/resources/updated"
                     and one["params"]["uri"] == stream)
    harness.wait_until(lambda: read(f"/{task_id}/commands/1/stdout") == "one\ntwo\n", "all is read")
    session.request("resources/unsubscribe", {"uri": stream})
    done = session.request("completion/complete", {
        "ref": {"type": "ref/resource", "uri": "pyro://tasks/{task_id}/commands/{sequence}"},
        "argument": {"name": "task_id", "value": "task_"}}).result["completion"]
    assert done["values"] == [task_id]
    done = session.request("completion/complete", {
        "ref": {"type": "ref/resource", "uri": "pyro://tasks/{task_id}/commands/{sequence}"},
        "argument": {"name": "sequence", "value": ""},
        "context": {"arguments": {"task_id": task_id}}}).result["completion"]
    assert done["values"] == ["2", "1"]


def test_calls_run_side_by_side(session):
    task_id = client.new_task(session)
    slow = session.call_later("task_exec", {
        "task_id": task_id, "timeout_seconds": 900,
        "command": "until [ -e go ]; do sleep 0.1; done"})
    numbers = [session.call_later("task_exec", {"task_id": task_id, "command": f"echo {i}",
                                                "timeout_seconds": 250}) for i in range(6)]
    got = sorted(session.reply(number).result["structuredContent"]["stdout"] for number in numbers)
    assert got == [f"{i}\n" for i in range(6)]
    assert not session.answered(slow)
    client.run(session, task_id, "touch go")
    assert session.reply(slow).result["structuredContent"]["exit_code"] == 0


def test_a_timeout_is_a_result(session):
    task_id = client.new_task(session)
    value = session.value("task_exec", task_id=task_id, command="sleep 1000", timeout_seconds=2)
    assert (value["exit_code"], value["outcome"]) == (124, "timed_out")


def test_a_lost_guest_is_an_error_that_says_what_is_kept(session, pyro):
    task_id = client.new_task(session)
    number = session.call_later("task_exec", {"task_id": task_id, "timeout_seconds": 900,
                                              "command": "echo so far; sleep 1000"}, progress="g")
    session.wait_for_progress("g", "of output")
    harness.Task(pyro, task_id).kill_guest()
    result = session.reply(number).result
    assert result["isError"] is True
    error = json.loads(result["content"][0]["text"])["error"]
    assert error["code"] == "guest_unavailable" and "task_logs" in error["hint"], error
    entry = session.value("task_logs", task_id=task_id, sequence=1)["entries"][0]
    assert (entry["outcome"], entry["stdout"]) == ("interrupted", "so far\n")


def test_a_task_on_the_host_works_except_in_the_background(guestless, serve):
    server = serve(pyro=guestless)
    made = server.value("task_create", environment=harness.BASE, allow_host_compat=True)
    assert made["execution_mode"] == "host_compat" and "virtual machine" in made["notices"][0]
    task_id = made["task_id"]
    value = server.value("task_exec", task_id=task_id, command="echo x; exit 3")
    assert (value["stdout"], value["exit_code"], value["execution_mode"]) == ("x\n", 3, "host_compat")
    refused = server.failure("task_exec", task_id=task_id, command="true", background=True)
    assert refused["code"] == "wrong_state" and refused["hint"], refused
    assert server.value("task_delete", task_id=task_id)["deleted"] is True


def test_defaults_and_labels_of_a_task_hold_for_its_commands(session):
    task_id = client.new_task(session, labels={"kind": "test"}, env={"A": "b c"}, cwd="/tmp", user="daemon", timeout_seconds=200)
    shown = client.run(session, task_id, 'echo "$A $PWD $(id -un)"')
    assert shown["stdout"] == "b c /tmp daemon\n"
    assert [one["task_id"] for one in session.value("task_list", labels=["kind=test"])["tasks"]] == [task_id]
    assert session.value("task_list", labels=["kind=other"])["tasks"] == []
    assert "b c" not in str(session.value("task_status", task_id=task_id))


@harness.only_on("qemu", "a guest in user mode has another kernel, which does not begin as the code of a PC does")
def test_a_doctor_whose_guest_hangs_is_cancelled_with_its_guest(bare, cache_dir, serve, scratch):
    harness.copy_base(cache_dir, bare.cache)
    kernel = bare.cache / "environments/debian-12-base/current/vmlinuz"
    code = bytearray(kernel.read_bytes())
    assert code[0x202:0x206] == b"HdrS"
    code[0x200:0x202] = b"\xeb\xfe"  # Its first instruction jumps to itself.
    kernel.chmod(0o600)
    kernel.write_bytes(code)
    passed = scratch / "passed"
    bare.env["PYRO_FAILPOINT_LOG"] = str(passed)

    def machines():
        return [below for one in harness.of_program(harness.descendants(), "pyro-supervisor")
                for below in harness.of_program(harness.descendants(one.pid), harness.MACHINE)]

    server = serve(pyro=bare)
    number = server.call_later("vm_doctor", {})
    harness.wait_until(machines, "a guest starts")
    server.cancel(number)
    harness.wait_until(lambda: not machines() and not bare.directories(), "the guest is gone")
    # Removed by its caller: what does not boot in its time is lost instead.
    assert "supervisor.remove.guest-off" in passed.read_text() and "supervisor.lost" not in passed.read_text()
    server.request("ping")
    assert not server.answered(number), "a cancelled request is not answered"
