"""A mistake on the command line: the right word is blamed, and the hint holds the caller's own words."""

import re

import harness
import pytest
from test_habits import all_commands

ID = "task_abcdefghijklmnopqrstuvwxyz"
COMMANDS = list(all_commands())


def lines(done, code):
    assert done.code == code, done
    assert done.out == b"" and harness.is_one_sentence_and_hint(done.talk), done
    sentence, hint = done.talk.splitlines()
    return sentence.removeprefix("pyro: "), hint.removeprefix("hint: ")


@pytest.mark.parametrize("words, sentence, hint", [
    (["run", "debian:12", "git", "--version"],
     "the command 'git' must stand after --", "write: pyro run debian:12 -- git --version"),
    (["run", "--network", "debian:12", "-q", "ls", "-la"],
     "the command 'ls' must stand after --", "write: pyro run --network debian:12 -q -- ls -la"),
    (["task", "exec", ID, "ls", "-la"],
     "the command 'ls' must stand after --", f"write: pyro task exec {ID} -- ls -la"),
    (["task", "exec", ID, "echo", "a b"],
     "the command 'echo' must stand after --", f"write: pyro task exec {ID} -- echo 'a b'"),
    (["run", "git", "--version"],
     "'git' is not an environment", "write: pyro run debian:12 -- git --version"),
    (["run", "ls"], "'ls' is not an environment", "write: pyro run debian:12 -- ls"),
    (["task", "exec", "web", "ls"],
     "the command 'ls' must stand after --", "write: pyro task exec web -- ls"),
    (["task", "exec", "web"],
     "there is no command to run", "put it after --, as in: pyro task exec web -- git --version"),
    (["task", "exec", "ls", "-la"],
     "'ls' is not an id of a task", "write: pyro task exec TASK_ID -- ls -la"),
    (["run", "debian:12", "extra", "--", "true"],
     "'extra' is one word too many before --",
     "the whole command stands after --: pyro run debian:12 -- true"),
    (["run", "debian:12", "--all"],
     "'pyro run' has no option '--all'",
     "options of the command stand after --, as in: pyro run debian:12 -- COMMAND --all"),
    (["run", "debian:12"],
     "there is no command to run", "put it after --, as in: pyro run debian:12 -- git --version"),
    (["run", "--", "true"], "ENVIRONMENT is missing", "write: pyro run debian:12 -- true"),
])
def test_a_missing_dash_dash_is_shown_where_it_belongs(bare, words, sentence, hint):
    assert lines(bare(*words), 125) == (sentence, hint)


@pytest.mark.parametrize("words", [
    ["run", "--env", "A=1", "B=s3cr3t", "debian:12", "--", "true"],
    ["run", "debian:12", "--env", "A=1", "B=s3cr3t", "--", "true"],
    ["run", "--env", "A=1", "B=s3cr3t", "--", "true"],
    ["task", "exec", "--env", "A=1", "B=s3cr3t", "C=s3cr3t", ID, "--", "true"],
    ["task", "exec", ID, "--env=A=1", "B=s3cr3t", "--", "true"],
])
def test_a_variable_whose_env_was_forgotten_shows_no_value(bare, words):
    sentence, hint = lines(bare(*words), 125)
    assert sentence == "the variable 'B' has no --env before it"
    assert hint == "put --env before each, as in: --env NAME=VALUE --env NAME=VALUE"


def test_a_hint_with_the_whole_line_masks_a_variable_whose_env_was_forgotten(bare):
    done = bare("task", "exec", "--evn", "x", "--env", "A=s3cr3t", "B=s3cr3t", ID, "--", "true")
    assert "did you mean '--env'?" in done.talk and "s3cr3t" not in done.talk, done


@pytest.mark.parametrize("words, code, sentence, hint", [
    (["run", "--netwrok", "debian:12", "--", "true"], 125, "'pyro run' has no option '--netwrok'",
     "did you mean '--network'? pyro run --network debian:12 -- true"),
    (["run", "--timeout", "5", "debian:12", "--", "true"], 125, "'pyro run' has no option '--timeout'",
     "did you mean '--timeout-seconds'? pyro run --timeout-seconds 5 debian:12 -- true"),
    (["run", "--cpus=2", "debian:12", "--", "true"], 125, "'pyro run' has no option '--cpus'",
     "did you mean '--vcpu-count'? pyro run --vcpu-count=2 debian:12 -- true"),
    (["run", "-m", "2g", "debian:12", "--", "true"], 125, "'pyro run' has no option '-m'",
     "did you mean '--mem-mib'? pyro run --mem-mib 2g debian:12 -- true"),
    (["task", "create", "-m2g", "debian:12"], 2, "'pyro task create' has no option '-m2g'",
     "did you mean '--mem-mib'? pyro task create --mem-mib=2g debian:12"),
    (["task", "create", "--memory", "512", "debian:12"], 2, "'pyro task create' has no option '--memory'",
     "did you mean '--mem-mib'? pyro task create --mem-mib 512 debian:12"),
    (["task", "exec", "-d", ID, "--", "true"], 125, "'pyro task exec' has no option '-d'",
     f"did you mean '--background'? pyro task exec --background {ID} -- true"),
    (["--json", "task", "list"], 2, "'pyro' has no option '--json'",
     "put it after the command: pyro task list --json"),
    (["task", "-q", "list"], 2, "'pyro task' has no option '-q'",
     "put it after the command: pyro task list -q"),
    (["task", "creat", "debian:12"], 2, "'pyro task' has no command 'creat'",
     "did you mean 'create'? pyro task create debian:12"),
    (["tsak", "list"], 2, "'pyro' has no command 'tsak'", "did you mean 'task'? pyro task list"),
    (["exec", ID], 2, "'pyro' has no command 'exec'", "did you mean 'pyro task exec' or 'pyro vm exec'?"),
    (["ps"], 2, "'pyro' has no command 'ps'", "did you mean 'pyro task ps' or 'pyro vm ps'?"),
    (["ls"], 2, "'pyro' has no command 'ls'", "did you mean 'pyro task ls' or 'pyro vm ls' or 'pyro env ls'?"),
    (["images"], 2, "'pyro' has no command 'images'", "'pyro env list' does that"),
    (["task", "start", ID], 2, "'pyro task' has no command 'start'", "'pyro task exec' does that"),
    (["bogus"], 2, "'pyro' has no command 'bogus'", "'pyro --help' shows all commands"),
    (["help", "task", "exce"], 2, "'pyro task' has no command 'exce'", "did you mean 'exec'? pyro task exec"),
    (["env", "list", "extra"], 2, "'extra' is one word too many for 'pyro env list'",
     "leave it out: pyro env list"),
    (["env", "list", "--", "true"], 2, "'pyro env list' runs no command, so it takes no --",
     "leave it out: pyro env list"),
    (["env", "pull"], 2, "ENVIRONMENT is missing", "write: pyro env pull debian:12"),
    (["task", "reset", ID, "s1"], 2, "'s1' is one word too many for 'pyro task reset'",
     f"write: pyro task reset {ID} --snapshot s1"),
    (["task", "reset", "s1", ID], 2, f"'{ID}' is one word too many for 'pyro task reset'",
     f"write: pyro task reset {ID} --snapshot s1"),
    (["task", "summary", ID, "s1"], 2, "'s1' is one word too many for 'pyro task summary'",
     f"write: pyro task summary {ID} --changes-since s1"),
    (["task", "logs", ID, "3"], 2, "'3' is one word too many for 'pyro task logs'",
     f"write: pyro task logs {ID} --sequence 3"),
    (["task", "reset", ID, "--snapshot", "s1", "s2"], 2, "'s2' is one word too many for 'pyro task reset'",
     f"leave it out: pyro task reset {ID} --snapshot s1"),
    (["task", "stdin", ID], 2, "--sequence is missing", f"write: pyro task stdin {ID} --sequence N"),
    (["task", "signal", ID], 2, "SIGNAL is missing", f"write: pyro task signal {ID} SIGNAL --sequence N"),
    (["task", "signal", ID, "TERM", "3"], 2, "'3' is one word too many for 'pyro task signal'",
     f"write: pyro task signal {ID} TERM --sequence 3"),
    (["task", "rename", ID, "-name"], 2, "'pyro task rename' has no option '-name'",
     f"to give it as NAME, write: pyro task rename {ID} -- -name"),
    (["task", "export", ID, "-x", "out"], 2, "'pyro task export' has no option '-x'",
     f"to give it as PATH, write: pyro task export {ID} out -- -x"),
    (["task", "export", ID], 2, "PATH is missing", f"write: pyro task export {ID} PATH DEST"),
    (["run", "debian:12", "--mem-mib"], 125, "--mem-mib has no value", "give one after it, as in: --mem-mib N"),
    (["task", "create", "--source-path", "--network", "debian:12"], 2, "--source-path has no value",
     "give one after it, as in: --source-path PATH"),
    (["run", "--mem-mib", "1", "--mem-mib", "2", "debian:12", "--", "x"], 125, "--mem-mib is given twice",
     "give it once"),
    (["run", "--network=host", "debian:12", "--", "x"], 125, "--network takes no value",
     "write it alone, as in: --network"),
])
def test_the_right_word_is_blamed_and_the_nearest_offered(bare, words, code, sentence, hint):
    assert lines(bare(*words), code) == (sentence, hint)


def test_a_group_alone_is_answered_with_its_commands(bare):
    groups = {group["name"]: [command["name"] for command in group["commands"]]
              for group in bare("__describe").json["commands"]}
    assert {"create", "exec", "delete"} < set(groups["task"])
    expected = ("the command 'pyro task' is not complete", f"give one of {', '.join(groups['task'])}")
    assert lines(bare("task"), 2) == expected


@pytest.mark.parametrize("option, part", [
    ("-e", "--env"), ("-eA=B", "--env"),
    ("-v", "--source-path"), ("--volume", "--source-path"), ("-p", "no port"), ("-p8080:80", "no port"),
    ("-w", "--cwd"), ("--workdir", "--cwd"), ("--name", "a task alone has a name"), ("-it", "no terminal"),
    ("-i", "no terminal"), ("-t", "no terminal"), ("--rm", "leave it out"), ("-u", "--user"),
    ("--privileged", "leave it out"), ("-d", "--background"), ("--entrypoint", "after --"),
])
def test_options_of_docker_are_answered_with_what_works_instead(bare, option, part):
    sentence, hint = lines(bare("run", option, "debian:12", "--", "env"), 125)
    assert sentence == f"'pyro run' has no option '{option.partition('=')[0]}'"
    assert part in hint


@pytest.mark.parametrize("words, hint", [
    (["task", "files", "mkdir", "-p", ID, "a/b"], f"did you mean '--parents'? pyro task files mkdir --parents {ID} a/b"),
    (["task", "files", "remove", "-rf", ID, "a"], f"did you mean '--recursive'? pyro task files remove --recursive {ID} a"),
    (["task", "files", "move", "-f", ID, "a", "b"], f"did you mean '--replace'? pyro task files move --replace {ID} a b"),
    (["task", "export", "-f", ID, "a", "b"], f"did you mean '--force'? pyro task export --force {ID} a b"),
    (["task", "delete", "-f", ID], "leave it out: pyro asks no questions"),
    (["task", "create", "-l", "a=b", "debian:12"], "did you mean '--label'? pyro task create --label a=b debian:12"),
    (["task", "cp", "-r", "src", f"{ID}:src"], "leave it out: a directory is always copied with what it holds"),
    (["task", "restore", ID], "'pyro task reset' does that"),
    (["task", "snapshot", "reset", ID], "'pyro task reset' does that"),
    (["task", "cat", ID, "a"], "'pyro task files read' does that"),
    (["task", "files", "ls", ID, "."], "'pyro task files list' does that"),
    (["task", "files", "rm", ID, "a"], "'pyro task files remove' does that"),
    (["task", "files", "mv", ID, "a", "b"], "'pyro task files move' does that"),
])
def test_words_of_a_shell_are_answered_with_what_a_task_has(bare, words, hint):
    assert lines(bare(*words), 2)[1] == hint


@pytest.mark.parametrize("words, hint", [
    (["run", "--env", "A=sesame", "debian:12", "sh"], "write: pyro run --env A=... debian:12 -- sh"),
    (["run", "--env=A=sesame", "debian:12"],
     "put it after --, as in: pyro run --env=A=... debian:12 -- git --version"),
    (["run", "debian:12", "sh", "--env", "A=sesame"], "write: pyro run debian:12 -- sh --env A=..."),
    (["run", "-e", "A=sesame", "-e", "B=sesame", "debian:12", "--", "x"],
     "did you mean '--env'? pyro run --env A=... -e B=... debian:12 -- x"),
    (["run", "-eA=sesame", "debian:12", "--", "x"], "did you mean '--env'? pyro run --env=A=... debian:12 -- x"),
])
def test_no_line_shows_the_value_of_a_variable(bare, words, hint):
    sentence, shown = lines(bare(*words), 125)
    assert "sesame" not in sentence
    assert shown == hint


@pytest.mark.parametrize("command", [("run", "debian:12"), ("vm", "exec", "vm_aaaaaa"), ("task", "exec", "task_aaaaaa"),
                                     ("task", "exec", "--background", "task_aaaaaa")], ids=" ".join)
def test_a_variable_that_is_none_is_refused_without_its_value(bare, scratch, command):
    file = scratch / "variables"
    file.write_text("# one\nGOOD=1\nnot good=sesame\n")
    for option, value, expected in (
            ("--env-file", file, f"line 3 of --env-file '{file}' is no variable"),
            ("--env", "=sesame", "--env has no name, or a space in its name"),
            ("--env-file", scratch / "missing", f"--env-file '{scratch}/missing' cannot be read: No such file or directory")):
        sentence, hint = lines(bare(*command, option, value, "--", "true"), 125)
        assert sentence == expected
        assert "sesame" not in hint


def test_a_long_line_of_the_caller_is_cut(bare):
    sentence, hint = lines(bare("run", "debian:12", "sh", "-c", "x" * 10000), 125)
    assert sentence == "the command 'sh' must stand after --"
    assert hint.startswith("write: pyro run debian:12 -- sh -c xxx") and len(hint) < 250


def test_a_mistake_with_json_is_a_document_too(bare):
    done = bare("run", "--json", "--netwrok", "debian:12", "--", "true")
    assert done.code == 125
    assert done.json["error"]["message"] == "'pyro run' has no option '--netwrok'"
    assert done.json["error"]["code"] == "invalid_argument"


# Empty words.

def values():
    """Every option with a value and every argument of every command."""
    for words, command in COMMANDS:
        for option in command["options"]:
            if option["value"]:
                for name in option["names"]:
                    yield words, name, (name, "")
                    if name.startswith("--"):
                        yield words, name, (name + "=",)
        for position, argument in enumerate(command["arguments"]):
            yield words, argument["name"], (*["debian:12"] * position, "")


VALUES = list(values())


def test_there_are_options_and_arguments_to_try():
    assert len(VALUES) > 60
    assert {name for _, name, _ in VALUES} >= {"--source-path", "--count", "--timeout-seconds", "--sequence", "TASK_ID",
                                               "ENVIRONMENT", "PATH", "DEST", "CLIENT", "--http", "--prompt"}


@pytest.mark.parametrize("words, name, given", VALUES, ids=[" ".join((*w, *g)) for w, _, g in VALUES])
def test_an_empty_value_is_refused_by_its_name(bare, words, name, given):
    done = bare(*words, *given)
    assert done.code == (125 if words in (("run",), ("task", "exec"), ("vm", "exec")) else 2), done
    assert lines(done, done.code) == (f"{name} is empty",
                                      "give a value; a variable that is not set gives an empty word")
    assert not bare.state.exists() or not any(bare.state.rglob("*"))


# Units.

SECONDS = "give a whole number of seconds, or with a unit s, m, h or d, such as 90 or 5m"
MIB = "give a whole number of MiB, or with a unit M, G or T, such as 2048 or 2G"


@pytest.mark.parametrize("words, sentence, hint", [
    (["run", "--timeout-seconds", "5 min", "debian:12", "--", "x"], "--timeout-seconds is '5 min'", SECONDS),
    (["run", "--ttl-seconds", "soon", "debian:12", "--", "x"], "--ttl-seconds is 'soon'", SECONDS),
    (["run", "--mem-mib", "2GB", "debian:12", "--", "x"], "--mem-mib is '2GB'", MIB),
    (["task", "create", "--disk-mib", "1.5G", "debian:12"], "--disk-mib is '1.5G'", MIB),
    (["run", "--vcpu-count", "two", "debian:12", "--", "x"], "--vcpu-count is 'two'", "give a whole number from 1 to 64"),
    (["task", "logs", "--sequence", "0", ID], "--sequence is '0'", "give a whole number from 1"),
    (["task", "logs", "--sequence", "1", "--wait-seconds", "-1", ID], "--wait-seconds is '-1'",
     "give seconds, or a number with a unit ms, s, m or h, such as 0.5 or 5m"),
    (["task", "logs", "--sequence", "1", "--stream", "stdin", ID], "--stream is 'stdin'",
     "give one of stdout, stderr"),
    (["task", "logs", "--sequence", "1", "--stream", "sdtout", ID], "--stream is 'sdtout'", "did you mean 'stdout'?"),
    (["mcp", "serve", "--profile", "all"], "--profile is 'all'", "give one of vm-run, task, full"),
    (["demo", "ollama", "--max-rounds", "101"], "--max-rounds is '101'", "give a whole number from 1 to 100"),
    (["warm", "debian:12", "--count", "-1"], "--count is '-1'", "give a whole number from 0 to 64"),
])
def test_a_value_that_does_not_fit_is_shown_with_what_does(bare, words, sentence, hint):
    done = bare(*words)
    assert lines(done, 125 if words[0] == "run" else 2) == (sentence, hint)


@pytest.mark.parametrize("words, takes", [
    (["--timeout-seconds", "200h"], "0 to 604800"),
    (["--timeout-seconds", "8d"], "0 to 604800"),
    (["--mem-mib", "2T"], "128 to 1048576"),
    (["--mem-mib", "0G"], "128 to 1048576"),
    (["--ttl-seconds", "0m"], "1 to 315360000"),
])
def test_units_are_multiplied_out(bare, words, takes):
    """Seen by the limits, which count in the option's own unit."""
    sentence, hint = lines(bare("run", *words, "debian:12", "--", "true"), 125)
    assert sentence == f"{words[0]} is '{words[1]}'"
    assert hint == f"{words[0]} takes {takes}"


def options_of(command, words=()):
    """Each option and argument that takes a number, with the words of its command."""
    for below in command["commands"]:
        yield from options_of(below, (*words, below["name"]))
    if not command["usage"].endswith(" COMMAND"):
        for option in command["options"]:
            if option["value"] == "N":
                yield words, option["names"][-1], command["usage"]


def test_no_range_is_told_by_the_name_of_a_field(bare):
    """For every number of the command line."""
    asked = 0
    for words, option, usage in options_of(bare("__describe").json):
        named, runs, _ = usage.partition("[OPTIONS]")[2].partition(" -- ")
        arguments = [word for word in named.split() if not word.startswith("[")]
        command = ["--", "true"] if runs else []
        for value in ("-1", "99999999999999999"):
            done = bare(*words, f"{option}={value}", *(["x"] * len(arguments)), *command)
            field = option.lstrip("-").replace("-", "_")
            assert not re.search(rf"pyro: {field} (is|takes)", done.talk), (words, option, done)
            if f"{option} is" in done.talk:
                assert done.code in (2, 125), (words, option, done)
                asked += 1
    assert asked > 20


# The way in.

def test_pyro_alone_shows_the_overview(bare):
    done = bare()
    assert (done.code, done.err) == (0, b"")
    assert done.text == bare("--help").text == bare("help").text


@pytest.mark.parametrize("words, command", COMMANDS, ids=[" ".join(w) or "pyro" for w, _ in COMMANDS])
def test_help_is_a_command_too(bare, words, command):
    done = bare("help", *words)
    assert (done.code, done.text) == (0, bare(*words, "--help").text), done


def test_the_version_in_all_its_forms(bare):
    shown = bare("--version").text
    assert shown == bare("-V").text == bare("version").text == f"pyro {bare('version', '--json').json['version']}\n"


def test_aliases_are_the_commands_they_stand_for(bare):
    for alias, words in (("ls", ("task", "list")), ("rm", ("task", "delete")), ("ls", ("env", "list")),
                         ("ls", ("vm", "list")), ("ps", ("vm", "list")), ("rm", ("vm", "delete"))):
        done = bare(words[0], alias, "--help")
        assert done.text == bare(*words, "--help").text, done
        assert f"{words[1]}, " in bare(words[0], "--help").text
    assert bare("task", "ls").talk == bare("task", "list").talk
