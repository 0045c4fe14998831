"""Patches for the files of a task: what git and diff print is applied, whole or not at all."""

import os
import pathlib
import random
import shutil
import subprocess

import file_agent
import harness
import pytest

GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-c", "core.autocrlf=false", "-c", "core.safecrlf=false"]


def git(tree, *words, code=0, **options):
    done = subprocess.run([*GIT, *words], cwd=tree, capture_output=True, check=False,
                          env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C"}, **options)
    assert done.returncode == code, done
    return done.stdout


def contents(tree):
    """What git sees of a tree."""
    found = {}
    for path in sorted(pathlib.Path(tree).rglob("*")):
        name = os.fsencode(path.relative_to(tree))
        if name.startswith(b".git/"):
            continue
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_file():
            found[name] = (bool(path.stat().st_mode & 0o100), path.read_bytes())
    return found


class Trees:
    """Random files, and random changes of them. Every line is another."""

    NAMES = ["plain", "a b", "tab\there", "quote\"d", "umlaut ä", "back\\slash", "dir/one", "dir/two", "dir/deep/three", "-x", "x.orig"]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.line = 0

    def lines(self, count, end=b"\n"):
        lines = []
        for _ in range(count):
            self.line += 1
            lines.append(b"line %d\xc3\xa4" % self.line + (b"\r" if self.random.random() < 0.1 else b"") + end)
        return lines

    def text(self):
        lines = self.lines(self.random.choice([0, 1, 3, 8, 40]))
        if lines and self.random.random() < 0.3:
            lines[-1] = lines[-1][:-1]
        return b"".join(lines)

    def changed(self, text):
        lines = text.splitlines(keepends=True) if b"\r" not in text else [one + b"\n" for one in text.split(b"\n")[:-1]] + (
            [text.split(b"\n")[-1]] if not text.endswith(b"\n") and text else [])
        for _ in range(self.random.choice([1, 1, 2, 4])):
            at = self.random.randint(0, len(lines))
            if self.random.random() < 0.5:
                lines[at:at] = self.lines(self.random.randint(1, 3))
            else:
                del lines[at:at + self.random.randint(1, 3)]
        # No line may be joined with the next.
        lines = [one if one.endswith(b"\n") or one is lines[-1] else one + b"\n" for one in lines]
        return b"".join(lines)

    def make(self, tree):
        for name in self.NAMES:
            if self.random.random() < 0.6:
                self.put(tree / name)

    def put(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.random.random() < 0.15:
            path.symlink_to(f"target {self.random.random()}")
        else:
            path.write_bytes(self.text())
            path.chmod(self.random.choice([0o644, 0o755]))

    def change(self, tree):
        for name in self.NAMES:
            path = tree / name
            there = path.is_symlink() or path.exists()
            kind = self.random.choice(["edit", "edit", "mode", "remove", "replace", "move", "leave"])
            if not there:
                if kind in ("edit", "replace"):
                    self.put(path)
            elif kind in ("remove", "replace"):
                path.unlink()
                if kind == "replace":
                    self.put(path)
            elif kind == "move":
                path.rename(tree / f"moved {self.random.randint(0, 10**9)}")
            elif path.is_symlink():
                path.unlink()
                path.symlink_to(f"other {self.random.random()}")
            elif kind == "edit":
                path.write_bytes(self.changed(path.read_bytes()))
            elif kind == "mode":
                path.chmod(path.stat().st_mode ^ 0o111)


def apply_here(tree, disk, patch, **fields):
    """By the agent's program on this host."""
    disk.mkdir(exist_ok=True)
    return file_agent.end_of(file_agent.carry_out(patch, None, disk, operation="patch", path=str(tree), strip=1,
                                                  **{"reverse": False, "check": False, **fields}))


def diff_by_git(scratch, old, new):
    """The tree as a repository whose first commit is `old`; the patch to `new`."""
    repository = scratch / "repository"
    shutil.rmtree(repository, ignore_errors=True)
    shutil.copytree(old, repository, symlinks=True)
    git(repository, "init", "-q")
    git(repository, "add", "-Af")
    git(repository, "commit", "-qm", "x", "--allow-empty")
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    shutil.copytree(new, repository, symlinks=True, dirs_exist_ok=True)
    # git takes a file for unchanged whose size, times in seconds and inode are those of its index.
    git(repository, "read-tree", "--empty")
    git(repository, "add", "-Af")
    return git(repository, "diff", "--cached", "-M", "-C", "--find-copies-harder", "--no-ext-diff")


@pytest.mark.parametrize("seed", range(40))
def test_the_patch_of_two_trees_makes_one_of_the_other(scratch, seed):
    trees = Trees(seed)
    old, new = scratch / "old", scratch / "new"
    old.mkdir()
    trees.make(old)
    shutil.copytree(old, new, symlinks=True)
    trees.change(new)
    patch = diff_by_git(scratch, old, new)
    if not patch:
        return
    work = scratch / "work"
    shutil.copytree(old, work, symlinks=True)
    checked = apply_here(work, scratch / "disk", patch, check=True)
    assert checked["error"] == 0, (checked["message"], checked["path"], patch.decode())
    assert contents(work) == contents(old)
    end = apply_here(work, scratch / "disk", patch)
    assert end["error"] == 0, (end["message"], patch.decode())
    assert contents(work) == contents(new), patch
    assert [path for path in work.iterdir() if path.name.startswith(".pyro-")] == []
    # Once more it does not apply, and nothing changes; its reverse leads back.
    again = apply_here(work, scratch / "disk", patch)
    assert again["code"] == 18, (again, patch)
    assert contents(work) == contents(new)
    if b"\ncopy from " not in patch:
        back = apply_here(work, scratch / "disk", patch, reverse=True)
        assert back["error"] == 0, (back["message"], patch.decode())
        assert contents(work) == contents(old)
    # diff knows neither links nor modes.
    for tree in (old, new):
        for path in [*tree.rglob("*")]:
            if path.is_symlink() or any(c in path.name for c in "\t\"\\"):
                path.unlink()
            elif path.is_file():
                path.chmod(0o644)
    plain = subprocess.run(["diff", "-ruN", "old", "new"], cwd=scratch, capture_output=True, check=False).stdout
    if plain:
        # It does not tell an empty file from none.
        end = apply_here(old, scratch / "disk", plain)
        assert end["error"] == 0, (end, plain)
        filled = [{name: one for name, one in contents(tree).items() if one[1]} for tree in (old, new)]
        assert filled[0] == filled[1], plain


@pytest.mark.parametrize("seed", range(20))
def test_what_git_applies_to_a_tree_that_went_on_is_applied_alike(scratch, seed):
    trees = Trees(1000 + seed)
    old, new = scratch / "old", scratch / "new"
    old.mkdir()
    (old / "f").write_bytes(b"".join(trees.lines(60)))
    shutil.copytree(old, new)
    (new / "f").write_bytes(trees.changed((new / "f").read_bytes()))
    patch = diff_by_git(scratch, old, new)
    if not patch:
        return
    (old / "f").write_bytes(trees.changed((old / "f").read_bytes()))
    by_git = scratch / "by git"
    shutil.copytree(old, by_git)
    git_did = subprocess.run([*GIT, "apply"], cwd=by_git, input=patch, capture_output=True, check=False,
                             env={**os.environ, "GIT_CEILING_DIRECTORIES": str(scratch)}).returncode == 0
    before = contents(old)
    end = apply_here(old, scratch / "disk", patch)
    if git_did:
        assert end["error"] == 0, end
        assert contents(old) == contents(by_git)
    if end["error"] != 0:
        assert end["code"] == 18 and "does not apply" in end["message"], end
        assert contents(old) == before


SEED = {"src/main.c": "".join(f"line {number}\n" for number in range(1, 41)), "run": "#!/bin/sh\n", "old name": "moves\n",
        "gone/only": "x\n", "dos": "a\r\nb\r\n"}
PATCH = """\
diff --git a/src/main.c b/src/main.c
index 1..2 100644
--- a/src/main.c
+++ b/src/main.c
@@ -9,7 +9,8 @@ int main(void)
 line 9
 line 10
 line 11
-line 12
+line twelve
+line more
 line 13
 line 14
 line 15
diff --git a/run b/run
old mode 100644
new mode 100755
diff --git a/old name b/new name
similarity index 100%
rename from old name
rename to new name
diff --git a/gone/only b/gone/only
deleted file mode 100644
--- a/gone/only
+++ /dev/null
@@ -1 +0,0 @@
-x
diff --git a/link b/link
new file mode 120000
--- /dev/null
+++ b/link
@@ -0,0 +1 @@
+src/main.c
\\ No newline at end of file
--- a/dos\t2026-11-29 10:00:00.000000000 +0000
+++ b/dos\t2026-11-29 10:00:01.000000000 +0000
@@ -1,2 +1,2 @@
 a\r
-b\r
+c\r
"""


def test_a_session_of_patches(pyro, create, scratch):
    seed = scratch / "seed"
    for name, text in SEED.items():
        (seed / name).parent.mkdir(parents=True, exist_ok=True)
        (seed / name).write_bytes(text.encode())
    task = create("--source-path", seed)

    def patch(text, *flags, code=0):
        done = pyro("task", "patch", "--json", task.id, *flags, input=text if isinstance(text, bytes) else text.encode())
        assert done.code == code, done
        return done.json if code == 0 else done

    def look(script):
        done = task.exec("sh", "-c", script)
        assert done.code == 0, done
        return done.text

    # Only looked at, then applied, four lines further down than it says.
    look("sed -i '1i a\\nb\\nc\\nd' src/main.c; chown 1234:1234 gone dos; chmod 600 dos")
    before = look("find . | sort; cat src/main.c")
    checked = patch(PATCH, "--check")
    assert (checked["checked"], checked["count"]) == (True, 6)
    assert look("find . | sort; cat src/main.c") == before
    applied = patch(PATCH)
    assert applied["checked"] is False and applied["path"] == "/workspace"
    assert applied["files"] == checked["files"]
    files = {one["path"]: one for one in applied["files"]}
    assert files["src/main.c"] == {"path": "src/main.c", "old_path": None, "kind": "modified", "hunks": 1, "added_lines": 2,
                                   "removed_lines": 1, "offsets": [{"hunk": 1, "lines": 4}]}
    assert files["new name"]["kind"] == "renamed" and files["new name"]["old_path"] == "old name"
    assert [files[name]["kind"] for name in ("run", "gone/only", "link")] == ["modified", "removed", "added"]
    assert (applied["added_lines"], applied["removed_lines"]) == (4, 3)
    assert look("find . ! -name .pyro-\\* | sort | tr '\\n' ' '; sed -n 16,17p src/main.c; stat -c '%a %u' run dos; readlink link; "
                "od -c dos | head -1; ls -A | grep -c pyro; true").split() == (
        ". ./dos ./link ./new name ./run ./src ./src/main.c line twelve line more 755 0 600 1234 src/main.c "
        "0000000 a \\r \\n c \\r \\n 0").split()

    # What does not apply changes nothing, and the error says where and what is there.
    two = ("--- a/run\n+++ b/run\n@@ -1 +1 @@\n-#!/bin/sh\n+#!/bin/bash\n"
           "--- a/src/main.c\n+++ b/src/main.c\n@@ -20,3 +20,3 @@\n line 16\n-line seventeen\n+line 17\n line 18\n")
    done = patch(two, code=1)
    harness.expect_error(done, 1, "conflict")
    error = done.json["error"]
    assert error["path"] == "/workspace/src/main.c"
    assert error["message"] == ("hunk 1 of 1 of 'src/main.c' does not apply: line 20 is 'line 15', where the hunk has "
                                "'line 16'"), error
    assert look("cat run") == "#!/bin/sh\n"
    for text, name, path in (
            ("--- a/none\n+++ b/none\n@@ -1 +1 @@\n-x\n+y\n", "conflict", "/workspace/none"),
            ("--- /dev/null\n+++ b/run\n@@ -0,0 +1 @@\n+x\n", "conflict", "/workspace/run"),
            ("--- a/src\n+++ b/src\n@@ -1 +1 @@\n-x\n+y\n", "conflict", "/workspace/src"),
            ("--- a/link\n+++ b/link\n@@ -1 +1 @@\n-x\n+y\n", "conflict", "/workspace/link"),
            ("diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n", "invalid_argument", "/workspace/x.png"),
            ("--- a/../etc/passwd\n+++ b/../etc/passwd\n@@ -1 +1 @@\n-x\n+y\n", "invalid_argument", None),
            ("--- a/run/x\n+++ b/run/x\n@@ -0,0 +1 @@\n+y\n", "conflict", "/workspace/run/x"),
            ("--- /dev/null\n+++ b/run/x\n@@ -0,0 +1 @@\n+y\n", "not_a_directory", "/workspace/run"),
            ("hello\n", "invalid_argument", None)):
        done = patch(text, code=1)
        assert done.json["error"]["code"] == name, (text, done)
        if path is not None:
            assert done.json["error"].get("path") == path, (text, done)

    # No symbolic link leads out.
    look("mkdir /outside; echo x > /outside/f; ln -s /outside out")
    done = patch("--- a/out/f\n+++ b/out/f\n@@ -1 +1 @@\n-x\n+y\n", code=1)
    assert done.json["error"]["path"] == "/workspace/out/f", done
    done = patch("--- /dev/null\n+++ b/out/new\n@@ -0,0 +1 @@\n+y\n", code=1)
    assert look("cat /outside/f; ls /outside; rm out") == "x\nf\n"

    # Elsewhere, with other names, and back. The owner of a directory owns what is new in it.
    look("mkdir /srv/other; chown 4321:4321 /srv/other; echo x > /srv/other/f")
    there = "--- f\n+++ f\n@@ -1 +1 @@\n-x\n+y\n--- /dev/null\n+++ d/n\n@@ -0,0 +1 @@\n+new\n"
    assert patch(there, "--directory", "/srv/other", "--strip", "0")["path"] == "/srv/other"
    assert look("cat /srv/other/f /srv/other/d/n; stat -c %u /srv/other/d /srv/other/d/n /srv/other/f").split() == [
        "y", "new", "4321", "4321", "0"]
    patch(there, "--directory", "/srv/other", "--strip", "0", "--reverse")
    assert look("cat /srv/other/f; ls /srv/other") == "x\nf\n"

    # A file of the host; and for people.
    (scratch / "fix.diff").write_text("--- a/run\n+++ b/run\n@@ -1 +1,2 @@\n #!/bin/sh\n+true\n")
    done = pyro("task", "patch", task.id, scratch / "fix.diff")
    assert (done.code, done.text) == (0, "modified run (+1 -0)\npatched 1 file in /workspace (+1 -0)\n"), done
    harness.expect_error(pyro("task", "patch", "--json", task.id, scratch / "none.diff"), 1, "not_found")

    # What `task diff` prints leads from the first state to this one.
    text = pyro("task", "diff", "-q", task.id).out
    copy = create("--source-path", seed)
    assert pyro("task", "patch", "-q", copy.id, input=text).code == 0
    script = "find . -type f -exec sh -c 'for f; do echo \"$f\"; stat -c %A \"$f\" | cut -c4; cat \"$f\"; done' x {} + | sort; find . -type l"
    assert copy.exec("sh", "-c", script).text == look(script)

    # A full disk leaves all as it was.
    look("fallocate -l $(($(df --output=avail -B1 . | tail -1) - 1048576)) fill && dd if=/dev/zero of=fill2 bs=64k 2>/dev/null; true")
    lines = "".join(f"+{number} {'x' * 90}\n" for number in range(60_000))
    done = patch(f"--- a/run\n+++ b/run\n@@ -1,2 +1 @@\n #!/bin/sh\n-true\n--- /dev/null\n+++ b/big\n@@ -0,0 +1,60000 @@\n{lines}", code=1)
    assert done.json["error"]["code"] == "no_space", done
    assert look("cat run; ls -A | grep -e big -e pyro; rm fill fill2") == "#!/bin/sh\ntrue\n"
