"""Installed images: listed, inspected, named, removed, and never taken away from what was made with them."""

import random
import re

import harness
import pytest

from images import checks, samples
from images.checks import expect_refused
from images.image import Image, write_layout
from images.layers import Layer, file


@pytest.fixture
def install(stocked, scratch):
    """install(name, text): an environment with this file, of a cache of the test's own."""

    def make(name, text="text", size=0):
        what = Image([*samples.busybox().layers, Layer.of([file("text", text), samples.probe(), file("filler", bytes(size))])],
                     {"Cmd": ["cat", "/text"], "Env": [samples.PATH]})
        path = write_layout(scratch / f"layout-{abs(hash((name, text, size)))}", [("", what.manifest())])
        done = stocked("env", "pull", "--json", "--name", name, f"oci-layout:{path}")
        assert done.code == 0, done
        return path

    return make


def names(pyro):
    return [entry["name"] for entry in pyro("env", "list", "--json").json["environments"] if entry["source"]]


def test_images_are_listed_behind_the_catalog_by_name(stocked, install):
    for name in ("team/z:1", "another", "team/b:1"):
        install(name)
    listed = stocked("env", "list", "--json").json["environments"]
    assert [entry["name"] for entry in listed][-3:] == ["another", "team/b:1", "team/z:1"]
    entry = listed[-3]
    assert entry["installed"] is True and entry["size_bytes"] > 1 << 20 and re.fullmatch("[0-9a-f]{64}", entry["digest"]), entry
    assert entry["source"].startswith("oci-layout:/") and re.fullmatch("sha256:[0-9a-f]{64}", entry["image_digest"]), entry
    assert entry["last_used_at"] is None, entry
    assert stocked.run("true", environment="another").code == 0
    assert checks.info_of(stocked, "another")["last_used_at"] >= entry["installed_at"]
    text = stocked("env", "list").text
    for word in ("team/z:1", "another", entry["source"], entry["image_digest"][:19]):
        assert word in text, text


def test_inspect_shows_people_where_an_image_comes_from(stocked, install):
    path = install("team/app:1")
    done = stocked("env", "inspect", "team/app:1")
    assert done.code == 0, done
    for part in (f"oci-layout:{path}", "cat /text", "sha256:"):
        assert part in done.text, done
    assert stocked("env", "inspect", "--verify", "team/app:1").code == 0
    image = next(checks.folder_of(stocked, "team/app:1").glob("*/base.erofs"))
    image.chmod(0o600)
    with image.open("r+b") as out:
        out.seek(image.stat().st_size // 2)
        byte = out.read(1)
        out.seek(-1, 1)
        out.write(bytes([byte[0] ^ 1]))
    expect_refused(stocked("env", "inspect", "--verify", "--json", "team/app:1"), "data_loss")


def test_kernel_and_modules_are_not_stored_again(stocked, install):
    install("small")
    version = checks.folder_of(stocked, "small") / "current"
    base = stocked.cache / "environments/debian-12-base/current"
    assert (version / "vmlinuz").samefile(base / "vmlinuz")
    for module in (base / "modules").iterdir():
        assert (version / "modules" / module.name).samefile(module)


def test_another_name_leads_to_the_same_files_and_stays(stocked, install):
    install("team/app:1", "first")
    done = stocked("env", "tag", "--json", "team/app:1", "mine")
    assert done.code == 0 and done.json["name"] == "mine", done
    old, new = (checks.folder_of(stocked, name) / "current/base.erofs" for name in ("team/app:1", "mine"))
    assert old.samefile(new)
    install("team/app:1", "second")
    assert stocked("run", "-q", "team/app:1").text == "second"
    assert stocked("run", "-q", "mine").text == "first"
    assert stocked("env", "remove", "team/app:1").code == 0
    assert stocked("run", "-q", "mine").text == "first"
    assert names(stocked) == ["mine"]
    expect_refused(stocked("env", "tag", "--json", "team/app:1", "other"), "not_found")
    expect_refused(stocked("env", "tag", "--json", "mine", "debian:12"), "invalid_argument")
    # A second tag moves the name.
    install("team/app:2", "third")
    assert stocked("env", "tag", "--json", "team/app:2", "mine").code == 0
    assert stocked("run", "-q", "mine").text == "third"


def test_what_a_task_was_made_with_is_not_removed_under_it(stocked, install):
    install("team/app:1")
    task = harness.Task(stocked, stocked("task", "create", "-q", "team/app:1").text.strip())
    task.stop()
    expect_refused(stocked("env", "remove", "--json", "team/app:1"), "wrong_state", "task")
    assert stocked("env", "prune", "--all").code == 0
    assert names(stocked) == ["team/app:1"]
    assert task.exec("cat", "/text").text == "text"
    task.delete()
    done = stocked("env", "remove", "--json", "team/app:1")
    assert done.code == 0 and done.json["environment"] == "team/app:1" and done.json["bytes_freed"] > 1 << 20, done
    assert names(stocked) == []
    checks.expect_not_installed(stocked, "team/app:1")
    expect_refused(stocked("env", "remove", "--json", "team/app:1"), "not_found")


def test_a_superseded_version_goes_once_no_task_needs_it(stocked, install):
    install("app", "first")
    task = harness.Task(stocked, stocked("task", "create", "-q", "app").text.strip())
    install("app", "second")
    stocked("env", "prune")
    assert task.exec("cat", "/text").text == "first"
    task.delete()
    done = stocked("env", "prune", "--json")
    assert [item["what"] for item in done.json["removed"]].count("superseded version") == 1, done
    assert len(list(checks.folder_of(stocked, "app").glob("*/base.erofs"))) == 1 + 1  # The version, and `current`.
    assert stocked("run", "-q", "app").text == "second"


def test_prune_frees_layers_that_no_image_names_and_says_how_much(stocked, registry):
    shared = samples.busybox().layers
    documents = [Image([*shared, Layer.of([file(f"of-{number}", random.Random(number).randbytes(1 << 20))])],
                       {"Cmd": ["true"]}) for number in (1, 2)]
    sources = []
    for number, document in enumerate(documents, 1):
        registry.push(f"store/app-{number}", document.manifest(), "1")
        sources.append(f"{registry.host}/store/app-{number}:1")
        assert stocked("env", "pull", "--plain-http", f"oci:{sources[-1]}").code == 0
    assert stocked("env", "prune", "--json").json["bytes_freed"] < 100_000  # Configurations and manifests, which are stored elsewhere.
    # What no other environment has: not the kernel, of which there is one file. Its disk has one more name, in the store of disks.
    alone = len(documents[0].layers[-1].blob)
    files = [path.stat() for path in checks.folder_of(stocked, sources[0]).rglob("*") if path.is_file() and not path.is_symlink()]
    disk = (checks.folder_of(stocked, sources[0]) / "current/base.erofs").stat()
    assert disk.st_nlink == 2
    own = alone + disk.st_size + sum(one.st_size for one in files if one.st_nlink == 1)
    done = stocked("env", "remove", "--json", sources[0])
    assert done.code == 0 and own <= done.json["bytes_freed"] < own + 100_000, (done, own)
    assert not checks.blob_of(stocked, documents[0].layers[-1].digest).exists()
    for layer in documents[1].layers:
        assert checks.blob_of(stocked, layer.digest).exists()
    assert stocked("run", "-q", sources[1]).code == 0
    assert stocked("env", "prune", "--all").code == 0
    assert names(stocked) == []
    assert not [path for path in (stocked.cache / "oci").rglob("*") if path.is_file() and path.name != "lock"]


def test_an_image_without_any_environment_of_the_catalog_says_that_one_is_needed(bare, scratch):
    """Offline: no kernel is installed yet, and no mirror answers."""
    path = write_layout(scratch / "first", [("", samples.static().manifest())])
    sources = scratch / "dead.list"
    sources.write_text("deb [trusted=yes] http://127.0.0.1:9/debian bookworm main\n")
    done = bare("env", "pull", "--json", f"oci-layout:{path}", env={"PYRO_APT_SOURCES": str(sources)})
    assert done.code == 1 and done.json["error"]["code"] == "unavailable", done
    assert "debian:12-base" in done.json["error"]["message"] + done.json["error"]["hint"], done
    checks.expect_not_installed(bare, "first")


@pytest.mark.parametrize("words", [["env", "remove"], ["env", "inspect"], ["run", "-q"]])
def test_an_image_that_is_not_installed_is_said_to_be_so(stocked, words):
    done = stocked(*words, "registry.example/team/app:1", *(["--", "true"] if words[0] == "run" else []))
    assert done.code == (125 if words[0] == "run" else 1), done
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert "pyro env pull oci:registry.example/team/app:1" in done.talk, done
