"""The files of an image in a guest are those that podman unpacks as root, also if a user without root pulled it."""

import os

import harness
import pytest

from images import samples, trees
from images.image import Image, write_layout
from images.layers import CAP_NET_RAW, Layer, file

# What a guest mounts at its start, and what it writes then: who it is, and where programs of containers keep their files.
MOUNTS = ("/dev", "/proc", "/sys", "/run", "/tmp", "/workspace")
WRITTEN = ("/etc/gitconfig", "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker")
KINDS = {"busybox": samples.busybox, "owners": samples.owners, "layered": samples.layered, "zstd": samples.zstd}


def tree_of(pyro, name):
    done = pyro.run("/probe", "tree", "/", *MOUNTS, environment=name, flags=("-q", "--user", "0:0", "--mem-mib", "512"))
    assert done.code == 0, done
    return done.text


def compare(pyro, podman, registry, probe, kind, image, lacks=()):
    """Pulls it with both; returns the listing. `lacks` has the attributes that guests will not have, each with its path."""
    image.layers.append(Layer.of([samples.probe()]))
    registry.push(f"trees/{kind}", image.manifest(), "1")
    source = f"{registry.host}/trees/{kind}:1"
    done = pyro("env", "pull", "--json", "--plain-http", f"oci:{source}")
    assert done.code == 0 and done.json["left_out"] == [f"the attribute {name} of {path}" for name, path in lacks], done
    ours = tree_of(pyro, source)
    theirs = podman.tree(podman.pull(source), probe)
    assert len(theirs.splitlines()) > 50
    different = trees.differences(ours, theirs, (*MOUNTS, *WRITTEN), ("/etc",))
    different = [one for one in different if not any(one.startswith(f"{path}: xattrs None") for _, path in lacks)]
    assert not different, "\n".join(different)
    found = trees.parse(ours)
    assert found["/"]["mode"] == "0040755" and found["/"]["owner"] == "0:0"
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_user_without_root_has_the_files_that_podman_has_as_root(stocked_user, podman, registry, probe, kind):
    image = KINDS[kind]()
    lacks = [("trusted.note", "/data/trusted")] if kind == "owners" else []  # Only root may have such.
    found = compare(stocked_user, podman, registry, probe, kind, Image(list(image.layers), image.config), lacks)
    if kind == "owners":  # That both are right, and not wrong in the same way.
        assert found["/data/of-www"]["owner"] == "33:33" and found["/data/of-www"]["mtime"] == "1400000000.000000000"
        assert found["/data/of-app"]["mtime"] == "1500000000.123456789"
        assert found["/data/setuid-app"]["mode"] == "0106755" and found["/data/setuid-app"]["owner"] == "1000:50"
        assert found["/data/locked"]["mode"] == "0100000" and found["/data/closed"]["mode"] == "0040000"
        assert found["/data/capable"]["xattrs"] == f"security.capability:{CAP_NET_RAW.hex()}"
        assert found["/data/linked"]["links"] == ("/data/linked", "/data/linked-too")
        assert len(found["/data/noted"]["xattrs"].split(",")) == 3
        assert "user.rootlesscontainers" not in str(found)
    if kind == "layered":
        assert "/a/gone" not in found and "/a/hidden/below" not in found and "/a/hidden/fresh" in found
        assert not [path for path in found if ".wh." in path]


# Of a Debian system: what is large and tells nothing of owners and modes.
NOT_NEEDED = ("usr/share/doc", "usr/share/locale", "usr/share/man", "usr/share/i18n", "usr/share/zoneinfo",
              "usr/lib/x86_64-linux-gnu/gconv", "var/cache", "var/lib/apt")


@pytest.mark.cost(20)
def test_debians_files_for_a_user_without_root(stocked_user, podman, registry, probe, shop):
    # A directory without its content is a mount point, and stays.
    without = [f"--exclude=./{path}" for path in NOT_NEEDED] + [f"--exclude=.{path}/*" for path in MOUNTS]
    packed = shop.run("tar", "--sort=name", "--one-file-system", *without, "-C", "/", "-cf", "-", ".")
    assert packed.code == 0 and len(packed.out) > 30 << 20, packed.err
    found = compare(stocked_user, podman, registry, probe, "debian", samples.debian(packed.out))
    assert found["/usr/bin/su"]["mode"] == "0104755" and found["/usr/bin/su"]["owner"] == "0:0"
    assert found["/etc/shadow"]["owner"] == "0:42"
    # glibc, bash and dpkg work on it.
    done = stocked_user.run("bash", "-c", "dpkg-query -W -f '${Status}' bash && su -s /bin/sh daemon -c id",
                            environment=f"{registry.host}/trees/debian:1")
    assert done.code == 0 and "install ok installed" in done.text and "uid=1(daemon)" in done.text, done


def test_root_has_them_too(stocked, podman, registry, probe):
    image = samples.owners()
    found = compare(stocked, podman, registry, probe, "owners-of-root", Image(list(image.layers), image.config))
    assert "trusted.note" in found["/data/trusted"]["xattrs"]


def test_a_capability_and_a_setuid_bit_count_in_the_guest(stocked_user, scratch):
    """An ordinary user of the guest gains by them what the image wants, and nothing else."""
    setuid = file("usr/bin/as-app", samples.built("-static"), 0o6755, uid=1000, gid=50)
    capable = file("usr/bin/capable", samples.built("-static"), 0o755, xattrs={"security.capability": CAP_NET_RAW})
    path = write_layout(scratch / "gains", [("", samples.with_config({}, [setuid, capable]).manifest())])
    assert stocked_user("env", "pull", "--json", f"oci-layout:{path}").code == 0
    told = trees.Told.of(stocked_user.run("/usr/bin/as-app", environment="gains", flags=("-q", "--user", "7:8")).out)
    assert (told.uid, told.gid) == ("7:1000", "8:50"), told
    done = stocked_user.run("/usr/bin/capable", "caps", environment="gains", flags=("-q", "--user", "7:8"))
    assert done.text == "effective=0000000000002000\n", done
    done = stocked_user.run("/probe", "caps", environment="gains", flags=("-q", "--user", "7:8"))
    assert done.text == "effective=0000000000000000\n", done


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests are a user's then")
def test_no_file_of_a_users_pull_belongs_to_another_user(stocked_user, scratch):
    """What was unpacked as others' in a namespace is gone, and only the user's own files are left."""
    path = write_layout(scratch / "owners", [("", samples.owners().manifest())])
    assert stocked_user("env", "pull", "--json", f"oci-layout:{path}").code == 0
    for found in stocked_user.cache.rglob("*"):
        assert found.lstat().st_uid == harness.NORMAL_USER, found
