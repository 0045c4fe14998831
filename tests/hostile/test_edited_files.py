"""Files of pyro that another hand has changed: each gives an error with a hint, or is made again; never a crash, a hang or a wrong result.

The list of files is not written down here: it is what calls of every kind leave in the state directory and in the cache.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import harness
import hostile_lab
import pytest

pytestmark = pytest.mark.skipif(not (hostile_lab.FAKE / "pyro-supervisor").exists(), reason="pyro-supervisor-fake is not built")

WORKERS = 8
MORE_KIB = 80 * 1024
# No file that pyro reads back: logs for people, and sockets, which a guest makes again.
NOT_READ = ("console.log", "control.sock", "registry.db-shm")


def another_shape(path, old):
    """Valid text of another shape."""
    if path.suffix in (".json", ".jsonl"):
        return b'[{"a": [1, 2, {"b": null}]}]\n'
    return b"another: shape\n"


def wrong_types(path, old):
    """Each value of JSON becomes one of another type."""

    def other(value):
        if isinstance(value, dict):
            return {name: other(one) for name, one in value.items()}
        return {str: 7, int: "seven", bool: [], list: "none", float: {}, type(None): 1}[type(value)]

    try:
        return b"".join(json.dumps(other(json.loads(line))).encode() + b"\n" for line in old.decode().splitlines())
    except (ValueError, UnicodeDecodeError):
        return b"7\n" * 100


def huge_numbers(path, old):
    def huge(value):
        if isinstance(value, dict):
            return {name: huge(one) for name, one in value.items()}
        return 10 ** 18 if type(value) is int else value

    try:
        return b"".join(json.dumps(huge(json.loads(line))).encode() + b"\n" for line in old.decode().splitlines())
    except (ValueError, UnicodeDecodeError):
        return b"9" * 100


CONTENTS = {"empty": lambda path, old: b"", "cut": lambda path, old: old[:len(old) // 2], "zeros": lambda path, old: bytes(min(len(old), 1 << 16)),
            "random": lambda path, old: os.urandom(min(len(old), 1 << 16) + 1), "another shape": another_shape, "wrong types": wrong_types,
            "huge numbers": huge_numbers, "one long line": lambda path, old: b"{" + b'"a":' * 300_000}


def damage(path, kind, elsewhere):
    old = path.read_bytes() if path.stat().st_size < 1 << 22 else b"\0" * (1 << 16)
    path.unlink()
    if kind in CONTENTS:
        path.write_bytes(CONTENTS[kind](path, old))
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "nowhere":
        path.symlink_to("/nowhere/at/all")
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)


KINDS = [*CONTENTS, "missing", "directory", "link", "nowhere", "endless", "pipe"]


# An entry of the cache is checked as a whole, by its size and its digest.
FOR_CACHE = ("empty", "cut", "random", "wrong types", "huge numbers", "missing", "directory", "endless", "pipe")


class Original:
    """A state directory and a cache with a file of each kind in them."""

    def __init__(self, lab):
        self.lab = lab
        self.state = lab.pyro.state
        task, neighbour = lab.task(), lab.task()
        self.ids = (task.id, neighbour.id)
        call = lab.call

        def expect(*words, data=b"", code=0):
            done = call(*words, data=data)
            assert done.code == code, str(done)

        expect("task", "rename", task.id, "edited")
        expect("task", "update", task.id, "--env", "OF_THE_TASK=value")
        expect("task", "exec", "-q", task.id, "--", "sh", "-c", "echo said; echo err >&2; sleep 0.01", code=0)
        expect("task", "exec", "-q", "--timeout-seconds", "20", task.id, "--", "sleep", "100", code=124)
        expect("task", "snapshot", "create", task.id, "one")
        tree = lab.scratch / "tree"
        tree.mkdir()
        (tree / "file").write_text("x")
        expect("task", "sync", task.id, f"{tree}:synced")
        for one in (task, neighbour):
            expect("task", "exec", "-q", one.id, "--", "true")
            one.stop()
        lab.base.delete()
        pool = self.state / "spares/0123456789abcdef"
        pool.mkdir(parents=True, mode=0o700)
        shutil.copy(harness.ROOT / "fuzz/corpus/spare_pool_fuzz/pool", pool / "pool.json")

    def copy(self, number):
        """pyro on copies of its directories."""
        place = self.lab.scratch / f"copy-{number}"
        place.mkdir()
        subprocess.run(["cp", "-a", "--sparse=always", self.state, place / "state"], check=True)
        subprocess.run(["cp", "-al", self.lab.pyro.cache, place / "cache"], check=True)
        home = place / "home"
        home.mkdir()
        pyro = harness.Pyro(place / "state", place / "cache", home)
        pyro.env |= {name: self.lab.pyro.env[name] for name in ("PYRO_LIBEXEC_DIR", "PYRO_ACCELERATOR", "PYRO_WARM_START")}
        return place, pyro

    def files(self):
        """Paths from the directory of both on; those of one task. One stands for all of its kind: of modules, of commands, of blanks."""
        found, kinds = [], set()
        for top, name in ((self.state, "state"), (self.lab.pyro.cache, "cache")):
            for path in sorted(top.rglob("*")):
                below = path.relative_to(top)
                mine = self.ids[1] not in path.parts and "fake-workspaces" not in path.parts
                kind = re.sub(r"[0-9a-f]{16}|[0-9]+", "N", str(below)) if path.suffix != ".ko" else ".ko"
                if path.is_file() and mine and path.name not in NOT_READ and kind not in kinds:
                    kinds.add(kind)
                    found.append(pathlib.Path(name) / below)
        return found


@pytest.fixture(scope="module")
def original(cache_dir):
    lab = hostile_lab.Lab()
    try:
        yield Original(lab)
        harness.wait_until(lambda: not harness.descendants(), "no process is left", 60)
    finally:
        lab.close()


def complaints(done):
    if done.hung:
        yield "hangs"
    elif done.code not in (0, 1, 2, 125):
        yield "ends so"
    elif done.code != 0:
        last = [line for line in done.err.decode(errors="replace").splitlines() if line.startswith(("pyro: ", "hint: "))]
        if not last or not last[-1].startswith("hint: "):
            yield "without a hint"
    if not hostile_lab.is_harmless(done.err):
        yield "speaks to the terminal"
    if done.kib > 40_000 + MORE_KIB:
        yield f"took {done.kib} KiB"


def play(original, number, path, kind):
    place, pyro = original.copy(number)
    wrong = []
    task, neighbour = original.ids
    try:
        elsewhere = place / "elsewhere"
        elsewhere.write_text("none of pyro's\n" * 100)
        damage(place / path, kind, elsewhere)

        def call(*words):
            done = original.lab.call(*words, seconds=30, start=pyro.start)
            wrong.extend(f"{path} {kind}: {said}: {done}" for said in complaints(done))
            return done

        call("task", "list")
        listed = call("task", "status", task, "--json")
        ran = call("task", "exec", "-q", task, "--", "cat", "f")
        if ran.code == 0 and ran.out != b"kept\n":
            wrong.append(f"{path} {kind}: another result: {ran}")
        if listed.code == 0 and json.loads(listed.out)["task_id"] != task:
            wrong.append(f"{path} {kind}: another task: {listed}")
        if path.parts[0] == "state":
            call("task", "logs", task, "--json")
            call("task", "snapshot", "list", task)
            call("warm")
            call("limits")
            call("task", "sync", task, f"{original.lab.scratch / 'tree'}:synced", "--dry-run")
        own = task in path.parts
        other = call("task", "exec", "-q", neighbour, "--", "cat", "f")
        if own and (other.code, other.out) != (0, b"kept\n"):
            wrong.append(f"{path} {kind}: another task is harmed: {other}")
        if elsewhere.read_text() != "none of pyro's\n" * 100:
            wrong.append(f"{path} {kind}: wrote through the link")
        deleted = call("task", "delete", task)
        call("task", "delete", neighbour)
        if own and deleted.code != 0 and path.name != "lock":
            wrong.append(f"{path} {kind}: it cannot be deleted: {deleted}")
    except Exception as error:  # noqa: BLE001: one case is not to hide the others.
        wrong.append(f"{path} {kind}: {error!r}")
    finally:
        for one in supervisors_below(place):
            os.kill(one, 9)
        shutil.rmtree(place, ignore_errors=True)
    return wrong


def supervisors_below(place):
    found = []
    for pid in hostile_lab.children():
        try:
            if f"{place}/" in " ".join(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")):
                found.append(pid)
        except OSError:
            continue
    return found


def test_each_file_that_was_edited_is_an_error_or_is_made_again(original, capsys):
    # What a disk holds is the guest's, and a fake guest has no file system: test_broken_files.py has real ones.
    cases = [(path, kind) for path in original.files() for kind in KINDS
             if not (path.name == "data.img" and kind in CONTENTS) and (path.parts[0] == "state" or kind in FOR_CACHE)]
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        found = list(pool.map(lambda one: play(original, one[0], *one[1]), enumerate(cases)))
    wrong = [one for of in found for one in of]
    with capsys.disabled():
        print(f"\n{len(cases)} edited files ({len(original.files())} files) in {time.monotonic() - began:.0f} s")
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)


def named_files(place, task):
    """Files that a caller names or writes by hand: their content, and calls that read them. Each damaged one must be an error or do no harm."""
    token = ("mcp", "serve", "--spares", "0", "--http", "127.0.0.1:0", "--token-file")
    return {
        "config": ("machine = tcg\nlimit.tasks = 100\n", [("config", "list"), ("config", "get", "machine"), ("limits",), ("task", "exec", "-q", task, "--", "true"),
                                                          ("config", "set", "machine", "tcg"), ("config", "unset", "machine")]),
        "policy": ("allow a.example\ndeny b.example:443\n", [("policy", "check", "--policy", place / "policy", "a.example")]),
        "variables": ("NAME=value\nOTHER=value\n", [("task", "exec", "-q", "--env-file", place / "variables", task, "--", "true")]),
        "secret": ("a-secret-of-the-user\n", [("mcp", "serve", "--spares", "0", "--secret", f"S=file:{place / 'secret'}", "--for", "a.example")]),
        "token": ("0123456789abcdefghij\n", [(*token, place / "token")]),
        "tree.tar": ("no archive\n", [("task", "create", "-q", "--label", "of=this", "--source-path", place / "tree.tar", harness.BASE)]),
    }


def test_each_file_that_a_caller_names_and_that_was_edited_is_an_error_or_does_no_harm(original):
    place = original.lab.scratch / "named"
    place.mkdir()
    elsewhere = place / "elsewhere"
    wrong = []
    task = original.lab.create().id

    def start(*words, env=None, **options):
        return original.lab.pyro.start(*words, env={**(env or {}), "PYRO_CONFIG_DIR": str(place)}, **options)

    for name, (content, calls) in named_files(place, task).items():
        for kind in KINDS:
            # A good token; and a pipe of a shell's own, <(command), whose writer is waited for.
            if (name, kind) in (("token", "huge numbers"), ("variables", "pipe")):
                continue
            path = place / name
            path.write_text(content)
            elsewhere.write_text("none of pyro's\n")
            damage(path, kind, elsewhere)
            if kind in CONTENTS:
                path.chmod(0o600)
            for words in calls:
                done = original.lab.call(*words, seconds=30, start=start)
                wrong.extend(f"{name} {kind}: {said}: {done}" for said in complaints(done) if said != "without a hint" or b"pyro: " not in done.err)
            assert elsewhere.read_text() == "none of pyro's\n" or name == "config", (name, kind)
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    for one in original.lab.call("task", "list", "-q").out.decode().split():
        assert original.lab.call("task", "delete", one).code == 0
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)
