"""Guests that go on from a template: machines of their own, and right or booted."""

import json
import os
import shutil
import subprocess

import harness
import pytest

pytestmark = harness.only_on("qemu", "a guest in user mode cannot be frozen into a template")

# More for a figure, fewer so that the suite stays short.
CLONES = int(os.environ.get("PYRO_TEST_CLONES") or 5)
AT_ONCE = int(os.environ.get("PYRO_TEST_CLONES_AT_ONCE") or 3)

IDENTITY = r"""
cat /etc/machine-id /proc/sys/kernel/random/boot_id
hostname
for i in 1 2 3; do cat /proc/sys/kernel/random/uuid; done
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' '
grep -m1 stack /proc/self/maps
date +%s
cut -d. -f1 /proc/uptime
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache whose templates are this module's alone; the environments are everybody's."""
    path = tmp_path_factory.mktemp("cache")
    for entry in harness.CACHE.iterdir():
        if entry.name in ("environments", "blank", "accelerator.json"):
            (path / entry.name).symlink_to(entry)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def call(cache, state_dir):
    def run(*words, **more):
        if words[0] == "run":  # A slow host is not what is tested.
            words = ("run", "--timeout-seconds", str(harness.HANG_SECONDS), *words[1:])
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
               "PYRO_CACHE_DIR": str(cache), "PYRO_STATE_DIR": str(state_dir), **more}
        return subprocess.run([harness.BIN / "pyro", *words], env=env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=harness.HANG_SECONDS)
    return run


def succeed(done):
    assert done.returncode == 0, done


def templates(cache):
    root = cache / "templates"
    return sorted(root.glob("[!.]*/manifest.json")) if root.exists() else []


def usual(cache, call, new_disk):
    succeed(call("env", "pull", harness.BASE))
    found = [path.parent for path in templates(cache)
             if json.loads(path.read_text()).items() >= {"mem_mib": 1024, "new_disk": new_disk}.items()]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def template(cache, call):
    """What new guests go on from."""
    return usual(cache, call, True)


@pytest.fixture
def other_template(cache, call):
    """What guests with another disk go on from."""
    return usual(cache, call, False)


def test_inspect_lists_templates(call, template):
    done = call("env", "inspect", "--json", harness.BASE)
    listed = json.loads(done.stdout)["templates"]
    assert sorted((one["vcpu_count"], one["mem_mib"], one["network"], one["new_disk"])
                  for one in listed) == [(1, 1024, False, False), (1, 1024, False, True)]
    assert all(one["size_bytes"] > 1 << 20 for one in listed)
    text = call("env", "inspect", harness.BASE).stdout.decode()
    assert "\n  1 vCPU, 1024 MiB, new disk: " in text and "\n  1 vCPU, 1024 MiB: " in text, text


def used(template):
    return (template / "manifest.json").stat().st_mtime_ns


def identity(call):
    done = call("run", "-q", harness.BASE, "--", "sh", "-c", IDENTITY)
    assert done.returncode == 0, done
    lines = done.stdout.decode().split("\n")
    machine, boot, host, *uuids = lines[:6]
    return {"machine_id": machine, "boot_id": boot, "hostname": host, "uuid": uuids[0],
            "second_uuid": uuids[1], "third_uuid": uuids[2], "random": lines[6],
            "stack": lines[7].split("-")[0], "time": int(lines[8]), "uptime": int(lines[9])}


@pytest.mark.cost(5)
def test_no_two_clones_agree(call, template):
    before = used(template)
    first = int(subprocess.check_output(["date", "+%s"]))
    seen = [identity(call) for _ in range(CLONES)]
    last = int(subprocess.check_output(["date", "+%s"]))
    assert used(template) > before
    for what in ("machine_id", "boot_id", "hostname", "uuid", "second_uuid", "third_uuid",
                 "random", "stack"):
        assert len({one[what] for one in seen}) == CLONES, (what, seen)
    for one in seen:
        assert first - 1 <= one["time"] <= last + 1, one
        assert 0 <= one["uptime"] < 3600, one


def test_many_at_once_make_one_template_and_share_nothing(call, cache, template):
    script = "cat /etc/machine-id /proc/sys/kernel/random/boot_id; echo mine > /workspace/x; ls /workspace"
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
           "PYRO_CACHE_DIR": str(cache), "PYRO_STATE_DIR": str(cache.parent / "at-once")}
    running = [subprocess.Popen([harness.BIN / "pyro", "run", "-q", harness.BASE, "--", "sh", "-c",
                                 script], env=env, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(AT_ONCE)]
    out = [process.communicate(timeout=harness.HANG_SECONDS)[0].decode() for process in running]
    assert [process.returncode for process in running] == [0] * AT_ONCE
    assert all(text.endswith("\nx\n") for text in out), out
    assert len({text.split("\n")[0] for text in out}) == AT_ONCE
    assert len({text.split("\n")[1] for text in out}) == AT_ONCE
    assert len(templates(cache)) == 2
    assert [path.name for path in (cache / "templates").iterdir() if path.name[0] == "."] == []


def cut_memory(template):
    memory = template / "memory"
    memory.chmod(0o600)
    os.truncate(memory, memory.stat().st_size // 2)


def flip_state(template):
    state = template / "state"
    state.chmod(0o600)
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 0x10
    state.write_bytes(data)


def lose_state(template):
    (template / "state").unlink()


def spoil_manifest(template):
    (template / "manifest.json").write_text("{")


def write_to_disk(template):
    disk = template / "disk"
    disk.chmod(0o600)
    with open(disk, "r+b") as file:
        file.seek(1024)
        file.write(b"x")


def crc64(data):
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xc96c5795d7870f42 if crc & 1 else 0)
    return f"{crc ^ (1 << 64) - 1:016x}"


def fake_state(template):
    """Right by all that is checked, and wrong for QEMU: the guest's disk is the template's by then."""
    state = b"no state of any machine"
    (template / "state").chmod(0o600)
    (template / "state").write_bytes(state)
    manifest = json.loads((template / "manifest.json").read_text())
    manifest["state_crc64"] = crc64(state)
    (template / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.cost(10)
@pytest.mark.parametrize("spoil", [cut_memory, flip_state, lose_state, spoil_manifest, write_to_disk,
                                   fake_state])
def test_a_damaged_template_is_remade_and_no_run_notices(call, cache, template, spoil):
    spoil(template)
    done = call("run", "-q", harness.BASE, "--", "echo", "fine")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"fine\n", b""), done

    def remade():
        try:
            return json.loads((template / "manifest.json").read_text())["environment"]
        except (OSError, ValueError):
            return None

    harness.await_template(remade, "the template to be made again", lambda: call("run", "-q", harness.BASE, "--", "true"))
    before = used(template)
    succeed(call("run", "-q", harness.BASE, "--", "true"))
    assert used(template) > before


@pytest.mark.cost(10)
def test_another_size_boots_and_then_has_a_template_of_its_own(call, cache, template):
    known = templates(cache)

    def run():
        succeed(call("run", "-q", "--mem-mib", "512", harness.BASE, "--", "true"))

    run()
    harness.await_template(lambda: len(templates(cache)) > len(known), "a template for 512 MiB", run)
    other = next(path.parent for path in templates(cache) if path not in known)
    assert json.loads((other / "manifest.json").read_text())["mem_mib"] == 512
    before = used(other)
    done = call("run", "-q", "--mem-mib", "512", harness.BASE, "--", "sh", "-c",
                "grep MemTotal /proc/meminfo")
    assert used(other) > before
    assert 400_000 < int(done.stdout.split()[1]) < 512 * 1024


@pytest.mark.cost(10)
def test_a_task_of_another_size_has_the_template_made_from_which_it_starts_again(call, cache, template):
    known = templates(cache)

    def create():
        made = call("task", "create", "--json", "--mem-mib", "640", harness.BASE)
        assert made.returncode == 0, made
        return json.loads(made.stdout)["task_id"]

    tasks = [create()]
    harness.await_template(lambda: len(templates(cache)) == len(known) + 2, "both templates for 640 MiB",
                           lambda: tasks.append(create()))
    succeed(call("task", "stop", tasks[0]))
    again = call("task", "exec", "--json", tasks[0], "--", "true")
    assert json.loads(again.stdout)["timings"]["start"] == "template", again
    for task in tasks:
        succeed(call("task", "delete", task))


SIZES = "cat /sys/class/block/vdb/size; df -B1M --output=size /workspace | tail -1"


@pytest.mark.cost(10)
@pytest.mark.parametrize("disk_mib", [256, 10240, 20480])
def test_a_task_starts_warm_and_so_it_does_again_with_its_disk(call, state_dir, template, other_template,
                                                               disk_mib):
    """Its disk has the size that was asked for, and what was on it at a stop, and after a kill."""
    def start_of(done):
        assert done.returncode == 0, done
        return json.loads(done.stdout)["timings"]["start"]

    first = template if disk_mib == 10240 else other_template
    before = used(first)
    made = call("task", "create", "--json", "--disk-mib", str(disk_mib), harness.BASE)
    assert made.returncode == 0, made
    assert used(first) > before
    task = json.loads(made.stdout)["task_id"]
    written = call("task", "exec", "-q", task, "--", "sh", "-c",
                   f"echo kept > /workspace/x; echo etc > /etc/x; {SIZES}")
    sectors, blocks = written.stdout.split()
    assert int(sectors) == disk_mib * 2048, written
    assert disk_mib * 0.8 < int(blocks) < disk_mib, written
    succeed(call("task", "stop", task))
    again = call("task", "exec", "--json", task, "--", "sh", "-c",
                 f"cat /workspace/x /etc/x; {SIZES}; echo late > /workspace/y")
    assert start_of(again) == "template"
    assert json.loads(again.stdout)["stdout"] == "kept\netc\n" + written.stdout.decode()

    # The file system was in use: what the last command has written is in its journal only.
    harness.Task(harness.Pyro(state_dir, template.parent.parent, state_dir.parent), task).kill_guest()
    disk = state_dir / "tasks" / task / "data.img"
    assert b"needs_recovery" in subprocess.check_output(["/sbin/dumpe2fs", "-h", disk], stderr=subprocess.DEVNULL)
    again = call("task", "exec", "--json", task, "--", "sh", "-c", f"cat /workspace/y /etc/x; {SIZES}")
    assert start_of(again) == "template"
    assert json.loads(again.stdout)["stdout"] == "late\netc\n" + written.stdout.decode()
    assert used(template) and used(other_template), "no start has failed and taken its template along"
    succeed(call("task", "delete", task))


def test_warm_start_can_be_switched_off(call, template):
    before = used(template)
    succeed(call("run", "-q", harness.BASE, "--", "true", PYRO_WARM_START="0"))
    assert used(template) == before


def test_a_template_goes_with_its_environment(call, cache, template):
    succeed(call("env", "prune"))
    assert template.exists()
    manifest = template / "manifest.json"
    document = json.loads(manifest.read_text())
    document["environment_digest"] = "0" * 64
    manifest.write_text(json.dumps(document))
    done = call("env", "prune", "--json")
    removed = json.loads(done.stdout)["removed"]
    assert [one["what"] for one in removed if "template" in one["what"]] == ["template"], removed
    assert not template.exists()
