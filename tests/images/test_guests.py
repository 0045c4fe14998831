"""Guests of images on each machine: from nothing, from a template, from a spare, and as tasks that go on after a stop."""

import harness
import pytest

from images import samples
from images.trees import Told

IMAGES = {"static": samples.static, "busybox": lambda: samples.with_config({"User": "app", "Env": [samples.PATH, "A=1"]})}


@pytest.mark.parametrize("kind", IMAGES)
def test_a_guest_of_an_image_starts_as_those_of_the_catalog_do(shop, pulled, kind):
    name = pulled(f"guests/{kind}", IMAGES[kind]())
    done = shop.run("/probe", "x", environment=name, flags=("--json",))
    assert done.code == 0, done
    assert done.json["timings"]["start"] == ("boot" if harness.USERMODE else "template"), done
    process = Told.of(done.json["stdout"].encode())
    assert process.uid == ("1000:1000" if kind == "busybox" else "0:0")
    task = harness.Task(shop, shop("task", "create", "-q", name).text.strip())
    before = Told.of(task.exec("/probe").out)
    task.stop()
    assert Told.of(task.exec("/probe").out) == before
    task.delete()


def test_a_spare_of_an_image_is_taken(shop, pulled):
    name = pulled("guests/static", samples.static())
    try:
        done = shop("warm", name, "--count", "1", "--json")
        assert done.code == 0, done
        done = shop("run", "--json", name)
        assert done.code == 0 and done.json["timings"]["start"] == "spare", done
        assert "env=COLOUR=blue\n" in done.json["stdout"]
    finally:
        assert shop("warm", name, "--count", "0").code == 0


def test_files_of_an_image_can_be_changed_in_a_guest(shop, pulled):
    name = pulled("guests/owners", samples.owners())
    script = "rm /data/linked && echo new > /data/old && chown 33 /data/empty && ln -s x /data/fresh && mv /data/large /large && cat /data/linked-too"
    done = shop.run("sh", "-c", script, environment=name, flags=("-q", "--user", "root"))
    assert (done.code, done.text) == (0, "one inode\n"), done
