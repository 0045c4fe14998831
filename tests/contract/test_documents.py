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
            match = re.match(r"(?:\$ )?(?:.*\$\()?(?:build/bin/)?(pyro(?: [a-z][\w-]*)+)", line)
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


@pytest.mark.parametrize("name", ["../README.md", "install.md", "first-run.md", "troubleshooting.md", "security.md", "mcp.md", "git.md"])
def test_every_command_in_the_documents_can_be_given(bare, name):
    known = known_commands(bare)
    for command, options in commands_in(DOCS / name):
        words = command.split()
        while " ".join(words) not in known and len(words) > 1:
            words.pop()
        assert len(words) > 1, command
        assert set(options) <= known[" ".join(words)], (command, options)


# The transcripts of the README, and of tasks in the first run, run again.

def transcript(text):
    """The commands that the blocks of a document show after `$ `, each with the output that it shows."""
    shown = []
    for block in re.findall(r"^```\n(\$ .*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append([line[2:].split("  #")[0], ""])
            else:
                shown[-1][1] += line + "\n"
    return shown


def without_what_differs(text):
    for pattern, instead in ((r"task_[a-z2-7]{26}", "TASK"), (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"), (r"\d+ ms", "N ms"),
                             (r"duration_ms=\d+", "duration_ms=N"), (r"6\.1\.0-\d+", "6.1.0-N"), (r" \d+\.\d+\.\d+$", " VERSION"),
                             (r"/\S*/bin/pyro", "PYRO")):
        text = re.sub(pattern, instead, text, flags=re.M)
    return text


def test_the_readme_and_the_first_run_show_what_their_commands_print(pyro, tmp_path):
    text = (harness.ROOT / "README.md").read_text(encoding="utf-8")
    # The other transcripts of the first run depend on its host.
    first_run = (DOCS / "first-run.md").read_text(encoding="utf-8")
    text += re.search(r"^## Names, files and states\n.*?^## ", first_run, re.M | re.S).group().replace("pyro task", "build/bin/pyro task")
    shown = [entry for entry in transcript(text) if not entry[0].startswith("make ")]
    assert len(shown) > 20
    build = tmp_path / "build"
    build.mkdir()
    (build / "bin").symlink_to(harness.BIN)
    script = "exec 2>&1\n"
    for command, output in shown:
        file = re.fullmatch(r"cat (\w+\.py)", command)
        if file:  # The document shows what is in it.
            (tmp_path / file.group(1)).write_text(output)
        # The package lies where the tests find it.
        script += command.replace("PYTHONPATH=build/python python3", "/usr/bin/python3 -B") + \
            "\nlast=$?; printf '\\001'; (exit $last)\n"
    done = subprocess.run(["bash", "-c", script],
                          capture_output=True, text=True, check=False, timeout=harness.HANG_SECONDS, cwd=tmp_path,
                          stdin=subprocess.DEVNULL, env={**pyro.env, "PYTHONPATH": os.environ.get("PYTHONPATH", "")})
    printed = done.stdout.split("\001")
    assert len(printed) == len(shown) + 1, done
    for (command, output), got in zip(shown, printed):
        assert without_what_differs(got) == without_what_differs(output), command


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_the_host_packages_are_those_that_are_installed(release):
    wanted = set(subprocess.run([harness.ROOT / "tools/list_packages.sh", "-r", release, "run", "images"],
                                capture_output=True, text=True, check=True, timeout=60).stdout.split())
    assert {"qemu-system-x86", "skopeo"} <= wanted
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
