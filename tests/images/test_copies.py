"""Files in and out of images that have no tar, no shell, or nothing but one program."""

import os
import subprocess

import harness
import pytest

from images import samples

IMAGES = {"static": samples.static, "busybox": lambda: samples.with_config({"Env": [samples.PATH]})}


def tree(root):
    """A line of find for each entry: kind, mode, size, target, time and names."""
    lines = subprocess.run(["find", ".", "-type", "d", "-printf", "%P d %m %T@\\0", "-o", "-printf", "%P %y %m %s %l %T@ %n\\0"],
                           cwd=root, capture_output=True, check=True).stdout
    return sorted(lines.split(b"\0"))


def fill(root):
    (root / "dir/inner").mkdir(parents=True)
    (root / "file").write_text("text\n")
    os.utime(root / "file", ns=(10**18, 10**18 + 123456789))
    os.link(root / "file", root / "hard")
    (root / "soft").symlink_to("file")
    (root / "dir/dangling").symlink_to("/no/such/thing")
    (root / " a\nb'é").write_text("odd name")
    (root / ("n" * 200)).write_text("long name")
    (root / "big").write_bytes(os.urandom(3_000_000))
    with open(root / "sparse", "wb") as file:
        file.truncate(300 << 20)
        file.seek(150 << 20)
        file.write(b"middle")
    (root / "dir").chmod(0o750)
    os.utime(root / "dir", ns=(10**18, 10**18 + 1))


@pytest.mark.parametrize("kind", IMAGES)
def test_trees_go_in_and_out_of_an_image_without_a_tar(shop, pulled, scratch, kind):
    name = pulled(f"copies/{kind}", IMAGES[kind]())
    source = scratch / "source"
    fill(source)
    done = shop("task", "create", "-q", "--disk-mib", "1024", "--source-path", source, name)
    assert done.code == 0, done
    task = harness.Task(shop, done.text.strip())

    def call(*words):
        done = shop("task", *words)
        assert done.code == 0, done
        return done

    call("export", task.id, ".", scratch / "exported")
    assert tree(scratch / "exported") == tree(source)
    assert (scratch / "exported/sparse").stat().st_blocks < 1000
    call("cp", "-q", source, f"{task.id}:copy")
    call("cp", "-q", f"{task.id}:copy", scratch / "copied")
    assert tree(scratch / "copied") == tree(source)
    call("cp", "-q", f"{source}/.", f"{task.id}:.")
    packed = call("cp", "-q", f"{task.id}:copy", "-").out
    done = shop("task", "cp", "-q", "-", f"{task.id}:/", input=packed)
    assert done.code == 0, done
    call("export", task.id, "/copy", scratch / "piped")
    assert tree(scratch / "piped") == tree(source)
    # A sync in both directions.
    (source / "new").write_text("new\n")
    synced = shop("task", "sync", "--json", task.id, source)
    assert synced.code == 0 and synced.json["added"] == 1, synced
    done = shop("task", "files", "write", task.id, "dir/from-the-guest", input=b"x\n")
    assert done.code == 0, done
    synced = shop("task", "sync", "--json", task.id, source, "--pull")
    assert synced.code == 0 and (source / "dir/from-the-guest").read_text() == "x\n", synced
    # One that is in the way.
    done = shop("task", "cp", "--json", source, f"{task.id}:file")
    harness.expect_error(done, 1, "not_a_directory")
    task.delete()
