"""The machine that a guest runs on, with real guests."""

import pathlib

import harness
import pytest

pytestmark = harness.only_on("qemu", "these tests choose the machine themselves, user mode too")


def config(pyro, value):
    done = pyro("config", "set", "-q", "machine", value)
    assert done.code == 0, done


def test_a_run_on_tcg_says_so(pyro):
    done = pyro.run("uname", "-s", flags=("--json", "--machine", "tcg"))
    assert (done.code, done.json["stdout"]) == (0, "Linux\n"), done
    assert (done.json["machine"], done.json["accelerator"]) == ("tcg", "tcg")
    config(pyro, "tcg")
    assert pyro.run("true", flags=("--json",)).json["machine"] == "tcg"
    pyro.env["PYRO_MACHINE"] = "no-such"
    refused = pyro.run("true")
    assert refused.code == 125 and "PYRO_MACHINE is 'no-such'" in refused.talk, refused


def test_a_task_starts_again_on_the_machine_that_it_was_made_for(pyro, create):
    task = create("--machine", "tcg")
    assert task.json("status")["machine"] == "tcg"
    task.stop()
    pyro.env["PYRO_MACHINE"] = "kvm"  # For new ones; here it may not even work.
    done = task.exec("true", flags=("--json",))
    assert (done.code, done.json["machine"], done.json["restarted"]) == (0, "tcg", True), done
    assert pyro("task", "list", "--json").json["tasks"][0]["machine"] == "tcg"


def test_kvm_where_it_does_not_work_is_refused_with_the_remedy(pyro):
    report = pyro("doctor", "--json").json
    works = {one["name"]: one for one in report["machines"]}
    assert works["tcg"]["works"] is True
    if works["kvm"]["works"] and report["accelerator"]["name"] != "kvm":
        pytest.skip("KVM opens here, but a guest under it would take minutes to boot")
    done = pyro.run("true", flags=("--json", "--machine", "kvm"))
    if works["kvm"]["works"]:
        assert (done.code, done.json["machine"]) == (0, "kvm"), done
        return
    assert done.code == 125, done
    error = done.json["error"]
    assert error["code"] == "guest_unavailable" and "this call asks for the machine kvm" in error["message"], error
    assert error["hint"] == works["kvm"]["fix"]
    assert pathlib.Path("/dev/kvm").exists() or "does not exist" in error["message"]
    assert harness.descendants() == []


@pytest.fixture
def usermode():
    if not (harness.BIN / "pyro-usermode-kernel").exists():
        harness.cannot_run("there is no kernel for guests in user mode: make usermode")


needs_usermode = pytest.mark.usefixtures("usermode")


@needs_usermode
def test_a_run_in_user_mode_says_so(pyro):
    machines = {one["name"]: one for one in pyro("doctor", "--json").json["machines"]}
    assert machines["usermode"]["works"], machines
    done = pyro.run("uname", "-s", flags=("--json", "--machine", "usermode"))
    assert (done.code, done.json["stdout"]) == (0, "Linux\n"), done
    assert (done.json["machine"], done.json["accelerator"], done.json["timings"]["start"]) == ("usermode", "usermode", "boot")


@needs_usermode
def test_a_task_of_user_mode_starts_again_there_with_its_files(pyro, create):
    task = create("--machine", "usermode")
    assert task.exec("sh", "-c", "echo kept > f").code == 0
    task.stop()
    pyro.env["PYRO_MACHINE"] = "tcg"
    done = task.exec("cat", "f", flags=("--json",))
    assert (done.code, done.json["stdout"], done.json["machine"]) == (0, "kept\n", "usermode"), done


@needs_usermode
def test_user_mode_is_not_chosen_unasked_and_has_one_cpu(pyro):
    pyro.env.pop("PYRO_ACCELERATOR", None)
    if pyro("doctor", "--json").json["accelerator"]["name"] == "kvm":
        pytest.skip("KVM works here, and goes before user mode")
    assert pyro.run("true", flags=("--json",)).json["machine"] == "tcg"
    assert pyro("config", "set", "machine.without_kvm", "usermode").code == 0
    assert pyro.run("true", flags=("--json",)).json["machine"] == "usermode"
    refused = pyro.run("true", flags=("--vcpu-count", "2"))
    assert refused.code == 125 and "a guest in user mode has one CPU, not 2" in refused.talk, refused
