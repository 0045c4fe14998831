"""What a task's workspace has now, against a snapshot."""

import os
import pathlib
import subprocess

import harness

LONG = "".join(f"line {number}\n" for number in range(200))


def seed_of(scratch):
    seed = scratch / "seed"
    for name in ("src", "gone", "modes"):
        (seed / name).mkdir(parents=True)
    (seed / "src/long").write_text(LONG)
    (seed / "src/same size").write_text("before\n")
    (seed / "src/open end").write_text("a\nb")
    (seed / "src/touched").write_text("as it was\n")
    (seed / "gone/f").write_text("x\n")
    (seed / "modes/run").write_text("#!/bin/sh\n")
    (seed / "link").symlink_to("src/long")
    (seed / "becomes a link").write_text("text\n")
    (seed / "binary").write_bytes(b"\0\1\2" * 100)
    (seed / "big").write_bytes(b"x" * (300 << 10))
    return seed


# Each kind of change that a patch can have. The second file keeps its size and its times.
CHANGES = r"""
set -e
sed -i 's/^line 7$/seven/; s/^line 150$/&\nmore/' src/long
cp -p 'src/same size' /tmp/times; printf 'after!\n' > 'src/same size'; touch -r /tmp/times 'src/same size'
printf 'a\nb\nc' > 'src/open end'
touch src/touched
rm -r gone
chmod +x modes/run
ln -sfn src/touched link
rm 'becomes a link'; ln -s binary 'becomes a link'
mkdir -p new/dir new/empty; echo new > new/dir/f; : > new/dir/nothing
printf 'x\n' > "$(printf 'new/odd\t"name\303\244')"
"""


def snapshot_of(tree):
    """What git sees of a tree: its paths with what they are."""
    found = {}
    for path in sorted(pathlib.Path(tree).rglob("*")):
        name = os.fsencode(path.relative_to(tree))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (bool(path.stat().st_mode & 0o100), path.read_bytes())
    return found


def test_the_patch_of_a_task_makes_its_tree_of_the_first_one(pyro, create, scratch):
    seed = seed_of(scratch)
    task = create("--source-path", seed)
    assert pyro("task", "diff", task.id).out == b""
    done = task.exec("sh", "-c", CHANGES)
    assert done.code == 0, done
    patch = pyro("task", "diff", task.id)
    assert patch.code == 0, patch
    assert b"touched" not in patch.out.replace(b"src/touched\n\\ No newline", b""), patch
    assert b"# added directory new/empty\n" in patch.out
    applied = subprocess.run(["git", "apply", "-"], cwd=seed, input=patch.out, capture_output=True)
    assert applied.returncode == 0, (applied.stderr, patch.out)
    exported = scratch / "exported"
    assert pyro("task", "export", task.id, ".", exported).code == 0
    assert snapshot_of(seed) == snapshot_of(exported)
    # The guest that read the snapshot is gone.
    assert pyro.directories() == [] and pyro.rows() == []


def test_a_document_tells_kinds_modes_and_sizes(pyro, create, scratch):
    task = create("--source-path", seed_of(scratch))
    done = task.exec("sh", "-c", CHANGES + "printf '\\0' > binary; echo y >> big; mkfifo pipe")
    assert done.code == 0, done
    diff = task.json("diff")
    by_path = {one["path"]: one for one in diff["changes"]}
    assert (diff["task_id"], diff["snapshot"]) == (task.id, "create")
    assert diff["count"] == len(by_path) == diff["added"] + diff["removed"] + diff["modified"]
    assert [name for name, one in by_path.items() if one["kind"] == "removed"] == ["gone", "gone/f"]
    assert "src/touched" not in by_path and "src" not in by_path
    size = by_path["src/same size"]
    assert (size["kind"], size["old_size"], size["size"], size["shown"]) == ("modified", 7, 7, "text")
    assert "-before\n+after!\n" in size["text"]
    run = by_path["modes/run"]
    assert (run["old_mode"][-3:], run["mode"][-3:], run["text"].splitlines()[1:]) == (
        "644", "755", ["old mode 100644", "new mode 100755"])
    assert (by_path["becomes a link"]["old_type"], by_path["becomes a link"]["type"]) == ("file", "symlink")
    assert (by_path["binary"]["shown"], by_path["binary"]["old_size"], by_path["binary"]["size"]) == (
        "binary", 300, 1)
    assert (by_path["big"]["shown"], by_path["big"]["text"]) == ("too_large", None)
    assert (by_path["pipe"]["type"], by_path["pipe"]["shown"]) == ("other", None)
    assert (by_path["new/dir"]["type"], by_path["new/dir"]["old_type"]) == ("directory", None)

    shown = pyro("task", "diff", task.id, "binary", "/workspace/big").text
    assert shown.splitlines() == ["# modified file big: too large to be shown",
                                  "diff --git a/binary b/binary", "Binary files a/binary and b/binary differ"]
    # What git keeps for itself is counted, and shown to those who name it; the document has all.
    assert task.exec("sh", "-c", "mkdir -p sub/.git; echo ref > sub/.git/HEAD; echo seen > sub/.gitignore").code == 0
    told = pyro("task", "diff", "-q", task.id).text
    assert "+seen\n" in told and "HEAD" not in told, told
    assert told.endswith("# changes in .git that are not shown: 2; name its path to see them\n"), told
    assert "+ref\n" in pyro("task", "diff", "-q", task.id, "sub/.git").text
    assert {"sub/.git", "sub/.git/HEAD"} <= {one["path"] for one in task.json("diff")["changes"]}
    harness.expect_error(pyro("task", "diff", "--json", task.id, "/etc"), 1, "invalid_argument")
    # A path that one state has is one; a name that neither has is a mistake.
    wrong = pyro("task", "diff", "--json", task.id, "gone", "bynary")
    harness.expect_error(wrong, 1, "not_found")
    assert "'/workspace/bynary'" in wrong.json["error"]["message"] and "--snapshot" in wrong.json["error"]["hint"]
    harness.expect_error(pyro("task", "diff", "--json", task.id, "--snapshot", "none"), 1, "not_found")


def test_a_snapshot_of_a_changed_workspace_is_compared_and_needs_no_tool_of_the_image(pyro, create):
    task = create()
    assert task.exec("sh", "-c", "echo 1 > a; echo 2 > b").code == 0
    assert pyro("task", "snapshot", "create", task.id, "s").code == 0
    assert task.exec("sh", "-c", "echo 3 > b; rm -f /usr/bin/find /usr/bin/tar /usr/bin/diff; "
                     "mv /usr/bin/cat /usr/bin/sort /tmp").code == 0
    task.stop()
    diff = task.json("diff", "--snapshot", "s")
    assert [(one["path"], one["kind"]) for one in diff["changes"]] == [("b", "modified")]
    counts = task.json("summary", "--changes-since", "create")["changes"]
    assert counts == {"snapshot": "create", "added": 2, "removed": 0, "modified": 0}
    first = task.json("diff")
    assert [(one["path"], one["kind"]) for one in first["changes"]] == [("a", "added"), ("b", "added")]
