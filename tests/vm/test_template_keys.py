"""What a template was made of and for changes: the guest boots, and goes on from another one then.

Each test goes back again as well: a template is no less right for what others are made of.
"""

import hashlib
import json
import os
import shutil
import subprocess

import harness
import pytest

pytestmark = harness.only_on("qemu", "a guest in user mode cannot be frozen into a template")

FOLDER = "debian-12-base"


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """pyro with a cache of its own, whose environment may be changed."""
    root = tmp_path_factory.mktemp("keys")
    cache = root / "cache"
    (cache / "environments").mkdir(parents=True)
    subprocess.run(["cp", "-a", "--reflink=auto", harness.CACHE / "environments" / FOLDER,
                    cache / "environments"], check=True)
    for name in ("blank", "accelerator.json"):
        if (harness.CACHE / name).exists():
            (cache / name).symlink_to(harness.CACHE / name)
    (root / "home").mkdir()
    pyro = harness.Pyro(root / "state", cache, root / "home")
    pulled = pyro("env", "pull", harness.BASE)
    assert pulled.code == 0, pulled
    yield pyro
    shutil.rmtree(root, ignore_errors=True)


def like(pyro, program=None, prefix=()):
    other = harness.Pyro(pyro.state, pyro.cache, pyro.env["HOME"], prefix)
    other.program = program or pyro.program
    return other


def templates(pyro):
    return {path.parent.name for path in (pyro.cache / "templates").glob("[!.]*/manifest.json")}


def start_of(pyro):
    done = pyro.run("uname", "-s", flags=("--json",))
    assert (done.code, done.json["stdout"]) == (0, "Linux\n"), done
    return done.json["timings"]["start"]


def expect_a_template_of_its_own(changed):
    before = templates(changed)
    assert start_of(changed) == "boot"
    harness.await_template(lambda: len(templates(changed)) > len(before), "another template is made",
                           lambda: start_of(changed))
    assert start_of(changed) == "template"
    assert before < templates(changed)


def test_another_agent(usual, tmp_path):
    assert start_of(usual) == "template"
    for name in ("pyro", "pyro-supervisor", "pyro-net", "pyro-proxy", "pyro-agent"):
        shutil.copy(harness.BIN / name, tmp_path)
    with open(tmp_path / "pyro-agent", "ab") as agent:
        agent.write(b"another build")
    expect_a_template_of_its_own(like(usual, tmp_path / "pyro"))
    assert start_of(usual) == "template"


def test_another_environment(usual):
    """The same name, and another disk than the guest that was frozen has seen."""
    assert start_of(usual) == "template"
    folder = usual.cache / "environments" / FOLDER
    first = os.readlink(folder / "current")
    version = folder / "next"
    shutil.copytree(folder / first, version)
    manifest = json.loads((version / "manifest.json").read_text())
    base = version / manifest["base"]["name"]
    base.chmod(0o600)
    with open(base, "ab") as disk:
        disk.write(bytes(4096))
    content = base.read_bytes()
    base.chmod(0o444)
    manifest["base"] |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (version / "manifest.json").chmod(0o600)
    (version / "manifest.json").write_text(json.dumps(manifest))
    files = [("base", manifest["base"]), ("kernel", manifest["kernel"]),
             *(("module", module) for module in manifest["modules"])]
    digest = hashlib.sha256("".join(f"{role} {file['name']} {file['sha256']}\n"
                                    for role, file in files).encode()).hexdigest()
    version.rename(folder / digest[:16])
    for current in (digest[:16], first):
        (folder / "current").unlink()
        (folder / "current").symlink_to(current)
        if current != first:
            expect_a_template_of_its_own(usual)
    assert start_of(usual) == "template"


def test_another_qemu(usual, tmp_path):
    """In the place of the other, as an upgrade leaves it."""
    if os.geteuid() != 0:
        pytest.skip("only root can put another QEMU in its place")
    assert start_of(usual) == "template"
    installed = shutil.which("qemu-system-x86_64")
    tmp_path.chmod(0o755)
    shutil.copy(installed, tmp_path / "qemu")
    changed = like(usual, prefix=("unshare", "--mount", "sh", "-c",
                                  'mount --bind "$0" "$1" && shift && exec "$@"',
                                  tmp_path / "qemu", installed))
    expect_a_template_of_its_own(changed)
    assert start_of(usual) == "template"
