"""What goes into a task's workspace at its creation, and what is exported from it."""

import io
import os
import re
import subprocess
import tarfile

import harness
import pytest


def tree(root):
    """Every entry below it: kind, mode, size, target and time of change. A directory's size and
    time say nothing of its content."""
    lines = subprocess.run(
        ["find", ".", "-type", "d", "-printf", "%P d %m\\n",
         "-o", "-printf", "%P %y %m %s %l %T@\\n"],
        cwd=root, capture_output=True, check=True).stdout
    return sorted(lines.splitlines())


@pytest.mark.parametrize("owner", ["own", "other"])
def test_this_repository_goes_in_and_comes_out(pyro, create, scratch, owner):
    clone = scratch / "clone"
    subprocess.run(["git", "clone", "-q", "--no-local", str(harness.ROOT), str(clone)], check=True,
                   capture_output=True)
    # As in a checkout that is older than a second: git rewrites an index as young as its files.
    for path in clone.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (10**9, 10**9))
    subprocess.run(["git", "-C", clone, "update-index", "--refresh"], check=True)
    if owner == "other":
        if os.getuid() != 0:
            harness.cannot_run("only root gives files away")
        subprocess.run(["chown", "-R", "12345:12345", str(clone)], check=True)
    done = pyro("task", "create", "-q", "--source-path", ".", harness.FULL, cwd=clone)
    assert done.code == 0, done
    task = harness.Task(pyro, done.text.strip())
    done = task.exec("git", "-C", "/workspace", "status", "--porcelain")
    assert (done.code, done.out, done.err) == (0, b"", b""), done
    out = scratch / "out"
    exported = task.pyro("task", "export", task.id, "/workspace", f"{out}/")
    assert exported.code == 0, exported
    # Its index, too, though git has looked at every file.
    diff = subprocess.run(["diff", "-r", "--no-dereference", str(clone), str(out)],
                          capture_output=True, check=False)
    assert diff.returncode == 0, diff.stdout[-2000:]
    assert tree(clone) == tree(out)


def test_a_dot_is_the_current_directory(pyro, create, scratch):
    (scratch / "seed").mkdir()
    (scratch / "seed/f").write_text("x")
    done = pyro("task", "create", "-q", "--source-path", ".", harness.BASE, cwd=scratch / "seed")
    assert done.code == 0, done
    task = harness.Task(pyro, done.text.strip())
    assert task.exec("find", ".", "-type", "f").text in ("./f\n",)


def make_odd_tree(root):
    root.mkdir()
    (root / "dir/empty").mkdir(parents=True)
    (root / "dir").chmod(0o750)
    (root / "file").write_text("text\n")
    (root / "file").chmod(0o604)
    os.utime(root / "file", ns=(10**18, 10**18 + 123456789))
    (root / "program").write_text("#!/bin/sh\necho ran\n")
    (root / "program").chmod(0o755)
    os.link(root / "file", root / "hard")
    (root / "soft").symlink_to("file")
    (root / "dangling").symlink_to("/no/such/thing")
    (root / " a\nb'é\t*").write_text("odd name")
    (root / ("n" * 200)).write_text("long name")
    with open(root / "sparse", "wb") as file:
        file.truncate(300 << 20)
        file.seek(150 << 20)
        file.write(b"middle")


@pytest.mark.parametrize("kind", ["directory", ".tar", ".tar.gz", ".tgz"])
def test_an_odd_tree_goes_in_and_comes_out(create, scratch, kind):
    root = scratch / "seed"
    make_odd_tree(root)
    source = root
    if kind != "directory":
        source = scratch / f"seed{kind}"
        subprocess.run(["tar", "--format=pax", "--sparse", "-C", str(root),
                        "-cf" if kind == ".tar" else "-czf", str(source), "."], check=True)
    task = create("--source-path", str(source), "--disk-mib", "1024")
    done = task.exec("sh", "-c", "./program; cat soft; stat -c '%a %h' file; "
                     "[ $(du -k sparse | cut -f1) -lt 10000 ] && echo sparse")
    assert (done.code, done.text) == (0, "ran\ntext\n604 2\nsparse\n"), done
    out = scratch / "out"
    exported = task.pyro("task", "export", task.id, ".", out)
    assert exported.code == 0, exported
    assert tree(root) == tree(out)
    assert subprocess.run(["diff", "-r", "--no-dereference", root, out], check=False).returncode == 0
    assert (out / "sparse").stat().st_blocks * 512 < 10_000_000
    assert (out / "file").stat().st_ino == (out / "hard").stat().st_ino


def member(name, kind=tarfile.REGTYPE, target="", content=b"hostile"):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


HOSTILE = {
    "parent": [member("../x")],
    "deep-parent": [member("a/../../x")],
    "absolute": [member("/etc/pyro-x")],
    "through-a-link": [member("l", tarfile.SYMTYPE, "/etc"), member("l/pyro-x")],
    "hard-link-outside": [member("h", tarfile.LNKTYPE, "../../etc/passwd")],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_with_nothing_left(pyro, create, scratch, kind):
    archive = scratch / "hostile.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(*member("good"))
        for info, content in HOSTILE[kind]:
            content.seek(0)
            tar.addfile(info, content)
    done = pyro("task", "create", "-q", "--source-path", archive, harness.BASE)
    assert done.code == 1 and done.out == b"", done
    assert done.talk.startswith("pyro: "), done
    harness.expect_task_directories(pyro, [])
    assert not harness.descendants()
    assert pyro("task", "list", "--json").json["count"] == 0


@pytest.mark.parametrize("name, content", [
    ("broken.tar.gz", b"this is no archive"), ("text.txt", b"text"), ("cut.tgz", None)])
def test_no_archive_is_refused_with_nothing_left(pyro, create, scratch, name, content):
    path = scratch / name
    if content is None:
        (scratch / "random").write_bytes(os.urandom(1 << 20))
        subprocess.run(["tar", "-C", scratch, "-czf", path, "random"], check=True)
        os.truncate(path, 500_000)
    else:
        path.write_bytes(content)
    done = pyro("task", "create", "-q", "--source-path", path, harness.BASE)
    assert done.code == 1 and done.out == b"" and done.talk.startswith("pyro: "), done
    done = pyro("task", "create", "-q", "--source-path", scratch / "no-such", harness.BASE)
    assert done.code == 1 and "no-such" in done.talk, done
    harness.expect_task_directories(pyro, [])


def test_exports_of_files_and_tars(pyro, create, scratch):
    task = create()
    script = "mkdir -p d/e; echo one > d/f; chmod 751 d/f; ln -s f d/l; head -c 100000 /dev/zero > z"
    assert task.exec("sh", "-c", script).code == 0
    done = pyro("task", "export", task.id, "d/f", scratch / "f")
    assert done.code == 0 and (scratch / "f").read_text() == "one\n", done
    assert done.text == f"{scratch}/f (4 B)\n"
    assert (scratch / "f").stat().st_mode & 0o777 == 0o751
    done = pyro("task", "export", task.id, "/workspace/d", scratch / "d.tar", "--json")
    assert done.code == 0 and done.json["bytes"] == (scratch / "d.tar").stat().st_size, done
    done = pyro("task", "export", task.id, "/workspace", scratch / "all", "--json")
    assert done.code == 0 and done.json["bytes"] == 4 + 100_000, done
    with tarfile.open(scratch / "d.tar") as tar:
        names = {os.path.normpath(name) for name in tar.getnames()} - {"."}
        assert names == {"f", "l", "e"}
    done = pyro("task", "export", task.id, "/etc/hostname", scratch / "outside")
    assert done.code == 0 and (scratch / "outside").read_text().startswith("pyro-"), done
    # Nothing that is there is touched.
    (scratch / "there").write_text("mine")
    (scratch / "full").mkdir()
    (scratch / "full/mine").write_text("mine")
    for path, dest in (("z", "there"), ("d", "full"), ("d", "there"), ("d", "d.tar")):
        done = pyro("task", "export", task.id, path, scratch / dest, "--json")
        harness.expect_error(done, 1, "already_exists")
    assert (scratch / "there").read_text() == "mine"
    assert os.listdir(scratch / "full") == ["mine"]
    harness.expect_error(pyro("task", "export", task.id, "no-such", scratch / "n", "--json"), 1, "not_found")
    assert not (scratch / "n").exists()
    # From a stopped task, which is told as with a command.
    task.stop()
    done = pyro("task", "export", "--json", task.id, "z", scratch / "z")
    assert done.code == 0 and (scratch / "z").read_bytes() == bytes(100_000), done
    assert "/workspace" in done.json["restart"]["kept"] and "processes" in done.json["restart"]["lost"]
    done = pyro("task", "cp", "--json", f"{task.id}:z", scratch / "copied")
    assert done.json["restart"] is None, done
    # So are the others that need its guest.
    task.stop()
    done = pyro("task", "diff", "--json", task.id)
    assert "/workspace" in done.json["restart"]["kept"], done
    assert pyro("task", "diff", "--json", task.id).json["restart"] is None
    task.stop()
    done = pyro("task", "summary", "--json", task.id, "--changes-since", "create")
    assert "/workspace" in done.json["restart"]["kept"], done
    assert pyro("task", "summary", "--json", task.id).json["restart"] is None
    assert sorted(entry.name for entry in scratch.iterdir() if entry.name[0] == ".") == []


def test_progress_of_a_seed_and_an_export_on_a_terminal(pyro, create, scratch, terminal):
    (scratch / "seed").mkdir()
    (scratch / "seed/big").write_bytes(os.urandom(40 << 20))
    process = pyro.start("task", "create", "--source-path", scratch / "seed", harness.BASE,
                         stderr=terminal.slave)
    # Read all the time: a terminal that is full holds up who writes to it.
    shown = terminal.read_until(lambda _: process.poll() is not None)
    assert re.search(r"seed: \d+ files, [\d.]+ MiB", shown), shown
    done = harness.finish(process)
    assert done.code == 0, (done, shown)
    task = harness.Task(pyro, re.search(r"^Task: (\S+)$", done.text, re.M)[1])
    process = pyro.start("task", "export", task.id, "big", scratch / "big", stderr=terminal.slave)
    shown = terminal.read_until(lambda _: process.poll() is not None)
    assert re.search(r"export: \d+ files, [\d.]+ MiB", shown), shown
    assert harness.finish(process).code == 0
    assert (scratch / "big").read_bytes() == (scratch / "seed/big").read_bytes()
    assert terminal.rest().endswith("\r\x1b[2K"), "the last line is wiped"
