"""pyro as the root of a user namespace, and where no program may gain rights."""

import os
import shutil
import subprocess

import harness
import pytest

USER = 60123  # No user of any host.


@pytest.fixture
def outsider(pyro, scratch):
    """pyro as a user without any rights, with programs, state and home of its own."""
    if os.geteuid() != 0:
        harness.cannot_run("only root can become another user")
    programs = scratch / "bin"
    programs.mkdir()
    for program in harness.BIN.iterdir():
        if program.name.startswith("pyro"):
            shutil.copy(program, programs)
    pyro.program = programs / "pyro"
    pyro.cache = scratch / "cache"
    pyro.env["PYRO_CACHE_DIR"] = str(pyro.cache)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(scratch)], check=True)
    pyro.prefix = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return pyro


def checks(done):
    return {check["name"]: check for check in done.json["checks"]}


def test_root_of_a_namespace_without_users_is_told_so(pyro):
    if os.geteuid() != 0:
        harness.cannot_run("a guest would run as this user, which is fine")
    pyro.prefix = ["unshare", "--user", "--map-root-user"]
    done = pyro("run", "-q", harness.BASE, "--", "true")
    harness.expect_error(done, 125)
    assert "root in a user namespace that has no other user" in done.talk, done
    assert "--map-auto" in done.talk, done
    jail = checks(pyro("doctor", "--json"))["jail"]
    assert not jail["ok"] and "no other user" in jail["detail"], jail
    assert "--map-auto" in jail["fix"] and "sysctl" not in jail["fix"], jail
    pyro.prefix = []
    assert pyro("env", "list").code == 0


def test_a_user_who_is_root_of_a_namespace_has_the_jail_of_a_user(outsider):
    outsider.prefix += ["unshare", "--user", "--map-root-user"]
    found = checks(outsider("doctor", "--json"))
    assert found["jail"]["ok"] and found["accelerator"]["ok"], found
    # Building needs more users than there are, and that is what is said.
    tools = found["environment tools"]
    assert not tools["ok"] and "too few users" in tools["fix"], tools


def test_a_user_whose_programs_gain_no_rights_is_told_so(outsider):
    outsider.prefix.append("--no-new-privs")
    found = checks(outsider("doctor", "--json"))
    assert found["jail"]["ok"], found
    tools = found["environment tools"]
    assert not tools["ok"] and "no_new_privs" in tools["fix"], tools
    done = outsider("env", "pull", harness.BASE)
    assert done.code == 1 and "no_new_privs" in done.talk, done
    assert "usermod" not in done.talk, done
