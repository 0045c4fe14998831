"""pyro doctor: what is there, what is missing, and the command that brings it."""

import json
import os
import pathlib
import shutil

import harness
from test_env import golden, shape


def test_for_people(pyro):
    done = pyro("doctor")
    assert (done.code, done.err) == (0, b""), done
    lines = done.text.splitlines()
    assert [line.split(":")[0] for line in lines[:7]] == [
        "Platform", "Runtime", "KVM", "Environment cache", "Capabilities", "Networking",
        "Accelerator"]
    assert lines[7].startswith("Machine: ") and " (decided by " in lines[7]
    assert [line.split(":")[0] for line in lines[8:12]] == ["  kvm", "  tcg", "  usermode", "Configuration"]
    assert all(line.startswith("- ") for line in lines[12:])
    assert lines[0] == "Platform: linux-x86_64"
    assert lines[1] == "Runtime: PASS"
    device = pathlib.Path("/dev/kvm")
    yes = {True: "yes", False: "no"}
    assert lines[2] == "KVM: exists={} readable={} writable={}".format(
        yes[device.exists()], yes[os.access(device, os.R_OK)], yes[os.access(device, os.W_OK)])
    assert lines[3] == f"Environment cache: {pyro.cache}/environments"
    assert lines[4].startswith("Capabilities: vm_boot=yes guest_exec=yes guest_network=")
    assert lines[5].startswith("Networking: tun=") and " ip_forward=" in lines[5]


def test_as_json(pyro):
    done = pyro("doctor", "--json")
    assert (done.code, done.err) == (0, b""), done
    document = done.json
    wanted = golden("doctor.json")
    found = shape(document)
    for form in (wanted, found):  # What is null on one host is text on another.
        form["checks"][0].pop("fix")
        form["issues"] = []
        form["networking"].pop("backend")
        for name in ("fix", "reason"):
            form["machines"][0].pop(name)
    assert found == wanted
    assert done.text == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert document["runtime_ok"] is True
    assert document["accelerator"]["name"] in ("kvm", "tcg")
    assert document["accelerator"]["reason"]
    assert {check["name"] for check in document["checks"]} >= {
        "qemu", "jail", "supervisor", "agent", "state", "accelerator", "machine", "environment tools",
        "image tools", "guest network", "trusted certificates", "guest"}
    guest, = [check for check in document["checks"] if check["name"] == "guest"]
    assert guest["ok"] is True and guest["required"] is True, guest
    assert guest["detail"].startswith("one of debian:12"), guest


def test_a_missing_part_fails_and_says_what_to_do(pyro, scratch):
    shutil.copy(pyro.program, scratch / "pyro")  # Without its helpers beside it.
    pyro.program = scratch / "pyro"
    done = pyro("doctor", "--json")
    assert done.code == 1, done
    document = done.json
    assert document["runtime_ok"] is False
    assert document["capabilities"]["vm_boot"] is False
    assert document["capabilities"]["guest_exec"] is False
    failed = {check["name"]: check for check in document["checks"] if not check["ok"]}
    assert {"supervisor", "agent"} <= set(failed)
    assert all(check["fix"] for check in failed.values()), failed
    assert len(document["issues"]) == len(failed)
    people = pyro("doctor")
    assert people.code == 1
    lines = people.text.splitlines()
    assert lines[1] == "Runtime: FAIL"
    assert len([line for line in lines if line.startswith("- ")]) == len(failed)


def test_it_works_with_an_empty_cache(bare):
    done = bare("doctor", "--json")
    assert done.code == 0, done
    assert done.json["environment_cache"] == str(bare.cache / "environments")
    assert done.json["state_directory"] == str(bare.state)
    assert done.json["checks"][-1] == {
        "name": "guest", "ok": False, "required": False,
        "detail": "not tried, because no environment is installed", "fix": "pyro env pull debian:12"}
    people = bare("doctor")
    assert people.code == 0
    assert people.text.splitlines()[1] == "Runtime: WARN"
    assert "- guest: not tried, because no environment is installed; fix: pyro env pull debian:12" in people.text


def test_a_guest_that_does_not_start_is_no_pass(bare):
    harness.copy_base(harness.CACHE, bare.cache)
    kernel = bare.cache / "environments/debian-12-base/current/vmlinuz"
    size = kernel.stat().st_size
    kernel.chmod(0o600)
    kernel.write_bytes(b"no kernel" + bytes(size - 9))
    done = bare("doctor")
    assert done.code == 1, done
    assert done.text.splitlines()[1] == "Runtime: FAIL"
    assert "Capabilities: vm_boot=no guest_exec=no guest_network=no" in done.text
    assert "- guest: the machine did not start" in done.text, done
    assert bare("vm", "list", "-q").out == b""


def test_a_bad_registry_is_an_issue_not_a_crash(bare):
    bare.state.mkdir(mode=0o700)
    (bare.state / "registry.db").write_bytes(b"this is no database" * 100)
    done = bare("doctor", "--json")
    assert done.code == 1
    assert any("registry.db" in issue for issue in done.json["issues"]), done
    (bare.state / "registry.db").unlink()
    assert harness.descendants() == []
