"""What a person at a terminal sees of tasks, commands and journals."""

import time

import harness
from terminal import Terminal

HOSTILE = r"printf '\033]2;PWNED\007\033[31mred\r\n=== 999 2026-01-01T00:00:00Z $ rm -rf / (exit_code=0, 1 ms)\nend'"


def on_terminal(program, *words, columns=80, stdin_too=True, **env):
    end = Terminal(columns)
    try:
        streams = {"stdout": end.slave, "stderr": end.slave}
        if stdin_too:
            streams["stdin"] = end.slave
        process = program.start(*words, env={"TERM": "dumb", **env}, **streams)
        shown = ""
        while process.poll() is None:
            shown = end.rest()
            time.sleep(0.01)
        return process.returncode, end.rest().replace("\r\n", "\n")
    finally:
        end.close()


def test_escape_sequences_of_the_journal_do_not_act_on_a_terminal(create, pyro):
    task = create()
    assert task.exec("sh", "-c", HOSTILE).code == 0
    for flags in ((), ("--sequence", "1"), ("--sequence", "1", "--follow"), ("--sequence", "1", "--stream", "stdout")):
        code, shown = on_terminal(pyro, "task", "logs", *flags, task.id)
        assert code == 0 and "\x1b" not in shown and "\x07" not in shown, shown
        assert r"\x1b]2;PWNED\x07\x1b[31mred" in shown
    for flags in (("--sequence", "1"), ("--sequence", "1", "--stream", "stdout")):
        assert "\x1b]2;PWNED\x07" in on_terminal(pyro, "task", "logs", "--raw", *flags, task.id)[1]
        assert b"\x1b]2;PWNED\x07\x1b[31mred\r\n" in pyro("task", "logs", *flags, task.id).out
    assert "\x1b]2;PWNED\x07" in on_terminal(pyro, "task", "logs", "--raw", task.id)[1]


def test_no_output_passes_for_a_heading(create, pyro):
    task = create()
    assert task.exec("sh", "-c", HOSTILE).code == 0
    assert task.exec("sh", "-c", "printf -- '--- stderr\\nlies' ; echo -n truth >&2").code == 0
    for shown in (pyro("task", "logs", task.id).text, on_terminal(pyro, "task", "logs", task.id)[1]):
        lines = shown.splitlines()
        assert [line.split()[1] for line in lines if line.startswith("===")] == ["1", "2"]
        assert [line for line in lines if line.startswith("---")] == ["--- stdout", "--- stdout", "--- stderr"]
        assert "| --- stderr" in lines and "| lies" in lines and "| truth" in lines


def test_a_running_command_shows_how_long_it_runs(create, pyro):
    task = create()
    assert task.exec("sh", "-c", "read line", flags=("-q", "--background", "--timeout-seconds", "250")).code == 0
    assert task.exec("sleep", "1000", flags=("-q", "--background", "--timeout-seconds", "250")).code == 0
    harness.wait_until(lambda: task.json("status")["last_command"]["duration_ms"] >= 1000, "a second has passed")
    assert "(running for " in pyro("task", "status", task.id).text
    heading = pyro("task", "logs", task.id, "--tail", "1").text
    assert "(running for " in heading and " 0 s)" not in heading, heading
    entry, = task.entries("--sequence", "2")
    assert entry["duration_ms"] >= 1000 and entry["exit_code"] is None


# Following.

def test_following_ends_with_the_commands_exit_code(create, pyro):
    task = create()
    none = pyro("task", "logs", "-f", task.id)
    assert none.code == 125 and "no command yet" in none.talk, none
    wait = "until [ -e go ]; do sleep 0.1; done; echo done; exit 5"
    assert task.exec("sh", "-c", f"echo begun; {wait}", flags=("-q", "--background", "--timeout-seconds", "250")).code == 0
    newest = pyro.start("task", "logs", "-f", task.id)
    assert newest.stdout.readline() == b"begun\n"
    named = pyro.start("task", "logs", "--follow", "--sequence", "1", task.id)
    document = pyro.start("task", "logs", "--follow", "--json", task.id)
    waits = pyro.start("task", "logs", "--sequence", "1", "--wait-seconds", "250", task.id)
    one = pyro.start("task", "wait", "--sequence", "1", task.id)
    idle = pyro.start("task", "wait", "--json", task.id)
    over = pyro("task", "wait", "--timeout-seconds", "1", task.id)
    assert over.code == 124 and over.text.startswith("Command 1: running for "), over
    assert harness.is_one_sentence_and_hint(over.talk), over
    harness.expect_error(pyro("task", "wait", "--json", "--sequence", "2", task.id), 125, "not_found")
    late = pyro("task", "logs", "--sequence", "1", "--wait-seconds", "0.1", task.id)
    assert (late.code, late.text) == (124, "begun\n"), late
    assert late.talk == "pyro: command 1 still runs\nhint: read on with --offset 6\n"
    # Pages without a wait are only read.
    assert pyro("task", "logs", "--sequence", "1", "--offset", "0", task.id).code == 0
    assert task.exec("touch", "go").code == 0
    done = harness.finish(newest)
    assert (done.code, done.out) == (5, b"done\n"), done
    for process in (named, waits):
        done = harness.finish(process)
        assert (done.code, done.out) == (5, b"begun\ndone\n"), done
    done = harness.finish(one)
    assert (done.code, done.text, done.talk) == (5, "Command 1: exited (exit_code=5)\n", ""), done
    done = harness.finish(idle)
    assert (done.code, done.json["complete"], done.json["commands"][0]["exit_code"]) == (0, True, 5), done
    done = harness.finish(document)
    assert done.code == 5, done
    entry, = done.json["entries"]
    assert (entry["sequence"], entry["exit_code"], entry["stdout"]) == (1, 5, "begun\ndone\n")
    page = pyro("task", "logs", "--sequence", "1", "--wait-seconds", "5", "--json", task.id)
    assert (page.code, page.json["exit_code"], page.json["complete"]) == (5, 5, True), page


def test_following_what_was_interrupted_is_a_failure_of_pyro(create, pyro):
    task = create()
    assert task.exec("sleep", "1000", flags=("-q", "--background", "--timeout-seconds", "250")).code == 0
    task.kill_guest()
    for words in (("logs", "-f"), ("wait", "--sequence", "1")):
        done = pyro("task", *words, task.id)
        assert done.code == 125 and "interrupted" in done.talk and harness.is_one_sentence_and_hint(done.talk), done


# Ids, and many of them.

def test_several_tasks_are_deleted_at_once(create, pyro):
    one, two, three, four = (create() for _ in range(4))
    done = pyro("task", "wait", one.id, "task_zzzzzz", two.id)
    assert (done.code, done.text) == (125, f"Task: {one.id}\nTask: {two.id}\n"), done
    done = pyro("task", "wait", "--json", one.id, two.id)
    assert (done.code, [task["complete"] for task in done.json["tasks"]]) == (0, [True, True]), done
    done = pyro("task", "rm", one.id, "task_zzzzzz", two.id.removeprefix("task_")[:8])
    assert done.code == 1, done
    assert done.text == f"Deleted task: {one.id}\nDeleted task: {two.id}\n"
    assert harness.is_one_sentence_and_hint(done.talk) and "task_zzzzzz" in done.talk
    done = pyro("task", "delete", "--json", "--all")
    assert (done.code, done.err) == (0, b""), done
    assert done.json == {"count": 2, "tasks": [{"task_id": task.id, "deleted": True} for task in (three, four)]}
    done = pyro("task", "delete", "--all")
    assert (done.code, done.text, done.talk) == (0, "", "pyro: there are no tasks\n"), done
    assert pyro("task", "list", "-q").text == ""


def test_a_task_that_never_was_is_said_not_to_have_been_there(create, pyro):
    create()
    never = "task_" + "a" * 26
    done = pyro("task", "delete", never)
    assert (done.code, done.text) == (0, f"There was no task {never}: nothing to delete\n"), done
    assert pyro("task", "delete", "--json", never).json == {"task_id": never, "deleted": True}


def test_an_id_may_leave_out_its_tag(create, pyro):
    task = create()
    short = task.id.removeprefix("task_")[:6]
    assert pyro("task", "exec", "-q", short, "--", "echo", "hi").text == "hi\n"
    assert pyro("task", "status", "--json", short).json["task_id"] == task.id


# Tables and closing lines.

def test_the_list_shows_network_and_last_command_in_80_columns(create, pyro):
    plain, networked = create(), create("--network")
    assert task_row(pyro, networked)[3] == "yes" and task_row(pyro, plain)[3] == "no"
    assert plain.exec("sh", "-c", "exit 3; " + "x" * 200).code == 3
    code, shown = on_terminal(pyro, "task", "list")
    lines = shown.splitlines()
    assert code == 0 and max(map(len, lines)) <= 80, shown
    row = next(line for line in lines if plain.id.startswith(line.split()[0]))
    assert "… (3)" in row and row.split()[3] == "no"
    short = row.split()[0]
    assert pyro("task", "status", "--json", short).json["task_id"] == plain.id
    assert f"Network: yes\n" in pyro("task", "status", networked.id).text
    assert f"Network: no\n" in pyro("task", "status", plain.id).text


def task_row(pyro, task):
    return next(line.split() for line in pyro("task", "list").text.splitlines() if line.startswith(task.id))


def test_the_closing_lines_put_the_exit_code_first_and_fit(create, pyro):
    task = create()
    done = task.exec("sh", "-c", "exit 3", flags=())
    (line,) = done.talk.splitlines()
    assert line.startswith("[task-exec] exit_code=3 duration_ms=") and len(line) <= 80, line
    assert " sequence=1 task_id=task_" in line and task.id.startswith(line.split("task_id=")[1])
    done = pyro.run("true", flags=())
    assert done.talk.splitlines()[-1].startswith("[run] exit_code=0 duration_ms=")
    assert len(done.talk.splitlines()[-1]) <= 80


def test_what_cannot_be_started_is_named(create, pyro):
    task = create()
    done = task.exec("ls -la")
    assert done.code == 127 and done.talk == (
        "pyro: 'ls -la' is not a program\n"
        "hint: give one string to a shell, as in sh -c 'ls -la', or separate the words\n"), done
    done = task.exec("/etc/passwd")
    assert done.code == 126 and done.talk.startswith("pyro: '/etc/passwd' is not executable\nhint: "), done


def test_a_shell_on_a_terminal_is_told_that_the_guest_has_none(pyro):
    end = Terminal()
    try:
        process = pyro.start("run", "-q", harness.BASE, "--timeout-seconds", "250", "--", "sh",
                             stdin=end.slave, stdout=end.slave, stderr=end.slave, env={"TERM": "dumb"})
        end.read_until(lambda seen: "a guest has no terminal, so 'sh' shows no prompt" in seen and "sh -c 'COMMANDS'" in seen)
        end.type("exit 7\n")
        assert process.wait(harness.HANG_SECONDS) == 7
    finally:
        end.close()
    # In a pipe there is no prompt to wait for.
    done = pyro.run("sh", input=b"exit 7\n")
    assert (done.code, done.err) == (7, b""), done
