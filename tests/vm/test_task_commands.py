"""Single commands of a task: in the background, cancelled from elsewhere, read page by page."""

import time

import harness
import pytest


def background(task, *command, flags=()):
    """Starts it and returns its sequence."""
    done = task.exec(*command, flags=("--background", *flags))
    assert done.code == 0, done
    return int(done.text)


def page(task, sequence, *flags):
    """One that waits ends with the command's exit code, or with 124 while it runs."""
    done = task.pyro("task", "logs", task.id, "--json", "--sequence", str(sequence), *flags)
    read = done.json
    ended = 124 if read["state"] == "running" else read["exit_code"]
    assert done.code == (ended if "--wait-seconds" in flags else 0), done
    return read


def wait_for_end(task, sequence):
    return harness.wait_until(
        lambda: next((entry for entry in task.entries("--sequence", str(sequence))
                      if entry["state"] == "ended"), None), "the command has ended")


def test_a_command_in_the_background_goes_on_without_a_client(pyro, create):
    task = create()
    done = task.exec("sh", "-c", "cat; echo begun; until [ -e go ]; do sleep 0.1; done; exit 4",
                     flags=("--background",))
    assert (done.code, done.text) == (0, "1\n"), done
    assert done.talk == f"[task-exec] state=running sequence=1 task_id={task.id[:13]}\n"
    assert not harness.of_program(harness.descendants(), "pyro")
    got = page(task, 1, "--stream", "stdout", "--wait-seconds", "100")
    assert (got["text"], got["state"], got["complete"]) == ("begun\n", "running", False)
    assert (got["offset"], got["next_offset"], got["total_bytes"]) == (0, 6, 6)
    assert task.exec("touch", "go").code == 0
    entry = wait_for_end(task, 1)
    assert (entry["outcome"], entry["exit_code"], entry["stdout"]) == ("exited", 4, "begun\n")


def test_background_in_json_and_with_a_start_first(create):
    task = create()
    task.stop()
    done = task.exec("sh", "-c", "echo hi", flags=("--background", "--json"))
    assert done.code == 0, done
    started = done.json
    assert (started["task_id"], started["sequence"], started["state"]) == (task.id, 1, "running")
    assert (started["restarted"], started["exit_code"], started["outcome"]) == (True, None, None)
    assert started["command"] == ["sh", "-c", "echo hi"]
    assert wait_for_end(task, 1)["stdout"] == "hi\n"


def test_a_command_has_its_variables_its_directory_and_its_user(create, scratch):
    task = create()
    made = task.exec("sh", "-c", "echo 'web:x:1000:1000::/home/web:/bin/dash' >> /etc/passwd; mkdir -p src; "
                     "printf 'web:x:1000:\\nextra:x:1001:root,web\\n' >> /etc/group; chown web:web src")
    assert made.code == 0, made
    variables = scratch / "variables"
    variables.write_text("# of a file\nFILE='a b'\nOURS\nONE=no\n")
    script = ('echo "$ONE|$FILE|$OURS|${GONE-unset}"; pwd; id -un; id -Gn; echo "$HOME $USER $LOGNAME $SHELL"; '
              "touch mine; touch ../mine 2>/dev/null || echo refused; echo err >/dev/stderr; "
              "cat /dev/stdin >/dev/stdout; exit 70")
    done = task.exec("sh", "-c", script, input=b"in\0\n", env={"OURS": "sesame opens", "GONE": None},
                     flags=("-q", "--env", "ONE=it's 1", "--env", "GONE", "--env-file", variables, "--cwd", "src",
                            "--user", "web"))
    assert (done.code, done.err) == (70, b"err\n"), done
    assert done.out == (b"it's 1|'a b'|sesame opens|unset\n/workspace/src\nweb\nweb extra\n"
                        b"/home/web web web /bin/dash\nrefused\nin\0\n")
    assert task.exec("stat", "-c", "%U:%G", "src/mine").text == "web:web\n"
    assert task.exec("sh", "-c", "id -u; id -g; id -G; echo $HOME", flags=("-q", "--user", "4321:extra")).text == \
        "4321\n1001\n1001\n/\n"
    entry = task.entries("--sequence", "2")[0]
    assert (entry["cwd"], entry["user"], entry["exit_code"]) == ("/workspace/src", "web", 70)
    told = [path for path in task.directory.rglob("*") if path.is_file() and path.suffix != ".img"
            and path.name != "stdout" and b"sesame" in path.read_bytes()]
    assert not told
    for flag, value, sentence in (("--user", "missing", "the guest has no user 'missing'"),
                                  ("--user", "web:missing", "the guest has no group 'missing'"),
                                  ("--cwd", "missing", "the directory '/workspace/missing' to run it in does not exist"),
                                  ("--cwd", "/etc/passwd", "'/etc/passwd', to run it in, is no directory")):
        done = task.exec("true", flags=("-q", flag, value))
        assert done.code == 126 and sentence in done.talk, done
    assert [entry["outcome"] for entry in task.entries("--tail", "4")] == ["not_started"] * 4


@pytest.mark.cost(10)
def test_a_background_command_ends_at_its_timeout(create):
    task = create()
    sequence = background(task, "sh", "-c", "echo x; sleep 1000", flags=("--timeout-seconds", "3"))
    entry = wait_for_end(task, sequence)
    assert (entry["outcome"], entry["exit_code"], entry["stdout"]) == ("timed_out", 124, "x\n")


def test_cancelling_kills_the_whole_tree_and_is_recorded(create):
    task = create()
    # One that ignores what can be ignored, with a child in a session of its own.
    script = ("trap '' TERM INT HUP; setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > child; "
              "while :; do sleep 0.1; done' & echo begun; while :; do sleep 0.1; done")
    sequence = background(task, "sh", "-c", script)
    page(task, sequence, "--stream", "stdout", "--wait-seconds", "100")
    assert task.exec("sh", "-c", "until [ -s child ]; do sleep 0.1; done").code == 0
    stopped = task.json("stop", "--sequence", str(sequence))
    assert (stopped["task_id"], stopped["sequence"]) == (task.id, sequence)
    assert (stopped["state"], stopped["outcome"], stopped["exit_code"]) == ("ended", "cancelled", 130)
    entry = task.entries("--sequence", str(sequence))[0]
    assert (entry["outcome"], entry["stdout"]) == ("cancelled", "begun\n")
    # The guest stays, and nothing of the command does.
    assert task.exec("sh", "-c", "kill -0 $(cat child)").code != 0
    assert task.json("status")["state"] == "started"
    # Once more is no harm, and says how it ended.
    again = task.pyro("task", "stop", task.id, "--sequence", str(sequence))
    killed = stopped["killed"]
    assert again.code == 0 and again.text.startswith(f"Command {sequence}: cancelled (exit_code=130); killed "
                                                     f"{killed['count']} processes ("), again
    assert again.text.endswith("; none is left\n") and killed["gone"] and killed["count"] >= 3, again


def test_a_client_that_waits_for_a_cancelled_command_gets_its_end(create):
    task = create()
    waiting = task.start("sh", "-c", "echo begun; sleep 1000")
    assert waiting.stdout.readline() == b"begun\n"
    assert task.json("stop", "--sequence", "1")["outcome"] == "cancelled"
    done = harness.finish(waiting)
    assert done.code == 130, done


def test_what_cannot_be_cancelled_is_said(create):
    task = create()
    done = task.pyro("task", "stop", task.id, "--sequence", "1", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "not_found"), done
    assert task.exec("sh", "-c", "exit 3").code == 3
    ended = task.json("stop", "--sequence", "1")
    assert (ended["outcome"], ended["exit_code"]) == ("exited", 3)
    # A guest that is gone took its command along.
    sequence = background(task, "sleep", "1000")
    task.kill_guest()
    assert task.json("stop", "--sequence", str(sequence))["outcome"] == "interrupted"


def test_processes_are_listed_with_the_commands_that_they_belong_to(create):
    task = create()
    background(task, "sleep", "1001")
    background(task, "sh", "-c", "sleep 1002 & sleep 1003; : \udcff")
    # The guest's kernel counts processor time in ticks: a process that has done little may have none. This one works
    # until the kernel has counted one for it.
    work = "while [ \"$(cut -d ' ' -f 14,15 /proc/$$/stat)\" = '0 0' ]; do i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done; done"
    background(task, "sh", "-c", f"{work}; exec sleep 1005")
    assert task.exec("sh", "-c", "sleep 1004 > /dev/null 2>&1 & cat /proc/2/comm").text == "kthreadd\n"
    wanted = {"sleep 1001": 1, "sleep 1002": 2, "sleep 1003": 2, r"sh -c 'sleep 1002 & sleep 1003; : \xff'": 2, "sleep 1004": 4,
              "sleep 1005": 3}

    def listed():
        told = task.json("processes")
        return told if wanted.keys() <= {one["command"] for one in told["processes"]} else None

    told = harness.wait_until(listed, "all have begun")
    assert (told["task_id"], told["count"], told["truncated"]) == (task.id, len(told["processes"]), False)
    processes = {one["command"]: one for one in told["processes"]}
    assert {command: processes[command]["sequence"] for command in wanted} == wanted
    assert processes["sleep 1002"]["parent"] == processes[list(wanted)[3]]["pid"]
    agent = told["processes"][0]
    assert (agent["pid"], agent["parent"], agent["sequence"]) == (1, 0, None)
    for one in told["processes"]:
        assert one["uid"] == 0 and one["state"] in ("running", "sleeping", "waiting", "zombie"), one
        assert min(one["age_seconds"], one["cpu_ms"]) >= 0 and one["rss_kib"] >= 0, one
    assert agent["rss_kib"] > 100 and processes["sleep 1005"]["cpu_ms"] > 0
    # The guest has threads of its kernel, and none of them is listed.
    assert not {2} & {one[name] for one in told["processes"] for name in ("pid", "parent")}
    shown = task.pyro("task", "processes", task.id)
    assert shown.code == 0 and shown.talk == "", shown
    head, *lines = shown.text.splitlines()
    assert head.split() == ["PID", "UID", "STATE", "SINCE", "CPU", "MEMORY", "CMD#", "COMMAND"]
    assert any(line.endswith("  1  \\_ sleep 1001") for line in lines), shown
    # A guest that does not run is not started to be asked.
    task.stop()
    refused = task.pyro("task", "processes", task.id, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "wrong_state"), refused
    assert "pyro task exec" in refused.json["error"]["hint"]
    assert task.json("status")["state"] == "stopped"


def test_pages_join_to_the_whole_at_characters(create):
    task = create()
    assert task.exec("sh", "-c", "printf 'aäö€𝄞%.0s' 1 2 3 4 5; printf 'e\\303' >&2").code == 0
    whole = task.pyro("task", "logs", task.id, "--sequence", "1", "--stream", "stdout").out
    assert whole.decode() == "aäö€𝄞" * 5
    for limit in (1, 2, 3, 4, 5, 7, 1000):
        offset, parts = 0, []
        while True:
            done = task.pyro("task", "logs", task.id, "--sequence", "1", "--stream", "stdout",
                             "--offset", str(offset), "--limit", str(limit))
            assert done.code == 0 and len(done.out) <= limit, done
            if limit > 3:
                done.out.decode()
            parts.append(done.out)
            offset += len(done.out)
            if not done.out:
                break
        assert b"".join(parts) == whole, limit
    # What ends within a character ends so.
    bad = task.pyro("task", "logs", task.id, "--sequence", "1", "--stream", "stderr")
    assert bad.out == b"e\xc3", bad
    last = page(task, 1, "--stream", "stdout", "--offset", str(len(whole)))
    assert (last["text"], last["complete"], last["total_bytes"]) == ("", True, len(whole))
    beyond = page(task, 1, "--stream", "stdout", "--offset", "999999")
    assert (beyond["text"], beyond["complete"]) == ("", True)


def test_waiting_ends_with_more_or_the_end_or_the_deadline(create):
    task = create()
    sequence = background(task, "sh", "-c",
                          "echo one; until [ -e go ]; do sleep 0.1; done; echo two; sleep 1000")
    first = page(task, sequence, "--stream", "stdout", "--wait-seconds", "100")
    assert first["text"] == "one\n"
    began = time.monotonic()
    none = page(task, sequence, "--stream", "stdout", "--offset", "4", "--wait-seconds", "0.5")
    assert (none["text"], none["state"]) == ("", "running")
    assert time.monotonic() - began >= 0.5
    waiting = task.pyro.start("task", "logs", task.id, "--json", "--sequence", str(sequence),
                              "--offset", "4", "--wait-seconds", "250")
    assert task.exec("touch", "go").code == 0
    assert harness.finish(waiting).json["text"] == "two\n"
    waiting = task.pyro.start("task", "logs", task.id, "--json", "--sequence", str(sequence),
                              "--stream", "stderr", "--wait-seconds", "250")
    task.json("stop", "--sequence", str(sequence))
    end = harness.finish(waiting).json
    assert (end["text"], end["state"], end["complete"]) == ("", "ended", True)


def test_bad_pages_are_usage_errors(create):
    task = create()
    task.exec("true")
    for code, flags in ((2, ("--stream", "stdout")), (2, ("--offset", "1")), (2, ("--limit", "5")),
                        (2, ("--sequence", "1", "--limit", "9999999")),
                        (2, ("--sequence", "1", "--follow", "--limit", "5")),
                        (2, ("--all", "--tail", "1")), (2, ("--sequence", "1", "--tail", "1"))):
        done = task.pyro("task", "logs", task.id, *flags)
        assert done.code == code and harness.is_one_sentence_and_hint(done.talk), done
    done = task.pyro("task", "logs", task.id, "--sequence", "1", "--stream", "stdin")
    assert done.code == 2, done


def test_a_task_on_the_host_has_no_background(guestless, create):
    on_host = create("--allow-host-compat")
    done = on_host.exec("true", flags=("--background", "--json"))
    assert (done.code, done.json["error"]["code"]) == (125, "wrong_state"), done
    assert on_host.entries() == []
    running = on_host.start("sh", "-c", "echo begun; sleep 1000")
    assert running.stdout.readline() == b"begun\n"
    refused = on_host.pyro("task", "stop", on_host.id, "--sequence", "1", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (1, "wrong_state"), refused
    running.terminate()
    harness.finish(running)
