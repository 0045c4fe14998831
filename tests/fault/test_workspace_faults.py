"""kill -9 at random moments of calls that change a task's files, its snapshots or its disk: each has the old state or the new.

PYRO_FAULT_KILLS: how many kills (default 12). PYRO_FAULT_SEED: which ones; printed, so that a
failure can be looked at again, as far as the machine's own timing lets it.
"""

import collections
import fcntl
import hashlib
import json
import os
import subprocess
import sys

import harness
import pytest
import siege
from test_task_faults import VICTIMS, Actions

# The client of a batch, which the command line does not have.
BATCH = """
import json, sys
import pyro_mcp
try:
    pyro_mcp.Pyro().write_task_files(sys.argv[1], ".", {path: text.encode() for path, text in json.load(sys.stdin).items()})
except pyro_mcp.PyroError as error:
    print(f"pyro: {error}", file=sys.stderr)
    sys.exit(1)
"""
MOST_SNAPSHOTS = 4


def digest(content):
    return hashlib.sha256(content).hexdigest()


class Calls(Actions):
    """Calls on one task that are cut off at a moment in them. After each the task has what it had, or what the call makes of it."""

    names = ("write", "batch", "patch", "copy_in", "copy_tree_in", "copy_out", "push", "pull", "snapshot", "delete_snapshot", "reset")

    def __init__(self, pyro, task, scratch, choose):
        super().__init__(pyro, task)
        self.choose = choose
        self.out = scratch / "out"
        self.out.mkdir()
        self.tree = scratch / "tree"
        self.input = scratch / "input"
        self.number = 0
        self.files = {}  # Of the workspace: the digest of each by its path.
        self.snapshots = {"create": {}}  # The files of each, by its name.
        self.resets = 0
        self.copied = None  # The digest of the copy on this host.
        self.versions = {}  # Of the files that are patched, by the digest of the first.
        self.host = scratch / "synced"  # What is kept alike with a directory of the task.
        self.host.mkdir()

    def measure(self):
        for action in self.names:
            assert not self.carry_out_whole(action, None, 0), action

    def carry_out_whole(self, action, victim, moment):
        """Whether the kill hit. Then the guest runs for the next one."""
        hit = getattr(self, action)(victim, moment)
        siege.wait_for_no_orphans(f"{action} without {victim}")
        siege.wait_for_no_leftovers(self.pyro, action)
        with open(self.task.directory / "snapshots/.lock", "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return hit

    # What is there now.

    def look(self, moving=False):
        """The files; None while they are `moving` as they are looked at."""
        done = self.task.exec("sh", "-c", "find . -type f -exec sha256sum {} +")
        # A call may come to a guest whose end is not known yet, but not twice.
        if done.code == 125 and "the guest is gone" in done.talk:
            done = self.task.exec("sh", "-c", "find . -type f -exec sha256sum {} +")
        if moving and done.code == 1 and "No such file" in done.talk:
            return None
        assert done.code == 0, done
        return {line[66:]: line[:64] for line in done.text.splitlines()}

    def names_now(self):
        return [one["name"] for one in self.task.json("snapshot list")["snapshots"]]

    def cut_off(self, action, words, victim, moment, stdin=None):
        process = self.pyro.start("task", *words, stdin=stdin or subprocess.DEVNULL)
        return self.carry_out(action, process, victim, moment, lambda task_id: task_id == self.task.id)

    def content(self):
        """Some that no other call has written, and of any size."""
        self.number += 1
        return f"{self.number}\n".encode() * self.choose.choice([1, 1000, 60_000])

    def expect_files(self, done, changed, parts=()):
        """Each file is the old one or, after a call that has succeeded in any case, the new one. Of the paths in `parts` a call
        that was cut off may leave something else or nothing."""
        now = self.look()
        for path in sorted({*now, *self.files, *changed}):
            allowed = {changed[path]} if path in changed else {self.files.get(path)}
            if done.code != 0:
                allowed.add(self.files.get(path))
            assert now.get(path) in allowed or (path in parts and done.code != 0), (path, now.get(path), self.files.get(path), done)
        self.files = now

    # The calls.

    def write(self, victim, moment):
        path = f"written-{self.choose.randrange(3)}/f"
        content = self.content()
        self.input.write_bytes(content)
        with open(self.input, "rb") as stdin:
            done, hit = self.cut_off("write", ("files", "write", "-q", self.task.id, path), victim, moment, stdin)
        self.expect_files(done, {f"./{path}": digest(content)})
        return hit

    def batch(self, victim, moment):
        self.number += 1
        contents = {f"batch/{at % 7}/{at}": f"{self.number} {at}\n" * 20 for at in range(200)}
        self.input.write_text(json.dumps(contents))
        path = os.pathsep.join([str(harness.BIN.parent / "python"), os.environ.get("PYTHONPATH", "")])
        with open(self.input, "rb") as stdin:
            process = subprocess.Popen([sys.executable, "-B", "-c", BATCH, self.task.id], stdin=stdin, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env={**self.pyro.env, "PYTHONPATH": path})
            done, hit = self.carry_out("batch", process, victim, moment, lambda task_id: task_id == self.task.id)
        self.expect_files(done, {f"./{name}": digest(text.encode()) for name, text in contents.items()})
        return hit

    def patch(self, victim, moment):
        """All its files are the old ones or all are the new ones: changed, made and removed ones."""
        self.number += 1
        names = [f"patched/{at}" for at in range(40)]
        before, after = self.versions.get(self.files.get("./patched/0")), self.number
        new = dict(self.files)
        diff = ""
        for at, name in enumerate(names):
            diff += (f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{before} {at}\n" if before
                     else f"--- /dev/null\n+++ b/{name}\n@@ -0,0 +1 @@\n") + f"+{after} {at}\n"
            new[f"./{name}"] = digest(f"{after} {at}\n".encode())
        if before:
            diff += f"--- a/patched/of-{before}\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n"
            del new[f"./patched/of-{before}"]
        diff += f"--- /dev/null\n+++ b/patched/of-{after}\n@@ -0,0 +1 @@\n+x\n"
        new[f"./patched/of-{after}"] = digest(b"x\n")
        self.versions[new["./patched/0"]] = after
        self.input.write_text(diff)
        with open(self.input, "rb") as stdin:
            done, hit = self.cut_off("patch", ("patch", "-q", self.task.id), victim, moment, stdin)
        both = (self.files, new)
        # What a client that is gone had begun is undone while others already look.
        if hit and victim == "pyro":
            harness.wait_until(lambda: self.look(moving=True) in both, "half a patch is undone", 120)
        now = self.look()
        assert now in both and (done.code != 0 or now == new), (done, {
            path: (now.get(path), self.files.get(path), new.get(path)) for path in {*now, *new} if now.get(path) != new.get(path)})
        self.files = now
        return hit

    def copy_in(self, victim, moment):
        content = self.content()
        self.input.write_bytes(content)
        done, hit = self.cut_off("copy_in", ("cp", "-q", self.input, f"{self.task.id}:copied"), victim, moment)
        self.expect_files(done, {"./copied": digest(content)})
        return hit

    def copy_tree_in(self, victim, moment):
        """The guest's tar unpacks it, file by file; the same copy again makes it whole."""
        subprocess.run(["rm", "-rf", self.tree], check=True)
        self.tree.mkdir()
        changed = {}
        for at in range(20):
            content = self.content()
            (self.tree / str(at)).write_bytes(content)
            changed[f"./tree/{at}"] = digest(content)
        words = ("cp", "-q", self.tree, f"{self.task.id}:.")
        done, hit = self.cut_off("copy_tree_in", words, victim, moment)
        self.expect_files(done, changed, parts=changed)
        if done.code != 0:
            done = self.pyro("task", *words)
            assert done.code == 0, done
            self.expect_files(done, changed)
        return hit

    def copy_out(self, victim, moment):
        """A file that is there is replaced; a killed copy leaves nothing beside it that the next one does not remove."""
        content = self.content()
        done = self.pyro("task", "files", "write", "-q", self.task.id, "source", input=content)
        assert done.code == 0, done
        self.files["./source"] = digest(content)
        words = ("cp", "-q", f"{self.task.id}:source", self.out / "copy")
        done, hit = self.cut_off("copy_out", words, victim, moment)
        copy = self.out / "copy"
        now = digest(copy.read_bytes()) if copy.exists() else None
        assert now == digest(content) or (done.code != 0 and now == self.copied), done
        self.expect_files(done, {})
        if done.code != 0:
            assert self.pyro("task", *words).code == 0
        self.copied = digest(copy.read_bytes())
        assert [path.name for path in self.out.iterdir()] == ["copy"]
        return hit

    def on_host(self):
        return {str(path.relative_to(self.host)): digest(path.read_bytes()) for path in self.host.rglob("*") if path.is_file()}

    def sync(self, action, victim, moment, *words):
        """What a kill leaves of it beside the files, the next one removes."""
        words = ("sync", "-q", self.task.id, f"{self.host}:synced", *words)
        done, hit = self.cut_off(action, words, victim, moment)
        return done, hit, words

    def push(self, victim, moment):
        """Each file of the task is the old one or the new one, and the next call makes all new."""
        changed = {}
        for at in range(12):
            content = self.content()
            (self.host / f"f{at}").write_bytes(content)
            changed[f"./synced/f{at}"] = digest(content)
        done, hit, words = self.sync("push", victim, moment, "--prefer", "host")
        if done.code != 0:
            harness.wait_until(lambda: self.look(moving=True) is not None, "what a client had begun is done")
            now = {path: one for path, one in self.look().items() if not path.startswith("./synced/.pyro-")}
            for path in {*now, *self.files}:
                assert now.get(path) in (self.files.get(path), changed.get(path, self.files.get(path))), (path, done)
            self.files = now
            done = self.pyro("task", *words)
            assert done.code == 0, done
        self.expect_files(done, changed)
        return hit

    def pull(self, victim, moment):
        """The same on this host."""
        self.number += 1
        script = "mkdir -p synced; for at in 0 1 2 3 4 5 6 7 8 9 10 11; do yes \"$0 $at\" | head -n 20000 > synced/f$at; done"
        assert self.task.exec("sh", "-c", script, str(self.number)).code == 0
        self.files = self.look()
        new = {path.removeprefix("./synced/"): one for path, one in self.files.items() if path.startswith("./synced/")}
        old = self.on_host()
        done, hit, words = self.sync("pull", victim, moment, "--pull", "--prefer", "task")
        if done.code != 0:
            for path, now in self.on_host().items():
                assert now in (old.get(path), new.get(path)) or path.startswith(".pyro-"), (path, done)
            assert {*old} <= {*self.on_host()}, done
            done = self.pyro("task", *words)
            assert done.code == 0, done
        assert self.on_host() == new
        self.expect_files(done, {})
        return hit

    def snapshot(self, victim, moment):
        self.number += 1
        name = f"s{self.number}"
        done, hit = self.cut_off("snapshot", ("snapshot", "create", "-q", self.task.id, name), victim, moment)
        now = self.names_now()
        assert sorted(now) in ([sorted([*self.snapshots, name])] + [sorted(self.snapshots)] * (done.code != 0)), (now, done)
        if name in now:
            self.snapshots[name] = dict(self.files)
        self.expect_files(done, {})
        if len(self.snapshots) > MOST_SNAPSHOTS:
            self.delete_snapshot(None, 0)
        return hit

    def delete_snapshot(self, victim, moment):
        if len(self.snapshots) == 1:
            self.snapshot(None, 0)
        name = self.choose.choice([name for name in self.snapshots if name != "create"])
        done, hit = self.cut_off("delete_snapshot", ("snapshot", "delete", "-q", self.task.id, name), victim, moment)
        now = sorted(self.names_now())
        without = sorted(one for one in self.snapshots if one != name)
        assert now == without or (done.code != 0 and now == sorted(self.snapshots)), (now, done)
        if name not in now:
            del self.snapshots[name]
        self.expect_files(done, {})
        return hit

    def reset(self, victim, moment, name=None):
        name = name or self.choose.choice(list(self.snapshots))
        done, hit = self.cut_off("reset", ("reset", "-q", self.task.id, "--snapshot", name), victim, moment)
        resets = len(self.task.json("logs").get("resets", []))
        assert resets - self.resets == 1 or (done.code != 0 and resets == self.resets), (resets, self.resets, done)
        now = self.look()
        # What `task logs` says of it is what has happened.
        assert now == (self.snapshots[name] if resets > self.resets else self.files), (name, resets, done)
        self.files, self.resets = now, resets
        return hit

    def check(self):
        """Each snapshot still has the files of its time, and nothing that a kill has left stays."""
        for name in list(self.snapshots):
            self.reset(None, 0, name)
        self.snapshot(None, 0)
        found = sorted(path.name for path in (self.task.directory / "snapshots").iterdir())
        assert found == sorted([".lock", *self.snapshots]), found


def kill_calls(pyro, task, scratch, wanted, choose):
    """So many kills of calls on the files and snapshots of a new task. The kills."""
    calls = Calls(pyro, task, scratch, choose)
    calls.measure()
    kills = collections.Counter()
    tries = 0
    while kills.total() < wanted:
        action = choose.choice(calls.names)
        victim = choose.choice(VICTIMS)
        tries += 1
        assert tries < 20 * wanted + 20, "hardly any kill hits"
        if calls.carry_out_whole(action, victim, choose.random() * calls.usual[action]):
            kills[f"{action} {victim}"] += 1
    calls.check()
    print(f"{kills.total()} kills in {tries} calls; {calls.resets} resets")
    return kills


@pytest.mark.cost(20)
def test_kills_of_calls_on_files_and_snapshots(pyro, create, scratch, record_property):
    chosen = siege.Part(0, 1, max(3, siege.KILLS // 10))  # Most of them start a guest again.
    kills = kill_calls(pyro, create(), scratch, chosen.kills, chosen.choose)
    record_property("kills", kills.total())
    for name, count in sorted(kills.items()):
        print(f"  {name}: {count}")
