"""Names, labels and defaults of tasks, by Python and on a real guest."""

import json

import pyro_mcp
import pytest

SECRET = "s3cr3t-default"


def test_a_task_is_found_by_its_name_and_its_labels_and_gives_its_defaults_to_commands(sdk):
    with sdk.task(environment="debian:12-base", name="web app", labels={"team": "web", "stage": "test"},
                  env={"TOKEN": SECRET}, cwd="src", user="daemon", timeout_seconds=120) as task:
        assert sdk.status_task("web app")["task_id"] == task.task_id
        assert task.status()["labels"] == {"team": "web", "stage": "test"}
        assert task.status()["defaults"] == {"env": ["TOKEN"], "cwd": "src", "user": "daemon", "timeout_seconds": 120}
        assert [one["task_id"] for one in sdk.list_tasks(labels=["team=web", "stage"])["tasks"]] == [task.task_id]
        assert sdk.list_tasks(labels=["team=db"])["count"] == 0

        made = sdk.exec_task("web app", command=["mkdir", "src"], cwd=".", user="root")
        assert made["exit_code"] == 0, made
        told = sdk.exec_task("web app", command='pwd; id -un; printf %s "$TOKEN"')
        assert told["stdout"] == f"/workspace/src\ndaemon\n{SECRET}", told
        assert task.exec(command='id -un; printf %s "$TOKEN"', user="root", env={"TOKEN": "own"})["stdout"] == "root\nown"
        entries = task.logs()["entries"]
        assert [one["user"] for one in entries] == ["root", "daemon", "root"]
        assert entries[1]["timeout_seconds"] == 120
        assert SECRET not in json.dumps([task.status(), sdk.list_tasks(), sdk.list_task_commands(task.task_id)])

        hidden = task.exec(command="echo h1dden", journal=False, cwd="/")
        assert (hidden["stdout"], hidden["sequence"]) == ("h1dden\n", 4)
        entry = task.logs()["entries"][-1]
        assert (entry["sequence"], entry["command"], entry["stdout"], entry["exit_code"]) == (4, [], "", 0)
        with pytest.raises(pyro_mcp.InvalidArgumentError, match="there is nothing to unset at 'disk'"):
            task.update(unset=["disk"])
        changed = task.update(name="web", labels={"stage": "live"}, unset=["env.TOKEN", "cwd", "labels.team"], ttl_seconds=900)
        assert (changed["name"], changed["labels"], changed["ttl_seconds"]) == ("web", {"stage": "live"}, 900)
        assert sdk.exec_task("web", command='pwd; id -un; printf %s "${TOKEN-none}"')["stdout"] == "/workspace\ndaemon\nnone"


def test_what_cannot_be_a_name_a_label_or_a_default_is_refused_before_a_guest_starts(sdk):
    for arguments, message in (({"name": "task_" + "a" * 26}, "looks like an id"), ({"labels": {"a b": "x"}}, "impossible key"),
                               ({"labels": {"a": "x\n"}}, "impossible value"), ({"env": {"A=B": SECRET}}, "holds a '='"),
                               ({"user": ":"}, "names no user"), ({"timeout_seconds": -1}, "timeout_seconds is -1")):
        with pytest.raises(pyro_mcp.InvalidArgumentError, match=message) as caught:
            sdk.create_task(environment="debian:12-base", **arguments)
        assert SECRET not in str(caught.value)
