"""Tasks: what is in them stays until task delete."""

import concurrent.futures
import io
import os
import re
import shutil
import signal
import subprocess
import tarfile

import harness
import pytest

EXEC_KEYS = {"stdout", "stderr", "exit_code", "duration_ms", "execution_mode", "environment",
             "task_id", "sequence", "command", "cwd"}
TASK_KEYS = {"task_id", "environment", "state", "workspace_path", "execution_mode", "vcpu_count",
             "mem_mib", "ttl_seconds", "created_at", "expires_at", "network_enabled",
             "allow_host_compat", "command_count", "last_command"}
ENTRY_KEYS = {"sequence", "command", "cwd", "exit_code", "duration_ms", "stdout", "stderr"}


def expect_error(done, code, name=None):
    assert done.code == code, done
    if name is not None:
        assert done.json["error"]["code"] == name, done
    else:
        assert done.out == b"" and harness.is_one_sentence_and_hint(done.talk), done


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
    assert exported["bytes"] >= 5  # Of the tar that it came in.
    assert (scratch / "f").read_text() == "kept\n"

    assert task.stop()["state"] == "stopped"
    assert not harness.descendants()
    assert task.stop()["state"] == "stopped"
    assert task.json("delete") == {"task_id": task.id, "deleted": True}
    expect_error(pyro("task", "delete", task.id, "--json"), 1, "not_found")


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
    assert re.fullmatch(rf"\[task-exec\] task_id={task.id} sequence=1 cwd=/workspace "
                        r"execution_mode=guest_virtio_serial exit_code=3 duration_ms=\d+", lines[1])
    logs = pyro("task", "logs", task.id)
    assert logs.code == 0 and "sequence" not in logs.text, logs
    assert "echo out; echo err >&2; exit 3" in logs.text and "exit_code=3" in logs.text
    assert "--- stdout\nout\n--- stderr\nerr\n" in logs.text
    one = pyro("task", "logs", task.id, "--sequence", "1")
    assert (one.code, one.out, one.err) == (0, b"out\n", b"err\n"), one
    fields = dict(line.split(": ", 1)
                  for line in pyro("task", "status", task.id).text.splitlines())
    assert fields["State"] == "started" and fields["Command count"] == "1"
    assert fields["Last command"].endswith("(exit_code=3)")
    assert task.id in pyro("task", "list").text
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
    assert (followed.code, followed.out, followed.err) == (0, b"rest\n", b"also\n"), followed
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


# Seeds and exports.

def tree(root):
    """Every entry below it: kind, mode, size, target and time of change. Git's index is left out:
    git itself refreshes it; a directory's size and time say nothing of its content."""
    lines = subprocess.run(
        ["find", ".", "-path", "./.git/index", "-prune", "-o", "-type", "d", "-printf",
         "%P d %m\\n", "-o", "-printf", "%P %y %m %s %l %T@\\n"],
        cwd=root, capture_output=True, check=True).stdout
    return sorted(lines.splitlines())


@pytest.mark.parametrize("owner", ["own", "other"])
def test_this_repository_goes_in_and_comes_out(create, scratch, owner):
    clone = scratch / "clone"
    subprocess.run(["git", "clone", "-q", "--no-local", str(harness.ROOT), str(clone)], check=True,
                   capture_output=True)
    if owner == "other":
        if os.getuid() != 0:
            harness.cannot_run("only root gives files away")
        subprocess.run(["chown", "-R", "12345:12345", str(clone)], check=True)
    task = create("--source-path", str(clone), environment=harness.FULL)
    done = task.exec("git", "-C", "/workspace", "status", "--porcelain")
    assert (done.code, done.out, done.err) == (0, b"", b""), done
    out = scratch / "out"
    exported = task.pyro("task", "export", task.id, "/workspace", f"{out}/")
    assert exported.code == 0, exported
    diff = subprocess.run(["diff", "-r", "--no-dereference", "--exclude=index", str(clone),
                           str(out)], capture_output=True, check=False)
    assert diff.returncode == 0, diff.stdout[-2000:]
    assert tree(clone) == tree(out)


def test_a_dot_is_the_current_directory(pyro, create, scratch):
    (scratch / "seed").mkdir()
    (scratch / "seed/f").write_text("x")
    done = pyro("task", "create", "-q", "--source-path", ".", harness.BASE, cwd=scratch / "seed")
    assert done.code == 0, done
    task = harness.Task(pyro, done.text.strip())
    assert task.exec("find", ".", "-type", "f").text in ("./f\n",)


def make_odd_tree(root):
    root.mkdir()
    (root / "dir/empty").mkdir(parents=True)
    (root / "dir").chmod(0o750)
    (root / "file").write_text("text\n")
    (root / "file").chmod(0o604)
    os.utime(root / "file", ns=(10**18, 10**18 + 123456789))
    (root / "program").write_text("#!/bin/sh\necho ran\n")
    (root / "program").chmod(0o755)
    os.link(root / "file", root / "hard")
    (root / "soft").symlink_to("file")
    (root / "dangling").symlink_to("/no/such/thing")
    (root / " a\nb'é\t*").write_text("odd name")
    (root / ("n" * 200)).write_text("long name")
    with open(root / "sparse", "wb") as file:
        file.truncate(300 << 20)
        file.seek(150 << 20)
        file.write(b"middle")


@pytest.mark.parametrize("kind", ["directory", ".tar", ".tar.gz", ".tgz"])
def test_an_odd_tree_goes_in_and_comes_out(create, scratch, kind):
    root = scratch / "seed"
    make_odd_tree(root)
    source = root
    if kind != "directory":
        source = scratch / f"seed{kind}"
        subprocess.run(["tar", "--format=pax", "--sparse", "-C", str(root),
                        "-cf" if kind == ".tar" else "-czf", str(source), "."], check=True)
    task = create("--source-path", str(source), "--disk-mib", "1024")
    done = task.exec("sh", "-c", "./program; cat soft; stat -c '%a %h' file; "
                     "[ $(du -k sparse | cut -f1) -lt 10000 ] && echo sparse")
    assert (done.code, done.text) == (0, "ran\ntext\n604 2\nsparse\n"), done
    out = scratch / "out"
    exported = task.pyro("task", "export", task.id, ".", out)
    assert exported.code == 0, exported
    assert tree(root) == tree(out)
    assert subprocess.run(["diff", "-r", "--no-dereference", root, out], check=False).returncode == 0
    assert (out / "sparse").stat().st_blocks * 512 < 10_000_000
    assert (out / "file").stat().st_ino == (out / "hard").stat().st_ino


def member(name, kind=tarfile.REGTYPE, target="", content=b"hostile"):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


HOSTILE = {
    "parent": [member("../x")],
    "deep-parent": [member("a/../../x")],
    "absolute": [member("/etc/pyro-x")],
    "through-a-link": [member("l", tarfile.SYMTYPE, "/etc"), member("l/pyro-x")],
    "hard-link-outside": [member("h", tarfile.LNKTYPE, "../../etc/passwd")],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_nothing_left(pyro, create, scratch, kind):
    archive = scratch / "hostile.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(*member("good"))
        for info, content in HOSTILE[kind]:
            content.seek(0)
            tar.addfile(info, content)
    done = pyro("task", "create", "-q", "--source-path", archive, harness.BASE)
    assert done.code == 1 and done.out == b"", done
    assert done.talk.startswith("pyro: "), done
    assert harness.task_directories(pyro) == []
    assert not harness.descendants()
    assert pyro("task", "list", "--json").json["count"] == 0


@pytest.mark.parametrize("name, content", [
    ("broken.tar.gz", b"this is no archive"), ("text.txt", b"text"), ("cut.tgz", None)])
def test_no_archive_is_refused_with_nothing_left(pyro, create, scratch, name, content):
    path = scratch / name
    if content is None:
        (scratch / "random").write_bytes(os.urandom(1 << 20))
        subprocess.run(["tar", "-C", scratch, "-czf", path, "random"], check=True)
        os.truncate(path, 500_000)
    else:
        path.write_bytes(content)
    done = pyro("task", "create", "-q", "--source-path", path, harness.BASE)
    assert done.code == 1 and done.out == b"" and done.talk.startswith("pyro: "), done
    done = pyro("task", "create", "-q", "--source-path", scratch / "no-such", harness.BASE)
    assert done.code == 1 and "no-such" in done.talk, done
    assert harness.task_directories(pyro) == []


def test_exports_of_files_and_tars(pyro, create, scratch):
    task = create()
    script = "mkdir -p d/e; echo one > d/f; chmod 751 d/f; ln -s f d/l; head -c 100000 /dev/zero > z"
    assert task.exec("sh", "-c", script).code == 0
    done = pyro("task", "export", task.id, "d/f", scratch / "f")
    assert done.code == 0 and (scratch / "f").read_text() == "one\n", done
    assert (scratch / "f").stat().st_mode & 0o777 == 0o751
    done = pyro("task", "export", task.id, "/workspace/d", scratch / "d.tar")
    assert done.code == 0, done
    with tarfile.open(scratch / "d.tar") as tar:
        names = {os.path.normpath(name) for name in tar.getnames()} - {"."}
        assert names == {"f", "l", "e"}
    done = pyro("task", "export", task.id, "/etc/hostname", scratch / "outside")
    assert done.code == 0 and (scratch / "outside").read_text().startswith("pyro-"), done
    # Nothing that is there is touched.
    (scratch / "there").write_text("mine")
    (scratch / "full").mkdir()
    (scratch / "full/mine").write_text("mine")
    for path, dest in (("z", "there"), ("d", "full"), ("d", "there"), ("d", "d.tar")):
        done = pyro("task", "export", task.id, path, scratch / dest, "--json")
        expect_error(done, 1, "already_exists")
    assert (scratch / "there").read_text() == "mine"
    assert os.listdir(scratch / "full") == ["mine"]
    expect_error(pyro("task", "export", task.id, "no-such", scratch / "n", "--json"), 1, "not_found")
    assert not (scratch / "n").exists()
    # From a stopped task.
    task.stop()
    done = pyro("task", "export", task.id, "z", scratch / "z")
    assert done.code == 0 and (scratch / "z").read_bytes() == bytes(100_000), done
    assert sorted(entry.name for entry in scratch.iterdir() if entry.name[0] == ".") == []


# Lease, ids, ends.

def test_the_lease_ends_by_itself_and_an_exec_brings_it_back(create):
    task = create("--ttl-seconds", "5")
    other = create()
    assert task.exec("sh", "-c", "echo kept > f; echo said").code == 0
    harness.wait_until(lambda: not task.processes(), "its lease ends it")
    assert other.processes(), "another task's guest went with it"
    assert task.json("status")["state"] == "stopped"
    assert [entry["stdout"] for entry in task.entries()] == ["said\n"]
    done = task.exec("cat", "f", flags=())
    assert (done.code, done.out) == (0, b"kept\n") and "was stopped" in done.talk, done


def test_a_command_outlasts_the_lease(create):
    task = create("--ttl-seconds", "3")
    done = task.exec("sh", "-c", "sleep 8; echo end")
    assert (done.code, done.out) == (0, b"end\n"), done
    assert task.entries()[0]["outcome"] == "exited"


def test_ids_and_prefixes(pyro, create):
    task = create()
    for prefix in (task.id[:11], task.id[:20], task.id):
        done = pyro("task", "exec", "-q", prefix, "--", "echo", "x")
        assert (done.code, done.out) == (0, b"x\n"), (prefix, done)
    for unknown in ("task_" + "a" * 26, "task_zzzzzz", "nonsense"):
        expect_error(pyro("task", "exec", unknown, "--", "true"), 125)
        for action in ("status", "logs", "stop", "delete"):
            expect_error(pyro("task", action, unknown), 1)
    expect_error(pyro("task", "status", task.id[:8]), 1)
    assert pyro("task", "status", "task_" + "a" * 26, "--json").json["error"]["code"] == "not_found"
    # A second one that begins with the same letters, made by adoption of a copy.
    task.stop()
    letters = task.id[:20] + ("a" if task.id[20] != "a" else "b") + task.id[21:]
    twin = task.directory.parent / letters
    shutil.copytree(task.directory, twin, ignore=shutil.ignore_patterns("control.sock"))
    manifest = twin / "manifest.json"
    manifest.write_text(manifest.read_text().replace(task.id, letters))
    done = pyro("task", "status", task.id[:12])
    expect_error(done, 1)
    assert "is the beginning of 2 ids" in done.talk
    assert pyro("task", "status", task.id[:21]).code == 0
    expect_error(pyro("task", "exec", task.id[:12], "--", "true"), 125)
    assert pyro("task", "list", "--json").json["count"] == 2


@pytest.mark.parametrize("state", ["started", "stopped", "running", "killed"])
def test_delete_at_any_state_and_twice(pyro, create, state):
    task = create()
    running = None
    assert task.exec("touch", "f").code == 0
    if state == "stopped":
        task.stop()
    elif state == "running":
        running = task.start("sh", "-c", "echo begun; exec sleep 200")
        assert running.stdout.readline() == b"begun\n"
    elif state == "killed":
        task.kill_guest()
    assert pyro("task", "delete", task.id).code == 0
    expect_error(pyro("task", "delete", task.id), 1)
    if running is not None:
        done = harness.finish(running)
        assert done.code == 125 and done.talk.startswith("pyro: "), done
    assert harness.task_directories(pyro) == []
    harness.expect_nothing_left(pyro)


def test_delete_while_it_is_created(pyro, create):
    process = pyro.start("task", "create", "-q", harness.BASE)
    names = harness.wait_until(
        lambda: [name for name in harness.task_directories(pyro) if name.startswith("task_")],
        "its directory is there")
    deleted = pyro("task", "delete", names[0])
    made = harness.finish(process)
    assert made.code in (0, 1), made
    # Either delete came in time, or it said why not and the task is whole.
    if deleted.code != 0:
        assert deleted.talk.startswith("pyro: ") and made.code == 0, (deleted, made)
        assert pyro("task", "delete", names[0]).code == 0
    assert harness.task_directories(pyro) == []
    harness.expect_nothing_left(pyro)


def test_ctrl_c_while_it_is_created_leaves_nothing(pyro, create):
    process = pyro.start("task", "create", "-q", harness.BASE)
    harness.wait_until(lambda: harness.of_program(harness.descendants(), "qemu-system-x86_64"),
                       "QEMU runs")
    process.send_signal(signal.SIGINT)
    done = harness.finish(process)
    assert (done.code, done.out) == (130, b""), done
    assert harness.task_directories(pyro) == []


def test_stop_interrupts_what_runs(create):
    task = create()
    process = task.start("sh", "-c", "echo begun; exec sleep 200")
    assert process.stdout.readline() == b"begun\n"
    assert task.stop()["state"] == "stopped"
    done = harness.finish(process)
    assert done.code == 125 and done.talk.startswith("pyro: "), done
    entry, = task.entries()
    assert (entry["state"], entry["outcome"], entry["stdout"]) == ("ended", "interrupted", "begun\n")
    assert task.exec("true").code == 0


def test_stops_and_execs_racing_leave_a_consistent_state(create):
    task = create()

    def stop(_):
        for _ in range(4):
            done = task.pyro("task", "stop", task.id)
            assert done.code == 0 or harness.is_one_sentence_and_hint(done.talk), done

    def run(worker):
        finished = []
        for number in range(5):
            word = f"{worker}-{number}"
            done = task.exec("sh", "-c", "echo $0 > $0; echo $0", word)
            assert done.code in (0, 125), done
            if done.code == 0:
                assert done.text == word + "\n", done
                finished.append(word)
            else:
                assert "pyro: " in done.talk, done
        return finished

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        stopping = pool.submit(stop, 0)
        finished = [word for words in pool.map(run, range(2)) for word in words]
        stopping.result()
    done = task.exec("ls")
    assert done.code == 0 and set(finished) <= set(done.text.split()), (finished, done)
    entries = task.entries()
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    said = [entry["stdout"].strip() for entry in entries if entry["outcome"] == "exited"]
    assert set(finished) <= set(said)
    assert all(entry["state"] == "ended" for entry in entries)
    assert len(harness.of_program(task.processes(), "qemu-system-x86_64")) == 1
    print(f"{len(finished)} of 10 execs finished between 4 stops")


def test_a_full_disk_is_the_guests_own_trouble(create):
    task = create("--disk-mib", "256")
    done = task.exec("dd", "if=/dev/zero", "of=big", "bs=1M")
    assert done.code == 1 and "No space left on device" in done.talk, done
    assert task.exec("echo", "x").text == "x\n"
    task.stop()  # A full disk boots, too.
    done = task.exec("sh", "-c", "rm big && echo ok > f && cat f")
    assert (done.code, done.text) == (0, "ok\n"), done
    status = task.json("status")
    assert status["disk_mib"] == 256 and status["disk_bytes"] < 300 << 20


def test_a_usage_error_makes_nothing(pyro, create):
    for flags in (("--disk-mib", "1"), ("--mem-mib", "1"), ("--ttl-seconds", "0")):
        done = pyro("task", "create", *flags, harness.BASE)
        assert done.code != 0 and done.out == b"", done
    assert pyro("task", "create", "no-such:1").code == 1
    assert harness.task_directories(pyro) == []


# On the host.

@pytest.fixture
def guestless(pyro, scratch):
    """pyro without its helper programs beside it."""
    shutil.copy(pyro.program, scratch / "pyro")
    pyro.program = scratch / "pyro"
    pyro.env["PYRO_LIBEXEC_DIR"] = str(scratch)
    if os.path.exists("/usr/lib/pyro-mcp") or os.path.exists("/usr/local/lib/pyro-mcp"):
        harness.cannot_run("pyro is installed on this host, so its helpers are always found")
    return pyro


def test_without_a_guest_it_is_refused(guestless, create):
    expect_error(guestless("task", "create", harness.BASE), 1)
    assert harness.task_directories(guestless) == []


def test_a_task_on_the_host_if_asked_for(guestless, create):
    made = guestless("task", "create", "--json", "--allow-host-compat", harness.BASE)
    assert made.code == 0 and "virtual machine" in made.talk, made
    assert made.json["execution_mode"] == "host_compat" and made.json["accelerator"] is None
    task = harness.Task(guestless, made.json["task_id"])
    done = task.exec("sh", "-c", "pwd; uname -r; echo kept > f; exit 4", flags=("--json",))
    assert done.code == 4 and done.json["execution_mode"] == "host_compat", done
    assert done.json["stdout"] == f"/workspace\n{os.uname().release}\n"
    done = task.exec("cat", "f", "-", input=b"given\n")
    assert (done.code, done.out) == (0, b"kept\ngiven\n"), done
    for command, code in ((["no-such-program"], 127), (["sh", "-c", "kill -9 $$"], 137)):
        assert task.exec(*command).code == code
    done = task.exec("sleep", "100", flags=("-q", "--timeout-seconds", "1"))
    assert done.code == 124, done
    entries = task.entries()
    assert [entry["exit_code"] for entry in entries] == [4, 0, 127, 137, 124]
    assert [entry["sequence"] for entry in entries] == [1, 2, 3, 4, 5]
    assert {entry["execution_mode"] for entry in entries} == {"host_compat"}
    assert entries[1]["stdout"] == "kept\ngiven\n"
    assert not harness.descendants()
