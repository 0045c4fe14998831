"""The habits of a good command: help on one screen, colour only for people, completions, man pages."""

import json
import os
import pathlib
import re
import subprocess

import harness
import pytest
from terminal import Terminal

PACKAGING = harness.ROOT / "packaging"
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")


def described():
    done = subprocess.run([str(harness.BIN / "pyro"), "__describe"], capture_output=True, check=True)
    return json.loads(done.stdout)


def all_commands(command=None, words=()):
    command = command or described()
    yield words, command
    for below in command["commands"]:
        yield from all_commands(below, (*words, below["name"]))


COMMANDS = list(all_commands())
NAMES = [" ".join(words) or "pyro" for words, _ in COMMANDS]


@pytest.mark.parametrize("words, command", COMMANDS, ids=NAMES)
def test_help_fits_a_screen_and_shows_an_example(bare, words, command):
    done = bare(*words, "--help")
    assert done.code == 0 and done.err == b"", done
    lines = done.text.splitlines()
    assert len(lines) <= 40
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line != line.rstrip()] == []
    assert f"Usage: {command['usage']}" in lines
    example = lines[lines.index("Example:") + 1].strip()
    assert f"pyro {' '.join(words)}".strip() in example, example
    for option in command["options"]:
        assert option["description"] and option["names"][-1] in done.text


def test_every_command_that_prints_can_be_quiet_or_machine_readable():
    for words, command in COMMANDS:
        names = {name for option in command["options"] for name in option["names"]}
        if command["commands"] or words[:1] in (("demo",), ("mcp",), ("help",), ("version",)):
            continue
        assert "--json" in names, words
        if words not in (("config", "get"), ("config", "list"), ("env", "inspect"), ("env", "prune"),
                         ("task", "status"), ("task", "logs"), ("task", "df"), ("task", "files", "watch"),
                         ("vm", "status"), ("vm", "network-info"), ("task", "network", "show"), ("policy", "check"), ("watch",),
                         ("df",), ("limits",)):
            assert {"-q", "--quiet"} <= names, words


def on_terminal(program, *words, columns=80, **env):
    end = Terminal(columns)
    try:
        process = program.start(*words, stdin=end.slave, stdout=end.slave, stderr=end.slave, env={"TERM": "xterm", **env})
        process.wait(harness.HANG_SECONDS)
        return end.rest().replace("\r\n", "\n")
    finally:
        end.close()


@pytest.mark.parametrize("words", [("env", "list"), ("env", "pull", "no-such:1"), ("bogus",)],
                         ids=["data", "error", "usage"])
def test_colour_only_on_a_terminal_and_never_with_no_color(pyro, words):
    shown = on_terminal(pyro, *words)
    plain = ESCAPE.sub("", shown)
    assert shown != plain, "a terminal gets colour"
    assert on_terminal(pyro, *words, NO_COLOR="1") == plain
    assert on_terminal(pyro, *words, TERM="dumb") == plain
    assert on_terminal(pyro, *words, TERM=None) == plain
    assert on_terminal(pyro, *words, NO_COLOR="") == shown, "an empty NO_COLOR counts as unset"
    done = pyro(*words, env={"TERM": "xterm"})
    assert "\x1b" not in done.text + done.talk
    assert done.text + done.talk == plain


def test_quiet_prints_names_or_nothing(pyro):
    assert pyro("env", "list", "-q").text.splitlines() == ["debian:12-base", "debian:12", "debian:12-build",
                                                             "debian:13-base", "debian:13", "debian:13-build"]
    done = pyro("env", "pull", "-q", harness.BASE)
    assert (done.code, done.out, done.err) == (0, b"", b"")
    done = pyro("doctor", "-q")
    assert (done.out, done.err) == (b"", b"") and done.code == pyro("doctor").code


def test_the_table_of_tasks_fits_a_narrow_terminal(create, pyro):
    task = create()
    for columns, shown in ((80, task.id[:13]), (120, task.id)):
        lines = on_terminal(pyro, "task", "list", columns=columns, NO_COLOR="1").splitlines()
        assert " ".join(lines[0].split()) == "TASK ENVIRONMENT STATE NET CMDS DISK USED LAST"
        assert lines[1].split()[0] == shown and max(map(len, lines)) <= columns, lines
    assert pyro("task", "stop", "-q", task.id).out == b""


# Completions.

def complete(program, *words):
    done = program("__complete", *words)
    assert done.code == 0 and done.err == b"", done
    return [line.split("\t")[0] for line in done.text.splitlines()]


def test_completions_know_commands_options_environments_and_tasks(create, pyro):
    task = create()
    assert {"run", "task", "env", "doctor", "demo"} <= set(complete(pyro, ""))
    assert complete(pyro, "do") == ["doctor"]
    assert {"create", "exec", "logs"} <= set(complete(pyro, "task", ""))
    assert complete(pyro, "run", "--mem") == ["--mem-mib"]
    assert complete(pyro, "run", "debian:12") == ["debian:12-base", "debian:12", "debian:12-build"]
    assert complete(pyro, "run", "--network", "--mem-mib", "512", "debian:12-bu") == ["debian:12-build"]
    assert complete(pyro, "run", "--mem-mib", "") == []
    assert complete(pyro, "run", "--machine", "") == ["auto", "kvm", "tcg", "usermode"]
    assert complete(pyro, "task", "logs", "--stream", "stde") == ["stderr"]
    assert complete(pyro, "run", "debian:12", "") == []
    assert complete(pyro, "run", "debian:12", "--", "l") == [":files"]
    assert complete(pyro, "task", "exec", "") == [task.id]
    assert complete(pyro, "task", "exec", task.id[:8]) == [task.id]
    assert complete(pyro, "task", "exec", "task_zzzz") == []
    for name, offered in (("web:1", True), ("$(reboot)", False), ("a;b", False), ("a b", False), ("~root", False)):
        assert pyro("task", "update", "-q", "--name", name, task.id).code == 0
        assert complete(pyro, "task", "exec", "") == [*([name] if offered else []), task.id], name
    assert pyro("task", "update", "-q", "--name=--all", task.id).code == 0
    assert complete(pyro, "task", "delete", "") == [task.id]
    assert complete(pyro, "task", "create", "--source-path", "") == [":files"]
    assert complete(pyro, "task", "export", task.id, ".", "") == [":files"]
    assert complete(pyro, "no-such", "") == complete(pyro, "")
    assert complete(pyro, "task", "ps", "--q") == ["--quiet"]
    assert complete(pyro, "task", "ps", "") == [task.id]
    assert complete(pyro, "task", "cp", "") == [":files"]
    assert complete(pyro, "task", "rm", task.id, "") == [task.id]
    assert complete(pyro, "task", "status", task.id, "") == []
    assert complete(pyro, "help", "ta") == ["task"]
    assert {"create", "exec"} <= set(complete(pyro, "help", "task", ""))


def test_completions_make_nothing(bare, scratch):
    assert complete(bare, "task", "exec", "") == []
    assert complete(bare, "run", "") != []
    assert sorted(path.name for path in scratch.iterdir()) == ["home"]


BASH = r"""
source %(bash_completion)s
source %(script)s
COMP_LINE=%(line)s COMP_POINT=${#COMP_LINE} COMP_WORDS=(%(words)s) COMP_CWORD=%(last)d
_pyro
printf '%%s\n' "${COMPREPLY[@]}"
"""


def shell_env(program):
    return {**program.env, "PATH": f"{harness.BIN}:{program.env['PATH']}", "TERM": "dumb"}


@pytest.mark.parametrize("line, words, expected", [
    ("pyro do", "pyro do", ["doctor"]),
    # bash takes the colon for a word of its own; what is offered is what follows it.
    ("pyro run debian:12-b", "pyro run debian : 12-b", ["12-base", "12-build"]),
    ("pyro env inspect --ver", "pyro env inspect --ver", ["--verify"]),
])
def test_bash_completes(bare, line, words, expected):
    library = pathlib.Path("/usr/share/bash-completion/bash_completion")
    if not library.exists():
        harness.cannot_run("there is no bash-completion")
    script = BASH % {"bash_completion": library, "script": PACKAGING / "completions/pyro.bash",
                     "line": f"'{line}'", "words": words, "last": len(words.split()) - 1}
    done = subprocess.run(["bash", "--norc", "-c", script], env=shell_env(bare), capture_output=True, text=True, check=False)
    assert done.stdout.split() == expected, done


def test_fish_completes(bare):
    script = f"source {PACKAGING}/completions/pyro.fish; complete -C 'pyro run debian:12-b'"
    done = subprocess.run(["fish", "--no-config", "-c", script], env=shell_env(bare), capture_output=True, text=True, check=True)
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert offered == ["debian:12-base", "debian:12-build"], done
    assert "minimal" in done.stdout


ZSH = r"""
autoload -U compinit && compinit -D -u
_describe() { print -rl -- "${(@P)@[-1]}"; }
_files() { print :files; }
source %(script)s
words=(pyro run debian:12-b) CURRENT=3
_pyro
words=(pyro task export task_a . '') CURRENT=6
_pyro
"""


def test_zsh_completes(bare):
    script = ZSH % {"script": PACKAGING / "completions/_pyro"}
    done = subprocess.run(["zsh", "-f", "-c", script], env=shell_env(bare), capture_output=True, text=True, check=False)
    assert "debian\\:12-base:Debian 12, minimal" in done.stdout, done
    assert done.stdout.endswith(":files\n"), done


# Man pages.

@pytest.fixture(scope="module")
def man_pages(tmp_path_factory):
    directory = tmp_path_factory.mktemp("man")
    subprocess.run(["/usr/bin/python3", "-B", str(PACKAGING / "make_man.py"), str(harness.BIN / "pyro"), str(directory)], check=True)
    return sorted(directory.glob("*.1"))


def test_there_is_a_page_for_pyro_and_for_each_command(man_pages):
    assert {page.stem for page in man_pages} == {"pyro", *(f"pyro-{c['name']}" for c in described()["commands"])}


def test_man_pages_are_clean(man_pages):
    for page in man_pages:
        shown = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", str(page)], capture_output=True, text=True, check=True,
                               env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert shown.stderr == "", (page, shown.stderr)
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False)
        assert (lint.returncode, lint.stdout) == (0, ""), (page, lint.stdout)


def test_man_pages_say_what_help_says(man_pages):
    for words, command in COMMANDS:
        page = next(p for p in man_pages if p.stem == "-".join(["pyro", *words[:1]]))
        text = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=1000", str(page)], capture_output=True, text=True, check=True).stdout
        text = re.sub(r".\x08", "", text)
        flat = " ".join(text.split())
        for option in command["options"]:
            assert option["names"][-1] in flat, (words, option)
            assert option["description"] in flat, (words, option)
        assert command["usage"].replace("…", "...") in flat, words
        example = command["footer"].split("Example:\n")[1].splitlines()[0].strip()
        assert example in flat, (words, example)
