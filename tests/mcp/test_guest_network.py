"""What a model says and learns of a guest's network and secrets."""

import json

import client
import harness


def test_a_model_names_the_hosts_that_it_needs_and_learns_what_was_refused(pyro, serve):
    server = serve(pyro=pyro)
    # The gate answers for a name that is not allowed, so that this needs no network outside.
    ask = "getent hosts other.example || echo none"
    result = server.call("vm_run", {"environment": harness.BASE, "timeout_seconds": 250, "command": ask,
                                    "allow": ["registry.example:443"]})
    value = result["structuredContent"]
    assert value["stdout"] == "none\n"
    assert [(one["reason"], one["host"], one["rule"]) for one in value["denied"]] == [
        ("not_allowed", "other.example", "other.example")]
    assert 'denied: other.example: no rule allows it; allow "other.example"' in client.text_of(result)
    task = server.value("task_create", environment=harness.BASE, allow=["registry.example:443"])
    assert task["network_rules"] == ["allow registry.example:443"]
    done = server.value("task_exec", task_id=task["task_id"], command=ask, timeout_seconds=250)
    assert [one["host"] for one in done["denied"]] == ["other.example"]
    assert "denied" not in server.value("task_exec", task_id=task["task_id"], command="true", timeout_seconds=250)
    server.value("task_delete", task_id=task["task_id"])
    refused = server.failure("vm_run", environment=harness.BASE, command="true", allow=["https://registry.example/"])
    assert refused["code"] == "invalid_argument" and "is a URL" in refused["message"]


def test_a_model_sees_secrets_by_their_names_alone(pyro, serve, scratch):
    (scratch / "hidden-place").write_text("a-value-0123456789\n")
    server = serve("--secret", f"TOKEN=file:{scratch}/hidden-place", "--for", "api.example", pyro=pyro)
    made = server.value("vm_create", environment=harness.BASE, secrets=["TOKEN"])
    shown = [made, server.value("vm_status", vm_id=made["vm_id"]), *server.value("vm_list")["vms"]]
    task = server.value("task_create", environment=harness.BASE, secrets=["TOKEN"], labels={"secrets": "a=b"})
    shown += [task, server.value("task_status", task_id=task["task_id"])]
    for uri in ("pyro://tasks", f"pyro://tasks/{task['task_id']}"):
        text = server.request("resources/read", {"uri": uri}).result["contents"][0]["text"]
        shown.append(json.loads(text).get("tasks", [json.loads(text)])[0])
    assert [one["secrets"] for one in shown] == [["TOKEN"]] * len(shown), shown
    assert task["labels"] == {"secrets": "a=b"}
    assert "hidden-place" not in str(shown)
    server.value("vm_delete", vm_id=made["vm_id"])
    server.value("task_delete", task_id=task["task_id"])
