"""pyro task sync: what changed goes over, both ways, and what changed on both sides stays."""

import os
import stat

import harness


def sync(task, *words, code=0):
    done = task.pyro("task", "sync", "--json", task.id, *words)
    assert done.code == code, done
    return done.json


def told(synced):
    return [(one["kind"], one["path"]) for one in synced["changes"]]


def tree_of(top):
    """What a tree holds, by its names as bytes: modes, with the bytes of a file and where a link leads."""
    found = {}
    top = os.fsencode(top)
    for directory, names, files in os.walk(top):
        for name in [*names, *files]:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            if stat.S_ISLNK(info.st_mode):
                value = ("link", os.readlink(path))
            elif stat.S_ISDIR(info.st_mode):
                value = ("directory", stat.S_IMODE(info.st_mode))
            else:
                with open(path, "rb") as file:
                    value = (stat.S_IMODE(info.st_mode), file.read())
            found[os.path.relpath(path, top)] = value
    return found


def in_task(task, scratch, name):
    """The same of the task's workspace."""
    out = scratch / name
    done = task.pyro("task", "export", "-q", task.id, ".", out)
    assert done.code == 0, done
    return tree_of(out)


def run(task, script):
    done = task.exec("sh", "-c", script)
    assert done.code == 0, done


def without(tree, *names):
    return {path: value for path, value in tree.items()
            if not any(path == name or path.startswith(name + b"/") for name in names)}


def test_a_session_leaves_the_same_tree_on_both_sides(create, scratch):
    top = scratch / "top"
    (top / "src").mkdir(parents=True)
    (top / ".git").mkdir()
    (top / ".git/config").write_text("[core]\n")
    (top / ".gitignore").write_text("*.o\n/out/\n")
    (top / ".dockerignore").write_text("secret\n")
    (top / "src/a.c").write_text("one\n")
    (top / "src/gone").write_text("gone\n")
    (top / "run").write_text("#!/bin/sh\n")
    (top / "same").write_text("before\n")
    task = create("--source-path", top)

    # What a task was filled with is its first sync.
    first = sync(task, top)
    assert (first["first"], first["changes"], first["conflicts"]) == (False, [], [])

    # To the task: content of one size and one time, a mode, a removal, links, empty directories, any name, holes.
    before = (top / "same").stat()
    (top / "same").write_text("after!\n")
    os.utime(top / "same", ns=(before.st_atime_ns, before.st_mtime_ns))
    (top / "run").chmod(0o755)
    (top / "src/gone").unlink()
    (top / "empty").mkdir(mode=0o711)
    (top / "link").symlink_to("src/a.c")
    with open(os.path.join(os.fsencode(top), b"name\n\xff"), "wb") as file:
        file.write(b"\0\xff")
    with open(top / "holes", "wb") as file:
        file.truncate(64 << 20)
        file.seek(32 << 20)
        file.write(b"in the middle")
    os.mkfifo(top / "pipe")
    (top / "a.o").write_text("ignored")
    (top / "secret").write_text("ignored")
    planned = sync(task, top, "--dry-run")
    done = sync(task, top)
    assert told(planned) == told(done) and (planned["dry_run"], done["dry_run"]) == (True, False)
    assert {(kind, os.fsencode(path)) for kind, path in told(done) if "name" not in path} == {
        ("added", b"empty"), ("added", b"holes"), ("added", b"link"), ("modified", b"run"),
        ("modified", b"same"), ("removed", b"src/gone")}
    assert (done["added"], done["modified"], done["removed"]) == (4, 2, 1)
    assert "'pipe'" in " ".join(done["notices"])
    (top / "pipe").unlink()
    there = in_task(task, scratch, "pushed")
    mine = tree_of(top)
    assert without(there, b".git") == without(mine, b".git", b"a.o", b"secret")
    blocks = task.exec("sh", "-c", "du -k holes | cut -f1")
    assert int(blocks.text) < 1024, "the holes are filled"
    assert sync(task, top)["changes"] == []

    # And back. The guest ignores more, and what it has in .git stays there.
    run(task, r"""
set -e
printf 'two\n' > src/a.c; chmod 600 run; rm same; rm link; mkdir link; echo in > link/f
printf x > "$(printf 'odd\t\303\244\376')"; ln -s /etc/passwd way; echo evil > .git/config
mkdir target out; echo '*' > target/.gitignore; echo x > target/x; echo x > out/x; echo x > b.o
mkfifo queue; echo x > hard; ln hard harder
""")
    pulled = sync(task, top, "--pull")
    assert {"'queue'", "'harder'"} <= {word.strip(",;") for notice in pulled["notices"] for word in notice.split()}
    mine = tree_of(top)
    there = in_task(task, scratch, "pulled")
    assert without(there, b".git", b"target", b"out", b"b.o", b"queue") == without(
        mine, b".git", b"target", b"a.o", b"secret")
    assert b"target/x" not in mine and b"out" not in mine and b"same" not in mine
    assert mine[b"run"][0] == 0o600 and mine[b"way"] == ("link", b"/etc/passwd")
    assert mine[b".git/config"][1] == b"[core]\n"
    assert sync(task, top, "--pull")["changes"] == [] == sync(task, top)["changes"]

    # Changes on both sides: nothing moves on either, unless one of them is right.
    (top / "src/a.c").write_text("host\n")
    (top / "new").write_text("host\n")
    run(task, "echo task > src/a.c; echo other > theirs")
    for direction in ((), ("--pull",)):
        done = task.pyro("task", "sync", "--json", task.id, top, *direction)
        harness.expect_error(done, 1, "conflict")
        assert "'src/a.c'" in done.json["error"]["message"] and "new" not in done.json["error"]["message"], done
    assert (top / "src/a.c").read_text() == "host\n" and not (top / "theirs").exists()
    assert task.exec("sh", "-c", "cat src/a.c; ls new").text == "task\n"
    dry = sync(task, top, "--dry-run")
    assert dry["conflicts"] == [{"path": "src/a.c", "host": "modified", "task": "modified"}]
    sync(task, top, "--prefer", "task")
    assert task.exec("cat", "src/a.c", "new").text == "task\nhost\n"
    sync(task, top, "--pull", "--prefer", "task")
    assert (top / "src/a.c").read_text() == "task\n" and (top / "theirs").read_text() == "other\n"

    # What no sync brought goes only if that is asked for; what is ignored stays anyway.
    run(task, "echo x > unknown")
    assert told(sync(task, top, "--dry-run")) == []
    assert told(sync(task, top, "--delete")) == [("removed", "unknown")]
    assert task.exec("cat", "b.o", "out/x", "target/x").text == "x\n" * 3

    # A disk of before the last sync tells nothing of what was removed since.
    reset = task.pyro("task", "reset", "-q", task.id)
    assert reset.code == 0, reset
    stranger = sync(task, top, "--pull", "--dry-run")
    assert stranger["first"] and "reset" in stranger["notices"][-1]
    assert (top / "theirs").exists() and ("removed", "theirs") not in told(stranger)


def test_a_directory_of_the_task_and_what_cannot_be_synced(create, scratch):
    task = create()
    top = scratch / "a:b"
    top.mkdir()
    (top / "f").write_text("f\n")
    (top / "x.tmp").write_text("x\n")
    done = sync(task, f"{top}:deep/dir", "--exclude", "*.tmp")
    assert (done["path"], done["host_path"], done["first"]) == ("/workspace/deep/dir", str(top), True)
    assert told(done) == [("added", "f")]
    # A directory with that whole name is meant.
    (scratch / "a:b:c").mkdir()
    assert sync(task, f"{top}:c", "--dry-run")["host_path"] == str(scratch / "a:b:c")
    assert told(sync(task, f"{top}:deep/dir", "--no-ignore")) == [("added", "x.tmp")]
    people = task.pyro("task", "sync", task.id, f"{top}:other", "--dry-run")
    assert people.text == "added f\nadded x.tmp\n" and "2 added, 0 modified, 0 removed" in people.talk
    assert task.exec("ls", "-A", "deep/dir").text == "f\nx.tmp\n"
    for words, code in (([scratch / "none"], "not_found"), ([top / "f"], "not_found"),
                        ([f"{top}:deep/dir/f"], "not_a_directory"), ([f"{top}:none", "--pull"], "not_found"),
                        ([top, "--exclude", "[a"], "invalid_argument")):
        harness.expect_error(task.pyro("task", "sync", "--json", task.id, *words), 1, code)


def test_a_hostile_guest_changes_nothing_outside_of_the_directory(create, scratch):
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "f").write_text("untouched")
    top = scratch / "top"
    (top / "d").mkdir(parents=True)
    (top / "d/f").write_text("mine")
    task = create("--source-path", top)
    # The user's own link is in the way of what the guest changed.
    (top / "d/f").unlink()
    (top / "d").rmdir()
    (top / "d").symlink_to(outside)
    run(task, "echo evil > d/f; echo evil > d/g; ln -s ../outside out")
    pulled = sync(task, top, "--pull", "--prefer", "task")
    assert "'d/f'" in " ".join(pulled["notices"]) and "'d/g'" in " ".join(pulled["notices"])
    assert os.readlink(top / "out") == "../outside"

    assert {path.name: path.read_text() for path in outside.iterdir()} == {"f": "untouched"}
