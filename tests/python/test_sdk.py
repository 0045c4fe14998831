"""The Python package on real guests: the calls of the contract, live output, types."""

import concurrent.futures
import inspect
import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile
import threading
import typing

import harness
import pyro_mcp
import pytest
from pyro_mcp import errors, results

ROOT = harness.ROOT


def has_shape(value, shape):
    """Whether a dict has exactly the keys of a TypedDict, and values of their types."""
    if typing.is_typeddict(shape):
        hints = typing.get_type_hints(shape)
        assert type(value) is dict and shape.__required_keys__ <= value.keys() <= hints.keys(), (
            shape, value.keys() ^ hints.keys())
        for key, item in value.items():
            has_shape(item, hints[key])
        return
    origin, args = typing.get_origin(shape), typing.get_args(shape)
    if origin is list:
        assert type(value) is list
        for item in value:
            has_shape(item, args[0])
    elif origin is dict:
        assert type(value) is dict
        for key, item in value.items():
            has_shape(key, args[0])
            has_shape(item, args[1])
    elif origin is typing.Literal:
        assert value in args, (value, args)
    elif origin is typing.Union:
        if value is not None:
            has_shape(value, next(arg for arg in args if arg is not type(None)))
    else:
        assert type(value) is shape, (value, shape)


# What needs no guest.

def test_every_error_code_has_a_class_of_its_own():
    assert set(errors.ERROR_CLASSES) == set(pyro_mcp._pyro.ERROR_CODES)
    table = (ROOT / "include/pyro/error_codes.def").read_text()
    assert set(re.findall(r'^PYRO_ERROR_CODE\(\w+, \d+, "(\w+)"\)', table, re.M)) == set(errors.ERROR_CLASSES)
    for code, cls in errors.ERROR_CLASSES.items():
        assert getattr(pyro_mcp, cls.__name__) is cls
        error = errors.error_of_code(code, "it failed", "mend it")
        assert type(error) is cls
        assert (error.code, error.message, error.hint) == (code, "it failed", "mend it")
        assert str(error) == "it failed (hint: mend it)"
    strange = errors.error_of_code("of_tomorrow", "m", "")
    assert type(strange) is errors.PyroError and strange.code == "of_tomorrow" and str(strange) == "m"


def test_the_version_is_that_of_the_programs(bare):
    assert f"pyro {pyro_mcp.__version__}" == bare("--version").text.strip()


def test_failures_are_typed_and_say_what_to_do(sdk):
    with pytest.raises(pyro_mcp.NotFoundError) as caught:
        sdk.run_in_vm(environment="no-such:1", command="true")
    assert caught.value.code == "not_found"
    assert "no-such:1" in caught.value.message and caught.value.hint
    for call in (sdk.start_vm, sdk.stop_vm, sdk.delete_vm, sdk.status_vm, sdk.network_info_vm):
        with pytest.raises(pyro_mcp.NotFoundError):
            call("vm_aaaaaaaaaaaaaaaaaaaaaaaaaa")
    for call in (sdk.status_task, sdk.logs_task, sdk.stop_task, sdk.list_task_commands):
        with pytest.raises(pyro_mcp.NotFoundError):
            call("task_aaaaaaaaaaaaaaaaaaaaaaaaaa")
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.delete_task("task_aaaaaa")
    for name, value in (("vcpu_count", 0), ("mem_mib", 1), ("timeout_seconds", -1),
                        ("ttl_seconds", 10**30), ("mem_mib", -10**30)):
        with pytest.raises(pyro_mcp.InvalidArgumentError) as caught:
            sdk.run_in_vm(environment=harness.BASE, command="true", **{name: value})
        assert name in caught.value.message and caught.value.hint
    for command in ([], [""], "a\0b", "a\ud800b"):
        with pytest.raises(pyro_mcp.InvalidArgumentError):
            sdk.run_in_vm(environment=harness.BASE, command=command)


@pytest.mark.parametrize("arguments", [
    {"environment": 5}, {"command": 5}, {"command": b"true"}, {"command": [5]},
    {"mem_mib": "1024"}, {"mem_mib": True}, {"timeout_seconds": 1.5}, {"stdin": "text"},
    {"env": ["A=b"]}, {"env": {"A": 1}}, {"env": {1: "A"}}, {"cwd": 5}, {"user": 0},
    {"network": "false"}, {"network": 1}, {"allow_host_compat": "no"}])
def test_a_wrong_type_is_a_type_error_that_names_the_argument(sdk, arguments):
    with pytest.raises(TypeError) as caught:
        sdk.run_in_vm(**{"environment": harness.BASE, "command": "true", **arguments})
    assert next(iter(arguments)) in str(caught.value)


def test_a_file_that_is_only_written_is_no_stdin(sdk, scratch):
    with open(scratch / "out", "w") as file, pytest.raises(pyro_mcp.InvalidArgumentError, match="stdin is not open for reading"):
        sdk.run_in_vm(environment=harness.BASE, command="cat", stdin=file)


def test_without_a_home_it_says_what_to_set(monkeypatch):
    for name in ("HOME", "PYRO_STATE_DIR", "PYRO_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(pyro_mcp.NotFoundError, match="HOME"):
        pyro_mcp.Pyro()


def test_missing_helpers_are_named(sdk, scratch, monkeypatch):
    # Told by the copy of the module that has no helpers beside it.
    package = pathlib.Path(pyro_mcp.__file__).parent
    (scratch / "pyro_mcp").mkdir()
    for file in package.iterdir():
        if file.name not in ("libexec", "__pycache__"):
            (scratch / "pyro_mcp" / file.name).write_bytes(file.read_bytes())
    done = subprocess.run(
        ["/usr/bin/python3", "-B", "-c", "import pyro_mcp\ntry:\n  pyro_mcp.Pyro().run_in_vm("
         f"environment='{harness.BASE}', command='true')\nexcept pyro_mcp.MissingToolError as e: print(e)"],
        env={**os.environ, "PYTHONPATH": str(scratch)}, capture_output=True, text=True, check=True)
    assert "PYRO_LIBEXEC_DIR" in done.stdout and "install pyro again" in done.stdout, done


def test_environments(sdk):
    listed = sdk.list_environments()
    has_shape(listed, results.EnvironmentList)
    assert listed["catalog_version"] == pyro_mcp.__version__
    assert {f"debian:{n}{kind}" for n in (12, 13) for kind in ("", "-base", "-build")} == {e["name"] for e in listed["environments"]}
    details = sdk.inspect_environment(harness.BASE)
    has_shape(details, results.EnvironmentDetails)
    assert any(line.startswith("dash ") for line in details["packages"])
    pulled = sdk.pull_environment(harness.BASE)
    has_shape(pulled, results.PulledEnvironment)
    assert not pulled["built"] and pulled["digest"] == details["digest"]
    has_shape(sdk.prune_environments(), results.PrunedEnvironments)
    assert sdk.inspect_environment(harness.BASE)["digest"] == details["digest"]
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.inspect_environment("no-such:1")


# One command in a VM of its own.

def test_run_in_vm(sdk):
    result = sdk.run_in_vm(environment=harness.BASE, timeout_seconds=250,
                           command="echo out | tr a-z A-Z; echo err >&2; printf '\\303('; exit 7")
    has_shape(result, results.ExecResult)
    assert (result["stdout"], result["stderr"], result["exit_code"]) == ("OUT\n\ufffd(", "err\n", 7)
    assert result["execution_mode"] == "guest_virtio_serial"
    assert result["kernel"] != os.uname().release or "cloud" in result["kernel"]


def test_words_run_without_a_shell(sdk):
    result = sdk.run_in_vm(environment=harness.BASE, timeout_seconds=250,
                           command=["printf", "%s|", "a b", "$HOME", "*", "\udcff", "ä"])
    assert result["stdout"] == "a b|$HOME|*|\ufffd|ä|"


def test_a_timeout_is_a_result(sdk):
    result = sdk.run_in_vm(environment=harness.BASE, command="echo begun; sleep 500", timeout_seconds=2)
    assert (result["exit_code"], result["outcome"], result["stdout"]) == (124, "timed_out", "begun\n")


# VMs.

def test_the_life_of_a_vm(sdk, pyro):
    made = sdk.create_vm(environment=harness.BASE, ttl_seconds=900)
    has_shape(made, results.VmInfo)
    assert (made["state"], made["execution_mode"], made["ttl_seconds"]) == ("created", "pending", 900)
    vm_id = made["vm_id"]
    with pytest.raises(pyro_mcp.WrongStateError):
        sdk.exec_vm(vm_id, command="true")
    assert sdk.start_vm(vm_id[:9])["state"] == "started"
    network = sdk.network_info_vm(vm_id)
    has_shape(network, results.VmNetworkInfo)
    assert not network["network_enabled"]
    assert sdk.stop_vm(vm_id)["state"] == "stopped"
    assert sdk.start_vm(vm_id)["state"] == "started"
    has_shape(sdk.status_vm(vm_id), results.VmInfo)
    result = sdk.exec_vm(vm_id, command=["hostname"], timeout_seconds=250)
    has_shape(result, results.ExecResult)
    assert result["exit_code"] == 0
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.status_vm(vm_id)
    again = sdk.create_vm(environment=harness.BASE)["vm_id"]
    deleted = sdk.delete_vm(again[:9])
    has_shape(deleted, results.DeletedVm)
    assert deleted["vm_id"] == again
    has_shape(sdk.reap_expired(), results.ReapedVms)


def test_a_vm_is_gone_after_its_with_block(sdk, pyro):
    with sdk.vm(environment=harness.BASE) as vm:
        assert vm.status()["state"] == "started"
        assert vm.exec(command="echo in the block", timeout_seconds=250)["stdout"] == "in the block\n"
    with pytest.raises(KeyError):
        with sdk.vm(environment=harness.BASE) as vm:
            raise KeyError
    assert pyro.directories() == []


# Tasks.

def test_the_life_of_a_task(sdk, pyro, scratch):
    source = scratch / "source"
    source.mkdir()
    (source / "kept").write_text("from the host\n")
    made = sdk.create_task(environment=harness.BASE, disk_mib=1024, source_path=source)
    has_shape(made, results.TaskInfo)
    task_id = made["task_id"]
    assert (made["state"], made["disk_mib"], made["last_command"]) == ("started", 1024, None)
    first = sdk.exec_task(task_id, command="cat kept; pwd; exit 3", timeout_seconds=250)
    has_shape(first, results.TaskExecResult)
    assert (first["stdout"], first["exit_code"]) == ("from the host\n/workspace\n", 3)
    stopped = sdk.stop_task(task_id)
    has_shape(stopped, results.TaskInfo)
    assert stopped["state"] == "stopped"
    second = sdk.exec_task(task_id[:11], command="ls workspace; cat; echo $A$HOME; pwd", timeout_seconds=250,
                           stdin=b"\0in\n", env={"A": "b c", "HOME": "/home"}, cwd="/")
    assert (second["sequence"], second["restarted"]) == (2, True)
    assert second["stdout"] == "kept\n\0in\nb c/home\n/\n"
    logs = sdk.logs_task(task_id)
    has_shape(logs, results.TaskLogs)
    assert [entry["stdout"] for entry in logs["entries"]] == [first["stdout"], second["stdout"]]
    # The command line sees the same, and prints the same documents.
    assert pyro("task", "logs", "--json", task_id).json == logs
    listed = sdk.list_tasks()
    has_shape(listed, results.TaskList)
    assert [task["task_id"] for task in listed["tasks"]] == [task_id]
    assert sdk.status_task(task_id)["last_command"]["exit_code"] == 0
    exported = sdk.export_task(task_id, path=".", destination=scratch / "out.tar")
    has_shape(exported, results.ExportedPath)
    with tarfile.open(scratch / "out.tar") as tar:
        assert any(name.endswith("kept") for name in tar.getnames())
    with pytest.raises(pyro_mcp.AlreadyExistsError):
        sdk.export_task(task_id, path="kept", destination=str(source))
    (source / "kept").write_text("older")
    exported = sdk.export_task(task_id, path="kept", destination=str(source), force=True)
    assert exported["destination"] == str(source / "kept") and "notices" not in exported
    assert (source / "kept").read_text() == "from the host\n"
    deleted = sdk.delete_task(task_id)
    has_shape(deleted, results.DeletedTask)
    assert deleted["task_id"] == task_id and sdk.list_tasks()["count"] == 0


def test_a_task_is_given_what_git_sees_without_what_is_excluded(sdk, scratch):
    source = scratch / "source"
    source.mkdir()
    for name in ("a.c", "b.c", "ignored.o"):
        (source / name).write_text("x")
    (source / ".gitignore").write_text("*.o\n")
    subprocess.run(["git", "init", "-q", str(source)], check=True)
    os.mkfifo(source / "pipe")
    with sdk.task(environment=harness.BASE, source_path=source, git=True, exclude=["b.*"]) as task:
        done = task.exec(command="ls -A", timeout_seconds=250)
        assert done["stdout"].split() == [".git", ".gitignore", "a.c"]
    made = sdk.create_task(environment=harness.BASE, source_path=source)
    exported = sdk.export_task(made["task_id"], path=".", destination=scratch / "out")
    has_shape(exported, results.ExportedPath)
    assert exported["notices"] == ["left out as FIFOs or devices: 'pipe'"]
    sdk.delete_task(made["task_id"])


def test_patterns_are_a_list_of_text(sdk):
    with pytest.raises(TypeError):
        sdk.create_task(environment=harness.BASE, source_path=".", exclude="*.o")
    with pytest.raises(pyro_mcp.InvalidArgumentError, match=r"'\[a'"):
        sdk.create_task(environment=harness.BASE, source_path=".", exclude=["[a"])


def test_output_comes_while_the_command_runs(task):
    seen = []
    caller = threading.get_ident()

    def on_stdout(text):
        assert threading.get_ident() == caller
        seen.append(("out", text))
        if len(seen) == 1:
            # Only possible while the command still runs: it waits for this file.
            other = task.exec(command="echo go > go", timeout_seconds=250)
            assert other["exit_code"] == 0

    result = task.exec(
        command="echo one; while ! [ -s go ]; do sleep 0.1; done; echo two >&2; printf '\\303'; sleep 0.3; printf '\\244'",
        timeout_seconds=250, on_stdout=on_stdout, on_stderr=lambda text: seen.append(("err", text)))
    assert seen[0] == ("out", "one\n")
    assert ("err", "two\n") in seen
    assert "".join(text for stream, text in seen if stream == "out") == "one\nä"
    assert (result["stdout"], result["stderr"], result["sequence"]) == ("one\nä", "two\n", 1)


def test_more_output_than_a_result_holds_reaches_the_callback_whole(task):
    pieces = []
    result = task.exec(command="yes 0123456789abcde | head -c 5242880", timeout_seconds=250,
                       on_stdout=pieces.append)
    assert sum(map(len, pieces)) == 5242880 == result["stdout_bytes"]
    assert result["stdout_truncated"] and len(result["stdout"]) < 1100000


@pytest.mark.parametrize("main", [True, False])
def test_an_exception_of_a_callback_leaves_the_call_and_kills_the_command(task, main):
    class Enough(Exception):
        pass

    def on_stdout(text):
        raise Enough(text)

    def call():
        with pytest.raises(Enough, match="begun"):
            task.exec(command="echo begun; sleep 1000", timeout_seconds=2000, on_stdout=on_stdout)

    if main:
        call()
    else:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(call).result()
    entry, = task.logs()["entries"]
    assert (entry["state"], entry["outcome"]) == ("ended", "cancelled")
    # Some other process may come to its end meanwhile, and its file with it.
    running = task.exec(command="cat /proc/[0-9]*/comm", timeout_seconds=250)["stdout"].split()
    assert "cat" in running and "sleep" not in running


def test_a_command_goes_on_in_the_background(sdk, task):
    started = sdk.start_task_command(task.task_id, command="echo one; echo bad >&2; while ! [ -e go ]; do sleep 0.1; done; echo two",
                                     timeout_seconds=250)
    has_shape(started, results.StartedTaskCommand)
    assert (started["state"], started["sequence"]) == ("running", 1)
    page = sdk.read_task_output(task.task_id, 1, wait_seconds=250)
    has_shape(page, results.TaskOutput)
    assert (page["text"], page["next_offset"], page["complete"]) == ("one\n", 4, False)
    assert sdk.read_task_output(task.task_id, 1, stream="stderr", wait_seconds=250)["text"] == "bad\n"
    assert sdk.get_task_command(task.task_id, 1)["state"] == "running"
    task.exec(command="touch go", timeout_seconds=250)
    ended = sdk.get_task_command(task.task_id, 1, wait_seconds=250)
    has_shape(ended, results.TaskCommandInfo)
    assert (ended["state"], ended["exit_code"]) == ("ended", 0)
    page = sdk.read_task_output(task.task_id, 1, offset=4)
    assert (page["text"], page["complete"]) == ("two\n", True)
    assert sdk.read_task_output(task.task_id, 1, offset=1, limit=2)["text"] == "ne"
    commands = sdk.list_task_commands(task.task_id, first=2)
    has_shape(commands, results.TaskCommandPage)
    assert (commands["total"], [e["sequence"] for e in commands["entries"]]) == (2, [2])
    for arguments in ({"stream": "x"}, {"offset": -1}, {"limit": 0}, {"wait_seconds": -1}, {"wait_seconds": float("nan")}):
        with pytest.raises(pyro_mcp.InvalidArgumentError):
            sdk.read_task_output(task.task_id, 1, **arguments)
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.get_task_command(task.task_id, 77)


def test_a_background_command_is_cancelled(sdk, task):
    sequence = sdk.start_task_command(task.task_id, command="sleep 1000", timeout_seconds=2000)["sequence"]
    ended = sdk.cancel_task_command(task.task_id, sequence)
    assert (ended["state"], ended["outcome"]) == ("ended", "cancelled")


def conversation(command, env, *messages):
    """The answers of a server, by the ids of what was asked."""
    opening = [{"jsonrpc": "2.0", "id": 0, "method": "initialize",
                "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}},
               {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for message in [*opening, *messages]:
        process.stdin.write(json.dumps(message) + "\n")
    process.stdin.flush()
    answers = {}
    while len(answers) <= len(messages):
        line = process.stdout.readline()
        assert line, answers
        answer = json.loads(line)
        if "id" in answer and "method" not in answer:
            answers[answer["id"]] = answer
    process.stdin.close()
    assert process.wait(harness.HANG_SECONDS) == 0
    return answers


@pytest.mark.parametrize("make", ["create_server(spares=0)", "Pyro().create_server(spares=0)"])
def test_a_server_made_in_python_serves_what_pyro_mcp_serve_does(sdk, pyro, make):
    env = {**pyro.env, "PYTHONPATH": os.environ["PYTHONPATH"]}
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    run = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "vm_run", "arguments": {"environment": harness.BASE, "command": "echo served", "timeout_seconds": 250}}}
    server = f"from pyro_mcp import Pyro, create_server; {make}.run()"
    ours = conversation(["/usr/bin/python3", "-B", "-c", server], env, ask, run)
    theirs = conversation([str(pyro.program), "mcp", "serve", "--spares", "0"], env, ask)
    assert ours[1]["result"]["tools"] == theirs[1]["result"]["tools"]
    assert ours[2]["result"]["structuredContent"]["stdout"] == "served\n"


def test_ctrl_c_ends_a_server(pyro):
    process = subprocess.Popen(["/usr/bin/python3", "-B", "-c", "import pyro_mcp; s = pyro_mcp.create_server(profile='vm-run', spares=0)\n"
                                "try: s.run()\nexcept KeyboardInterrupt: raise SystemExit(7)"],
                               env={**pyro.env, "PYTHONPATH": os.environ["PYTHONPATH"]},
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=harness.HANG_SECONDS)
    assert (process.returncode, out, err) == (7, "", "")


# Types.

def test_the_package_and_an_example_pass_mypy_strict(scratch):
    example = ROOT / "tests/python/typed_example.py"
    package = ROOT / "python/pyro_mcp"
    done = subprocess.run(["/usr/bin/mypy", "--strict", "--cache-dir", str(scratch / "mypy"),
                           str(example), str(package)],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "MYPYPATH": str(ROOT / "python"), "PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = scratch / "wrong.py"
    wrong.write_text("from pyro_mcp import Pyro\n"
                     "print(Pyro().run_in_vm(environment='x', command='y')['no_such_key'])\n"
                     "Pyro().run_in_vm('x', command='y')\n")
    done = subprocess.run(["/usr/bin/mypy", "--strict", "--cache-dir", str(scratch / "mypy"), str(wrong)],
                          capture_output=True, text=True, check=False,
                          env={**os.environ, "MYPYPATH": str(ROOT / "python"), "PYTHONPATH": ""})
    assert done.returncode == 1 and done.stdout.count("error:") >= 2, done.stdout


def test_the_typed_example_runs(sdk):
    done = subprocess.run(["/usr/bin/python3", "-B", str(ROOT / "tests/python/typed_example.py"), harness.BASE],
                          capture_output=True, text=True, check=False, timeout=harness.HANG_SECONDS)
    assert done.returncode == 0, done
    assert json.loads(done.stdout.splitlines()[-1])["exit_code"] == 0


def test_every_call_has_a_docstring():
    undocumented = {name for name, function in inspect.getmembers(pyro_mcp.Pyro, inspect.isfunction)
                    if not name.startswith("_") and not function.__doc__}
    assert undocumented == set()
