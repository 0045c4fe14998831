"""Errors as a terminal of 80 columns shows them, compared with golden/screens.txt.

    python3 tests/cli/test_screens.py > tests/cli/golden/screens.txt    # after a change that is meant
"""

import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import harness  # noqa: E402

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden/screens.txt"
COLUMNS = 80
ID = "task_abcdefghijklmnopqrstuvwxyz"

SCREENS = [
    ["run", "debian:12", "git", "--version"],
    ["run", "git", "--version"],
    ["task", "exec", ID, "ls", "-la"],
    ["run", "--netwrok", "debian:12", "--", "true"],
    ["run", "-it", "debian:12", "--", "bash"],
    ["run", "-v", ".:/src", "debian:12", "--", "ls"],
    ["task", "creat", "debian:12"],
    ["ps"],
    ["task", "create", "--source-path", "", "debian:12"],
    ["run", "--timeout-seconds", "5 min", "debian:12", "--", "make"],
    ["run", "--mem-mib", "2GB", "debian:12", "--", "make"],
    ["task", "logs", "--sequence", "0", ID],
    ["env", "inspect", "debian:11"],
]


def fold(line):
    """As a terminal does: in the middle of words."""
    return [line[at:at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def screens(program):
    out = []
    for words in SCREENS:
        done = program(*words)
        out.append(f"$ pyro {' '.join(word if word and ' ' not in word else repr(word) for word in words)}".rstrip())
        for line in (done.text + done.talk).splitlines():
            out += fold(line)
        out += [f"[exit code {done.code}]", ""]
    return "\n".join(out)


def test_screens_are_as_they_were_reviewed(bare):
    assert len(SCREENS) >= 12
    assert screens(bare) == GOLDEN.read_text(encoding="utf-8"), f"if it is meant: {__doc__.splitlines()[2].strip()}"


def main():
    with tempfile.TemporaryDirectory() as home:
        os.umask(0o077)
        sys.stdout.write(screens(harness.Pyro(f"{home}/state", f"{home}/cache", home)))


if __name__ == "__main__":
    main()
