"""The handles of Python for one task or VM, and the calls that the command line has too."""

import select
import threading

import harness
import pyro_mcp
import pytest
from pyro_mcp import Task, Vm, results
from test_sdk import has_shape


@pytest.mark.parametrize("call", [
    lambda sdk: sdk.run_in_vm(environment="", command="true"),
    lambda sdk: sdk.run_in_vm(environment=harness.BASE, command=""),
    lambda sdk: sdk.run_in_vm(environment=harness.BASE, command=[""]),
    lambda sdk: sdk.create_vm(environment=""),
    lambda sdk: sdk.vm(environment=""),
    lambda sdk: sdk.create_task(environment=""),
    lambda sdk: sdk.create_task(environment=harness.BASE, source_path=""),
    lambda sdk: sdk.task(environment=harness.BASE, source_path=""),
    lambda sdk: sdk.exec_vm("", command="true"),
    lambda sdk: sdk.exec_vm("vm_aaaaaa", command=""),
    lambda sdk: sdk.exec_task("", command="true"),
    lambda sdk: sdk.exec_task("task_aaaaaa", command=""),
    lambda sdk: sdk.start_task_command("", command="true"),
    lambda sdk: sdk.start_task_command("task_aaaaaa", command=""),
    lambda sdk: sdk.export_task("", path=".", destination="/nowhere"),
    lambda sdk: sdk.export_task("task_aaaaaa", path="", destination="/nowhere"),
    lambda sdk: sdk.export_task("task_aaaaaa", path=".", destination=""),
    lambda sdk: sdk.keep_spares(environment=""),
    lambda sdk: sdk.pull_environment(""),
    lambda sdk: sdk.inspect_environment(""),
    lambda sdk: sdk.status_task(""),
    lambda sdk: sdk.logs_task(""),
    lambda sdk: sdk.stop_task(""),
    lambda sdk: sdk.delete_task(""),
    lambda sdk: sdk.get_task_command("", 1),
    lambda sdk: sdk.cancel_task_command("", 1),
    lambda sdk: sdk.list_task_commands(""),
    lambda sdk: sdk.read_task_command("", 1),
    lambda sdk: sdk.read_task_output("", 1),
    lambda sdk: sdk.read_task_output("task_aaaaaa", 1, stream=""),
    lambda sdk: sdk.status_vm(""),
    lambda sdk: sdk.start_vm(""),
    lambda sdk: sdk.stop_vm(""),
    lambda sdk: sdk.delete_vm(""),
    lambda sdk: sdk.network_info_vm(""),
])
def test_an_empty_string_is_an_error_that_names_its_argument(sdk, call):
    with pytest.raises(pyro_mcp.InvalidArgumentError) as caught:
        call(sdk)
    assert "is empty" in caught.value.message or "stream is ''" in caught.value.message
    assert caught.value.message.split()[0] in (
        "environment", "command", "source_path", "task_id", "vm_id", "path", "destination", "stream")
    assert caught.value.hint
    assert sdk.list_tasks()["count"] == 0


def test_a_background_command_takes_no_limit_below_0_and_0_for_none(sdk):
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="timeout_seconds"):
        sdk.start_task_command("task_aaaaaa", command="true", timeout_seconds=-1)
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.start_task_command("task_aaaaaa", command="true", timeout_seconds=0)


def test_a_task_that_is_there_is_attached_to_and_has_every_call(sdk):
    made = sdk.create_task(environment=harness.BASE)
    task = Task(sdk, made["task_id"])
    started = task.start_command(command="echo out; echo err >&2; until [ -e go ]; do sleep 0.1; done; echo end")
    has_shape(started, results.StartedTaskCommand)
    assert (started["state"], started["timeout_seconds"]) == ("running", 0)
    page = task.read_output(1, wait_seconds=250)
    assert (page["text"], page["complete"]) == ("out\n", False)
    assert task.read_output(1, stream="stderr", wait_seconds=250)["text"] == "err\n"
    assert task.get_command(1)["duration_ms"] > 0
    task.exec(command="touch go", timeout_seconds=250)
    out, err = [], []
    whole = task.read_command(1, follow=True, on_stdout=out.append, on_stderr=err.append)
    has_shape(whole, results.TaskCommand)
    assert ("".join(out), "".join(err), whole["exit_code"]) == ("out\nend\n", "err\n", 0)
    listed = task.list_commands(limit=-1)
    assert (listed["total"], [one["sequence"] for one in listed["entries"]]) == (2, [2])
    sequence = task.start_command(command="sleep 1000", timeout_seconds=2000)["sequence"]
    assert task.cancel_command(sequence)["outcome"] == "cancelled"
    assert task.delete() == {"task_id": made["task_id"], "deleted": True}


def test_a_vm_that_is_there_is_attached_to(sdk):
    vm = Vm(sdk, sdk.create_vm(environment=harness.BASE)["vm_id"])
    assert vm.status()["state"] == "created"
    assert vm.delete() == {"vm_id": vm.vm_id, "deleted": True}


def test_a_callback_that_raises_leaves_the_reading_and_not_the_command(sdk, task):
    class Enough(Exception):
        pass

    def on_stdout(text):
        raise Enough(text)

    task.start_command(command="echo begun; sleep 1000")
    with pytest.raises(Enough, match="begun"):
        task.read_command(1, follow=True, on_stdout=on_stdout)
    assert task.get_command(1)["state"] == "running"


@pytest.mark.parametrize("run, hint", [
    (lambda sdk, **more: sdk.run_in_vm(environment=harness.BASE, **more), "timeout_seconds"),
    (lambda sdk, **more: sdk.exec_task(sdk.create_task(environment=harness.BASE)["task_id"], **more), "background")])
def test_why_a_command_ended_so_is_in_its_result(sdk, run, hint):
    result = run(sdk, command="sleep 1000", timeout_seconds=2)
    assert result["outcome"] == "timed_out"
    assert result["explanation"]["message"].startswith("the command was killed at its limit of 2 s")
    assert hint in result["explanation"]["hint"]
    assert ("emulates the CPU" in result["explanation"]["message"]) == (result["accelerator"] == "tcg")
    result = run(sdk, command=["ls -la"], timeout_seconds=250)
    assert (result["exit_code"], result["outcome"]) == (127, "not_started")
    assert result["explanation"]["message"] == "'ls -la' is not a program"
    result = run(sdk, command="source /etc/os-release && echo $ID", timeout_seconds=250)
    assert (result["stdout"], result["explanation"], result["output_left_open"]) == ("debian\n", None, False)


def test_spares_are_kept_and_listed(sdk):
    kept = sdk.keep_spares(environment=harness.BASE, ttl_seconds=900)
    has_shape(kept, results.SparePool)
    try:
        assert (kept["count"], kept["waiting"], kept["ttl_seconds"]) == (1, 1, 900)
        listed = sdk.list_spares()
        has_shape(listed, results.SparePools)
        assert [pool["environment"] for pool in listed["pools"]] == [harness.BASE]
        result = sdk.run_in_vm(environment=harness.BASE, command="true", timeout_seconds=250)
        assert result["timings"]["start"] == "spare"
    finally:
        sdk.keep_spares(environment=harness.BASE, count=0)
    assert sdk.list_spares() == {"pools": []}


def test_doctor_prints_what_the_command_line_does(sdk, pyro):
    report = sdk.doctor()
    has_shape(report, results.DoctorReport)
    printed = pyro("doctor", "--json").json

    def verdicts(one):
        return {**one, "checks": [(check["name"], check["ok"]) for check in one["checks"]]}

    # Details such as free memory change between two calls.
    assert verdicts(report) == verdicts(printed)


def test_the_journal_is_read_in_parts(sdk, task):
    for word in ("one", "two", "three"):
        task.exec(command=f"echo {word}", timeout_seconds=250)
    assert [entry["stdout"] for entry in task.logs(limit=-1)["entries"]] == ["three\n"]
    assert [entry["sequence"] for entry in sdk.logs_task(task.task_id, first=2, limit=1)["entries"]] == [2]


def test_a_command_reads_an_open_file_and_its_output_arrives_live(sdk, task, scratch):
    (scratch / "in").write_text("from a file\n")
    for run in (lambda **more: sdk.run_in_vm(environment=harness.BASE, **more), task.exec):
        out, err = [], []
        with open(scratch / "in") as file:
            result = run(command="cat; echo err >&2", timeout_seconds=250, stdin=file, on_stdout=out.append,
                         on_stderr=err.append)
        assert ("".join(out), "".join(err), result["stdout"]) == ("from a file\n", "err\n", "from a file\n")
    with sdk.vm(environment=harness.BASE) as vm, open(scratch / "in") as file:
        assert vm.exec(command="cat", stdin=file.fileno(), timeout_seconds=250)["stdout"] == "from a file\n"
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="stdin is -1"):
        sdk.run_in_vm(environment=harness.BASE, command="true", stdin=-1)


def test_an_export_goes_to_an_open_file(task, scratch):
    task.exec(command="echo content >file", timeout_seconds=250)
    with open(scratch / "out", "wb") as file:
        exported = task.export(path="file", destination=file)
    has_shape(exported, results.ExportedPath)
    assert ((scratch / "out").read_text(), exported["destination"], exported["bytes"]) == ("content\n", "", 8)


def test_a_task_gets_a_name_and_another_one(sdk):
    with sdk.task(environment=harness.BASE, name="first") as task:
        assert task.status()["name"] == "first"
        assert task.rename(name="second")["name"] == "second"
        with pytest.raises(pyro_mcp.InvalidArgumentError, match="name is empty"):
            task.rename(name="")
        with pytest.raises(pyro_mcp.InvalidArgumentError, match="name holds the character U\\+202E"):
            task.rename(name="a\u202eb")


def test_vms_are_listed(sdk):
    assert sdk.list_vms() == {"count": 0, "vms": []}
    vm_id = sdk.create_vm(environment=harness.BASE)["vm_id"]
    listed = sdk.list_vms()
    has_shape(listed, results.VmList)
    assert [vm["vm_id"] for vm in listed["vms"]] == [vm_id]


def test_an_environment_is_verified_and_pruned_as_a_whole(sdk, scratch, cache_dir, monkeypatch):
    details = sdk.inspect_environment(harness.BASE, verify=True)
    has_shape(details, results.EnvironmentDetails)
    (scratch / "cache").mkdir(mode=0o700)
    harness.copy_base(cache_dir, scratch / "cache")
    monkeypatch.setenv("PYRO_CACHE_DIR", str(scratch / "cache"))
    own = pyro_mcp.Pyro()
    base = next(scratch.glob("cache/environments/debian-12-base/*/base.erofs"))
    base.chmod(0o600)
    with open(base, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    assert own.inspect_environment(harness.BASE)["digest"] == details["digest"]
    with pytest.raises(pyro_mcp.DataLossError):
        own.inspect_environment(harness.BASE, verify=True)
    assert own.prune_environments()["count"] == 0
    removed = own.prune_environments(all=True)["removed"]
    assert harness.BASE in {one["environment"] for one in removed}


def test_disk_limits_and_garbage_are_told_and_a_limit_is_an_error_with_a_hint(sdk, scratch, monkeypatch):
    monkeypatch.setenv("PYRO_CONFIG_DIR", str(scratch / "config"))
    own = pyro_mcp.Pyro()
    report = own.df()
    has_shape(report, results.DiskReport)
    assert sum(use["bytes"] for use in report["uses"]) == report["bytes"] > 0
    listed = own.limits()
    has_shape(listed, results.LimitList)
    assert {one["name"]: one["limit"] for one in listed["limits"]}["limit.tasks"] is None
    assert own.gc(dry_run=True)["dry_run"] is True
    has_shape(own.gc(dry_run=True), results.GarbageReport)
    own.set_setting(name="limit.tasks", value="1")
    own.create_task(environment=harness.BASE)
    with pytest.raises(pyro_mcp.LimitExceededError) as refused:
        own.create_task(environment=harness.BASE)
    assert "limit.tasks" in refused.value.hint
    with pytest.raises(pyro_mcp.InvalidArgumentError):
        own.set_setting(name="limit.tasks", value="many")


def test_events_are_told_to_an_iterator_and_to_one_that_polls(sdk):
    with sdk.watch() as events:
        assert events.next() is None
        assert not select.select([events], [], [], 0)[0]
        with sdk.task(environment=harness.BASE) as task:
            with sdk.watch(task.task_id) as alone:
                present = alone.next(wait_seconds=250)
                has_shape(present, results.Event)
                assert (present["event"], present["state"], present["id"]) == ("present", "started", task.task_id)
                task.exec(command="echo out; exit 3", timeout_seconds=250)
                told = []
                for event in alone:
                    told.append(event)
                    if event["event"] == "command_ended":
                        break
                assert [one["event"] for one in told] == ["command_began", "output", "command_ended"]
                assert (told[1]["stream"], told[1]["bytes"], told[2]["exit_code"]) == ("stdout", 4, 3)
            assert select.select([events], [], [], 250)[0]
        # It came and went between two calls.
        assert [event["event"] for event in iter(events.next, None)] == ["created", "deleted"]
    assert list(events) == []
    with pytest.raises(pyro_mcp.NotFoundError):
        sdk.watch("task_aaaaaaaaaaaaaaaaaaaaaaaaaa")


def test_a_watch_that_waits_ends_when_it_is_closed_in_another_thread(sdk):
    events = sdk.watch()
    waiting = threading.Thread(target=lambda: list(events))
    waiting.start()
    events.close()
    waiting.join(250)
    assert not waiting.is_alive()


def test_a_wait_that_is_no_number_of_seconds_and_a_closed_descriptor_are_refused(sdk):
    with sdk.watch() as events:
        while events.next():
            pass
        for wait in (-1, float("nan"), float("inf"), 604801):
            with pytest.raises(pyro_mcp.InvalidArgumentError, match="^wait_seconds is "):
                events.next(wait_seconds=wait)
        for wait in ("1", True, None):
            with pytest.raises(TypeError, match="^wait_seconds is "):
                events.next(wait_seconds=wait)
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="^stdin is 9999, which is not open"):
        sdk.exec_task("task_aaaaaaaaaaaaaaaaaaaaaaaaaa", command="cat", stdin=9999)
