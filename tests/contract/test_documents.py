"""What documents say is so: messages of the troubleshooting page, commands of the transcripts, examples."""

import json
import os
import re
import subprocess
import sys

import harness
import pytest

DOCS = harness.ROOT / "docs"
EXAMPLES = harness.ROOT / "examples"


def literals():
    """The text of the sources with neighbouring string literals joined, as the compiler sees them."""
    text = ""
    for path in sorted([*harness.ROOT.glob("src/**/*.cc"), *harness.ROOT.glob("python/**/*.py")]):
        if not path.name.endswith("_test.cc"):
            text += path.read_text(encoding="utf-8")
    text = re.sub(r'"\s*\n?\s*"', "", text)
    return text.replace('\\"', '"')


def messages():
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    return re.findall(r"^### `([^`]+)`$", text, re.M)


def test_the_page_has_messages():
    assert len(messages()) > 15


@pytest.mark.parametrize("message", messages())
def test_every_message_of_the_troubleshooting_page_is_in_the_sources(message):
    sources = literals()
    pieces = [piece.strip() for piece in message.split("…")]
    pieces = [piece for piece in pieces if piece]
    assert pieces
    for piece in pieces:
        assert piece in sources, f"pyro does not say: {piece}"


def commands_in(path):
    for block in re.findall(r"^```\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S):
        for line in block.splitlines():
            match = re.match(r"(?:\$ )?(?:.*\$\()?(pyro(?: [a-z][\w-]*)+)", line)
            if match:
                yield match.group(1), re.findall(r"(?<= )(--?[a-z][\w-]*)", re.split(r" -- |\|", line)[0])


def known_commands(bare):
    found = {}

    def walk(command, words):
        found[" ".join(words)] = {name for option in command["options"] for name in option["names"]}
        for below in command["commands"]:
            walk(below, [*words, below["name"]])

    walk(json.loads(bare("__describe").out), ["pyro"])
    return found


@pytest.mark.parametrize("name", ["install.md", "first-run.md", "troubleshooting.md", "security.md"])
def test_every_command_in_the_documents_can_be_given(bare, name):
    known = known_commands(bare)
    for command, options in commands_in(DOCS / name):
        words = command.split()
        while " ".join(words) not in known and len(words) > 1:
            words.pop()
        assert len(words) > 1, command
        assert set(options) <= known[" ".join(words)], (command, options)


def test_the_host_packages_are_those_that_are_installed():
    wanted = set()
    for line in (harness.ROOT / "tools/packages.txt").read_text().splitlines():
        if line.startswith("run: "):
            wanted |= set(line.split()[1:])
    named = (DOCS / "install.md").read_text(encoding="utf-8")
    missing = {package for package in wanted if f"`{package}`" not in named and f" {package}" not in named}
    assert not missing


# The examples.

def run_example(pyro, command, **env):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=harness.HANG_SECONDS,
                          env={**pyro.env, "PATH": f"{harness.BIN}:{pyro.env['PATH']}", **env,
                               "PYTHONPATH": os.environ.get("PYTHONPATH", "")})


def test_the_shell_example_runs(pyro):
    done = run_example(pyro, ["sh", str(EXAMPLES / "tasks.sh"), harness.FULL])
    assert done.returncode == 0, done
    assert "notes.txt" in done.stdout and "Deleted task: task_" in done.stdout
    assert pyro("task", "list", "-q").out == b""


def test_the_python_example_runs(pyro):
    done = run_example(pyro, ["/usr/bin/python3", "-B", str(EXAMPLES / "workspace.py")], ENVIRONMENT=harness.FULL)
    assert done.returncode == 0, done
    assert "1 file changed" in done.stdout or "root-commit" in done.stdout, done.stdout
    assert pyro("task", "list", "-q").out == b""


def test_the_agent_loop_runs_against_an_endpoint(pyro):
    sys.path.insert(0, str(harness.ROOT / "tests/cli"))
    from test_demo import Endpoint, call, say
    model = Endpoint(call({"command": "echo 6 > six; echo written"}, name="run"),
                     call({"command": "cat six; exit 4"}, name="run"), say("There is a six."))
    try:
        done = run_example(pyro, ["/usr/bin/python3", "-B", str(EXAMPLES / "agent_loop.py"), "Write a six and read it."],
                           ENVIRONMENT=harness.BASE, MODEL_URL=model.url, MODEL="scripted")
    finally:
        model.close()
    assert done.returncode == 0, done
    assert done.stdout.endswith("There is a six.\n")
    told = json.loads(model.requests[2][2]["messages"][-1]["content"])
    assert (told["stdout"], told["exit_code"]) == ("6\n", 4)
    assert pyro("task", "list", "-q").out == b""
