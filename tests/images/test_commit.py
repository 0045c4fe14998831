"""A task becomes an environment, and an environment an archive that skopeo and podman read."""

import fcntl
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import time

import harness
import pyro_mcp
import pytest

from images import checks, samples, trees
from images.image import Image, write_layout
from images.layers import CAP_NET_RAW, Layer, directory, fifo, file, hard_link, symlink, tar
from images.registry import program

# Own to each guest, or written at its start.
MOUNTS = ("/dev", "/proc", "/sys", "/run", "/tmp", "/workspace")
WRITTEN = ("/etc/gitconfig", "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker")
NOTED = "user.note:" + b"hello".hex()


def things():
    """Files of every kind that a careless copy gets wrong."""
    return [directory("opt"), directory("opt/things", 0o2755, uid=33, gid=50),
            file("opt/things/setuid", "#!/bin/sh\n", 0o4755, uid=1000, gid=50, mtime="1500000000.123456789"),
            file("opt/things/capable", "program", 0o755, xattrs={"security.capability": CAP_NET_RAW, "user.note": b"hello"}),
            file("opt/things/locked", "x", 0), fifo("opt/things/pipe", 0o600), symlink("opt/things/link", "/nowhere/at all", uid=33),
            file("opt/things/first", "two names"), hard_link("opt/things/second", "opt/things/first"),
            file("opt/things/new\nline é", "odd")]


def listing(pyro, name, *flags):
    done = pyro.run("/probe", "tree", "/", *MOUNTS, environment=name, flags=("-q", "--user", "0:0", *flags))
    assert done.code == 0, done
    return done.text


NAME = "library/toolbox"
CONFIG = {"User": "app", "Env": ["PATH=/usr/bin:/bin", "A=image"], "Cmd": ["/probe", "own"]}


@pytest.fixture
def toolbox(shop, scratch):
    """busybox, and the files that an unpacking without root could get wrong."""
    if not checks.folder_of(shop, NAME).exists():
        image = Image([*samples.owners().layers, Layer.of(things())], CONFIG)
        path = write_layout(scratch / "toolbox", [("", image.manifest())])
        done = shop("env", "pull", "--json", "--name", NAME, f"oci-layout:{path}")
        assert done.code == 0, done
    return NAME


@pytest.fixture
def task(shop, toolbox):
    made = harness.Task(shop, shop("task", "create", "-q", "--name", "maker", toolbox).text.strip())
    # What is changed is on another disk than what is not.
    in_root(made, "cd /opt/things && chmod 4711 setuid && chmod 711 capable && echo x > fresh && ln fresh linked && chown 33 fresh && "
                  "mkfifo own")
    yield made
    made.delete()


def in_root(task, script, **options):
    done = task.exec("sh", "-c", script, flags=("-q", "--user", "0:0"), **options)
    assert done.code == 0, done
    return done.text


def commit(pyro, task_id, name, *flags):
    done = pyro("env", "commit", "--json", *flags, task_id, name)
    assert done.code == 0, done
    return done.json


def expect_same(ours, theirs):
    different = trees.differences(ours, theirs, (*MOUNTS, *WRITTEN), ("/etc",))
    assert not different, "\n".join(different)


@pytest.mark.cost(10)
def test_a_task_becomes_an_environment_with_the_same_files(shop, task):
    in_root(task, "rm /data/old; echo x > /tmp/secret; echo y > /workspace/file")
    done = task.exec("sh", "-c", "cat > /dev/null; exit 3", flags=("-q", "--env", "TOKEN=hunter2"), input=b"stdin-secret")
    assert done.code == 3
    assert task.exec("sleep", "300", flags=("-q", "--background")).code == 0
    before = task.exec("/probe", "tree", "/", *MOUNTS, flags=("-q", "--user", "0:0")).text
    made = commit(shop, "maker", "library/made")
    assert made["installed"] and made["source"] == f"commit of task maker ({task.id})" and made["left_out"] == [], made
    after = listing(shop, "library/made")
    expect_same(after, before)
    found = trees.parse(after)
    assert found["/opt/things/setuid"]["mode"] == "0104711" and found["/opt/things/setuid"]["owner"] == "1000:50"
    assert f"security.capability:{CAP_NET_RAW.hex()}" in found["/opt/things/capable"]["xattrs"]
    assert NOTED in found["/opt/things/capable"]["xattrs"]
    assert found["/opt/things/fresh"]["links"] == ("/opt/things/fresh", "/opt/things/linked") and "/data/old" not in found
    # The task goes on, with its command.
    assert task.exec("true").code == 0 and task.json("status")["state"] == "started"

    script = "cat /etc/hosts; ls -A /tmp /workspace; stat -c %a /tmp"
    done = shop.run("sh", "-c", script, environment="library/made")
    assert done.text.count("127.0.1.1") == 1 and "secret" not in done.text and "file" not in done.text, done
    assert done.text.endswith("\n1777\n"), done
    told = trees.Told.of(shop("run", "-q", "library/made").out)
    assert told.uid == "1000:1000" and told.env["A"] == "image" and told.args[-1] == "own"

    details = shop("env", "inspect", "--json", "library/made").json
    assert details["commit"]["environment"] == NAME and details["commit"]["task_name"] == "maker"
    commands = details["commit"]["commands"]
    assert [one["sequence"] for one in commands] == list(range(1, len(commands) + 1))
    assert [one["exit_code"] for one in commands if "exit 3" in one["command"]] == [3]
    assert [one["outcome"] for one in commands if "sleep" in one["command"]] == [None]
    assert "hunter2" not in json.dumps(details) and "stdin-secret" not in json.dumps(details)
    told = shop("env", "inspect", "library/made").text
    assert "Committed: " in told and "[3] sh -c" in told
    checks.expect_refused(shop("env", "pull", "--json", "library/made"), "invalid_argument", "was committed from a task")


@pytest.mark.cost(8)
def test_the_workspace_comes_if_it_is_asked_for_and_a_stopped_task_stays_so(shop, task):
    in_root(task, "echo y > /workspace/file && chown 33:50 /workspace/file")
    task.stop()
    commit(shop, task.id, "library/filled", "--workspace")
    assert task.json("status")["state"] == "stopped"
    made = harness.Task(shop, shop("task", "create", "-q", "library/filled").text.strip())
    assert made.exec("sh", "-c", "cat file && stat -c %u:%g file").text == "y\n33:50\n"
    assert commit(shop, made.id, "library/twice")["source"] == f"commit of task {made.id}"
    checks.expect_refused(shop("env", "remove", "--json", "library/filled"), "wrong_state", "library/filled")
    made.delete()
    assert shop("env", "remove", "library/filled").code == 0
    assert shop("env", "remove", "library/twice").code == 0


class OnTerminal:
    """A process whose stderr is a terminal, so that it tells how far it is."""

    def __init__(self, pyro, *words):
        self.terminal, far = os.openpty()
        self.told = b""
        self.process = pyro.start(*words, stderr=far)
        os.close(far)

    def tells(self, text):
        if select.select([self.terminal], [], [], 0)[0]:
            try:
                self.told += os.read(self.terminal, 4096)
            except OSError:  # The other side is closed.
                return True
        return text in self.told

    def finish(self):
        done = harness.finish(self.process)
        os.close(self.terminal)
        return done


def test_a_commit_that_waited_for_another_has_the_commands_of_its_tree(shop, task):
    commit(shop, task.id, "library/waited")
    with open(checks.folder_of(shop, "library/waited") / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = OnTerminal(shop, "env", "commit", task.id, "library/waited")
        harness.wait_until(lambda: process.tells(b"wait"), lambda: process.told)
        in_root(task, "echo late > /opt/late")
    done = process.finish()
    assert done.code == 0, (done, process.told)
    commands = shop("env", "inspect", "--json", "library/waited").json["commit"]["commands"]
    assert "echo late > /opt/late" in commands[-1]["command"] and commands[-1]["exit_code"] == 0, commands
    assert shop.run("cat", "/opt/late", environment="library/waited").text == "late\n"


def test_a_tree_that_is_too_deep_is_told_and_leaves_nothing(shop, task):
    in_root(task, "cd /opt; i=0; while [ $i -lt 502 ]; do mkdir d; cd d; i=$((i + 1)); done")
    done = shop("env", "commit", "--json", task.id, "library/deep")
    checks.expect_refused(done, "limit_exceeded", "more than 500 directories", "remove it")
    checks.expect_not_installed(shop, "library/deep")


@pytest.mark.cost(6)
def test_a_large_hole_takes_no_room(bare, cache_dir, mounts, scratch):
    if os.geteuid() != 0:
        harness.cannot_run("only root can mount a small disk")
    mounts("tmpfs", bare.cache, "size=300m,mode=0700")
    harness.copy_base(cache_dir, bare.cache)
    path = write_layout(scratch / "busybox", [("", samples.busybox().manifest())])
    assert bare("env", "pull", "-q", "--name", NAME, f"oci-layout:{path}").code == 0
    task = harness.Task(bare, bare("task", "create", "-q", NAME).text.strip())
    in_root(task, f"mkdir -p /data && printf begin > /data/disk && printf end | dd of=/data/disk bs=1 seek={4 << 30} 2> /dev/null")
    commit(bare, task.id, "library/holes")
    task.delete()
    script = f"stat -c %s /data/disk; head -c 6 /data/disk | od -c; dd if=/data/disk bs=1 skip={4 << 30} 2> /dev/null"
    done = bare.run("sh", "-c", script, environment="library/holes", flags=("-q", "--user", "0:0"))
    assert re.fullmatch(r"4294967299\n0000000 +b +e +g +i +n +\\0\n0000006\nend", done.text), done
    assert checks.info_of(bare, "library/holes")["size_bytes"] < 150 << 20


@pytest.mark.cost(10)
def test_an_export_is_read_by_skopeo_and_run_by_podman_and_pulled_again(shop, task, podman, probe, scratch):
    in_root(task, f"printf end | dd of=/opt/things/holes bs=1 seek={70 << 20} 2> /dev/null")
    commit(shop, task.id, "library/made")
    assert shop("env", "prune").code == 0
    out = scratch / "made.tar"
    done = shop("env", "export", "--json", "library/made", out)
    assert done.code == 0 and done.json["bytes"] == out.stat().st_size and done.json["left_out"] == [], done
    inspected = json.loads(subprocess.run([program("skopeo"), "inspect", "--config", f"oci-archive:{out}"], stdout=subprocess.PIPE,
                                          check=True).stdout)
    assert inspected["architecture"] == "amd64" and inspected["config"]["User"] == "app"
    assert any("chmod 4711" in line["created_by"] for line in inspected["history"])

    ours = listing(shop, "library/made")
    image = podman.pull(f"oci-archive:{out}")
    expect_same(ours, podman.tree(image, probe))
    told = trees.Told.of(podman.run(image))
    assert told.uid == "1000:1000" and told.env["A"] == "image" and told.args[-1] == "own"

    done = shop("env", "pull", "--json", "--name", "library/again", f"oci-archive:{out}")
    assert done.code == 0 and done.json["left_out"] == [], done
    expect_same(listing(shop, "library/again"), ours)

    checks.expect_refused(shop("env", "export", "--json", "library/made", out), "already_exists", str(out))
    before = out.read_bytes()
    assert shop("env", "export", "-q", "--force", "library/made", out).code == 0
    assert out.read_bytes() == before, "the same environment makes the same bytes"
    assert shop("env", "export", "-q", "library/made", "-").out == before
    assert sorted(entry.name for entry in scratch.iterdir() if "made" in entry.name) == ["made.tar"]


@harness.only_on("usermode", "what comes of a guest of QEMU is tested with smaller trees")
@pytest.mark.cost(15)
def test_a_user_without_root_commits_a_task_of_the_catalog_and_exports_it(stocked_user, podman, scratch):
    pyro = stocked_user
    task = harness.Task(pyro, pyro("task", "create", "-q", harness.BASE).text.strip())
    done = task.exec("sh", "-c", "rm /etc/issue && tar --xattrs '--xattrs-include=*' -xpf - -C /", input=tar(things()))
    assert done.code == 0, done
    made = commit(pyro, task.id, "library/own")
    assert made["left_out"] == [], made
    task.delete()
    script = ("pwd; test ! -e /etc/issue && stat -c '%a %u:%g %Y' /opt/things/setuid && stat -c %h /opt/things/second && "
              "ls -d /lib/modules/*/kernel && id -u")
    done = pyro.run("sh", "-c", script, environment="library/own")
    assert re.fullmatch(r"/workspace\n4755 1000:50 1500000000\n2\n/lib/modules/\S+\n0\n", done.text), done
    out = scratch / "own.tar"
    out.write_bytes(pyro("env", "export", "-q", "library/own", "-").out)
    image = podman.pull(f"oci-archive:{out}")
    script = "cat /etc/debian_version && stat -c '%a %u' /opt/things/setuid"
    told = podman.run(image, "sh", "-c", script)
    assert told.startswith(b"12") and told.endswith(b"\n4755 1000\n"), told


@harness.only_on("usermode", "what comes of a guest of QEMU is tested with smaller trees")
@pytest.mark.cost(15)
def test_an_environment_of_the_catalog_is_exported_as_one_layer(shop, podman, scratch):
    files = [scratch / "a.tar", scratch / "b.tar"]
    for out in files:
        done = shop("env", "export", "-q", harness.BASE, out)
        assert done.code == 0, done
    assert len({hashlib.sha256(out.read_bytes()).hexdigest() for out in files}) == 1
    image = podman.pull(f"oci-archive:{files[0]}")
    assert podman.run(image, "sh", "-c", "dpkg --verify base-files | grep -v ^missing; cat /etc/debian_version").startswith(b"12")


def test_an_image_is_exported_with_the_bytes_that_were_pulled(shop, pulled, scratch):
    name = pulled("commit/layered", samples.layered())
    assert shop("env", "prune").code == 0
    out = scratch / "layered.tar"
    assert shop("env", "export", "-q", name, out).code == 0
    details = shop("env", "inspect", "--json", name).json["image"]
    inspected = json.loads(subprocess.run([program("skopeo"), "inspect", f"oci-archive:{out}"], stdout=subprocess.PIPE, check=True).stdout)
    assert inspected["Digest"] == details["manifest_digest"] and inspected["Layers"] == details["layers"]


def test_python_commits_and_exports(shop, task, scratch, monkeypatch):
    for name, value in shop.env.items():
        monkeypatch.setenv(name, value)
    sdk = pyro_mcp.Pyro()
    made = sdk.commit_environment("maker", name="library/python")
    assert made["name"] == "library/python" and made["task_id"] == task.id and made["left_out"] == []
    assert sdk.inspect_environment("library/python")["commit"]["workspace"] is False
    told = sdk.export_environment("library/python", file=scratch / "python.tar")
    assert told["file"] == str(scratch / "python.tar") and told["bytes"] == (scratch / "python.tar").stat().st_size
    with pytest.raises(pyro_mcp.AlreadyExistsError):
        sdk.export_environment("library/python", file=scratch / "python.tar")


# In the order in which a commit makes them.
STEPS = (".pull-*/layer", ".pull-*/tree/index.json", ".pull-*/version/base.erofs")


@pytest.mark.cost(8)
@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGKILL))
def test_a_commit_that_is_ended_leaves_nothing(shop, task, number):
    folder = checks.folder_of(shop, "library/ended")
    for step in STEPS:
        # A step may be over before the signal comes.
        for _ in range(10):
            process = shop.start("env", "commit", "-q", task.id, "library/ended")
            while process.poll() is None and not list(folder.glob(step)):
                time.sleep(0.001)
            process.send_signal(number)
            process.communicate()
            if process.returncode != 0:
                break
            assert shop("env", "remove", "-q", "library/ended").code == 0
        assert process.returncode != 0, step
        if number == signal.SIGKILL:
            harness.wait_until(lambda: shop("env", "prune", "--json").json["skipped"] == [], "its tools have ended")
        checks.expect_not_installed(shop, "library/ended")
    assert task.exec("true").code == 0


@pytest.mark.cost(4)
def test_a_disk_that_is_full_refuses_commits_and_exports_and_leaves_nothing(bare, cache_dir, mounts, scratch):
    if os.geteuid() != 0:
        harness.cannot_run("only root can mount a small disk")
    mounts("tmpfs", bare.cache, "size=200m,mode=0700")
    harness.copy_base(cache_dir, bare.cache)
    path = write_layout(scratch / "toolbox", [("", Image(samples.owners().layers, CONFIG).manifest())])
    assert bare("env", "pull", "-q", "--name", NAME, f"oci-layout:{path}").code == 0
    task = harness.Task(bare, bare("task", "create", "-q", NAME).text.strip())
    assert task.exec("true").code == 0
    space = os.statvfs(bare.cache)
    with open(bare.cache / "filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, space.f_bavail * space.f_frsize - (512 << 10))
    checks.expect_refused(bare("env", "commit", "--json", task.id, "library/full"), "no_space")
    checks.expect_not_installed(bare, "library/full")
    (bare.cache / "filler").unlink()
    commit(bare, task.id, "library/full")
    task.delete()
    small = scratch / "small"
    mounts("tmpfs", small, "size=256k")
    checks.expect_refused(bare("env", "export", "--json", "library/full", small / "full.tar"), "no_space")
    assert list(small.iterdir()) == []


def test_a_commit_tells_what_is_wrong_with_its_arguments(shop, task):
    checks.expect_refused(shop("env", "commit", "--json", task.id, "debian:12"), "invalid_argument", "debian:12")
    checks.expect_refused(shop("env", "commit", "--json", "no-such-task", "library/x"), "not_found", "no-such-task")
    checks.expect_refused(shop("env", "export", "--json", "library/none", "/tmp/none.tar"), "not_found", "library/none")
