"""pyro env list, pull, inspect, prune."""

import errno
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import harness
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"
NAMES = ["debian:12-base", "debian:12", "debian:12-build", "debian:13-base", "debian:13", "debian:13-build"]
PHASES = ["check", "update", "download", "extract", "install", "kernel", "seal", "verify", "done"]


def golden(name):
    return json.loads((GOLDEN / name).read_text())


def shape(value):
    """Names and types of a document; of a list, its first entry."""
    if isinstance(value, dict):
        return {name: shape(below) for name, below in sorted(value.items())}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return {bool: "bool", int: "int", str: "str", type(None): "null", float: "float"}[type(value)]


def phases_of(talk):
    prefix = "[pull] phase="
    lines = [line for line in talk.splitlines() if line.startswith(prefix)]
    return [line[len(prefix):].split(" ")[0] for line in lines]


@pytest.fixture
def stocked(bare, cache_dir):
    """A cache of the test's own with debian:12-base installed in it."""
    source = cache_dir / "environments/debian-12-base"
    copied = bare.cache / "environments/debian-12-base"
    shutil.copytree(source, copied, symlinks=True)
    (copied / "used").unlink(missing_ok=True)  # Other tests may have used it.
    return bare


def version_directory(pyro):
    return (pyro.cache / "environments/debian-12-base/current").resolve()


# list


def test_list_for_people(stocked):
    done = stocked("env", "list")
    assert (done.code, done.err) == (0, b"")
    assert done.text == (
        "Catalog version: 2.1.0\n"
        "debian:12-base [installed] Debian 12, minimal: shell and core tools\n"
        "debian:12 [not installed] Debian 12 with Git, Python, curl, jq and ssh\n"
        "debian:12-build [not installed] debian:12 with gcc, make, CMake, gdb and pip\n"
        "debian:13-base [not installed] Debian 13, minimal: shell and core tools\n"
        "debian:13 [not installed] Debian 13 with Git, Python, curl, jq and ssh\n"
        "debian:13-build [not installed] debian:13 with gcc, make, CMake, gdb and pip\n")


def test_list_as_json(stocked):
    done = stocked("env", "list", "--json")
    assert (done.code, done.err) == (0, b"")
    assert shape(done.json) == golden("env_list.json")
    assert done.json["catalog_version"] == "2.1.0"
    names = [entry["name"] for entry in done.json["environments"]]
    assert names == NAMES
    assert [entry["installed"] for entry in done.json["environments"]] == [True, *[False] * 5]
    # Two spaces, sorted keys, one newline at the end.
    assert done.text == json.dumps(done.json, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_list_makes_nothing(bare):
    assert bare("env", "list").code == 0
    assert not bare.cache.exists()


# inspect


def test_inspect_as_json(stocked):
    done = stocked("env", "inspect", "--json", "debian:12-base")
    assert (done.code, done.err) == (0, b"")
    assert shape(done.json) == golden("env_inspect.json")
    assert done.json["directory"] == str(stocked.cache / "environments/debian-12-base" /
                                         done.json["digest"][:16])
    assert any(line.startswith("base.erofs ") for line in done.json["files"])
    assert any(line.startswith("bash ") for line in done.json["packages"])
    assert done.json["apt_sources"]
    assert not any("@" in source.split("://")[-1] for source in done.json["apt_sources"])


def test_inspect_for_people(stocked):
    done = stocked("env", "inspect", "debian:12-base")
    assert (done.code, done.err) == (0, b"")
    titles = [line.split(":")[0] for line in done.text.splitlines() if not line.startswith(" ")]
    assert titles == ["Environment", "Description", "Digest", "Installed", "Size", "Directory",
                      "Kernel", "Files", "Package sources", "Built with", "Templates for warm starts",
                      "Packages"]


@pytest.mark.parametrize("name, part", [("no-such:1", "no environment"),
                                        ("debian:12-build", "not installed")])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_inspect_of_what_is_not_there(bare, name, part, flags):
    done = bare("env", "inspect", *flags, name)
    assert done.code == 1
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert part in done.talk
    if flags:
        assert done.json["error"]["code"] == "not_found"


def test_verify_finds_a_changed_byte(stocked):
    assert stocked("env", "inspect", "--verify", "debian:12-base").code == 0
    image = version_directory(stocked) / "base.erofs"
    image.chmod(0o600)
    with image.open("r+b") as file:
        file.seek(image.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    done = stocked("env", "inspect", "--verify", "--json", "debian:12-base")
    assert done.code == 1
    assert done.json["error"]["code"] == "data_loss"
    assert "base.erofs" in done.json["error"]["message"]


# pull


def test_pull_of_an_unknown_environment_names_the_known(bare):
    done = bare("env", "pull", "--json", "no-such:1")
    assert done.code == 1
    assert done.json["error"]["code"] == "not_found"
    for name in NAMES:
        assert name in done.json["error"]["hint"]
    assert not bare.cache.exists()


def test_pull_of_what_is_installed_changes_nothing(stocked):
    before = version_directory(stocked)
    done = stocked("env", "pull", "--json", "debian:12-base")
    assert done.code == 0
    assert shape(done.json) == golden("env_pull.json")
    assert done.json["built"] is False
    assert version_directory(stocked) == before
    assert "installed already" in stocked("env", "pull", "debian:12-base").text


SAY_WHICH = """set -e
. /etc/os-release && echo $VERSION_ID && uname -r
sources=/etc/apt/sources.list.d/debian.sources
echo $(sed -n 's/^Suites: //p' $sources)
[ ! -e /dev/fuse ] || stat -c %a /dev/fuse
ls $(sed -n 's/^Signed-By: //p' $sources)
"""


@pytest.mark.cost(60)
def test_two_pulls_of_debian_13_at_once_build_it_once_and_it_runs(bare):
    pulls = [bare.start("env", "pull", "--json", "debian:13-base") for _ in range(2)]
    done = [harness.finish(pull) for pull in pulls]
    assert [one.code for one in done] == [0, 0], [str(one) for one in done]
    assert sorted(one.json["built"] for one in done) == [False, True]
    assert done[0].json["digest"] == done[1].json["digest"]
    built, waited = sorted(done, key=lambda one: one.json["built"], reverse=True)
    # The one of the two that is installed and unlocked first makes the template.
    assert phases_of(built.talk) in (PHASES, [*PHASES, "template"])
    assert phases_of(waited.talk) in ([], ["wait"], ["template"], ["wait", "template"])
    for line in built.talk.splitlines():
        assert line.endswith("environment=debian:13-base"), line  # A pipe gets phases, no progress.
    assert "\r" not in built.talk and "\x1b" not in built.talk
    folder = bare.cache / "environments/debian-13-base"
    assert not [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    # The host's sources may name another release: the image's name this one, and keys that it has.
    ran = bare("run", "--json", "debian:13-base", "--", "sh", "-c", SAY_WHICH)
    assert ran.code == 0, ran
    release, machine, suites, *keys = ran.json["stdout"].splitlines()
    # The driver is built in, and its node is for all users nevertheless; user mode has neither.
    assert harness.USERMODE or keys.pop(0) == "666", keys
    assert release == "13" and suites.split()[:1] == ["trixie"]
    assert harness.USERMODE or "+deb13-cloud" in machine
    assert ran.json["timings"]["start"] == ("boot" if harness.USERMODE else "template")
    assert all(key.endswith(".gpg") for key in keys), keys


@pytest.mark.cost(60)
def test_a_truncated_image_is_broken_and_pull_repairs_it(stocked):
    digest = stocked("env", "list", "--json").json["environments"][0]["digest"]
    image = version_directory(stocked) / "base.erofs"
    image.chmod(0o600)
    with image.open("r+b") as file:
        file.truncate(1000)
    assert "debian:12-base [broken]" in stocked("env", "list").text
    done = stocked("env", "inspect", "--json", "debian:12-base")
    assert done.code == 1
    assert done.json["error"]["code"] == "data_loss"
    assert "env pull debian:12-base" in done.json["error"]["hint"]
    pulled = stocked("env", "pull", "--json", "debian:12-base")
    assert pulled.code == 0, pulled
    assert pulled.json["built"] is True and pulled.json["installed"] is True
    assert digest  # The rebuilt version may be the same or a newer one; it must be whole.
    assert stocked("env", "inspect", "--verify", "debian:12-base").code == 0


def no_install(pyro, kept=()):
    folder = pyro.cache / "environments/debian-12-base"
    names = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    return names - {"lock", "agent.sha256"} == set(kept)


def dead_mirror(scratch):
    """Package sources on a port without a listener."""
    sources = scratch / "dead.list"
    sources.write_text("deb [trusted=yes] http://127.0.0.1:9/debian bookworm main\n")
    return {"PYRO_APT_SOURCES": str(sources)}


@pytest.mark.parametrize("words, code", [(["env", "pull", "--json", "debian:12-base"], 1),
                                         (["run", "--json", "debian:12-base", "--", "true"], 125)])
def test_a_mirror_out_of_reach_leaves_nothing(bare, scratch, words, code):
    done = bare(*words, env=dead_mirror(scratch))
    assert done.code == code, done
    assert done.json["error"]["code"] == "unavailable"
    assert "127.0.0.1:9" in done.json["error"]["message"] + done.json["error"]["hint"]
    assert "Traceback" not in done.talk
    assert no_install(bare)


def test_missing_package_sources_are_named(bare, scratch):
    done = bare("env", "pull", "--json", "debian:12-base",
                env={"PYRO_APT_SOURCES": str(scratch / "nowhere.list")})
    assert done.code == 1
    assert "nowhere.list" in done.json["error"]["message"]
    assert no_install(bare)


def test_a_broken_install_and_no_mirror_is_a_clear_error(stocked, scratch):
    (version_directory(stocked) / "base.erofs").unlink()
    done = stocked("run", "--json", "debian:12-base", "--", "true", env=dead_mirror(scratch))
    assert done.code == 125
    assert done.json["error"]["code"] == "unavailable"
    assert stocked.rows() == []


def test_a_small_disk_is_refused_before_anything_is_built(bare, mounts):
    mounts("tmpfs", bare.cache, "size=64m,mode=0700")
    done = bare("env", "pull", "--json", "debian:12-base")
    assert done.code == 1, done
    assert done.json["error"]["code"] == "no_space"
    assert "64" in done.json["error"]["message"] or "63" in done.json["error"]["message"], done
    assert no_install(bare)
    done = bare("run", "debian:12-base", "--", "true")
    assert done.code == 125
    assert harness.is_one_sentence_and_hint(done.talk), done


@pytest.mark.cost(8)
def test_a_disk_that_fills_up_during_a_pull_leaves_nothing(bare, mounts):
    mounts("tmpfs", bare.cache, "size=600m,mode=0700")
    process = bare.start("env", "pull", "--json", "debian:12-base")
    seen = b""
    while b"phase=download" not in seen:
        line = process.stderr.readline()
        assert line, (seen, harness.finish(process))
        seen += line
    # Now another process has taken the room.
    with (bare.cache / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1 << 20))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    done = harness.finish(process)
    assert done.code == 1, done
    assert done.json["error"]["code"] == "no_space", done
    (bare.cache / "filler").unlink()
    assert no_install(bare)


@pytest.mark.cost(8)
@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_leaves_nothing(bare, signo):
    process = bare.start("env", "pull", "debian:12-base")
    while b"phase=extract" not in (line := process.stderr.readline()):
        assert line, harness.finish(process)
    process.send_signal(signo)
    done = harness.finish(process)
    assert done.code == 128 + signo, done
    assert b"nothing was installed" in done.err
    assert no_install(bare)


@pytest.mark.cost(8)
def test_a_pull_that_was_killed_is_cleared_by_prune(bare):
    process = bare.start("env", "pull", "debian:12-base")
    while b"phase=extract" not in (line := process.stderr.readline()):
        assert line, harness.finish(process)
    process.kill()
    harness.finish(process)
    harness.wait_until(lambda: not harness.descendants(), "the killed pull's children are gone")
    done = bare("env", "prune", "--json")
    assert done.code == 0, done
    assert shape(done.json) == golden("env_prune.json")
    assert [item["what"] for item in done.json["removed"]] == ["interrupted pull"]
    assert done.json["count"] == 1 and done.json["bytes_freed"] > 0
    assert no_install(bare)


@pytest.mark.cost(8)
def test_progress_is_drawn_on_a_terminal_and_cleared(bare, terminal):
    process = bare.start("env", "pull", "debian:12-base", stdout=subprocess.PIPE,
                         stderr=terminal.slave)
    seen = terminal.read_until(lambda text: "download" in text and "%" in text and "\r" in text)
    assert re.search(r"\[pull\] phase=check environment=debian:12-base\r\n", seen)
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130
    everything = terminal.rest()
    assert "\r\x1b[2K" in everything
    # No drawn line is wider than the terminal.
    for line in everything.replace("\x1b[2K", "").replace("\n", "").split("\r"):
        assert len(line) <= 80, line


# prune


def test_prune_keeps_what_is_installed_and_all_removes_it(stocked):
    done = stocked("env", "prune", "--json")
    assert (done.code, done.json["count"]) == (0, 0), done
    done = stocked("env", "prune", "--all", "--json")
    assert done.code == 0
    assert "version" in [item["what"] for item in done.json["removed"]]
    assert done.json["bytes_freed"] == sum(item["bytes"] for item in done.json["removed"])
    assert "debian:12-base [not installed]" in stocked("env", "list").text
    assert no_install(stocked)


def test_prune_for_people(bare):
    done = bare("env", "prune")
    assert (done.code, done.err) == (0, b"")
    assert done.text.endswith(" freed\n") and len(done.text.splitlines()) == 1


# As a normal user


@pytest.mark.cost(60)
def test_a_normal_user_pulls_and_prunes(normal_user):
    done = normal_user("env", "pull", "--json", "debian:12-base")
    assert done.code == 0, done
    assert done.json["built"] is True
    assert normal_user("env", "inspect", "--verify", "debian:12-base").code == 0
    for path in normal_user.cache.rglob("*"):
        assert path.lstat().st_uid == harness.NORMAL_USER, path
    # Nothing that only root could remove.
    assert normal_user("env", "prune", "--all").code == 0
    assert no_install(normal_user)
