"""Images from files, without a network; and images that are made in odd ways."""

import gzip
import os
import shutil

import harness
import pytest

from images import checks, image, samples
from images.checks import expect_not_installed, expect_refused
from images.image import Image
from images.layers import Layer, directory, file, symlink


def pull(pyro, source, *flags, **options):
    return pyro("env", "pull", "--json", *flags, source, **options)


def install(pyro, source, *flags):
    done = pull(pyro, source, *flags)
    assert done.code == 0, done
    return done.json["name"]


def coloured(colour, name="probe"):
    return Image([*samples.static().layers, Layer.of([file("name", name)])], {"Entrypoint": ["/probe"], "Env": [f"COLOUR={colour}"]})


# Transports and names


@pytest.mark.parametrize("own, name", [("team/app:2", "team/app:2"), ("latest", "some:latest"), ("", "some")])
@pytest.mark.parametrize("transport", ["oci-archive", "oci-layout"])
def test_an_archive_names_its_image_or_its_file_does(shop, scratch, transport, own, name):
    document = coloured(f"{transport} {own}").manifest()
    if transport == "oci-archive":
        path = image.write_oci_archive(scratch / "some.tar", [(own, document)])
    else:
        path = image.write_layout(scratch / "some", [(own, document)])
    assert install(shop, f"{transport}:{path}") == name
    done = shop("run", "-q", name)
    assert done.code == 0 and f"env=COLOUR={transport} {own}\n" in done.text, done
    assert checks.info_of(shop, name)["source"].startswith(f"{transport}:{path}")
    assert shop("env", "remove", name).code == 0


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_docker_archive_is_taken_as_docker_saves_it(shop, scratch, ending):
    path = image.write_docker_archive(scratch / f"saved.{ending}", [(coloured(ending), [f"saved/{ending}:3"])])
    assert install(shop, f"docker-archive:{path}") == f"saved/{ending}:3"
    assert f"env=COLOUR={ending}\n" in shop("run", "-q", f"saved/{ending}:3").text


def test_another_name_is_what_the_caller_wants(shop, scratch):
    path = image.write_oci_archive(scratch / "a.tar", [("team/app:2", coloured("named").manifest())])
    assert install(shop, f"oci-archive:{path}", "--name", "mine") == "mine"
    assert "env=COLOUR=named\n" in shop("run", "-q", "mine").text


def test_a_relative_path_counts_from_here(shop, scratch):
    image.write_oci_archive(scratch / "here.tar", [("", coloured("here").manifest())])
    done = pull(shop, "oci-archive:here.tar", cwd=scratch)
    assert done.code == 0 and done.json["name"] == "here", done
    assert checks.info_of(shop, "here")["source"] == f"oci-archive:{scratch}/here.tar"


@pytest.mark.parametrize("name", ["debian:12", "debian:99", "Upper", "a//b", "a/../b", "-a", "a b", "x" * 256, "\x1b[31m", "a\nb"])
def test_a_name_that_none_may_have_is_refused(stocked, scratch, name):
    path = image.write_oci_archive(scratch / "a.tar", [("", coloured("name").manifest())])
    done = pull(stocked, f"oci-archive:{path}", "--name", name)
    expect_refused(done, "invalid_argument")
    assert "\x1b" not in done.talk
    # So it is where the archive gives it.
    path = image.write_oci_archive(scratch / "b.tar", [(name, coloured("name").manifest())])
    done = pull(stocked, f"oci-archive:{path}")
    assert done.code == 0 or done.json["error"]["code"] == "invalid_argument", done
    assert name not in [entry["name"] for entry in stocked("env", "list", "--json").json["environments"] if entry["source"]]


def test_an_archive_is_read_again_only_if_its_image_changed(shop, scratch):
    path = scratch / "again.tar"
    image.write_oci_archive(path, [("team/again:1", coloured("blue").manifest())])
    assert pull(shop, f"oci-archive:{path}").json["built"] is True
    assert pull(shop, f"oci-archive:{path}").json["built"] is False
    image.write_oci_archive(path, [("team/again:1", coloured("red").manifest())])
    assert pull(shop, f"oci-archive:{path}").json["built"] is True
    assert "env=COLOUR=red\n" in shop("run", "-q", "team/again:1").text


def test_of_two_images_in_one_archive_the_caller_names_one(shop, scratch):
    path = image.write_docker_archive(scratch / "two.tar", [(coloured("blue"), ["team/blue:1"]), (coloured("red", "other"), ["team/red:1"])])
    expect_refused(pull(shop, f"docker-archive:{path}"), "invalid_argument", "team/blue:1", "team/red:1")
    expect_refused(pull(shop, f"docker-archive:{path}:team/green:1"), "not_found", "team/blue:1", "team/red:1")
    assert install(shop, f"docker-archive:{path}:team/red:1") == "team/red:1"
    assert "env=COLOUR=red\n" in shop("run", "-q", "team/red:1").text
    assert install(shop, f"docker-archive:{path}:@0", "--name", "first") == "first"
    assert "env=COLOUR=blue\n" in shop("run", "-q", "first").text


@pytest.mark.parametrize("transport", ["oci-archive", "oci-layout"])
def test_of_two_images_in_one_layout_the_caller_names_one(shop, scratch, transport):
    named = [("team/blue:2", coloured("blue").manifest()), ("team/red:2", coloured("red", "other").manifest())]
    path = image.write_oci_archive(scratch / "two.tar", named) if transport == "oci-archive" else image.write_layout(scratch / "two", named)
    expect_refused(pull(shop, f"{transport}:{path}"), "invalid_argument", "team/blue:2", "team/red:2")
    assert install(shop, f"{transport}:{path}:team/red:2", "--name", f"red-of-{transport}") == f"red-of-{transport}"
    assert "env=COLOUR=red\n" in shop("run", "-q", f"red-of-{transport}").text


def broken(scratch, how):
    path = scratch / "broken.tar"
    if how == "missing":
        return path
    whole = image.write_oci_archive(scratch / "whole.tar", [("", coloured("whole").manifest())]).read_bytes()
    data = {"empty": b"", "no archive": b"not an archive\n" * 1000, "cut short": whole[:len(whole) // 2], "no image in it": b"",
            "packed nonsense": gzip.compress(b"nonsense" * 10_000)}[how]
    path.write_bytes(data)
    if how == "no image in it":
        image.write_archive(path, {"readme": b"nothing\n"})
    return path


@pytest.mark.parametrize("transport", ["oci-archive", "docker-archive"])
@pytest.mark.parametrize("how, code", [("missing", "not_found"), ("empty", None), ("no archive", None), ("cut short", None),
                                       ("no image in it", None), ("packed nonsense", None)])
def test_a_file_that_holds_no_image_is_refused(stocked, scratch, transport, how, code):
    path = broken(scratch, how)
    done = pull(stocked, f"{transport}:{path}", "--name", "broken")
    assert done.code == 1 and done.json["error"]["code"] in ([code] if code else ["invalid_argument", "data_loss"]), done
    assert "broken.tar" in done.json["error"]["message"], done
    expect_not_installed(stocked, "broken")
    assert checks.leftovers(stocked) == []


def test_a_layer_that_is_not_what_its_digest_says_is_refused(stocked, scratch):
    whole = coloured("spoilt")
    path = image.write_layout(scratch / "spoilt", [("", whole.manifest())])
    blob = path / f"blobs/sha256/{whole.layers[0].digest[7:]}"
    data = bytearray(blob.read_bytes())
    data[100] ^= 1
    blob.write_bytes(data)
    expect_refused(pull(stocked, f"oci-layout:{path}"), "data_loss")
    expect_not_installed(stocked, "spoilt")


# Kinds of images


def test_layers_of_each_compression_behind_an_index_with_attestations(shop, registry, pulled):
    name = pulled("kinds/zstd", samples.attested(samples.zstd()))
    assert shop("run", "-q", name).text == "plain\npacked\ngzip\n"


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_an_index_of_several_architectures(shop, pulled, docker):
    others = [Image(samples.static().layers, {}, other).manifest(docker) for other in ("arm64", "s390x")]
    name = pulled(f"kinds/index-{docker}".lower(), image.index(*others, coloured(str(docker)).manifest(docker), docker=docker))
    assert f"env=COLOUR={docker}\n" in shop("run", "-q", name).text


def test_an_index_within_an_index(shop, pulled):
    name = pulled("kinds/nested", image.index(image.index(coloured("nested").manifest())))
    assert "env=COLOUR=nested\n" in shop("run", "-q", name).text


@pytest.mark.parametrize("docker, docker_layers", [(True, True), (False, True)], ids=["all", "layers alone"])
def test_media_types_of_docker(shop, pulled, docker, docker_layers):
    colour = f"types {docker}"
    name = pulled(f"kinds/types-{docker}".lower(), coloured(colour).manifest(docker, docker_layers))
    assert f"env=COLOUR={colour}\n" in shop("run", "-q", name).text


@pytest.mark.parametrize("in_index", [False, True], ids=["alone", "in an index"])
def test_an_image_of_another_architecture_is_refused(stocked, registry, in_index):
    document = Image(samples.static().layers, {}, "arm64").manifest()
    name = f"kinds/arm-{in_index}".lower()
    registry.push(name, image.index(document) if in_index else document, "1")
    done = pull(stocked, f"oci:{registry.host}/{name}:1", "--plain-http")
    expect_refused(done, "invalid_argument", "amd64", "arm64")
    expect_not_installed(stocked, f"{registry.host}/{name}:1")


@pytest.mark.cost(40)
def test_five_hundred_layers(shop, scratch):
    path = image.write_layout(scratch / "many", [("", samples.many_layers().manifest())])
    name = install(shop, f"oci-layout:{path}")
    done = shop("run", "-q", name)
    assert (done.code, done.text) == (0, "499\n"), done


def test_a_layer_that_contradicts_itself_is_refused(stocked, scratch):
    path = image.write_layout(scratch / "contradicts", [("", samples.link_before_target().manifest())])
    expect_refused(pull(stocked, f"oci-layout:{path}"), "data_loss")
    expect_not_installed(stocked, "contradicts")
    assert checks.leftovers(stocked) == []


def test_a_file_outside_of_the_image_is_never_touched(stocked, scratch):
    """Layers with ways out: paths with .., absolute ones, and files below a symbolic link to the host."""
    outside = scratch / "outside"
    outside.mkdir(mode=0o777)
    ways = Image([Layer.of([samples.probe(), directory("d")]),
                  Layer.of([file("../../../../../../.." + str(outside / "dots"), "x"), file(str(outside / "absolute"), "x")]),
                  Layer.of([symlink("way-out", str(outside))]), Layer.of([file("way-out/through", "x")])],
                 {"Entrypoint": ["/probe"]})
    path = image.write_layout(scratch / "ways", [("", ways.manifest())])
    done = pull(stocked, f"oci-layout:{path}")
    assert done.code == 0 or done.json["error"]["code"] in ("data_loss", "invalid_argument"), done
    assert list(outside.iterdir()) == []


# Root


def test_root_keeps_device_nodes_and_high_ids(shop, scratch):
    if os.geteuid() != 0:
        harness.cannot_run("only root can make device nodes")
    layers = [*samples.devices().layers, *samples.high_ids().layers]
    path = image.write_layout(scratch / "root-only", [("", Image(layers, {"Cmd": ["/probe"]}).manifest())])
    done = pull(shop, f"oci-layout:{path}")
    assert done.code == 0 and done.json["left_out"] == [], done
    listed = shop("run", "-q", "root-only", "--", "/probe", "tree", "/odd").text
    assert "/zero mode=0020640 owner=0:0" in listed and "device=1:5" in listed and "device=8:0" in listed, listed
    listed = shop("run", "-q", "root-only", "--", "/probe", "tree", "/of-the-domain").text
    assert "owner=1200000001:1200000001" in listed, listed


# Tools


@pytest.mark.parametrize("tool", ["skopeo", "umoci"])
def test_a_tool_that_is_missing_is_named_with_its_package(stocked, scratch, tool):
    if os.geteuid() != 0:
        harness.cannot_run("only root can hide a program")
    path = image.write_oci_archive(scratch / "a.tar", [("", coloured("tool").manifest())])
    # A file that no one may run lies over it, in a mount namespace of the call.
    stocked.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'mount --bind /dev/null {shutil.which(tool)} && exec "$@"', "sh"]
    done = pull(stocked, f"oci-archive:{path}")
    expect_refused(done, "missing_tool", tool, "apt install")
    stocked.prefix = []
    expect_not_installed(stocked, "a")
