"""Images that a guest unpacks, since this user may not: without subordinate ids, with ids above them, or with device nodes."""

import pathlib
import signal
import subprocess
import sys

import harness
import pytest

from images import checks, samples, trees
from images.checks import expect_not_installed, expect_refused
from images.image import Image, write_layout, write_oci_archive
from images.layers import CAP_NET_RAW, Layer, device, directory, file, hard_link, opaque, symlink, whiteout
from images.test_layers import high, lowest, removing
from images.test_trees import MOUNTS, NOT_NEEDED, WRITTEN, compare, tree_of

sys.path.insert(0, str(harness.ROOT / "tests/fault"))
import failpoints  # noqa: E402


def pull(pyro, source, *flags, **options):
    return pyro("env", "pull", "--json", *flags, source, **options)


def layout(scratch, name, image):
    return f"oci-layout:{write_layout(scratch / name, [('', image.manifest())])}"


def expect_made_by_a_guest(pyro, name):
    version = checks.folder_of(pyro, name) / "current"
    assert (version / "base.ext4").exists() and not list(version.glob("*.erofs")), list(version.iterdir())


def deep():
    """What a guest alone has to get right: a link on the way, and whole layers that change what lies below it."""
    return Image([
        Layer.of([*samples.busybox_entries(), directory("usr/lib", 0o751, mtime="1500000000.000000001"), symlink("lib", "usr/lib"),
                  directory("d", 0o700, uid=70_000, gid=1_200_000_001, mtime="1400000000.5"), file("d/one", "1\n"), file("d/two", "1\n"),
                  file("d/set", "1\n", 0o6755, uid=65_536, gid=65_537)]),
        Layer.of([file("d/three", "2\n"), whiteout("d/one"), hard_link("d/four", "d/three"),
                  device("d/null", 1, 3, mode=0o640, gid=6, mtime=1_300_000_000), device("d/disk", 259, 70_000, block=True)]),
        Layer.of([directory("d", 0o711, uid=5), device("d/two", 1, 5)]),
    ], {"Cmd": ["/probe"], "Env": [samples.PATH]})


LAYERS = {"lowest": lowest, "removing": removing, "high": high}
KINDS = {"busybox": samples.busybox, "owners": samples.owners, "layered": samples.layered, "zstd": samples.zstd, "deep": deep,
         "stack": lambda: Image([Layer.of(one()) for one in LAYERS.values()], {"Cmd": ["/probe"], "Env": [samples.PATH]})}


@pytest.mark.cost(6)
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_subordinate_ids_has_the_files_that_podman_has_as_root(lone, podman, registry, probe, kind):
    image = KINDS[kind]()
    if kind == "stack":  # podman counts the name that a higher layer has replaced, too.
        image.layers.append(Layer.of([directory("t"), whiteout("t/linked-low")]))
    found = compare(lone, podman, registry, probe, f"lone-{kind}", Image(list(image.layers), image.config))
    expect_made_by_a_guest(lone, f"{registry.host}/trees/lone-{kind}:1")
    if kind == "owners":  # That both are right, and not wrong in the same way.
        assert found["/data/of-www"]["owner"] == "33:33" and found["/data/setuid-app"]["mode"] == "0106755"
        assert found["/data/of-app"]["mtime"] == "1500000000.123456789" and found["/data/locked"]["mode"] == "0100000"
        assert found["/data/capable"]["xattrs"] == f"security.capability:{CAP_NET_RAW.hex()}"
        assert found["/data/linked"]["links"] == ("/data/linked", "/data/linked-too")
        assert "trusted.note" in found["/data/trusted"]["xattrs"]
    if kind == "layered":
        assert "/a/gone" not in found and "/a/hidden/below" not in found and "/a/hidden/fresh" in found
    if kind == "deep":
        assert found["/d/null"]["device"] == "1:3" and found["/d/null"]["owner"] == "0:6" and found["/d/disk"]["device"] == "259:70000"
        assert found["/d"]["owner"] == "5:0" and found["/d/set"]["owner"] == "65536:65537" and "/d/one" not in found
    assert not [path for path in found if ".wh." in path]


@pytest.mark.cost(20)
def test_debians_files_for_a_user_without_subordinate_ids(lone, podman, registry, probe, shop):
    without = [f"--exclude=./{path}" for path in NOT_NEEDED] + [f"--exclude=.{path}/*" for path in MOUNTS]
    packed = shop.run("tar", "--sort=name", "--one-file-system", *without, "-C", "/", "-cf", "-", ".")
    assert packed.code == 0, packed.err
    found = compare(lone, podman, registry, probe, "lone-debian", samples.debian(packed.out))
    assert found["/usr/bin/su"]["mode"] == "0104755" and found["/etc/shadow"]["owner"] == "0:42"
    done = lone.run("bash", "-c", "dpkg-query -W -f '${Status}' bash && su -s /bin/sh daemon -c id",
                    environment=f"{registry.host}/trees/lone-debian:1")
    assert done.code == 0 and "install ok installed" in done.text and "uid=1(daemon)" in done.text, done


def test_a_capability_and_a_setuid_bit_count_in_the_guest(lone, scratch):
    setuid = file("usr/bin/as-app", samples.built("-static"), 0o6755, uid=1000, gid=50)
    capable = file("usr/bin/capable", samples.built("-static"), 0o755, xattrs={"security.capability": CAP_NET_RAW})
    assert pull(lone, layout(scratch, "gains", samples.with_config({}, [setuid, capable]))).code == 0
    told = trees.Told.of(lone.run("/usr/bin/as-app", environment="gains", flags=("-q", "--user", "7:8")).out)
    assert (told.uid, told.gid) == ("7:1000", "8:50"), told
    done = lone.run("/usr/bin/capable", "caps", environment="gains", flags=("-q", "--user", "7:8"))
    assert done.text == "effective=0000000000002000\n", done


@pytest.mark.skipif("__import__('os').geteuid() != 0", reason="the other user is one that root becomes")
def test_an_owner_above_all_subordinate_ids(stocked_user, scratch):
    done = pull(stocked_user, layout(scratch, "high", samples.high_ids()))
    assert done.code == 0 and done.json["left_out"] == [], done
    expect_made_by_a_guest(stocked_user, "high")
    listed = stocked_user("run", "-q", "high", "--", "/probe", "tree", "/of-the-domain").text
    assert "owner=1200000001:1200000001" in listed, listed


def test_device_nodes_are_kept_for_a_user(stocked_user, scratch):
    done = pull(stocked_user, layout(scratch, "devices", samples.devices()))
    assert done.code == 0 and done.json["left_out"] == [], done
    expect_made_by_a_guest(stocked_user, "devices")
    listed = stocked_user("run", "-q", "devices", "--", "/probe", "tree", "/odd").text
    assert "/zero mode=0020640 owner=0:0" in listed and "device=1:5" in listed and "device=8:0" in listed, listed
    # A device of those that a guest has itself needs no guest before it.
    plain = Image([Layer.of([samples.probe(), directory("dev"), device("dev/null", 1, 3)])], {"Cmd": ["/probe"]})
    assert pull(stocked_user, layout(scratch, "plain", plain)).code == 0
    assert (checks.folder_of(stocked_user, "plain") / "current/base.erofs").exists()


def test_what_an_overlay_would_take_for_its_own_is_named(lone, scratch):
    image = Image([Layer.of([samples.probe(), directory("d", xattrs={"trusted.overlay.opaque": b"y"}), device("d/mark", 0, 0),
                             file("d/odd", "x", xattrs={"strange.name": b"x"})])], {"Cmd": ["/probe"]})
    done = pull(lone, layout(scratch, "marks", image))
    assert done.code == 0, done
    assert sorted(done.json["left_out"]) == ["attributes that the disk cannot hold, of /d/odd", "the attribute trusted.overlay.opaque of /d",
                                             "the device node /d/mark (0:0)"], done
    assert "xattrs" not in lone("run", "-q", "marks", "--", "/probe", "tree", "/d").text


@pytest.mark.cost(10)
def test_such_an_environment_is_one_like_all_others(lone, scratch):
    """Tasks that go on, spares, commits, exports, names, and a prune that frees it."""
    assert pull(lone, layout(scratch, "app", samples.owners())).code == 0
    assert lone("env", "inspect", "--verify", "--json", "app").json["files"][0].startswith("base.ext4 ")
    before = tree_of(lone, "app")
    task = harness.Task(lone, lone("task", "create", "-q", "app").text.strip())
    script = "rm /data/linked && chown 33 /data/empty && mv /data/large /large && echo new > /data/old && cat /data/linked-too"
    assert task.exec("sh", "-c", script, flags=("-q", "--user", "0:0")).text == "one inode\n"
    task.stop()
    assert task.exec("cat", "/data/old").text == "new\n"
    done = lone("env", "commit", "--json", task.id, "made")
    assert done.code == 0, done
    expect_made_by_a_guest(lone, "made")
    assert lone.run("cat", "/data/old", environment="made").text == "new\n"
    task.delete()
    assert lone("env", "export", "app", scratch / "user/app.tar").code == 0
    assert pull(lone, f"oci-archive:{scratch / 'user/app.tar'}", "--name", "again").code == 0
    assert trees.differences(tree_of(lone, "again"), before, (*MOUNTS, *WRITTEN), ("/etc",)) == []
    assert lone("warm", "app", "--count", "1").code == 0
    assert lone("run", "--json", "app", "--", "/probe", "caps").json["timings"]["start"] == "spare"
    assert lone("warm", "app", "--count", "0").code == 0
    assert lone("env", "tag", "app", "other").code == 0
    disks = [checks.folder_of(lone, name) / "current/base.ext4" for name in ("app", "other")]
    assert disks[0].samefile(disks[1])
    assert lone("env", "remove", "app").code == 0
    assert lone("run", "-q", "other", "--", "/probe", "caps").code == 0
    assert lone("env", "remove", "--json", "other").json["bytes_freed"] > 9_000_000
    for name in ("made", "again"):
        assert lone("env", "remove", name).code == 0


def test_an_image_is_enough_for_the_guest_that_unpacks_another_one(lone, scratch):
    """One static program, with no shell and with files of its own in /workspace."""
    first = Image([*samples.static().layers, Layer.of([directory("workspace"), file("workspace/own", "x")])], samples.static().config)
    assert pull(lone, layout(scratch, "first", first)).code == 0
    assert lone("env", "remove", harness.BASE).code == 0
    assert pull(lone, layout(scratch, "second", samples.owners())).code == 0
    assert lone.run("cat", "/data/of-app", environment="second", flags=("-q", "--user", "root")).text == "app\n"


def test_a_layer_that_contradicts_those_below_it_is_named(lone, scratch):
    done = pull(lone, layout(scratch, "odd", samples.link_before_target()))
    expect_refused(done, "data_loss", "layer 2", "/a")
    expect_not_installed(lone, "odd")
    assert checks.leftovers(lone) == [] and lone.directories() == []


def test_a_file_outside_of_the_image_is_never_touched(lone, scratch):
    outside = scratch / "outside"
    outside.mkdir(mode=0o777)
    ways = Image([Layer.of([samples.probe(), directory("d")]),
                  Layer.of([file("../../../../../../.." + str(outside / "dots"), "x"), file(str(outside / "absolute"), "x")]),
                  Layer.of([symlink("way-out", str(outside))]), Layer.of([file("way-out/through", "x"), file("d/.wh...", "")])],
                 {"Entrypoint": ["/probe"]})
    done = pull(lone, layout(scratch, "ways", ways))
    expect_refused(done, "data_loss", "layer 4")
    assert list(outside.iterdir()) == []


def test_without_an_environment_to_start_from_it_is_said_what_is_missing(lone_user, scratch):
    done = pull(lone_user, layout(scratch, "app", samples.static()))
    expect_refused(done, "permission_denied", "debian:12-base", "user namespace", "usermod")
    expect_not_installed(lone_user, "app")


# Ends


def large(layers=2, megabytes=16):
    """Of zeros: quick to make, and as long to unpack as anything else."""
    return Image([Layer.of([samples.probe(), file("zeros", bytes(megabytes << 20))]),
                  *[Layer.of([file(f"number-{number}", bytes(1 << 20))]) for number in range(1, layers)]], {"Entrypoint": ["/probe"]})


def expect_nothing(pyro, name):
    harness.wait_until(lambda: pyro("vm", "list").code == 0 and pyro.directories() == [], "its guest is gone", 60)
    assert pyro("env", "prune", "--json").code == 0
    expect_not_installed(pyro, name)
    assert checks.leftovers(pyro) == []


@pytest.mark.cost(20)
def test_a_pull_that_is_killed_at_any_step_leaves_nothing(lone, scratch):
    source = layout(scratch, "killed", large())
    for point in ["reader.filled", *failpoints.LAYERS]:
        done = pull(lone, source, env={"PYRO_FAILPOINT": point})
        assert done.code == -signal.SIGKILL, (point, done)
        expect_nothing(lone, "killed")
    assert pull(lone, source).code == 0
    assert lone("run", "-q", "killed").code == 0


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_while_a_guest_unpacks_leaves_nothing(lone, scratch, signo):
    process = lone.start("env", "pull", layout(scratch, "stopped", large(10)),
                         env={"PYRO_FAILPOINT": "layers.applied:2", "PYRO_FAILPOINT_SIGNAL": "STOP"})
    stat = pathlib.Path(f"/proc/{process.pid}/stat")
    harness.wait_until(lambda: process.poll() is not None or stat.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")
    process.send_signal(signo)
    process.send_signal(signal.SIGCONT)
    done = harness.finish(process)
    assert done.code == 128 + signo and b"nothing was installed" in done.err, done
    assert lone.directories() == []
    expect_nothing(lone, "stopped")


@pytest.mark.parametrize("where", ["state", "cache"])
def test_a_disk_that_is_full_refuses_the_pull_and_leaves_nothing(lone, scratch, mounts, where):
    """Noticed before the guest starts, and when the copy is made."""
    image = Image([Layer.of([samples.probe(), file("noise", pathlib.Path("/dev/urandom").open("rb").read(40 << 20))])], {"Entrypoint": ["/probe"]})
    path = write_oci_archive(scratch / "user/full.tar", [("", image.manifest())])
    path.chmod(0o644)
    if where == "state":
        mounts("tmpfs", lone.state, f"size=60m,mode=0700,uid={harness.NORMAL_USER}")
    else:
        kept = scratch / "kept"
        lone.cache.rename(kept)
        room = sum(found.stat().st_blocks * 512 for found in kept.rglob("*")) + (100 << 20)
        mounts("tmpfs", lone.cache, f"size={room},mode=0700,uid={harness.NORMAL_USER}")
        subprocess.run(["cp", "-a", f"{kept}/.", lone.cache], check=True)
    expect_refused(pull(lone, f"oci-archive:{path}"), "no_space")
    expect_nothing(lone, "full")
