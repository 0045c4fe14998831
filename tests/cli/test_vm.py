"""pyro vm on a real guest: one verb after the other, as the steps of `pyro run`."""

import harness


def test_a_vm_is_made_started_used_and_gone(pyro):
    vm_id = pyro("vm", "create", "-q", harness.BASE).text.strip()
    assert pyro("vm", "status", "--json", vm_id).json["state"] == "created"
    early = pyro("vm", "exec", vm_id, "--", "true")
    assert early.code == 125 and harness.is_one_sentence_and_hint(early.talk), early
    started = pyro("vm", "start", "--json", vm_id)
    assert (started.code, started.json["state"]) == (0, "started"), started
    assert pyro("vm", "list", "-q").text.split() == [vm_id]
    assert pyro("vm", "network-info", "--json", vm_id).json["network_enabled"] is False
    done = pyro("vm", "exec", "--timeout-seconds", "250", vm_id, "--", "sh", "-c", "cat; uname -n >&2; exit 7", input=b"in")
    assert (done.code, done.out) == (7, b"in"), done
    assert "[vm-exec] exit_code=7 duration_ms=" in done.talk
    assert pyro("vm", "list", "--json").json == {"count": 0, "vms": []}
    assert pyro.directories() == []


def test_a_stopped_vm_keeps_its_disk_until_it_is_deleted(pyro):
    vm_id = pyro("vm", "create", "-q", harness.BASE).text.strip()
    assert pyro("vm", "start", "-q", vm_id).code == 0
    stopped = pyro("vm", "stop", vm_id)
    assert stopped.code == 0 and "State: stopped" in stopped.text, stopped
    assert pyro("vm", "start", "-q", vm_id).code == 0
    deleted = pyro("vm", "delete", vm_id)
    assert (deleted.code, deleted.text) == (0, f"Deleted VM: {vm_id}\n"), deleted
    assert pyro.directories() == []
