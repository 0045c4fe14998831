"""The cache of downloads that guests share (--cache), with registries of the test's own.

pyro runs in a network namespace, as its "host"; a second one is the outside, with download_servers.py there under the
names of the usual registries. The "host" trusts their authority by SSL_CERT_FILE. Guests have no network but the cache.
"""

import base64
import gzip
import hashlib
import json
import os
import pathlib
import sys
import tarfile
import time
import zipfile

import harness
import namespaces
import pytest
from namespaces import NEIGHBOUR, OUTSIDE, checked, make_authority, prepare_npm, prepare_pip

SERVERS = pathlib.Path(__file__).with_name("download_servers.py")
# How long the registries take for a file: well above what a program itself takes in a guest. On an emulated CPU that is more.
SLOW_SECONDS = {"apt": 60, "pip": 60, "npm": 150}


def usual_hosts():
    """The host of each kind of the file that pyro reads, and where its downloads are below it."""
    hosts = {}
    for line in (harness.BIN / "download-hosts").read_text().splitlines():
        words = line.partition("#")[0].split()
        if words:
            host, _, path = words[2].partition("://")[2].partition("/")
            hosts.setdefault(words[1], (host, path))
    return hosts


USUAL = usual_hosts()
APT, PYPI, FILES, REGISTRY, INDEX, CRATES = (
    USUAL[kind][0] for kind in ("apt", "pypi", "pypifiles", "npm", "index", "crates"))


def make_debian(root):
    """A package, its index with by-hash, and a Release."""
    work = root / "deb"
    (work / "DEBIAN").mkdir(parents=True)
    (work / "opt").mkdir()
    (work / "DEBIAN/control").write_text("Package: a-package\nVersion: 1.0\nArchitecture: all\n"
                                         "Maintainer: t <t@t.example>\nDescription: t\n")
    (work / "opt/a-package").write_bytes(os.urandom(200_000))
    repository = root / APT / "debian"
    pool = repository / "pool/main/a/a-package/a-package_1.0_all.deb"
    pool.parent.mkdir(parents=True)
    checked(["dpkg-deb", "--build", "--root-owner-group", work, pool])
    entry = (f"Package: a-package\nVersion: 1.0\nArchitecture: all\nMaintainer: t <t@t.example>\nDescription: t\n"
             f"Filename: {pool.relative_to(repository)}\nSize: {pool.stat().st_size}\n"
             f"SHA256: {hashlib.sha256(pool.read_bytes()).hexdigest()}\n\n").encode()
    lists = repository / "dists/test/main/binary-amd64"
    (lists / "by-hash/SHA256").mkdir(parents=True)
    sums = ""
    for name, content in (("Packages", entry), ("Packages.gz", gzip.compress(entry))):
        digest = hashlib.sha256(content).hexdigest()
        (lists / name).write_bytes(content)
        (lists / "by-hash/SHA256" / digest).write_bytes(content)
        sums += f" {digest} {len(content)} main/binary-amd64/{name}\n"
    (repository / "dists/test/Release").write_text(
        "Origin: t\nSuite: test\nCodename: test\nArchitectures: amd64 all\nComponents: main\nAcquire-By-Hash: yes\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n{sums}")


def make_python(root):
    wheel = root / FILES / "packages/a_package-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a_package.py", "print('of the index')\n")
        archive.writestr("a_package_data.bin", os.urandom(200_000))
        archive.writestr("a_package-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n")
        archive.writestr("a_package-1.0.dist-info/WHEEL",
                         "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("a_package-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page = root / PYPI / "simple/a-package/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<html><body><a href="https://{FILES}/packages/{wheel.name}#sha256={digest}">{wheel.name}</a>'
                    "</body></html>")


def make_npm(root):
    package = root / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "a-package", "version": "1.0.0"}')
    (package / "index.js").write_text("console.log('of the registry')\n")
    (package / "data").write_bytes(os.urandom(200_000))
    tarball = root / REGISTRY / "a-package/-/a-package-1.0.0.tgz"
    tarball.parent.mkdir(parents=True)
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(package, "package")
    dist = {"tarball": f"https://{REGISTRY}/a-package/-/{tarball.name}",
            "integrity": "sha512-" + base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()}
    (tarball.parent.parent / "index.json").write_text(json.dumps(
        {"name": "a-package", "dist-tags": {"latest": "1.0.0"},
         "versions": {"1.0.0": {"name": "a-package", "version": "1.0.0", "dist": dist}}}))


def make_cargo(root):
    index = root / INDEX
    (index / "a-/pa").mkdir(parents=True)
    (index / "config.json").write_text(json.dumps({"dl": f"https://{CRATES}/{USUAL['crates'][1].rstrip('/')}"}))
    crate = root / CRATES / USUAL["crates"][1] / "a-package/a-package-1.0.0.crate"
    crate.parent.mkdir(parents=True)
    crate.write_bytes(os.urandom(200_000))
    (index / "a-/pa/a-package").write_text(json.dumps(
        {"name": "a-package", "vers": "1.0.0", "deps": [], "features": {}, "yanked": False,
         "cksum": hashlib.sha256(crate.read_bytes()).hexdigest()}) + "\n")


class World(namespaces.Namespaces):
    def __init__(self, scratch):
        super().__init__(scratch)
        self.scratch = scratch
        self.content = scratch / "content"
        make_authority(scratch, (host for host, _ in USUAL.values()))
        for make in (make_debian, make_python, make_npm, make_cargo):
            make(self.content)
        (self.content / "seconds").write_text("0")
        (self.content / "silent").write_text("")
        self.log = scratch / "requests"
        self.log.write_text("")
        names = ",".join(sorted({host for host, _ in USUAL.values()}))
        self.start([*self.enter_outside, sys.executable, SERVERS, OUTSIDE, NEIGHBOUR, scratch / "server.pem",
                    scratch / "server.key", self.content, names, self.log])

    def requests(self):
        return [tuple(line.split("\t")) for line in self.log.read_text().splitlines()]

    def take_seconds(self, seconds):
        (self.content / "seconds").write_text(str(seconds))

    def cut(self):
        self.in_outside("ip", "link", "set", "pyro-b", "down")

    def join(self):
        self.in_outside("ip", "link", "set", "pyro-b", "up")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    namespaces.require("openssl", "dpkg-deb")
    made = World(namespaces.open_scratch(tmp_path_factory.mktemp("downloads")))
    yield made
    made.close()


def use_own_cache(pyro, scratch):
    """The environments of all tests, and downloads of this one."""
    cache = scratch / "cache"
    cache.mkdir()
    for entry in harness.CACHE.iterdir():
        if entry.name != "downloads":
            (cache / entry.name).symlink_to(entry)
    pyro.env["PYRO_CACHE_DIR"] = str(cache)
    pyro.downloads = cache / "downloads"


@pytest.fixture
def inside(world, pyro, helpers, scratch):
    """pyro as it runs on the test's host, with a cache of downloads that is empty."""
    helpers.update(process.pid for process in world.processes)
    pyro.prefix = world.enter_host
    pyro.env["SSL_CERT_FILE"] = str(world.scratch / "ca.pem")
    use_own_cache(pyro, scratch)
    world.log.write_text("")
    world.take_seconds(0)
    return pyro


def contents(pyro):
    return sorted(path for path in (pyro.downloads / "content").rglob("*") if path.is_file())


class CachedTask:
    """A task with the cache and without a network; deleted at the end of a with block."""

    def __init__(self, pyro, *flags):
        made = pyro("task", "create", harness.FULL, "--json", "--cache", *flags)
        assert made.code == 0, made
        self.task = harness.Task(pyro, made.json["task_id"])

    def __enter__(self):
        return self.task

    def __exit__(self, *_):
        self.task.delete()


def timed(task, script):
    began = time.monotonic()
    done = task.exec("bash", "-ec", script)
    return done, time.monotonic() - began


APT_INSTALL = (f"echo 'deb [trusted=yes] http://{APT}/debian test main' > /etc/apt/sources.list; "
               "rm -rf /etc/apt/sources.list.d/*; apt-get update -q >/dev/null; "
               "apt-get install -qq a-package >/dev/null 2>&1; stat -c %s /opt/a-package")
PIP_INSTALL = ("PYTHONPATH=/opt python3 -m pip install -q --disable-pip-version-check --root-user-action ignore "
               "--target /tmp/site a-package; PYTHONPATH=/tmp/site python3 -m a_package")
NPM_INSTALL = ("cd /workspace; node /usr/local/lib/npm/bin/npm-cli.js install --no-audit --no-fund --silent a-package; "
               "node node_modules/a-package/index.js")


INSTALLS = {
    "apt": (lambda pyro, task: None, APT_INSTALL, "200000\n", ".deb"),
    "pip": (prepare_pip, PIP_INSTALL, "of the index\n", ".whl"),
    "npm": (prepare_npm, NPM_INSTALL, "of the registry\n", ".tgz"),
}


@pytest.mark.cost(12)
@pytest.mark.parametrize("tool", INSTALLS)
def test_the_second_task_does_not_download_what_the_first_did(world, inside, tool):
    prepare, script, expected, suffix = INSTALLS[tool]
    of_registry = 15 if harness.USERMODE else SLOW_SECONDS[tool]
    world.take_seconds(of_registry)
    seconds = []
    for _ in range(2):
        with CachedTask(inside) as task:
            prepare(inside, task)
            done, took = timed(task, script)
            assert (done.code, done.text) == (0, expected), (done, world.requests())
            seconds.append(took)
    fetched = [path for _, _, path, _ in world.requests() if path.endswith(suffix)]
    assert len(fetched) == 1, world.requests()
    assert {agent for *_, agent in world.requests()} == {"pyro"}
    print(f"{tool}: {seconds[0]:.1f} s, then {seconds[1]:.1f} s: {seconds[1] / seconds[0]:.2f}")
    # What the guest itself takes has no bound on a busy host, so the ratio is none of a test's.
    assert of_registry <= seconds[0] > seconds[1], seconds


@pytest.mark.cost(8)
def test_without_its_sources_the_cache_serves_what_it_has(world, inside):
    for connected in (True, False):
        if not connected:
            world.cut()
        try:
            with CachedTask(inside) as task:
                prepare_pip(inside, task)
                done, _ = timed(task, PIP_INSTALL)
                assert (done.code, done.text) == (0, "of the index\n"), done
                if connected:
                    continue
                missing = task.exec("curl", "-sS", "-m", "60", f"http://{APT}/debian/pool/main/b/b/b_1_all.deb")
                assert "does not hold" in missing.text, missing
                reasons = {entry["reason"] for entry in task.json("network show")["denied"]}
                assert "download_away" in reasons, reasons
        finally:
            world.join()


@pytest.mark.cost(40)
def test_a_source_that_says_nothing_is_one_that_is_away(world, inside):
    ask = "curl -sS -m 100 -o /dev/null -w '%{http_code} ' -H 'Cache-Control: no-cache'"
    index = f"https://{PYPI}/simple/a-package/"
    with CachedTask(inside) as task:
        assert task.exec("bash", "-c", f"{ask} {index}; {ask} https://{REGISTRY}/a-package").text == "200 200 "
        (world.content / "silent").write_text("/simple/")
        try:
            # More than the cache has workers.
            done = task.exec("bash", "-c",
                             f"curl -sS -Z --parallel-immediate --parallel-max 40 -m 100 -o /dev/null -H 'Cache-Control: no-cache' "
                             f"'https://{PYPI}/simple/x[1-40]/' & sleep 2; {ask} https://{REGISTRY}/a-package; wait; {ask} -D- {index}")
        finally:
            (world.content / "silent").write_text("")
        assert done.text.startswith("200 ") and done.text.endswith("200 ") and "X-Pyro-Cache: stale" in done.text, done
        assert "download_away" in {entry["reason"] for entry in task.json("network show")["denied"]}


@pytest.mark.cost(8)
def test_a_changed_file_of_the_cache_is_refused(world, inside):
    url = f"http://{APT}/debian/pool/main/a/a-package/a-package_1.0_all.deb"
    original = (world.content / APT / url.partition(APT + "/")[2]).read_bytes()
    digest = hashlib.sha256(original).hexdigest()
    ask = ["bash", "-c", f"curl -sS -m 60 -o /tmp/file -w '%{{http_code}} ' {url}; sha256sum < /tmp/file"]
    with CachedTask(inside) as task:
        first = task.exec(*ask)
        assert first.text.split()[:2] == ["200", digest], first
        (stored,) = contents(inside)
        stored.chmod(0o600)
        stored.write_bytes(original[:-1] + b"!")
        again = task.exec(*ask)
        assert again.text.split()[:2] == ["200", digest], again
        assert "download_damaged" in {entry["reason"] for entry in task.json("network show")["denied"]}
        assert len(world.requests()) == 2, world.requests()
        stored.write_bytes(original[:100])
        world.cut()
        try:
            refused = task.exec(*ask)
        finally:
            world.join()
        assert refused.text.split()[0] == "504", refused
        assert not stored.exists()


@pytest.mark.cost(8)
def test_cargo_finds_its_index_and_crate(world, inside):
    script = (f"curl -sSf https://{INDEX}/config.json >/dev/null; curl -sSf https://{INDEX}/a-/pa/a-package; "
              f"curl -sSf https://{CRATES}/{USUAL['crates'][1]}a-package/a-package-1.0.0.crate | sha256sum")
    for _ in range(2):
        with CachedTask(inside) as task:
            done, _ = timed(task, script)
            assert done.code == 0, done
            entry, digest = done.text.splitlines()
            assert json.loads(entry)["cksum"] == digest.split()[0]
    assert len([path for _, _, path, _ in world.requests() if path.endswith(".crate")]) == 1


@pytest.mark.cost(8)
def test_nothing_but_downloads_leaves_a_guest_that_has_the_cache_alone(world, inside):
    with CachedTask(inside) as task:
        status = task.json("status")
        assert (status["cache"], status["network_enabled"]) == (True, False)
        ask = "curl -sS -m 60 -o /tmp/words -w '%{http_code} '"
        done = task.exec("bash", "-c",
                         f"{ask} -d data=hidden https://{REGISTRY}/-/npm/v1/security/audits; cat /tmp/words; "
                         f"{ask} https://{REGISTRY}/a-package?data=hidden; cat /tmp/words; "
                         f"{ask} -H 'Authorization: Bearer hidden' https://{REGISTRY}/a-package; cat /tmp/words; "
                         f"{ask} -A hidden -H 'X-Data: hidden' https://{REGISTRY}/a-package")
        words = done.text.splitlines()
        assert words[0].startswith("403") and "POST" in words[0], done
        assert words[1].startswith("403") and words[2].startswith("403"), done
        assert words[3].startswith("200"), done
        assert "hidden" not in world.log.read_text()
        assert len(world.requests()) == 1, world.requests()
        denied = task.json("network show")["denied"]
        assert [entry["reason"] for entry in denied] == ["only_cached"], denied
        other = task.exec("curl", "-sS", "-m", "20", f"http://{OUTSIDE}/")
        assert other.code != 0, other


@pytest.mark.cost(8)
def test_a_rule_for_a_download_host_holds_at_once(world, inside):
    post = ["bash", "-c", f"curl -sS -m 60 -d data https://{REGISTRY}/-/audit"]
    with CachedTask(inside, "--allow", "other.example") as task:
        assert "GET and HEAD, not POST" in task.exec(*post).text
        allowed = inside("task", "network", "allow", task.id, REGISTRY)
        assert allowed.code == 0, allowed
        assert task.exec(*post).text == "not there\ndata"
        npm = task.exec("curl", "-sSf", "-o", "/dev/null", f"https://{REGISTRY}/a-package")
        assert npm.code == 0, npm
        task.stop()
        assert task.exec(*post).text == "not there\ndata"
        denied = inside("task", "network", "deny", task.id, REGISTRY)
        assert denied.code == 0, denied
        assert task.exec(*post).code == 6


@pytest.mark.cost(4)
def test_a_path_that_leads_out_of_its_folder_reaches_no_source(world, inside):
    with CachedTask(inside) as task:
        for path in ("a%2F..%2F..%2Fb", "@s%2fx%2f..%2fy", "a/..;/b"):
            done = task.exec("curl", "-sS", "-m", "60", "--path-as-is", "-w", "%{http_code}", f"https://{REGISTRY}/{path}")
            assert done.text.endswith("403"), done
    assert world.requests() == []


@pytest.mark.cost(8)
def test_an_open_network_passes_on_what_the_cache_does_not_take(world, inside):
    done = inside.run("bash", "-c",
                      f"curl -sS -m 60 -d data https://{REGISTRY}/-/audit; curl -sS -m 60 https://{REGISTRY}/a-package"
                      " >/dev/null; curl -sS -m 60 -o /dev/null -w '%{http_code}' https://" + REGISTRY + "/a?b",
                      environment=harness.FULL, flags=("-q", "--network", "--cache", "--timeout-seconds", "200"))
    assert done.text.splitlines() == ["not there", "data404"], done
    assert {agent.partition("/")[0] for *_, agent in world.requests()} == {"curl", "pyro"}


@pytest.mark.cost(4)
def test_prune_frees_the_cache_and_says_how_much(world, inside):
    with CachedTask(inside) as task:
        assert task.exec("curl", "-sSf", "-o", "/dev/null", f"https://{REGISTRY}/a-package").code == 0
    assert len(contents(inside)) == 1
    # The environments of the test are links, which stay.
    (inside.downloads.parent / "environments").unlink()
    (inside.downloads.parent / "templates").unlink(missing_ok=True)
    pruned = inside("env", "prune", "--all", "--json")
    assert pruned.code == 0, pruned
    assert [item["environment"] for item in pruned.json["removed"]] == ["downloads"], pruned
    assert pruned.json["bytes_freed"] > 0
    assert contents(inside) == []
