"""The images that the tests pull: of each kind one, small, and always of the same bytes."""

from __future__ import annotations

import functools
import pathlib
import random
import subprocess
import tempfile

from images import image
from images.image import Document, Image
from images.layers import CAP_NET_RAW, Entry, Layer, device, directory, fifo, file, hard_link, opaque, symlink, whiteout
from images.registry import Missing, program

HERE = pathlib.Path(__file__).resolve().parent
PATH = "PATH=/usr/local/bin:/usr/bin:/bin"
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nstaff:x:50:app\nvideo:x:44:app,root\n"


@functools.cache
def built(*flags: str, compiler: str = "gcc") -> bytes:
    """tests/images/probe.c as a program."""
    with tempfile.TemporaryDirectory(prefix="pyro-images-") as scratch:
        out = pathlib.Path(scratch) / "probe"
        subprocess.run([program(compiler, "musl-tools" if "musl" in compiler else ""), "-Os", "-s", *flags, "-o", out, HERE / "probe.c"],
                       check=True)
        return out.read_bytes()


def probe() -> Entry:
    return file("probe", built("-static"), 0o755)


@functools.cache
def static() -> Image:
    """One static binary, from scratch: no shell, no /etc, no /dev, /proc or /tmp."""
    return Image([Layer.of([probe()])], {"Entrypoint": ["/probe"], "Cmd": ["hello", "world"], "Env": ["COLOUR=blue"]})


def busybox_entries() -> list[Entry]:
    path = pathlib.Path(program("busybox", "busybox-static"))
    applets = subprocess.run([path, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    entries = [directory("./")] + [directory(name) for name in ("bin", "etc", "home", "root", "usr", "usr/bin")]
    entries += [directory("home/app", uid=1000, gid=1000), directory("tmp", 0o1777), file("bin/busybox", path.read_bytes(), 0o755)]
    entries += [symlink(f"bin/{name}", "busybox") for name in applets if name != "busybox"]
    return entries + [file("etc/passwd", PASSWD), file("etc/group", GROUP)]


@functools.cache
def busybox() -> Image:
    """busybox, and a program that is linked with musl at run time."""
    linker = pathlib.Path("/lib/ld-musl-x86_64.so.1")
    if not linker.exists():
        raise Missing("musl's dynamic linker is not installed: apt install musl-tools")
    musl = [directory("lib"), directory("usr"), directory("usr/bin"), file("lib/ld-musl-x86_64.so.1", linker.read_bytes(), 0o755),
            file("usr/bin/musl-probe", built(compiler="musl-gcc"), 0o755)]
    return Image([Layer.of(busybox_entries()), Layer.of(musl)],
                 {"Cmd": ["sh", "-c", "echo from the image"], "Env": [PATH, "FLAVOUR=busy box", "EMPTY="], "WorkingDir": "/home/app"})


def with_config(config: dict, extra: list[Entry] = (), user: str = "") -> Image:
    """busybox and the probe, with a configuration of the test's own."""
    entries = [*busybox_entries(), probe(), *extra]
    return Image([Layer.of(entries)], {"Env": [PATH], **({"User": user} if user else {}), **config})


@functools.cache
def owners() -> Image:
    """All that a user without root could get wrong: owners, modes, capabilities, attributes, times, and links."""
    long_value = random.Random(1).randbytes(3000)
    return Image([
        Layer.of([*busybox_entries(), probe()]),
        Layer.of([
            directory("data", 0o2775, uid=1000, gid=50, mtime=1_500_000_001),
            file("data/of-app", "app\n", 0o640, uid=1000, gid=1000, mtime="1500000000.123456789"),
            file("data/of-www", "www\n", uid=33, gid=33, mtime=1_400_000_000),
            file("data/of-the-last-id", "last\n", uid=65534, gid=65534),
            file("data/old", "before the epoch of most\n", mtime=1),
            file("data/locked", "no mode\n", 0o000),
            directory("data/closed", 0o000, uid=33, gid=33),
            file("data/closed/inside", "inside\n", 0o400, uid=33, gid=33),
            file("data/setuid", "#!/bin/sh\n", 0o4755),
            file("data/setuid-app", "#!/bin/sh\n", 0o6755, uid=1000, gid=50),
            directory("data/sticky", 0o1777),
            file("data/capable", built("-static"), 0o755, xattrs={"security.capability": CAP_NET_RAW}),
            file("data/noted", "noted\n", xattrs={"user.note": b"a note", "user.bytes": bytes(range(256)), "user.long": long_value}),
            file("data/trusted", "trusted\n", xattrs={"trusted.note": b"for root"}),
            directory("data/noted-directory", xattrs={"user.note": b"of a directory"}),
            file("data/linked", "one inode\n", uid=1000, gid=1000, mtime=1_450_000_000),
            hard_link("data/linked-too", "data/linked", uid=1000, gid=1000, mtime=1_450_000_000),
            symlink("data/symlink", "of-app", uid=1000, gid=1000, mtime=1_460_000_000),
            symlink("data/nowhere", "/no/such/place", uid=33, gid=33),
            fifo("data/pipe", 0o620, uid=1000, gid=5),
            file("data/\u00e4 name\nof two lines", "odd\n"),
            file("data/empty", b"", 0o600),
            file("data/large", random.Random(2).randbytes(3_000_000)),
            file("data/zeros", bytes(5_000_000)),
        ])], {"Cmd": ["/probe"], "Env": [PATH], "User": "app"})


@functools.cache
def layered() -> Image:
    """Whiteouts, opaque directories, links across layers, and things that change their type from layer to layer."""
    return Image([
        Layer.of([*busybox_entries(), probe(), directory("a"), file("a/kept", "1\n"), file("a/gone", "1\n"), file("a/changed", "1\n"),
                  directory("a/hidden"), file("a/hidden/below", "1\n"), directory("a/removed"), file("a/removed/below", "1\n"),
                  file("a/becomes-directory", "1\n"), directory("a/becomes-file"), file("a/becomes-file/below", "1\n"),
                  symlink("a/becomes-real", "kept"), directory("usr/lib"), symlink("lib", "usr/lib"), file("a/source", "linked\n"),
                  directory("a/emptied"), file("a/emptied/one", "1\n"), file("a/comes-back", "1\n", 0o600)]),
        Layer.of([directory("a"), whiteout("a/gone"), file("a/changed", "2\n", 0o600, uid=7, gid=8), directory("a/hidden"), opaque("a/hidden"),
                  file("a/hidden/fresh", "2\n"), whiteout("a/removed"), whiteout("a/becomes-directory"), whiteout("a/becomes-file"),
                  whiteout("a/comes-back"), whiteout("a/never-was")]),
        Layer.of([directory("a"), directory("a/becomes-directory"), file("a/becomes-directory/below", "3\n"), file("a/becomes-file", "3\n"),
                  file("a/becomes-real", "3\n"), file("a/source", "linked\n"), hard_link("a/link-fresh", "a/source"),
                  file("a/comes-back", "3\n", 0o644, uid=9),
                  directory("a/emptied"), opaque("a/emptied"), directory("usr"), directory("usr/lib"), file("usr/lib/through-merge", "3\n")]),
        *[Layer.of([directory("a"), file(f"a/number-{number}", f"{number}\n"),
                    *([whiteout(f"a/number-{number - 2}")] if number % 3 == 0 else [])]) for number in range(2, 14)],
    ], {"Cmd": ["/probe"], "Env": [PATH]})


@functools.cache
def zstd() -> Image:
    """One layer of each compression."""
    return Image([Layer.of([*busybox_entries(), probe()], "zstd"), Layer.of([directory("plain"), file("plain/file", "plain\n")], "none"),
                  Layer.of([directory("packed"), file("packed/file", "packed\n")], "zstd"), Layer.of([file("last", "gzip\n")])],
                 {"Cmd": ["cat", "/plain/file", "/packed/file", "/last"], "Env": [PATH]})


def attested(of: Image, others: tuple[str, ...] = ("arm64",)) -> Document:
    """An index with an attestation beside each manifest, and with an image for other architectures before this one."""
    manifests = [Image(of.layers, of.config, other).manifest() for other in others] + [of.manifest()]
    return image.index(*manifests, *[image.attestation(manifest) for manifest in manifests])


@functools.cache
def many_layers(count: int = 500) -> Image:
    numbered = [Layer.of([directory("n"), file(f"n/{number}", f"{number}\n")]) for number in range(count - 1)]
    return Image([Layer.of([*busybox_entries(), probe()]), *numbered], {"Cmd": ["sh", "-c", "ls /n | wc -l"], "Env": [PATH]})


@functools.cache
def devices() -> Image:
    return Image([Layer.of([probe(), directory("dev"), device("dev/null", 1, 3), directory("odd"), device("odd/zero", 1, 5, mode=0o640),
                            device("odd/disk", 8, 0, block=True, mode=0o660, gid=6)])], {"Cmd": ["/probe"]})


@functools.cache
def high_ids() -> Image:
    """An owner for whom no 65,536 subordinate ids suffice."""
    return Image([Layer.of([probe(), file("of-the-domain", "x\n", uid=1_200_000_001, gid=1_200_000_001)])], {"Cmd": ["/probe"]})


@functools.cache
def link_before_target() -> Image:
    """A layer whose whiteout stands before a hard link to what it removes: no tool can unpack it."""
    return Image([Layer.of([probe(), file("a", "a\n")]), Layer.of([whiteout("a"), hard_link("b", "a")])], {"Cmd": ["/probe"]})


def debian(tree: bytes) -> Image:
    """Of a tar file of a Debian system."""
    return Image([Layer.of_tar(tree), Layer.of([probe()])], {"Cmd": ["bash"], "Env": [PATH]})
