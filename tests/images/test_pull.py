"""Images from a registry: names, passwords, and a registry's bad days. Each pull installs an image whole, or not at all."""

import base64
import errno
import os
import pathlib
import random
import shutil
import signal

import harness
import pytest

from images import checks, samples
from images.checks import expect_not_installed, expect_refused
from images.image import Image
from images.layers import Layer, digest_of, directory, file
from images.proxy import Fault, Proxy
from images.registry import PASSWORD, free_port


def large(seed, megabytes=4):
    """An image with a layer that no compression makes smaller, below another one."""
    return Image([*samples.static().layers, Layer.of([directory("l"), file("l/large", random.Random(seed).randbytes(megabytes << 20))]),
                  Layer.of([directory("s"), file("s/small", f"{seed}\n")])], samples.static().config)


def source(host, name, tag="1"):
    return f"oci:{host}/{name}:{tag}"


def pull(pyro, host, name, *flags, tag="1", **options):
    return pyro("env", "pull", "--json", "--plain-http", *flags, source(host, name, tag), **options)


# Names


def test_a_tag_a_digest_and_both_name_the_same_image(shop, registry):
    digest = registry.push("team/names", samples.busybox().manifest(), "latest")
    base = f"{registry.host}/team/names"
    by_name = {}
    for given, name in [(base, f"{base}:latest"), (f"{base}@{digest}", f"{base}@{digest}"),
                        (f"{base}:latest@{digest}", f"{base}:latest@{digest}")]:
        done = shop("env", "pull", "--json", "--plain-http", f"oci:{given}")
        assert done.code == 0 and done.json["built"] is True, done
        assert done.json["name"] == name
        assert done.json["image_digest"] == digest
        by_name[name] = shop("env", "inspect", "--json", name).json["image"]["manifest_digest"]
    assert len(set(by_name.values())) == 1, by_name
    for name in by_name:
        done = shop.run("cat", "/etc/group", environment=name)
        assert (done.code, done.text) == (0, samples.GROUP), done
    # Where an environment is named, the prefix and the usual tag may be there or not.
    for words in (base, f"oci:{base}", f"oci:{base}:latest"):
        done = shop.run("echo", "x", environment=words, flags=("--json",))
        assert done.code == 0 and done.json["environment"] == f"{base}:latest", done


def test_an_image_that_is_named_with_its_prefix_is_pulled_at_its_first_use(shop, own_registry):
    one = own_registry()
    one.push("team/first-use", samples.static().manifest(), "1")
    name = f"{one.host}/team/first-use:1"
    expect_refused(shop.run("x", environment=name, flags=("--json",)), "not_found", f"pyro env pull oci:{name}", exit_code=125)
    # Plain HTTP is for a pull with its flag alone.
    expect_refused(shop.run("x", environment=f"oci:{name}", flags=("--json",)), "invalid_argument", "--plain-http", exit_code=125)
    expect_not_installed(shop, name)


@pytest.mark.parametrize("text, part", [
    ("oci:busybox", "registry"), ("oci:team/app:1", "registry"), ("oci:", "registry"),
    ("oci:registry.example/app@sha256:12", "sha256"), ("oci:registry.example/App", ""), ("oci:registry.example/app:", ""),
    ("oci:registry.example/a//b", ""), ("oci:registry.example/../b", ""), ("oci:user:word@registry.example/app", ""),
    ("oci:registry.example/" + "a" * 5000, ""), ("oci:registry.example/app:\x1b[31m", ""),
])
def test_a_source_that_is_none_is_refused_before_any_work(bare, text, part):
    done = bare("env", "pull", "--json", text)
    expect_refused(done, "invalid_argument", part)
    assert "\x1b" not in done.talk, done
    assert not (bare.cache / "oci").exists()


# Pulled again


def test_an_image_that_did_not_change_is_not_copied_again_and_one_that_did_is(shop, registry, proxy):
    registry.push("team/again", samples.static().manifest(), "1")
    name = f"{proxy.host}/team/again:1"
    assert pull(shop, proxy.host, "team/again").code == 0
    proxy.asked.clear()
    done = pull(shop, proxy.host, "team/again")
    assert done.code == 0 and done.json["built"] is False, done
    assert proxy.gets("/blobs/") == 0 and sum(proxy.asked.values()) > 0, proxy.asked
    before = done.json["digest"]
    task = harness.Task(shop, shop("task", "create", "-q", name).text.strip())
    registry.push("team/again", Image(samples.static().layers, {"Entrypoint": ["/probe"], "Env": ["COLOUR=red"]}).manifest(), "1")
    done = pull(shop, proxy.host, "team/again")
    assert done.code == 0 and done.json["built"] is True and done.json["digest"] != before, done
    assert b"env=COLOUR=red" in shop("run", "-q", name).out
    # A task keeps what it was made with.
    shop("env", "prune")
    assert b"env=COLOUR=blue" in task.exec("/probe").out
    task.delete()


def test_a_digest_in_a_name_needs_no_question_to_the_registry(shop, registry, proxy):
    digest = registry.push("team/fixed", samples.static().manifest(), "1")
    done = shop("env", "pull", "--json", "--plain-http", f"oci:{proxy.host}/team/fixed@{digest}")
    assert done.code == 0 and done.json["built"] is True, done
    proxy.asked.clear()
    done = shop("env", "pull", "--json", "--plain-http", f"oci:{proxy.host}/team/fixed@{digest}")
    assert done.code == 0 and done.json["built"] is False and not proxy.asked, (done, proxy.asked)


def test_layers_that_another_image_brought_are_not_copied_again(stocked, registry, proxy):
    first, second = large(21), large(21)
    second.layers[-1] = Layer.of([file("of-the-second", "x\n")])
    registry.push("team/first", first.manifest(), "1")
    registry.push("other/second", second.manifest(), "1")
    assert pull(stocked, proxy.host, "team/first").code == 0
    assert pull(stocked, proxy.host, "other/second").code == 0
    for shared in first.layers[:-1]:
        assert proxy.gets(f"/blobs/{shared.digest}") == 1, proxy.asked
    assert proxy.gets(f"/blobs/{second.layers[-1].digest}") == 1
    assert stocked.run("/probe", "read", "/l/large", environment=f"{proxy.host}/team/first:1").out == \
        stocked.run("/probe", "read", "/l/large", environment=f"{proxy.host}/other/second:1").out


@pytest.mark.parametrize("spoil", ["changed", "cut short"])
def test_a_kept_layer_that_is_not_what_it_was_is_copied_again(stocked, registry, proxy, spoil):
    first, second = large(31), large(31)
    second.layers[-1] = Layer.of([file("of-the-second", spoil)])
    registry.push("team/spoilt-first", first.manifest(), "1")
    registry.push("team/spoilt-second", second.manifest(), "1")
    assert pull(stocked, proxy.host, "team/spoilt-first").code == 0
    spoilt = checks.blob_of(stocked, first.layers[1].digest)
    data = bytearray(spoilt.read_bytes())
    data[len(data) // 2] ^= 1
    spoilt.unlink()
    spoilt.write_bytes(data if spoil == "changed" else data[:1000])
    assert pull(stocked, proxy.host, "team/spoilt-second").code == 0
    assert proxy.gets(f"/blobs/{first.layers[1].digest}") == 2
    assert spoilt.read_bytes() == first.layers[1].blob


def test_of_two_pulls_at_once_one_copies(stocked, registry, proxy):
    registry.push("team/twice", large(41).manifest(), "1")
    both = [stocked.start("env", "pull", "--json", "--plain-http", source(proxy.host, "team/twice")) for _ in range(2)]
    done = [harness.finish(process) for process in both]
    assert [one.code for one in done] == [0, 0], done
    assert sorted(one.json["built"] for one in done) == [False, True]
    assert proxy.gets(f"/blobs/{large(41).layers[1].digest}") == 1


# Who may pull


def test_a_registry_with_a_password_is_pulled_from_with_an_authfile_alone(stocked, own_registry, scratch):
    one = own_registry(password=True)
    one.push("team/secret", samples.static().manifest(), "1")
    name = f"{one.host}/team/secret:1"
    expect_refused(pull(stocked, one.host, "team/secret"), "permission_denied", "--authfile")
    wrong = one.write_authfile(scratch / "wrong.json", "not-the-password")
    done = pull(stocked, one.host, "team/secret", "--authfile", wrong)
    expect_refused(done, "permission_denied")
    assert "not-the-password" not in done.talk
    expect_refused(pull(stocked, one.host, "team/secret", "--authfile", scratch / "none.json"), "not_found", "none.json")
    expect_not_installed(stocked, name)
    done = pull(stocked, one.host, "team/secret", "--authfile", one.write_authfile(scratch / "auth.json"))
    assert done.code == 0 and done.json["name"] == name, done
    assert pull(stocked, one.host, "team/secret", "--authfile", scratch / "auth.json").json["built"] is False
    secret = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
    for path in stocked.cache.rglob("*.json"):
        assert secret not in path.read_text(errors="replace"), path


def test_a_secret_is_in_no_command_line(stocked, own_registry, scratch):
    one = own_registry(password=True)
    one.push("team/secret", large(51).manifest(), "1")
    with Proxy(one.port) as proxy:
        proxy.faults.append(Fault(f"/blobs/{large(51).layers[1].digest}", "stall", after=100_000))
        authfile = one.write_authfile(scratch / "auth.json", host=proxy.host)
        process = stocked.start("env", "pull", "--plain-http", "--authfile", authfile, source(proxy.host, "team/secret"))
        proxy.await_fault(process)
        secret = base64.b64encode(f"robot:{PASSWORD}".encode())
        seen = [pathlib.Path(f"/proc/{found.pid}/{what}").read_bytes() for found in harness.descendants(process.pid)
                for what in ("cmdline", "environ")]
        assert any(b"skopeo" in words for words in seen)
        for words in seen:
            assert secret not in words and PASSWORD.encode() not in words, words
        process.send_signal(signal.SIGINT)
        done = harness.finish(process)
    assert done.code == 130, done
    expect_not_installed(stocked, f"{proxy.host}/team/secret:1")


def test_plain_http_needs_its_flag(stocked, registry):
    registry.push("team/plain", samples.static().manifest(), "1")
    done = stocked("env", "pull", "--json", source(registry.host, "team/plain"))
    expect_refused(done, "invalid_argument", "--plain-http")
    expect_not_installed(stocked, f"{registry.host}/team/plain:1")


# Bad days


@pytest.mark.parametrize("name, tag", [("team/no-such", "1"), ("team/there", "no-such"), ("team/there", "1@sha256:" + "0" * 64)])
def test_an_image_that_is_not_there(stocked, registry, name, tag):
    registry.push("team/there", samples.static().manifest(), "1")
    expect_refused(pull(stocked, registry.host, name, tag=tag), "not_found", name)
    expect_not_installed(stocked, f"{registry.host}/{name}:{tag}")


def test_a_registry_that_is_not_there(stocked):
    host = f"127.0.0.1:{free_port()}"
    expect_refused(pull(stocked, host, "team/app"), "unavailable", host)
    expect_not_installed(stocked, f"{host}/team/app:1")


def test_a_tampered_layer_is_refused_and_the_next_pull_is_whole(stocked, registry, proxy):
    registry.push("team/tampered", large(61).manifest(), "1")
    fault = Fault(f"/blobs/{large(61).layers[1].digest}", "tamper", after=2_000_000)
    proxy.faults.append(fault)
    expect_refused(pull(stocked, proxy.host, "team/tampered"), "data_loss")
    assert proxy.faulted.is_set()
    expect_not_installed(stocked, f"{proxy.host}/team/tampered:1")
    assert checks.leftovers(stocked) == []
    fault.times = 0
    done = pull(stocked, proxy.host, "team/tampered")
    assert done.code == 0 and done.json["built"] is True, done


@pytest.mark.parametrize("what", ["manifest", "config"])
def test_other_tampered_bytes_are_refused(stocked, registry, proxy, what):
    document = large(62).manifest()
    digest = registry.push("team/tampered-too", document, "1")
    config = large(62).config_blob()
    proxy.faults.append(Fault("/manifests/" if what == "manifest" else f"/blobs/{digest_of(config)}", "tamper", after=40))
    done = pull(stocked, proxy.host, "team/tampered-too", tag=f"1@{digest}")
    expect_refused(done, "data_loss")
    assert proxy.faulted.is_set()
    expect_not_installed(stocked, f"{proxy.host}/team/tampered-too:1@{digest}")


def test_a_connection_that_is_cut_is_tried_again(stocked, registry, proxy):
    registry.push("team/cut", large(71).manifest(), "1")
    proxy.faults.append(Fault(f"/blobs/{large(71).layers[1].digest}", "cut", after=1_000_000, times=2))
    done = pull(stocked, proxy.host, "team/cut")
    assert done.code == 0 and done.json["built"] is True, done
    assert proxy.gets(f"/blobs/{large(71).layers[1].digest}") == 3
    # What was whole is not copied again.
    assert proxy.gets(f"/blobs/{large(71).layers[0].digest}") == 1
    assert checks.leftovers(stocked) == []


@pytest.mark.cost(8)
def test_a_connection_that_is_always_cut_ends_the_pull(stocked, registry, proxy):
    registry.push("team/always-cut", large(72).manifest(), "1")
    fault = Fault(f"/blobs/{large(72).layers[1].digest}", "cut", after=1_000_000)
    proxy.faults.append(fault)
    expect_refused(pull(stocked, proxy.host, "team/always-cut"), "unavailable")
    # Four tries, and no more. skopeo 1.18 itself goes on once where each was cut.
    assert proxy.gets(f"/blobs/{large(72).layers[1].digest}") in (4, 8)
    expect_not_installed(stocked, f"{proxy.host}/team/always-cut:1")
    assert checks.leftovers(stocked) == []
    fault.times = 0
    assert pull(stocked, proxy.host, "team/always-cut").code == 0
    assert proxy.gets(f"/blobs/{large(72).layers[0].digest}") == 1


@pytest.mark.cost(8)
def test_a_registry_that_dies_in_the_middle_ends_the_pull(stocked, own_registry):
    one = own_registry()
    one.push("team/dies", large(73).manifest(), "1")
    with Proxy(one.port) as proxy:
        proxy.faults.append(Fault(f"/blobs/{large(73).layers[1].digest}", "stall", after=1_000_000, times=1))
        process = stocked.start("env", "pull", "--json", "--plain-http", source(proxy.host, "team/dies"))
        proxy.await_fault(process)
        one.stop()
    # The proxy's end has cut the connection, and no other one is accepted.
    expect_refused(harness.finish(process), "unavailable", proxy.host)
    expect_not_installed(stocked, f"{proxy.host}/team/dies:1")
    assert checks.leftovers(stocked) == []


@pytest.mark.cost(4)
@pytest.mark.parametrize("status", [500, 503])
def test_a_registry_that_refuses_for_now(stocked, registry, proxy, status):
    registry.push("team/refuses", samples.static().manifest(), "1")
    proxy.faults.append(Fault("/manifests/", "status", status=status))
    expect_refused(pull(stocked, proxy.host, "team/refuses"), "unavailable")
    expect_not_installed(stocked, f"{proxy.host}/team/refuses:1")


# Ends


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_a_pull_that_is_interrupted_leaves_nothing(stocked, registry, proxy, signo):
    registry.push("team/interrupted", large(81).manifest(), "1")
    proxy.faults.append(Fault(f"/blobs/{large(81).layers[1].digest}", "stall", after=1_000_000))
    process = stocked.start("env", "pull", "--plain-http", source(proxy.host, "team/interrupted"))
    proxy.await_fault(process)
    process.send_signal(signo)
    done = harness.finish(process)
    assert done.code == 128 + signo, done
    assert b"nothing was installed" in done.err
    expect_not_installed(stocked, f"{proxy.host}/team/interrupted:1")
    assert checks.leftovers(stocked) == []


def test_a_pull_that_is_killed_leaves_nothing_that_prune_keeps(stocked, registry, proxy):
    registry.push("team/killed", large(82).manifest(), "1")
    fault = Fault(f"/blobs/{large(82).layers[1].digest}", "stall", after=1_000_000)
    proxy.faults.append(fault)
    process = stocked.start("env", "pull", "--plain-http", source(proxy.host, "team/killed"))
    proxy.await_fault(process)
    process.kill()
    harness.finish(process)
    harness.wait_until(lambda: not [found for found in harness.descendants() if found.program == "skopeo"], "skopeo is gone")
    assert stocked("env", "list").code == 0
    done = stocked("env", "prune", "--json")
    assert done.code == 0 and done.json["bytes_freed"] > 0, done
    assert checks.leftovers(stocked) == []
    expect_not_installed(stocked, f"{proxy.host}/team/killed:1")
    fault.times = 0
    done = pull(stocked, proxy.host, "team/killed")
    assert done.code == 0 and done.json["built"] is True, done
    assert checks.leftovers(stocked) == []


@pytest.mark.parametrize("moment", ["extract", "seal"])
def test_a_pull_that_is_killed_while_it_unpacks_leaves_nothing_that_prune_keeps(stocked, registry, moment):
    registry.push("team/killed-late", large(83, 40).manifest(), "1")
    process = stocked.start("env", "pull", "--plain-http", source(registry.host, "team/killed-late"))
    while b"phase=" + moment.encode() not in (line := process.stderr.readline()):
        assert line, harness.finish(process)
    process.kill()
    harness.finish(process)
    harness.wait_until(lambda: not [found for found in harness.descendants() if found.program in ("umoci", "mkfs.erofs")], "they are gone")
    assert stocked("env", "prune", "--json").code == 0
    assert checks.leftovers(stocked) == []
    expect_not_installed(stocked, f"{registry.host}/team/killed-late:1")


def fill(path, leave):
    """Takes all the room of a file system but so many bytes."""
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(1 << 20))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        filler.truncate(max(filler.tell() - leave, 0))


@pytest.mark.parametrize("room", [2 << 20, 14 << 20], ids=["while it copies", "while it unpacks"])
def test_a_disk_that_is_full_refuses_the_pull_and_leaves_nothing(bare, cache_dir, registry, mounts, room):
    if os.geteuid() != 0:
        harness.cannot_run("only root can mount a small disk")
    mounts("tmpfs", bare.cache, "size=200m,mode=0700")
    harness.copy_base(cache_dir, bare.cache)
    registry.push("team/full", large(91, 8).manifest(), "1")
    fill(bare.cache / "filler", room)
    expect_refused(pull(bare, registry.host, "team/full"), "no_space")
    expect_not_installed(bare, f"{registry.host}/team/full:1")
    assert checks.leftovers(bare) == []
    (bare.cache / "filler").unlink()
    assert pull(bare, registry.host, "team/full").code == 0


def test_progress_of_a_copy_is_told_in_bytes_on_a_terminal(stocked, registry, proxy, terminal):
    registry.push("team/progress", large(95, 8).manifest(), "1")
    proxy.faults.append(Fault(f"/blobs/{large(95, 8).layers[1].digest}", "stall", after=4 << 20))
    process = stocked.start("env", "pull", "--plain-http", source(proxy.host, "team/progress"), stderr=terminal.slave)
    terminal.read_until(lambda text: "download" in text and "MiB" in text.split("download")[-1])
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130
    for line in terminal.rest().replace("\x1b[2K", "").replace("\n", "").split("\r"):
        assert len(line) <= 80, line


def test_a_registry_with_a_certificate_of_its_own_is_trusted_where_skopeo_looks_for_it(stocked, own_registry):
    registry = own_registry(tls=True)
    registry.push("team/app", samples.static().manifest(), "1")
    source = f"oci:{registry.host}/team/app:1"
    done = stocked("env", "pull", "--json", source)
    harness.expect_error(done, 1, "invalid_argument")
    assert f"the certificate of '{registry.host}' is not trusted" in done.talk, done
    assert f"~/.config/containers/certs.d/{registry.host}/ca.crt" in done.talk, done
    done = stocked("env", "pull", "--json", source, env={"SSL_CERT_FILE": str(registry.certificate)})
    assert done.code == 0, done
    assert stocked("env", "remove", f"{registry.host}/team/app:1").code == 0
    trusted = pathlib.Path(stocked.env["HOME"]) / ".config/containers/certs.d" / registry.host
    trusted.mkdir(parents=True)
    shutil.copy(registry.certificate, trusted / "ca.crt")
    done = stocked("env", "pull", "--json", source)
    assert done.code == 0, done
