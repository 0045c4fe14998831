"""kill -9 while a patch is applied: all of its files are old or all are new, and nothing is left of it."""

import concurrent.futures
import os
import signal
import subprocess

import failpoints
import file_agent
import harness
import pytest
import siege

FILES = 12
PATCH = "".join(
    f"diff --git a/dir/f{number} b/dir/f{number}\n--- a/dir/f{number}\n+++ b/dir/f{number}\n"
    f"@@ -1 +1 @@\n-old {number}\n+new {number}\n" for number in range(FILES)) + (
    "diff --git a/gone/g b/gone/g\ndeleted file mode 100644\n--- a/gone/g\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
    "diff --git a/made/deep/m b/made/deep/m\nnew file mode 100755\n--- /dev/null\n+++ b/made/deep/m\n@@ -0,0 +1 @@\n+x\n"
    "diff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\n"
    "diff --git a/link b/link\ndeleted file mode 120000\n--- a/link\n+++ /dev/null\n@@ -1 +0,0 @@\n-to\n"
    "\\ No newline at end of file\n"
    "diff --git a/link b/link\nnew file mode 100644\n--- /dev/null\n+++ b/link\n@@ -0,0 +1 @@\n+text\n")
# A file that is not in the patch, so that a call has something to look at.
LOOK = b"--- a/other\n+++ b/other\n@@ -1 +1 @@\n-o\n+p\n"


def make_old(tree):
    (tree / "dir").mkdir(parents=True)
    for number in range(FILES):
        (tree / f"dir/f{number}").write_text(f"old {number}\n")
    (tree / "gone").mkdir()
    (tree / "gone/g").write_text("x\n")
    (tree / "from").write_text("moved\n")
    (tree / "link").symlink_to("to")
    (tree / "other").write_text("o\n")


def state_of(tree):
    """Every path, also of directories, with what it is."""
    return {str(path.relative_to(tree)): (path.lstat().st_mode, os.readlink(path) if path.is_symlink()
                                          else path.read_bytes() if path.is_file() else None)
            for path in sorted(tree.rglob("*"))}


def patch_as_agent(tree, disk, patch, env=None, **fields):
    return file_agent.carry_out(patch, env, disk, operation="patch", path=str(tree), **fields)


def both_states(scratch):
    """The two states of the tree; `scratch` has the directory of the disk then."""
    disk = scratch / "disk"
    disk.mkdir()
    make_old(scratch / "old")
    make_old(scratch / "new")
    assert file_agent.end_of(patch_as_agent(scratch / "new", disk, PATCH.encode()))["error"] == 0
    return state_of(scratch / "old"), state_of(scratch / "new")


@pytest.fixture
def both(scratch):
    return both_states(scratch)


# The steps are many; the first, one in the middle and the last are different.
POINTS = [*(point for point in failpoints.FILES_CHANGE if point != "files.change.step"),
          *(f"files.change.step:{number}" for number in (1, 3, 5, 9, 18, 19)), "files.change.staged:7"]


def kill_patch_in_guest(tree, disk, both, point):
    """A patch that is killed at a named point."""
    make_old(tree)
    done = patch_as_agent(tree, disk, PATCH.encode(), {"PYRO_FAILPOINT": point})
    assert done.returncode == -signal.SIGKILL, done
    # What the agent does at its next start, any call for a patch does first.
    look = patch_as_agent(tree, disk, LOOK, check=True)
    assert file_agent.end_of(look)["error"] == 0
    finished = point in ("files.change.finished", "files.change.cleaned")
    assert state_of(tree) == both[1 if finished else 0]
    assert list((disk / "changes").iterdir()) == []
    # And another patch is applied.
    if not finished:
        assert file_agent.end_of(patch_as_agent(tree, disk, PATCH.encode()))["error"] == 0
        assert state_of(tree) == both[1]


@pytest.mark.parametrize("point", POINTS)
def test_a_patch_that_is_killed_in_the_guest_is_whole_or_undone(scratch, both, point):
    kill_patch_in_guest(scratch / "tree", scratch / "disk", both, point)


def test_an_undoing_that_is_killed_is_done_by_the_next(scratch, both):
    """A rename by hand, as an undoing that was killed after it leaves it."""
    tree, disk = scratch / "tree", scratch / "disk"
    make_old(tree)
    assert patch_as_agent(tree, disk, PATCH.encode(), {"PYRO_FAILPOINT": "files.change.taken"}).returncode == -signal.SIGKILL
    [staging] = [path for path in tree.iterdir() if path.name.startswith(".pyro-")]
    taken = [path for path in staging.iterdir() if path.is_file() and path.read_bytes() == b"x\n"]
    assert len(taken) == 1
    (tree / "gone").mkdir(exist_ok=True)
    taken[0].rename(tree / "gone/g")
    assert file_agent.end_of(patch_as_agent(tree, disk, LOOK, check=True))["error"] == 0
    assert state_of(tree) == both[0]


def test_a_file_that_changes_meanwhile_undoes_the_patch(scratch, both):
    tree, disk = scratch / "tree", scratch / "disk"
    make_old(tree)
    env = {"PYRO_FAILPOINT": "files.change.noted", "PYRO_FAILPOINT_SIGNAL": "STOP"}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        applied = pool.submit(patch_as_agent, tree, disk, PATCH.encode(), env)
        try:
            stopped = harness.wait_until(lambda: [one for one in harness.descendants() if one.state == "T"],
                                         "the patch stands still")
            (tree / "dir/f7").write_text("other\n")
        finally:
            for one in harness.descendants():
                os.kill(one.pid, signal.SIGCONT)
    assert len(stopped) == 1
    end = file_agent.end_of(applied.result())
    assert (end["code"], end["path"]) == (18, str(tree / "dir/f7")), end
    assert "changed by another program" in end["message"]
    (tree / "dir/f7").write_text("old 7\n")
    assert state_of(tree) == both[0]


def test_what_an_undoing_cannot_put_back_is_kept_and_said(scratch, both):
    """Another program moves a directory away when some of its files are new, and others are not."""
    tree, disk = scratch / "tree", scratch / "disk"
    make_old(tree)
    env = {"PYRO_FAILPOINT": "files.change.step:12", "PYRO_FAILPOINT_SIGNAL": "STOP"}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        applied = pool.submit(patch_as_agent, tree, disk, PATCH.encode(), env)
        try:
            harness.wait_until(lambda: [one for one in harness.descendants() if one.state == "T"], "the patch stands still")
            (tree / "dir").rename(tree / "moved")
        finally:
            for one in harness.descendants():
                os.kill(one.pid, signal.SIGCONT)
    end = file_agent.end_of(applied.result())
    assert end["code"] == 18 and "moved the directory of" in end["message"], end
    [staging] = [path for path in tree.iterdir() if path.name.startswith(".pyro-")]
    assert str(staging) in end["message"] and end["hint"].startswith("put the old content back"), end
    old = {path.read_text() for path in staging.iterdir() if path.is_file() and not path.is_symlink()}
    new = 0
    for number in range(FILES):
        text = (tree / f"moved/f{number}").read_text()
        new += text == f"new {number}\n"
        assert text == f"old {number}\n" or f"old {number}\n" in old, number
    assert 0 < new < FILES
    # All else is as before, and the next patch is applied.
    (tree / "moved").rename(tree / "dir")
    assert {path: what for path, what in state_of(tree).items() if not path.startswith((".pyro-", "dir"))} == {
        path: what for path, what in both[0].items() if not path.startswith("dir")}
    assert file_agent.end_of(patch_as_agent(tree, disk, LOOK))["error"] == 0
    assert staging.exists() and list((disk / "changes").iterdir()) == []


def test_a_recovery_that_cannot_put_all_back_says_so_once(scratch, both):
    tree, disk = scratch / "tree", scratch / "disk"
    make_old(tree)
    assert patch_as_agent(tree, disk, PATCH.encode(), {"PYRO_FAILPOINT": "files.change.step:12"}).returncode == -signal.SIGKILL
    (tree / "dir").rename(tree / "moved")
    end = file_agent.end_of(patch_as_agent(tree, disk, LOOK, check=True))
    assert end["code"] == 18 and "moved the directory of" in end["message"], end
    assert any(path.name.startswith(".pyro-") for path in tree.iterdir())
    assert file_agent.end_of(patch_as_agent(tree, disk, LOOK, check=True))["error"] == 0


def text_of(pyro, task, name):
    done = pyro("task", "files", "read", "-q", task.id, name)
    assert done.code == 0, done
    return done.text


def kill_clients(pyro, task, scratch):
    """Clients of a patch that are killed at the named points. The points."""
    make_old(scratch / "client")
    for point, expected in (("task.patch.sending", "old 5\n"), ("task.patch.applied", "new 5\n")):
        assert pyro("task", "cp", "-q", f"{scratch}/client/.", f"{task.id}:.").code == 0
        process = pyro.start("task", "patch", task.id, env={"PYRO_FAILPOINT": point}, stdin=subprocess.PIPE)
        harness.finish(process, PATCH.encode())
        assert process.returncode == -signal.SIGKILL, point
        assert text_of(pyro, task, "dir/f5") == expected, point
    siege.wait_for_no_orphans("a killed client")
    return failpoints.PATCH_CLIENT


def test_a_client_that_is_killed_leaves_all_old_or_all_new(pyro, create, scratch):
    assert len(kill_clients(pyro, create(), scratch)) == 2


# In the guest: until content is staged, and until half of the files are new.
@pytest.mark.parametrize("moment", ["test -e .pyro-*/100", "grep -q new f200"])
@pytest.mark.parametrize("victim", ["pyro", "pyro-supervisor", harness.MACHINE])
def test_what_dies_in_the_middle_of_a_patch_leaves_all_old_or_all_new(pyro, create, scratch, victim, moment):
    tree = scratch / "many"
    tree.mkdir()
    count = 400
    for number in range(count):
        (tree / f"f{number}").write_text("old\n")
    patch = "".join(f"--- a/f{number}\n+++ b/f{number}\n@@ -1 +1 @@\n-old\n+new\n" for number in range(count))
    task = create("--source-path", tree)
    watcher = task.start("sh", "-c", f"until {moment} 2>/dev/null || grep -q new f399; do :; done", stdout=subprocess.PIPE)
    applied = pyro.start("task", "patch", "-q", task.id, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    applied.stdin.write(patch.encode())
    applied.stdin.close()
    applied.stdin = None
    harness.finish(watcher)
    if victim == "pyro":
        applied.kill()
    harness.kill_all([one for one in task.processes() if one.program == victim])
    harness.finish(applied)
    if victim != "pyro":
        task.expect_no_guest()

    def settled():
        told = task.exec("sh", "-c", "cat f* | sort | uniq -c; ls -A | grep -v '^f'; true").text.split()
        return told in ([str(count), "old"], [str(count), "new"])

    # The guest of a dead client goes on, and its agent has a moment to undo the rest.
    assert settled() or (victim == "pyro" and harness.wait_until(settled, "the patch is undone"))
