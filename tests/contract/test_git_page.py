"""The ways into a task and back that docs/git.md shows, done exactly as it shows them."""

import os
import re
import subprocess

import harness
import pytest

PAGE = (harness.ROOT / "docs/git.md").read_text(encoding="utf-8")


def shown(beginning):
    """The command of the page that begins so."""
    found = [line for block in re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S)
             for line in block.splitlines() if line.startswith(beginning)]
    assert len(found) == 1, (beginning, found)
    return found[0]


@pytest.fixture
def shell(pyro, create, scratch):
    """Runs a command of the page in the repository `project`, with pyro in the PATH."""
    bin_dir = scratch / "bin"
    bin_dir.mkdir()
    (bin_dir / "pyro").symlink_to(pyro.program)
    project = scratch / "project"
    project.mkdir()
    env = {**pyro.env, "PATH": f"{bin_dir}:{pyro.env['PATH']}", "PYRO_LIBEXEC_DIR": str(harness.BIN),
           "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}

    def run(script, **more):
        done = subprocess.run(["sh", "-ec", script], cwd=project, env={**env, **more}, capture_output=True, text=True,
                              check=False, timeout=harness.HANG_SECONDS)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout

    run("git init -q -b main . && printf 'ignored\\n' > .gitignore && echo one > f && printf '\\1\\0' > binary && "
        "git add . && git commit -q -m first && touch ignored")
    return run


def test_the_page_does_what_it_shows(shell):
    task = shell(shown("id=") + "\necho $id").strip()
    inside = f"pyro task exec -q {task} -- "
    assert shell(inside + "ls -A").split() == [".git", ".gitignore", "binary", "f"]
    # A patch, with a file that is no text and a new one.
    shell(inside + "sh -c \"echo two >> f; printf '\\\\1\\\\0\\\\2' > binary; echo new > g; git add -N .\"")
    shell(shown("pyro task exec -q $id -- git diff"), id=task)
    assert shell("cat f g; git status --porcelain").splitlines() == ["one", "two", "new", " M binary", " M f", "?? g"]
    assert shell("od -An -c binary").split() == ["001", "\\0", "002"]
    # Commits of the guest's, by the identity that it has.
    shell("git checkout -q . && rm g")
    shell(inside + "sh -c 'git checkout -q -b fix && git add . && git commit -q -m fixed'")
    shell(shown("git -c protocol.ext.allow=always fetch"), id=task)
    assert shell("git log --format='%s %an <%ae>' fix").splitlines() == ["fixed pyro <pyro@localhost>", "first a <a@b>"]
    # Commits the other way.
    shell("git commit -q --allow-empty -m later")
    shell(shown("git -c protocol.ext.allow=always push"), id=task)
    assert shell(inside + "git log -1 --format=%s from-host") == "later\n"
    # Single files.
    shell("mkdir src && echo mine > src/main.c")
    shell(inside + "sh -c 'mkdir src && echo theirs > src/main.c'")
    shell(shown("pyro task export --force"), id=task)
    assert shell("cat src/main.c") == "theirs\n"
    assert "src/main.c" in shell(shown("pyro task export $id . -"), id=task).split()


def test_a_linked_worktree_is_seeded_from_a_clone_as_the_page_shows(shell, pyro):
    shell("git worktree add -q ../tree")
    tree = os.path.join(shell("cd ../tree && pwd").strip())
    clone, create = shown("git clone"), shown("pyro task create -q --source-path ../copy")
    task = shell(f"cd {tree} && {clone} && {create}").strip()
    assert shell(f"pyro task exec -q {task} -- git log --format=%s") == "first\n"
