"""A small repository on the host for tests that work on it as an agent does, and what it is at their end."""

import os
import pathlib
import stat
import subprocess

# Fails for one name.
PROGRAM = """\
#!/bin/sh
echo "Hello, $1"
"""
TESTS = """\
#!/bin/sh
set -e
[ "$(src/greet Ada)" = "Hello, Ada!" ] || { echo "FAIL: greet Ada said: $(src/greet Ada)" >&2; exit 3; }
echo "all passed"
"""
MENDED = PROGRAM.replace('$1"', '$1!"')
# Mends it, adds a program and removes a file.
PATCH = """\
diff --git a/old notes b/old notes
deleted file mode 100644
--- a/old notes\t
+++ /dev/null
@@ -1 +0,0 @@
-to be removed
diff --git a/src/farewell b/src/farewell
new file mode 100755
--- /dev/null
+++ b/src/farewell
@@ -0,0 +1,2 @@
+#!/bin/sh
+echo "Bye, $1!"
diff --git a/src/greet b/src/greet
--- a/src/greet
+++ b/src/greet
@@ -1,2 +1,2 @@
 #!/bin/sh
-echo "Hello, $1"
+echo "Hello, $1!"
"""
# More than a patch can do; what is in build is ignored.
COMMANDS = "printf '\\0\\1' > logo.bin && chmod 755 README && ln -sfn README latest && mkdir -p docs/empty build && echo x > build/more"
# Runs, and does not mend it.
WRONG = PROGRAM.replace("Hello", "Bye")


def make(path):
    """A repository with one commit, an ignored file, one that git does not know, modes and a link."""
    path = pathlib.Path(path)
    for name, mode, content in (("src/greet", 0o755, PROGRAM), ("run tests", 0o755, TESTS), ("README", 0o644, "Greets.\n"),
                                (".gitignore", 0o644, "/build/\n"), ("old notes", 0o644, "to be removed\n"),
                                ("logo.bin", 0o644, bytes(range(256)))):
        write(path / name, mode, content)
    (path / "latest").symlink_to("src/greet")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=path, check=True,
                       capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(path)})
    write(path / "build/out", 0o644, "ignored\n")
    write(path / "todo", 0o600, "unknown to git\n")
    return path


def changed(before):
    """The tree after PATCH and COMMANDS."""
    after = {name: one for name, one in before.items() if name != "old notes"}
    directory = before["src"]
    return after | {"src/farewell": ("file", "0o755", b'#!/bin/sh\necho "Bye, $1!"\n'), "src/greet": ("file", "0o755", MENDED.encode()),
                    "logo.bin": ("file", "0o644", b"\0\1"), "README": ("file", "0o755", before["README"][2]),
                    "latest": ("link", "README"), "docs": directory, "docs/empty": directory}


def write(path, mode, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)


def tree(path):
    """Each path without .git: its kind, its mode and its bytes."""
    found = {}
    for one in sorted(pathlib.Path(path).rglob("*")):
        name = str(one.relative_to(path))
        if name == ".git" or name.startswith(".git/"):
            continue
        status = one.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if one.is_symlink():
            found[name] = ("link", os.readlink(one))
        elif one.is_dir():
            found[name] = ("directory", oct(mode))
        else:
            found[name] = ("file", oct(mode), one.read_bytes())
    return found
