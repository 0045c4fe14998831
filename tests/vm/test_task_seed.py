"""What of a source a task is given, what is said of the rest, and git in its guest."""

import gzip
import os
import re
import shutil
import socket
import subprocess

import harness
import pytest

# As a user with no configuration would run it.
GIT = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]


def git(where, *words):
    subprocess.run([*GIT, "-C", str(where), *words], check=True, capture_output=True,
                   env={"PATH": os.environ["PATH"], "HOME": str(where)})


def fill(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def names(task):
    listed = task.exec("find", ".", "-path", "./.git", "-prune", "-o", "-not", "-type", "d", "-printf", "%P\\n")
    assert listed.code == 0, listed
    return sorted(listed.text.split())


def test_patterns_leave_out_of_a_directory_and_an_archive(pyro, create, scratch):
    source = scratch / "source"
    fill(source, {"a.c": "", "a.o": "", "build/x": "", "src/build/y": "", "src/b.o": "", ".venv/z": ""})
    patterns = ["--exclude", "*.o", "--exclude", "/build", "--exclude", ".venv/"]
    assert names(create("--source-path", source, *patterns)) == ["a.c", "src/build/y"]
    subprocess.run(["tar", "-C", source, "-cJf", scratch / "source.tar.xz", "."], check=True)
    assert names(create("--source-path", scratch / "source.tar.xz", *patterns)) == ["a.c", "src/build/y"]


def test_git_sees_no_ignored_files_and_is_clean_in_the_guest(pyro, create, scratch):
    source = scratch / "source"
    fill(source, {".gitignore": "*.o\n.venv/\n", "a.c": "int a;\n", "a.o": "x", ".venv/bin/x": "x"})
    git(source.parent, "init", "-q", str(source))
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "first")
    fill(source, {"new.c": "int b;\n"})
    task = create("--source-path", source, "--git", environment=harness.FULL)
    assert names(task) == [".gitignore", "a.c", "new.c"]
    assert task.exec("git", "status", "--porcelain").text == "?? new.c\n"
    assert task.exec("git", "log", "--format=%s").text == "first\n"
    assert task.exec("git", "fsck", "--strict").code == 0
    # A name and an address are there, and anything else that names an author counts for more.
    commit = ["git", "commit", "-q", "--allow-empty", "-m"]
    assert task.exec(*commit, "second").code == 0
    assert task.exec("env", "GIT_AUTHOR_NAME=me", *commit, "third").code == 0
    assert task.exec("git", "config", "user.email", "own@example.org").code == 0
    assert task.exec(*commit, "fourth").code == 0
    done = task.exec("git", "log", "-3", "--format=%an %ae")
    assert done.text == "pyro own@example.org\nme pyro@localhost\npyro pyro@localhost\n", done


def test_a_run_has_a_git_identity(pyro):
    done = pyro.run("sh", "-c", "cd /tmp && git init -q . && git commit -q --allow-empty -m x && git log --format=%an", environment=harness.FULL)
    assert (done.code, done.text) == (0, "pyro\n"), done


def test_what_is_left_out_unasked_is_named_on_every_surface(pyro, create, scratch):
    source = scratch / "source"
    fill(source, {"a": ""})
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(source / "sock"))
    done = pyro("task", "create", "--json", "--source-path", source, harness.BASE)
    assert done.code == 0, done
    sentence = "left out as sockets or devices: 'sock'"
    assert done.json["notices"] == [sentence]
    assert f"pyro: {sentence}\n" in done.talk
    assert "notices" not in pyro("task", "status", "--json", done.json["task_id"]).json


@pytest.mark.parametrize("kind", ["worktree", "submodule"])
def test_a_work_tree_without_its_repository_is_told_with_what_to_do(pyro, create, scratch, kind):
    source = scratch / "repo"
    fill(source, {"a": "a\n"})
    git(scratch, "init", "-q", str(source))
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "first")
    if kind == "worktree":
        tree = scratch / "tree"
        git(source, "worktree", "add", "-q", str(tree))
    else:
        outer = scratch / "outer"
        git(scratch, "init", "-q", str(outer))
        git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(source), "sub")
        tree = outer / "sub"
    done = pyro("task", "create", "-q", "--source-path", tree, harness.FULL)
    assert done.code == 0, done
    assert re.fullmatch(r"pyro: git will not work in the guest: '\.git' leads to '[^']+', which is not copied; "
                        r"seed from a clone instead \('git clone SOURCE COPY'\)\n", done.talk), done
    git(scratch, "clone", "-q", str(tree), str(scratch / "copy"))
    done = pyro("task", "create", "-q", "--source-path", scratch / "copy", harness.FULL)
    assert (done.code, done.talk) == (0, ""), done
    assert harness.Task(pyro, done.text.strip()).exec("git", "log", "--format=%s").text == "first\n"


def test_what_cannot_be_seeded_is_refused_before_a_guest_starts(pyro, scratch):
    source = scratch / "source"
    fill(source, {"a": ""})
    archive = scratch / "a.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    for flags, word in [(["--source-path", source, "--git"], "git"),
                        (["--source-path", archive, "--git"], "a.tar"),
                        (["--git"], "source"),
                        (["--exclude", "*.o"], "source"),
                        (["--source-path", source, "--exclude", "[a"], "'[a'"),
                        (["--source-path", source, "--exclude", "!a"], "'!a'"),
                        (["--source-path", source / "a"], "archive")]:
        done = pyro("task", "create", "--json", *flags, harness.BASE)
        harness.expect_error(done, 1, "invalid_argument")
        assert word in done.talk, (flags, done)
    done = pyro("task", "create", "--json", "--source-path", source, "--exclude", "", harness.BASE)
    harness.expect_error(done, 2, "invalid_argument")
    harness.expect_task_directories(pyro, [])


def test_without_git_on_the_host_that_is_said(pyro, scratch):
    (scratch / "bin").mkdir()
    (scratch / "source").mkdir()
    for name in ("/usr/bin/git", "/usr/local/bin/git", "/bin/git"):
        if os.path.exists(name) and name.startswith("/usr/local"):
            harness.cannot_run("git is where programs are always found")
    # The usual directories are searched in any case, so git is hidden by a mount of its own.
    if os.getuid() != 0 or not shutil.which("unshare"):
        harness.cannot_run("only root can hide git")
    hide = 'mount --bind "$1" /usr/bin/git && shift && exec "$@"'
    (scratch / "empty").write_text("")
    pyro.prefix = ["unshare", "-m", "sh", "-c", hide, "sh", str(scratch / "empty")]
    done = pyro("task", "create", "--json", "--source-path", scratch / "source", "--git", harness.BASE)
    harness.expect_error(done, 1, "missing_tool")
    assert "apt install git" in done.talk, done


def test_a_changed_byte_in_a_gzip_archive_is_found(pyro, scratch):
    (scratch / "f").write_bytes(os.urandom(200_000))
    subprocess.run(["tar", "-C", scratch, "-cf", scratch / "a.tar", "f"], check=True)
    packed = bytearray(gzip.compress((scratch / "a.tar").read_bytes(), compresslevel=0))
    packed[100_000] ^= 1
    (scratch / "a.tar.gz").write_bytes(packed)
    done = pyro("task", "create", "--json", "--source-path", scratch / "a.tar.gz", harness.BASE)
    harness.expect_error(done, 1, "invalid_argument")
    assert "gzip data is damaged" in done.talk and "a.tar.gz" in done.talk, done
    harness.expect_task_directories(pyro, [])
