import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
import pytest

from images import samples
from images.image import Document
from images.podman import Podman
from images.proxy import Proxy
from images.registry import Registry

# By program: its package. All that makes images and serves them.
PROGRAMS = {"skopeo": "skopeo", "umoci": "umoci", "docker-registry": "docker-registry", "htpasswd": "apache2-utils",
            "busybox": "busybox-static", "musl-gcc": "musl-tools", "zstd": "zstd", "gcc": "gcc"}


def need(programs):
    missing = sorted({package for name, package in programs.items() if shutil.which(name) is None})
    if missing:
        harness.cannot_run(f"these packages are not installed: {' '.join(missing)}")


@pytest.fixture(scope="session", autouse=True)
def programs():
    need(PROGRAMS)


@pytest.fixture(scope="session")
def session_scratch():
    path = pathlib.Path(tempfile.mkdtemp(prefix="pyro-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def session_registry(session_scratch, programs):
    registry = Registry(session_scratch / "registry")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture(autouse=True)
def registry(session_registry, helpers):
    """With what the tests before have pushed, under names of their own."""
    helpers.add(session_registry.process.pid)
    return session_registry


@pytest.fixture
def own_registry(scratch, helpers):
    """own_registry(password=False): a registry that this test alone may stop or spoil."""
    made = []

    def make(**options):
        one = Registry(scratch / f"registry-{len(made)}", **options)
        made.append(one)
        one.start()
        helpers.add(one.process.pid)
        return one

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def proxy(registry):
    with Proxy(registry.port) as one:
        yield one


@pytest.fixture
def podman(scratch):
    if os.geteuid() != 0:
        harness.cannot_run("podman is compared with as root")
    need({"podman": "podman", "crun": "crun"})
    return Podman(scratch / "podman")


@pytest.fixture(scope="session")
def probe(session_scratch, programs):
    """tests/images/probe.c for this host."""
    path = session_scratch / "probe"
    path.write_bytes(samples.built("-static"))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def session_cache(session_scratch, cache_dir):
    path = session_scratch / "cache"
    harness.copy_base(cache_dir, path)
    path.chmod(0o700)
    return path


@pytest.fixture
def shop(session_cache, registry, scratch, helpers):
    """pyro with debian:12-base, and with the images that the tests before have pulled. Nothing may be left of its guests."""
    home = scratch / "home"
    home.mkdir()
    with harness.nothing_is_left(harness.Pyro(scratch / "state", session_cache, home), helpers) as program:
        yield program


@pytest.fixture
def stocked(bare, cache_dir):
    """pyro with a cache of the test's own, in which debian:12-base is installed."""
    harness.copy_base(cache_dir, bare.cache)
    bare.cache.chmod(0o700)
    return bare


@pytest.fixture
def stocked_user(normal_user, cache_dir):
    """The same for a user with subordinate ids."""
    return with_base(normal_user, cache_dir)


@pytest.fixture
def lone(lone_user, cache_dir):
    """The same for a user without subordinate ids."""
    return with_base(lone_user, cache_dir)


def with_base(user, cache_dir):
    harness.copy_base(cache_dir, user.cache)
    user.cache.chmod(0o700)
    owner = f"{harness.NORMAL_USER}:{harness.NORMAL_USER}"
    subprocess.run(["chown", "-hR", owner, str(user.cache)], check=True)
    return user


@pytest.fixture
def pulled(shop, registry):
    """pulled(name, document or image): the environment's name. It is pulled once for all tests of a file."""

    def pull(name, what, tag="1", flags=()):
        document = what if isinstance(what, Document) else what.manifest()
        registry.push(name, document, tag)
        done = shop("env", "pull", "--json", "--plain-http", *flags, f"oci:{registry.host}/{name}:{tag}")
        assert done.code == 0, done
        return done.json["name"]

    return pull
