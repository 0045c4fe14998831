"""Wrong usage gets one sentence and one hint; right usage can be read off --help."""

import pathlib

import harness
import pytest

COMMANDS = [(), ("run",), ("doctor",), ("env",), ("env", "list"), ("env", "pull"),
            ("env", "inspect"), ("env", "prune"), ("help",), ("version",)]

USAGE_ERRORS = [
    # words, exit code, a part of the sentence
    (["--"], 2, "no command"),
    (["bogus"], 2, "bogus"),
    (["--bogus"], 2, "--bogus"),
    (["env"], 2, "not complete"),
    (["env", "bogus"], 2, "bogus"),
    (["env", "list", "extra"], 2, "extra"),
    (["env", "list", "--", "true"], 2, "--"),
    (["env", "pull"], 2, "ENVIRONMENT"),
    (["env", "inspect"], 2, "ENVIRONMENT"),
    (["doctor", "--bogus"], 2, "--bogus"),
    (["doctor", "--", "true"], 2, "--"),
    (["run"], 125, "ENVIRONMENT"),
    (["run", "debian:12"], 125, "no command to run"),
    (["run", "debian:12", "--"], 125, "no command to run"),
    (["run", "debian:12", "--", ""], 125, "command is empty"),
    (["run", "--", "true"], 125, "ENVIRONMENT"),
    (["run", "debian:12", "true"], 125, "true"),
    (["run", "debian:12", "extra", "--", "true"], 125, "extra"),
    (["run", "--bogus", "debian:12", "--", "true"], 125, "--bogus"),
    (["run", "--vcpu-count", "x", "debian:12", "--", "true"], 125, "--vcpu-count"),
    (["run", "--vcpu-count", "0", "debian:12", "--", "true"], 125, "--vcpu-count is '0'"),
    (["run", "--vcpu-count", "65", "debian:12", "--", "true"], 125, "--vcpu-count is '65'"),
    (["run", "--mem-mib", "127", "debian:12", "--", "true"], 125, "--mem-mib is '127'"),
    (["run", "--mem-mib", "-1", "debian:12", "--", "true"], 125, "--mem-mib is '-1'"),
    (["run", "--mem-mib", "9" * 30, "debian:12", "--", "true"], 125, "--mem-mib is '999"),
    (["run", "--timeout-seconds", "604801", "debian:12", "--", "true"], 125, "--timeout-seconds is '604801'"),
    (["vm", "create", "--vcpu-count", "0", "debian:12"], 2, "--vcpu-count is '0'"),
    (["task", "create", "--disk-mib", "1", "debian:12"], 2, "--disk-mib is '1'"),
    (["task", "create", "--name", "x" * 300, "debian:12"], 2, "--name has 300 bytes"),
    (["task", "files", "list", "x", "--depth", "0"], 2, "--depth is '0'"),
    (["task", "files", "list", "x", "--limit", "1000000000"], 2, "--limit is '1000000000'"),
    (["task", "update", "x", "--ttl-seconds", "0"], 2, "--ttl-seconds is '0'"),
    (["task", "stdin", "x", "--sequence", "0"], 2, "--sequence is '0'"),
    (["run", "--ttl-seconds", "0", "debian:12", "--", "true"], 125, "--ttl-seconds is '0'"),
    (["run", "--mem-mib"], 125, "--mem-mib"),
    (["run", "debian:12", "--", *["x"] * 70000], 125, "70000 words"),
    (["run", "debian:12", "--", *["x" * 100000] * 14], 125, "14 words"),
]


@pytest.mark.parametrize("words, code, part", USAGE_ERRORS,
                         ids=[" ".join(words)[:50] or "none" for words, _, _ in USAGE_ERRORS])
def test_wrong_usage_is_one_sentence_and_one_hint(bare, words, code, part):
    done = bare(*words)
    assert done.code == code, done
    assert done.out == b""
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert part in done.talk.splitlines()[0], done
    assert len(done.talk) < 500
    # Nothing was begun.
    assert not bare.cache.exists() or not any(bare.cache.rglob("*"))


@pytest.mark.parametrize("word", ["a\x1b[31mb", "a\nb", "\x07"])
def test_control_characters_of_a_wrong_word_do_not_reach_the_terminal(bare, word):
    for words in ([word], ["env", "pull", word], ["run", word, "--", "true"], ["env", "list", word]):
        done = bare(*words)
        assert done.code in (1, 2, 125)
        assert harness.is_one_sentence_and_hint(done.talk), done
        assert "\x1b" not in done.talk and "\x07" not in done.talk


def test_an_error_with_json_is_a_document_on_stdout_too(bare):
    done = bare("run", "--json", "no-such:1", "--", "true")
    assert done.code == 125
    assert set(done.json) == {"error"}
    assert set(done.json["error"]) == {"code", "message", "hint"}
    assert done.json["error"]["code"] == "not_found"
    assert harness.is_one_sentence_and_hint(done.talk), done


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words) or "pyro" for words in COMMANDS])
def test_help_is_enough_to_work_from(bare, words):
    done = bare(*words, "--help")
    assert done.code == 0 and done.err == b"", done
    assert "Usage: pyro" in done.text
    lines = done.text.splitlines()
    too_wide = [line for line in lines if len(line) > 80]
    assert not too_wide
    example = lines[lines.index("Example:") + 1].strip()
    assert example.startswith(" ".join(("pyro",) + words)), example
    assert bare(*words, "-h").text == done.text


@pytest.mark.parametrize("words", COMMANDS, ids=[" ".join(words) or "pyro" for words in COMMANDS])
def test_help_needs_no_home_and_makes_nothing(bare, words, scratch):
    done = bare(*words, "--help", env={"HOME": None, "PYRO_STATE_DIR": None, "PYRO_CACHE_DIR": None})
    assert done.code == 0
    assert sorted(path.name for path in scratch.iterdir()) == ["home"]


def test_version(bare):
    done = bare("--version")
    assert (done.code, done.text, done.err) == (0, "pyro 2.1.0\n", b"")


def test_help_into_a_closed_pipe_is_no_crash(bare):
    process = bare.start("--help")
    process.stdout.close()
    process.stdout = None
    assert harness.finish(process).code in (0, 141)


# Directories.


def test_without_home_and_overrides_it_says_what_to_set(bare):
    done = bare("env", "list", env={"HOME": None, "PYRO_STATE_DIR": None, "PYRO_CACHE_DIR": None})
    assert done.code == 1
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert "HOME" in done.talk and "PYRO_STATE_DIR" in done.talk


def test_overrides_work_without_home(bare):
    assert bare("env", "list", env={"HOME": None}).code == 0


def test_home_alone_is_enough(bare):
    done = bare("env", "prune", env={"PYRO_STATE_DIR": None, "PYRO_CACHE_DIR": None})
    assert done.code == 0, done
    home = pathlib.Path(bare.env["HOME"])
    state = home / ".local/state/pyro-mcp"
    assert state.is_dir()
    assert state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("variable", ["PYRO_STATE_DIR", "PYRO_CACHE_DIR"])
def test_a_relative_directory_is_refused(bare, variable):
    done = bare("env", "list", env={variable: "here/there"})
    assert done.code == 1
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert variable in done.talk


def test_a_state_directory_that_cannot_be_made_is_one_sentence(bare, scratch):
    (scratch / "file").write_text("")
    done = bare("env", "prune", env={"PYRO_STATE_DIR": str(scratch / "file/state")})
    assert done.code == 1
    assert done.talk.startswith("pyro: ") and len(done.talk.splitlines()) <= 2, done


def test_a_registry_that_is_no_database_is_named(bare):
    bare.state.mkdir(mode=0o700)
    (bare.state / "registry.db").write_bytes(b"this is no database" * 100)
    done = bare("env", "prune")
    assert done.code == 1
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert "registry.db" in done.talk
    (bare.state / "registry.db").unlink()
