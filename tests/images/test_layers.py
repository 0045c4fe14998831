"""Images whose layers are disks of their own: their tree, what guests do with it, and the disks that images share."""

import random
import subprocess

import harness
import pytest

from images import checks, samples, trees
from images.checks import expect_refused
from images.image import Image
from images.layers import CAP_NET_RAW, Layer, directory, file, hard_link, opaque, symlink, whiteout
from images.test_trees import MOUNTS, WRITTEN, tree_of

MIB = 1 << 20


def pad(number: int) -> list:
    """Bytes that no compression makes smaller, so that a layer with them is a disk of its own."""
    return [directory("pad"), file(f"pad/{number}", random.Random(number).randbytes(5 * MIB))]


def lowest() -> list:
    return [*samples.busybox_entries(), samples.probe(), directory("t", 0o750, uid=1, gid=2, mtime=1_500_000_001),
            file("t/kept", "1\n"), file("t/gone", "1\n"), directory("t/removed"), file("t/removed/below", "1\n"),
            directory("t/hidden"), file("t/hidden/below", "1\n"), file("t/becomes-directory", "1\n"),
            directory("t/becomes-file"), file("t/becomes-file/below", "1\n"), symlink("t/becomes-real", "kept"),
            symlink("t/becomes-place", "hidden"), file("t/becomes-link", "1\n"), file("t/comes-back", "1\n", 0o600),
            directory("t/remade", 0o700), file("t/remade/old", "1\n"), directory("t/merged", 0o700, uid=5), file("t/merged/low", "1\n"),
            directory("t/merged/deep"), file("t/merged/deep/low", "1\n"), file("t/linked", "1\n"), hard_link("t/linked-low", "t/linked"),
            directory("t/untouched", 0o711, uid=9, gid=9, mtime="1300000000.987654321", xattrs={"user.note": b"below"}),
            file("t/untouched/file", "1\n"), file("t/capable", "1\n", 0o755, xattrs={"security.capability": CAP_NET_RAW})]


def removing() -> list:
    """Without what podman cannot: a whiteout beside what the same layer has there, and one in a directory that is new."""
    return [directory("t", 0o755, uid=3, gid=4, mtime="1600000000.123456789", xattrs={"user.note": b"of the second layer"}),
            whiteout("t/gone"), whiteout("t/removed"), directory("t/hidden", 0o1777, mtime=1_700_000_000), opaque("t/hidden"),
            file("t/hidden/fresh", "2\n"), directory("t/becomes-directory"), file("t/becomes-directory/below", "2\n"),
            file("t/becomes-file", "2\n"), file("t/becomes-real", "2\n"), directory("t/becomes-place"), file("t/becomes-place/own", "2\n"),
            symlink("t/becomes-link", "kept"), whiteout("t/comes-back"), directory("t/remade", 0o755), opaque("t/remade"),
            file("t/remade/new", "2\n"), directory("t/merged", 0o755, uid=6), directory("t/merged/deep", 0o2750, gid=7),
            file("t/merged/deep/high", "2\n"), whiteout("t/merged/low"), file("t/linked", "2\n"),
            directory("t/new", mtime=1_200_000_000), file("t/new/file", "2\n"),
            file("t/capable-high", "2\n", 0o755, xattrs={"security.capability": CAP_NET_RAW}), whiteout("t/\u00e4 name\nof two lines")]


def high() -> list:
    return [directory("t"), file("t/comes-back", "3\n", uid=9), file("t/linked-high", "3\n"), hard_link("t/linked-again", "t/linked-high"),
            directory("t/hidden"), file("t/hidden/third", "3\n"), whiteout("t/hidden/fresh"), directory("t/gone"), file("t/gone/inside", "3\n")]


def stack(*layers: list) -> Image:
    return Image([Layer.of([*entries, *pad(number)]) for number, entries in enumerate(layers)], {"Cmd": ["/probe"], "Env": [samples.PATH]})


def disks_of(pyro, name: str) -> list:
    version = checks.folder_of(pyro, name) / "current"
    return [version / "base.erofs", *sorted(version.glob("layer-*.erofs"), key=lambda path: int(path.stem.split("-")[1]))]


def pull(pyro, registry, name, image, disks):
    """The environment's name; its layers must be so many disks."""
    registry.push(name, image.manifest(), "1")
    done = pyro("env", "pull", "--json", "--plain-http", f"oci:{registry.host}/{name}:1")
    assert done.code == 0, done
    assert len(disks_of(pyro, done.json["name"])) == disks, sorted(checks.folder_of(pyro, done.json["name"]).rglob("*.erofs"))
    return done.json["name"]


def taken(directory) -> int:
    """Bytes on the disk, a file with several names once."""
    return int(subprocess.run(["du", "-s", "--block-size=1", directory], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[0])


def differences(podman, probe, ours, name):
    return trees.differences(ours, podman.tree(podman.pull(name), probe), (*MOUNTS, *WRITTEN), ("/etc",))


@pytest.mark.parametrize("user", [True, False], ids=["a user", "root"])
def test_disks_of_layers_are_together_the_tree_that_podman_has(request, podman, registry, probe, user):
    pyro = request.getfixturevalue("stocked_user" if user else "stocked")
    numbers = [[directory("n"), file(f"n/{number}", f"{number}\n"), *([whiteout(f"n/{number - 2}")] if number % 3 == 0 else [])]
               for number in range(10)]
    name = pull(pyro, registry, "stack/whole", stack(lowest(), removing(), high(), *numbers), 12)
    ours = tree_of(pyro, name)
    different = differences(podman, probe, ours, name)
    assert not different, "\n".join(different)
    found = trees.parse(ours)  # That both are right, and not wrong in the same way.
    assert "/t/removed" not in found and "/t/hidden/below" not in found and "/t/remade/old" not in found and "/t/merged/low" not in found
    assert found["/t/merged"]["owner"] == "6:0" and "/t/merged/deep/low" in found and "/t/merged/deep/high" in found
    assert found["/t/untouched"]["owner"] == "9:9" and found["/t/untouched"]["mtime"] == "1300000000.987654321"
    assert "/t/gone/inside" in found and "/n/1" not in found and "/n/2" in found
    assert found["/t/linked-high"]["links"] == ("/t/linked-again", "/t/linked-high")
    assert found["/t/capable"]["xattrs"] == found["/t/capable-high"]["xattrs"] == f"security.capability:{CAP_NET_RAW.hex()}"
    assert not [path for path in found if ".wh." in path] and "overlay" not in ours


# Each needs a file of the layers below it: what umoci would make without them is not the image's.
DEPENDING = {
    "a directory that the layer does not state": ([file("t/merged/new", "2\n")], {"/t/merged": ("0040700", "5:0"), "/t/merged/new": ("0100644", "0:0")}),
    "a whiteout in one": ([whiteout("t/merged/low")], {"/t/merged": ("0040700", "5:0"), "/t/merged/low": None}),
    "a link to a directory": ([file("t/becomes-place/new", "2\n")], {"/t/hidden/new": ("0100644", "0:0"), "/t/becomes-place": ("0120777", "0:0")}),
    "a hard link": ([directory("t"), hard_link("t/linked-new", "t/linked")], {"/t/linked-new": ("0100644", "0:0")}),
    "an attribute of overlayfs": ([directory("t/merged", xattrs={"user.overlay.opaque": b"y"})], {"/t/merged/low": ("0100644", "0:0")}),
}


@pytest.mark.parametrize("kind", DEPENDING)
def test_a_layer_that_needs_those_below_it_is_one_disk_with_them(shop, registry, kind):
    entries, expected = DEPENDING[kind]
    above = [directory("above"), file("above/file", "3\n"), directory("t"), whiteout("t/kept")]
    whole = kind == "an attribute of overlayfs"  # No disk of the image may be read with overlayfs's own attributes then.
    name = pull(shop, registry, f"stack/{abs(hash(kind))}", stack(lowest(), entries, above), 1 if whole else 2)
    found = trees.parse(tree_of(shop, name))
    for path, fields in expected.items():
        assert (path in found) == (fields is not None), path
        if fields is not None:
            assert (found[path]["mode"], found[path]["owner"]) == fields, (path, found[path])
    assert "/above/file" in found and "/t/kept" not in found
    if kind == "a hard link":
        assert found["/t/linked-new"]["links"] == ("/t/linked", "/t/linked-low", "/t/linked-new")


# In a guest of several disks all is as in one of a single disk.
SCRIPT = """
cd / && find . -xdev -path ./pad -prune -o -path ./proc -prune -o -path ./dev -prune -o -path ./sys -prune -o -print | sort > /workspace/names
wc -l < /workspace/names && md5sum < /workspace/names && du -x t > /workspace/sizes; echo du $?
cut -f 2 /workspace/sizes | sort
cd /t && mv merged moved && ls -lnR moved && mv kept new/ && ln comes-back another && stat -c '%h %u' comes-back
rm -r hidden && mkdir hidden && ls -a hidden && rm -r remade new becomes-place && ls -ln | tr -s ' ' | cut -d ' ' -f 1,3-5,9
mv gone/inside . && rmdir gone && mkdir gone && ls -a gone && echo 4 >> linked && cat linked linked-low && chown 7 untouched && ls -n untouched | wc -l
find /t -xdev | sort && test ! -e /t/removed && echo end
"""


def test_commands_find_one_file_system(shop, registry):
    again = [directory("t/deep", mtime=1_500_000_000), whiteout("t/deep"), file("t/deep/new", "2\n"), whiteout("t/new/never-was")]
    layers = [[*lowest(), directory("t/deep"), file("t/deep/old", "1\n")], [*removing(), *again], high()]
    stacked = pull(shop, registry, "stack/commands", stack(*layers), 3)
    single = pull(shop, registry, "stack/one", Image([Layer.of([*entries, directory("pad")]) for entries in layers], {"Env": [samples.PATH]}), 1)
    seen = {}
    for name in (stacked, single):
        done = shop.run("sh", "-c", SCRIPT, environment=name, flags=("-q", "--user", "root"))
        assert done.code == 0 and done.text.endswith("end\n"), done
        # The date of a file that the command has made.
        seen[name] = [line for line in done.text.splitlines() if "moved" not in line]
    assert seen[stacked] == seen[single]


def test_what_a_task_changes_stays_over_its_guests(shop, registry):
    name = pull(shop, registry, "stack/three", stack(lowest(), removing(), high()), 3)
    task = harness.Task(shop, shop("task", "create", "-q", name).text.strip())
    done = task.exec("sh", "-c", "rm -r /t/hidden /t/merged && mkdir /t/merged && rm /t/kept && echo 4 > /t/linked && chmod 700 /t/untouched")
    assert done.code == 0, done
    look = ("sh", "-c", "ls -a /t/merged; cat /t/linked; stat -c %a /t/untouched; ls /t")
    before = task.exec(*look).text
    assert before.split()[:4] == [".", "..", "4", "700"] and "hidden" not in before and "kept" not in before, before
    task.stop()
    assert task.exec(*look).text == before
    task.delete()


def test_images_share_the_disks_of_their_layers_also_above_others(stocked, registry):
    common = [directory("t"), whiteout("t/gone"), file("t/common", "2\n"), *pad(20)]
    other = [*samples.busybox_entries(), samples.probe(), directory("t"), file("t/gone", "other\n"), file("t/low", "other\n"), *pad(21)]
    config = {"Env": [samples.PATH]}
    images = {"stack/first": [lowest() + pad(0), common], "stack/second": [other, common], "stack/third": [lowest() + pad(0), common, pad(22)]}
    names = [pull(stocked, registry, name, Image([Layer.of(one) for one in layers], config), len(layers)) for name, layers in images.items()]
    first, second, third = (disks_of(stocked, name) for name in names)
    assert first[1].samefile(second[1]) and first[1].samefile(third[1]) and first[0].samefile(third[0]) and not first[0].samefile(second[0])
    for name, low in ((names[0], "cat: can't open '/t/low'"), (names[1], "other"), (names[2], "cat: can't open '/t/low'")):
        done = stocked.run("sh", "-c", "cat /t/common /t/low; ls /t/gone", environment=name, flags=("-q",))
        assert done.text.startswith("2\n") and low in done.text + done.err.decode() and b"/t/gone" in done.err, done
    # Each image counts its disks; what goes is what no other image has.
    size = checks.info_of(stocked, names[0])["size_bytes"]
    assert size > sum(disk.stat().st_size for disk in first) > 10 * MIB
    inodes = [[disk.stat().st_ino for disk in disks] for disks in (first, second, third)]
    for number, kept in ((0, {*inodes[1], *inodes[2]}), (2, {*inodes[1]}), (1, set())):
        before = taken(stocked.cache)
        freed = stocked("env", "remove", "--json", names[number]).json["bytes_freed"]
        assert abs(before - taken(stocked.cache) - freed) < MIB, (number, before, freed)
        assert {path.stat().st_ino for path in (stocked.cache / "oci/layers").glob("*.erofs")} == kept, number
    assert not list((stocked.cache / "oci/layers").iterdir())


def test_a_disk_that_was_changed_is_made_again(stocked, registry):
    layers = [lowest(), [directory("t"), file("t/common", "2\n")]]
    name = pull(stocked, registry, "stack/changed", stack(*layers), 2)
    disk = disks_of(stocked, name)[1]
    disk.chmod(0o600)
    with disk.open("r+b") as out:
        out.seek(disk.stat().st_size // 2)
        byte = out.read(1)
        out.seek(-1, 1)
        out.write(bytes([byte[0] ^ 1]))
    expect_refused(stocked("env", "inspect", "--verify", "--json", name), "data_loss", "layer-1.erofs")
    again = pull(stocked, registry, "stack/again", stack(*layers), 2)
    assert not disks_of(stocked, again)[1].samefile(disk)
    assert stocked("env", "inspect", "--verify", "--json", again).code == 0
    assert disks_of(stocked, again)[0].samefile(disks_of(stocked, name)[0])


def test_disks_of_a_pull_that_was_killed_serve_the_next_one_or_are_pruned(stocked, registry):
    image = stack(lowest(), removing(), high(), *[[directory("n"), file(f"n/{number}")] for number in range(8)])
    registry.push("stack/killed", image.manifest(), "1")
    source = f"{registry.host}/stack/killed:1"
    store = stocked.cache / "oci/layers"
    process = stocked.start("env", "pull", "--plain-http", f"oci:{source}")
    harness.wait_until(lambda: store.exists() and len(list(store.glob("*.json"))) > 1, "two disks are made")
    process.kill()
    harness.finish(process)
    harness.wait_until(lambda: not [one for one in harness.descendants() if one.program in ("umoci", "mkfs.erofs", "tar")], "they are gone")
    listed = stocked("env", "list", "--json").json["environments"]
    assert source not in [entry["name"] for entry in listed if entry["installed"] or entry["broken"]], listed
    kept = {path.name: path.stat().st_ino for path in store.glob("*.erofs") if path.with_suffix(".json").exists()}
    name = pull(stocked, registry, "stack/killed", image, 11)
    inodes = {disk.stat().st_ino for disk in disks_of(stocked, name)}
    assert len(kept) > 1 and set(kept.values()) <= inodes
    assert stocked("env", "inspect", "--verify", "--json", name).code == 0
    assert stocked("env", "remove", "--json", name).code == 0 and not list(store.iterdir())


def test_inspect_lists_each_disk(shop, registry):
    name = pull(shop, registry, "stack/three", stack(lowest(), removing(), high()), 3)
    files = shop("env", "inspect", "--json", name).json["files"]
    assert {"base.erofs", "vmlinuz", "layer-1.erofs", "layer-2.erofs"} <= {one.split()[0] for one in files}, files
