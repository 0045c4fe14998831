"""pyro config: the user's settings, in a file that its user alone may write."""

import pathlib

import pytest


def config(pyro):
    return pathlib.Path(pyro.env["HOME"]) / ".config/pyro-mcp/config"


def test_a_setting_is_set_shown_and_unset(bare):
    assert bare("config", "get", "machine").text == "auto\n"
    assert not config(bare).exists()
    done = bare("config", "set", "machine", "tcg")
    assert (done.code, done.text, done.err) == (0, "machine = tcg\n", b""), done
    assert config(bare).read_text() == "machine = tcg\n"
    assert config(bare).stat().st_mode & 0o777 == 0o600
    assert bare("config", "get", "machine").text == "tcg\n"
    document = bare("config", "list", "--json").json
    assert document["file"] == str(config(bare))
    assert document["settings"][0]["name"] == "machine" and document["settings"][0]["value"] == "tcg"
    assert "machine = tcg" in bare("config", "list").text
    assert bare("config", "unset", "machine", "-q").out == b""
    assert bare("config", "get", "machine", "--json").json["value"] is None
    assert config(bare).read_text() == ""


@pytest.mark.parametrize("words, message, hint", [
    (("set", "machin", "tcg"), "there is no setting 'machin'", "did you mean 'machine'?"),
    (("set", "machine.without_kvm", "kvm"), "machine.without_kvm cannot be 'kvm'", "give one of tcg, usermode"),
    (("set", "machine", "kv"), "machine cannot be 'kv'", "did you mean 'kvm'?"),
    (("set", "machine", "hyperdrive"), "machine cannot be 'hyperdrive'", "give one of auto, kvm, tcg, usermode"),
    (("get", "x"), "there is no setting 'x'", "give one of machine, machine.without_kvm"),
])
def test_what_is_no_setting_is_refused_with_the_nearest(bare, words, message, hint):
    done = bare("config", *words)
    assert done.code == 1 and done.out == b"", done
    assert message in done.talk and hint in done.talk, done
    assert not config(bare).exists()


def test_a_file_that_others_may_write_is_not_used(bare):
    bare("config", "set", "machine", "tcg")
    config(bare).chmod(0o666)
    for words in (("run", "debian:12", "--", "true"), ("config", "list"), ("task", "create", "debian:12")):
        done = bare(*words)
        assert done.code in (1, 125) and "other users may write it" in done.talk and "chmod go-w" in done.talk, done
    report = bare("doctor", "--json").json
    assert report["runtime_ok"] is False
    assert report["configuration_file"] == str(config(bare))
    assert any("other users may write it" in issue for issue in report["issues"]), report


def test_the_directory_can_be_another(bare, tmp_path):
    bare.env["PYRO_CONFIG_DIR"] = str(tmp_path / "mine")
    assert bare("config", "set", "machine", "tcg").code == 0
    assert (tmp_path / "mine/config").read_text() == "machine = tcg\n"
    bare.env["PYRO_CONFIG_DIR"] = "mine"
    done = bare("config", "list")
    assert done.code == 1 and "PYRO_CONFIG_DIR is not an absolute path" in done.talk, done


def test_without_a_home_directory_there_are_no_settings(bare):
    assert bare("config", "list", env={"HOME": None}).code == 0
    done = bare("config", "set", "machine", "tcg", env={"HOME": None})
    assert done.code == 1 and "no home directory" in done.talk and "PYRO_CONFIG_DIR" in done.talk, done


def test_doctor_says_what_decides_the_machine(bare):
    assert bare("doctor", "--json").json["machine"]["decided_by"] in ("this host", "PYRO_ACCELERATOR")
    bare("config", "set", "machine", "tcg")
    report = bare("doctor", "--json").json
    assert (report["machine"]["name"], report["machine"]["decided_by"]) == ("tcg", str(config(bare)))
    bare.env["PYRO_MACHINE"] = "tcg"
    assert bare("doctor", "--json").json["machine"]["decided_by"] == "PYRO_MACHINE"
    people = bare("doctor").text
    assert "Machine: tcg (decided by PYRO_MACHINE)\n" in people and "  tcg: works\n" in people, people
    bare.env["PYRO_MACHINE"] = "fast"
    done = bare("doctor", "--json")
    assert done.code == 1 and any("PYRO_MACHINE is 'fast'" in issue for issue in done.json["issues"]), done


def test_a_mistyped_machine_is_refused_before_anything_starts(bare):
    done = bare("run", "--machine", "kvn", "debian:12", "--", "true")
    assert done.code == 125 and "--machine is 'kvn'" in done.talk and "did you mean 'kvm'?" in done.talk, done
