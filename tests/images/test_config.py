"""What an image says of its commands counts in a guest, as podman has it: variables, directory, user, groups, words, signals."""

import json
import signal

import harness
import pytest

from images import image, samples
from images.image import Image, write_layout
from images.layers import Layer, directory, file, symlink
from images.trees import Told

# What podman adds, and what pyro gives each command of any image.
NOT_THE_IMAGES = ("TERM", "container", "HOSTNAME", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "LANG")


def told(pyro, name, *words, flags=()):
    done = pyro("run", "-q", *flags, name, *(["--", *words] if words else []))
    assert done.code == 0, done
    return Told.of(done.out)


def images_env(process):
    return {name: value for name, value in process.env.items() if name not in NOT_THE_IMAGES and not name.startswith("GIT_CONFIG_")}


@pytest.fixture
def layout(shop, scratch):
    """layout(image): the name of an environment of it."""
    count = 0

    def make(what):
        nonlocal count
        count += 1
        path = write_layout(scratch / f"layout-{count}", [("", what.manifest())])
        # Names stay in the cache of all tests of the file.
        done = shop("env", "pull", "--json", "--name", f"config/{scratch.name.lower()}-{count}", f"oci-layout:{path}")
        assert done.code == 0, done
        return done.json["name"]

    return make


CONFIGS = {
    "nothing": {},
    "variables": {"Env": [samples.PATH, "A=1", "EMPTY=", "SPACES= a  b ", "A=2", "QUOTES='\"$HOME\"", "EQUALS=a=b=c", "UMLAUT=\u00e4"]},
    "a user by name": {"User": "app"},
    "a user by number": {"User": "1000"},
    "a user and a group": {"User": "app:staff"},
    "numbers of no one": {"User": "4321:8765"},
    "a number of no one": {"User": "4321"},
    "a directory": {"WorkingDir": "/home/app"},
    "a missing directory": {"WorkingDir": "/made/for/it", "User": "app"},
    "words": {"Entrypoint": ["/probe", "one"], "Cmd": ["two", "three words here", ""]},
    "entrypoint alone": {"Entrypoint": ["/probe", "one"], "Cmd": None},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_process_is_started_as_podman_starts_it(shop, layout, podman, scratch, config):
    whole = {"Env": [samples.PATH], "Entrypoint": ["/probe"], **config}
    what = samples.with_config(whole, [])
    name = layout(what)
    archive = image.write_oci_archive(scratch / "same.tar", [("", what.manifest())])
    theirs = Told.of(podman.run(podman.pull(f"oci-archive:{archive}")))
    ours = told(shop, name)
    assert images_env(ours) == images_env(theirs)
    assert (ours.args, ours.cwd, ours.uid, ours.gid) == (theirs.args, theirs.cwd, theirs.uid, theirs.gid)
    assert ours.groups == theirs.groups
    assert ours.env["HOME"] == theirs.env["HOME"]


def test_words_of_the_caller_take_the_place_of_all_of_the_images(shop, layout):
    name = layout(samples.with_config({"Entrypoint": ["/probe", "own"], "Cmd": ["words"]}))
    assert told(shop, name, "/probe", "mine").args == ["mine"]
    done = shop.run("sh", "-c", "echo shell", environment=name)
    assert (done.code, done.text) == (0, "shell\n"), done


def test_an_image_without_words_needs_some(shop, layout):
    name = layout(samples.with_config({"Cmd": None}))
    done = shop("run", "--json", name)
    assert done.code == 125 and done.json["error"]["code"] == "invalid_argument", done


def test_the_callers_choices_stand_above_the_images(shop, layout):
    name = layout(samples.with_config({"Env": [samples.PATH, "A=image", "B=image"], "User": "app", "WorkingDir": "/home/app"}))
    process = told(shop, name, "/probe", flags=("--env", "A=call", "--user", "0", "--cwd", "/etc"))
    assert (process.env["A"], process.env["B"], process.cwd, process.uid) == ("call", "image", "/etc", "0:0")


def test_a_task_has_the_images_user_and_variables_and_its_own_directory(shop, layout):
    name = layout(samples.with_config({"Env": [samples.PATH, "A=image"], "User": "app", "WorkingDir": "/home/app"}))
    task = harness.Task(shop, shop("task", "create", "-q", name).text.strip())
    process = Told.of(task.exec("/probe").out)
    assert (process.env["A"], process.cwd, process.uid, process.gid) == ("image", "/workspace", "1000:1000", "1000:1000")
    assert process.groups == {1000, 50, 44}
    # The workspace is that user's.
    done = task.exec("sh", "-c", "echo mine > file && stat -c %u:%g . file")
    assert (done.code, done.text) == (0, "1000:1000\n1000:1000\n"), done
    process = Told.of(task.exec("/probe", flags=("-q", "--user", "root", "--env", "A=call")).out)
    assert (process.env["A"], process.uid) == ("call", "0:0")
    # So it is after a restart.
    task.stop()
    assert Told.of(task.exec("/probe").out).uid == "1000:1000"
    task.delete()


def test_a_task_may_begin_in_the_images_directory(shop, layout):
    name = layout(samples.with_config({"WorkingDir": "/made/for/it", "User": "app"}))
    task = harness.Task(shop, shop("task", "create", "-q", "--image-cwd", name).text.strip())
    assert Told.of(task.exec("/probe").out).cwd == "/made/for/it"
    task.stop()
    assert Told.of(task.exec("/probe").out).cwd == "/made/for/it"
    task.delete()


def test_a_vm_has_them_for_each_command(shop, layout):
    name = layout(samples.with_config({"Env": [samples.PATH, "A=image"], "User": "app:staff", "WorkingDir": "/home/app"}))
    vm = shop("vm", "create", "-q", name).text.strip()
    assert shop("vm", "start", vm).code == 0
    process = Told.of(shop("vm", "exec", "-q", vm, "--", "/probe", "word").out)
    assert (process.args, process.env["A"], process.cwd, process.uid, process.gid) == (["word"], "image", "/home/app", "1000:1000", "50:50")


@pytest.mark.parametrize("name, signo", [("SIGTERM", signal.SIGTERM), ("QUIT", signal.SIGQUIT), ("10", signal.SIGUSR1)])
def test_commands_get_the_images_stop_signal_when_a_task_stops(shop, layout, name, signo):
    config = {"StopSignal": name}
    task = harness.Task(shop, shop("task", "create", "-q", layout(samples.with_config(config))).text.strip())
    command = task.start("sh", "-c", "exec /probe await > told")
    harness.wait_until(lambda: task.exec("cat", "told").text == "ready\n", "it waits for a signal")
    task.stop()
    harness.finish(command)
    assert task.exec("cat", "told").text == f"ready\nsignal={signo.value}\n"
    task.delete()


# Images that lack what guests expect


def test_a_guest_from_scratch_has_what_programs_need(shop, layout):
    name = layout(samples.static())
    process = told(shop, name)
    assert (process.args, process.env["COLOUR"], process.cwd, process.uid) == (["hello", "world"], "blue", "/", "0:0")
    listed = shop.run("/probe", "tree", "/", "/proc", "/sys", environment=name).text
    for path in ("/dev/null mode=0020666", "/dev/zero mode=0020666", "/dev/urandom mode=0020666", "/tmp mode=0041777", "/workspace mode=004"):
        assert f"\n{path}" in listed, listed
    done = shop.run("sh", "-c", "true", environment=name, flags=("--json",))
    assert done.code == 127 and "'sh'" in done.json["explanation"]["message"], done


@pytest.mark.parametrize("config, part", [({"User": "stranger"}, "stranger"), ({"User": "app:strangers"}, "strangers")])
def test_a_user_who_is_not_in_the_image_is_named(shop, layout, config, part):
    name = layout(samples.with_config({"Entrypoint": ["/probe"], **config}))
    done = shop("run", "--json", name)
    assert done.code == 126 and f"'{part}'" in done.json["explanation"]["message"], done
    # The image is of use all the same.
    assert told(shop, name, "/probe", flags=("--user", "0:0")).uid == "0:0"


def test_a_user_by_name_without_a_passwd_file_is_named_and_a_number_works(shop, layout):
    done = shop("run", "--json", layout(Image([Layer.of([samples.probe()])], {"Entrypoint": ["/probe"], "User": "app"})))
    assert done.code == 126 and "'app'" in done.json["explanation"]["message"], done
    process = told(shop, layout(Image([Layer.of([samples.probe()])], {"Entrypoint": ["/probe"], "User": "1000"})))
    assert (process.uid, process.gid, process.cwd) == ("1000:1000", "0:0", "/")


def test_a_passwd_file_behind_links_is_read(shop, layout):
    entries = [samples.probe(), directory("etc"), directory("real"), file("real/passwd", samples.PASSWD), file("real/group", samples.GROUP),
               symlink("etc/passwd", "/real/passwd"), symlink("etc/group", "../real/group")]
    process = told(shop, layout(Image([Layer.of(entries)], {"Entrypoint": ["/probe"], "User": "app"})))
    assert (process.uid, process.gid, process.groups) == ("1000:1000", "1000:1000", {1000, 50, 44})


def test_links_of_an_image_lead_a_guest_nowhere_else(shop, layout):
    """Its own /tmp, /workspace and /etc/resolv.conf as links to places that are not there."""
    entries = [*samples.busybox_entries()[:-2], file("etc/passwd", samples.PASSWD), file("etc/group", samples.GROUP), samples.probe(),
               symlink("etc/resolv.conf", "/no/such/place"), symlink("etc/hosts", "../../etc/nothing")]
    process = told(shop, layout(Image([Layer.of(entries)], {"Entrypoint": ["/probe"]})))
    assert process.uid == "0:0"


def test_a_workspace_of_the_images_own_is_not_in_the_way(shop, layout):
    name = layout(samples.with_config({"WorkingDir": "/workspace", "User": "app"},
                                      [directory("workspace", uid=1000, gid=1000), file("workspace/of-the-image", "x\n")]))
    assert shop("run", "-q", name, "--", "sh", "-c", "pwd && touch mine && echo made").text.endswith("/workspace\nmade\n")
    task = harness.Task(shop, shop("task", "create", "-q", name).text.strip())
    done = task.exec("sh", "-c", "touch mine && ls")
    assert done.code == 0 and "mine" in done.text, done
    task.delete()


def test_programs_of_glibc_and_musl_and_of_none_run(shop, pulled):
    name = pulled("config/busybox", samples.busybox())
    assert shop("run", "-q", name).text == "from the image\n"
    process = told(shop, name, "musl-probe", "x")
    assert (process.args, process.env["FLAVOUR"], process.env["EMPTY"], process.cwd) == (["x"], "busy box", "", "/home/app")


def test_an_image_tells_its_configuration(shop, layout):
    config = {"Env": [samples.PATH, "A=1"], "Entrypoint": ["/probe"], "Cmd": ["x"], "User": "app:staff", "WorkingDir": "/home/app",
              "StopSignal": "SIGUSR1"}
    what = samples.with_config(config)
    done = shop("env", "inspect", "--json", layout(what))
    assert done.code == 0, done
    told_of = done.json["image"]
    assert {name: told_of[name] for name in ("env", "entrypoint", "command", "user", "working_dir", "stop_signal", "architecture")} == {
        "env": config["Env"], "entrypoint": ["/probe"], "command": ["x"], "user": "app:staff", "working_dir": "/home/app",
        "stop_signal": "SIGUSR1", "architecture": "amd64"}
    assert told_of["layers"] == [layer.digest for layer in what.layers]
    assert told_of["source_digest"] == what.manifest().digest
    assert told_of["layer_bytes"] == sum(len(layer.blob) for layer in what.layers)
    assert told_of["left_out"] == []


@pytest.mark.parametrize("document", [
    {"config": {"Env": "A=1"}}, {"config": {"Env": [1]}}, {"config": {"WorkingDir": 7}}, {"config": []}, [], {"config": {"Env": ["x" * 3_000_000]}},
    {"config": {"Cmd": ["x"] * 200_000}}, {"config": {"User": "a\x00b"}},
], ids=lambda document: json.dumps(document)[:30])
def test_a_configuration_that_makes_no_sense_is_refused(stocked, scratch, document):
    what = samples.static()
    blob = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [what.layers[0].diff_id]},
                       **document} if isinstance(document, dict) else document).encode()
    odd = Image(what.layers)
    odd.config_blob = lambda: blob
    path = write_layout(scratch / "odd", [("", odd.manifest())])
    done = stocked("env", "pull", "--json", f"oci-layout:{path}")
    assert done.code == 1 and done.json["error"]["code"] in ("data_loss", "invalid_argument"), done
