"""Guests that flood, stall, lie about lengths, replay, and send every wrong frame: supervisors and clients stay bounded in memory and time,
and say what happened. The agent is agent_double.py; its guests are processes of this host, so this tests the host's side alone."""

import concurrent.futures
import dataclasses
import json
import re
import resource
import threading

import harness
import hostile_lab
import pytest
pytestmark = pytest.mark.skipif(not (hostile_lab.FAKE / "pyro-supervisor").exists(), reason="pyro-supervisor-fake is not built")

WORKERS = 10
# What a hostile guest may cost beyond an honest one: a frame of the largest kind several times over, and a window of each stream.
MORE_KIB = 24 * 1024

BREACH = "the guest broke the protocol"
NO_BOOT = "the guest did not boot within"
NOT_BEGUN = "the guest has not begun the command for 120 s"
CLOSED = "the guest has closed its channel|the guest is gone|the guest ended while it started"
GONE = "the guest is gone|the guest ended while it started|the guest has closed its channel"


@dataclasses.dataclass(frozen=True)
class Case:
    step: str
    act: str
    says: str  # What the call must say, as a pattern; empty: the call succeeds.
    call: tuple = ("exec", "--timeout-seconds", "3600", "{0}", "--", "sh", "-c", "echo out; cat; echo end")
    data: bytes = b"in\n"

    def __str__(self):
        return f"{self.step}: {self.act} ({' '.join(self.call[:2])})"


def starting():
    """The guest never gets to a command."""
    for step in ("hello", "ready"):
        yield from (Case(step, "silent", NO_BOOT), Case(step, "deaf", NO_BOOT), Case(step, "half head", NO_BOOT), Case(step, "half body", NO_BOOT),
                    Case(step, "length over", BREACH), Case(step, "length 4g", BREACH), Case(step, "length max", BREACH),
                    Case(step, "length none", BREACH), Case(step, "twice", BREACH), Case(step, "close", CLOSED), Case(step, "exit 0", GONE),
                    Case(step, "exit 10", GONE), Case(step, "garbage", BREACH), Case(step, "reserved", BREACH), Case(step, "stream 1", BREACH),
                    Case(step, "flood same", BREACH), Case(step, "flood garbage", BREACH), Case(step, "error escapes", "the guest could not start"))
    yield from (Case("ready", f"payload {kind}", BREACH) for kind in ("deep", "huge", "endless", "list", "text", "tags", "empty", "cut", "bytes", "keys"))
    yield from (Case("ready", "flood pong", BREACH), Case("hello", "flood output", BREACH), Case("ready", "error huge", "could not start|" + BREACH),
                Case("ready", "error utf8", "the guest could not start"), Case("ready", "flood console", ""))
    yield from (Case("setup", "silent", NO_BOOT), Case("setup", "deaf", NO_BOOT), Case("setup", "close", CLOSED), Case("setup", "exit 0", GONE))
    yield from (Case("hello", f"hello {kind}", BREACH) for kind in ("build", "protocol", "long", "escapes"))
    yield from (Case("ready", f"ready {kind}", BREACH) for kind in ("shell", "long"))


def running():
    """A command is on its way, runs or ends."""
    yield from (Case("exec", "silent", NOT_BEGUN), Case("started", "deaf", NOT_BEGUN), Case("started", "half head", NOT_BEGUN),
                Case("started", "half body", NOT_BEGUN), Case("exec", "close", CLOSED), Case("exec", "exit 0", GONE), Case("exec", "exit 10", GONE),
                Case("exec", "error escapes", "owned"), Case("exec", "error root", "the guest's agent has ended"), Case("exec", "error huge", "."),
                Case("exec", "error lines", "no"), Case("exec", "error utf8", "."), Case("exec", "error empty", "."))
    for step in ("started", "output", "eof", "exited"):
        yield from (Case(step, "close", CLOSED), Case(step, "exit 1", GONE), Case(step, "length over", BREACH), Case(step, "length 4g", BREACH),
                    Case(step, "channel 1000", BREACH), Case(step, "flood nothing", BREACH), Case(step, "flood credit", BREACH))
    for step in ("started", "exited"):
        yield from (Case(step, "reserved", BREACH), Case(step, "stream 7", BREACH), Case(step, "channel none", BREACH),
                    Case(step, "flood garbage", BREACH), Case(step, "flood headers", BREACH), Case(step, "never begun", BREACH))
    yield from (Case("started", "twice", BREACH), Case("eof", "twice", BREACH), Case("started", "flood same", BREACH), Case("eof", "flood same", BREACH))
    # Its end was told and is true: the breach comes after it, and ends the guest alone.
    yield from (Case("exited", act, "") for act in ("twice", "flood same", "never ended", "exited bytes"))
    yield from (Case("exited", f"exited {lie}", BREACH) for lie in ("code", "negative", "outcome", "number", "less", "float", "killed"))
    yield from (Case("exited", f"payload {kind}", BREACH) for kind in ("deep", "huge", "endless", "list", "empty", "cut"))
    yield from (Case("exec", "exited early", BREACH), Case("exited", "exited lost", "went away"),
                Case("exited", "exited interrupted", BREACH + "|went away"), Case("output", "flood console", ""))
    yield from (Case("stdin", act, LIMIT, SHORT, b"x" * (16 << 20)) for act in ("silent", "deaf"))
    # Output without end is a command's right, until its own limit: 10 s, which are half a second here. A longer one reaches the
    # limit of what the task keeps, and later commands have no output.
    yield from (Case("output", f"flood {kind}", LIMIT, FLOOD) for kind in ("output", "bytes", "same"))
    yield from (Case(step, "silent", LIMIT, SHORT) for step in ("output", "eof", "exited"))
    yield from (Case("started", f"type {kind}", BREACH) for kind in (0, 1, 2, 3, 4, 9, 12, 13, 16, 20, 22, 24, 28, 29, 255))
    yield from (Case(step, f"type {kind}", BREACH) for step in ("hello", "exited") for kind in (2, 9, 24))


LIMIT = "killed at its limit"
SHORT = ("exec", "--timeout-seconds", "40", "{0}", "--", "sh", "-c", "echo out; cat; echo end")
FLOOD = ("exec", "--timeout-seconds", "10", *SHORT[3:])


def working():
    """pyro's own work in the guest."""
    files = {"read": ("files", "read", "{0}", "f"), "stat": ("files", "stat", "{0}", "f"), "list": ("files", "list", "{0}", "."),
             "remove": ("files", "remove", "{0}", "f"), "write": ("files", "write", "{0}", "g"), "copy": ("files", "copy", "{0}", "f", "g"),
             "patch": ("patch", "{0}"), "pack": ("export", "{0}", ".", "{scratch}/out-{0}"),
             "unpack": ("cp", "{scratch}/given", "{0}:/workspace/given")}
    for operation, words in files.items():
        step = f"files {operation}"
        data = PATCH if operation == "patch" else b"given"
        yield Case(step, "silent", NOT_BEGUN, words, data)
        yield Case(step, "exit 0", GONE + "|died|ended", words, data)
        yield Case(step, "end garbage", ".", words, data)
        if operation in ("read", "write", "pack", "unpack", "patch"):
            yield from (Case(step, f"end {kind}", ".", words, data) for kind in ("none", "over", "escapes"))
            yield Case(step, "error escapes", "owned", words, data)
    yield from (Case("files write", f"end {kind}", ".", files["write"]) for kind in ("two", "long", "cut", "errno", "types"))
    yield from (Case(f"files {operation}", "begun", LATE, files[operation]) for operation in ("read", "remove", "pack"))
    yield from (Case("files list", f"content {kind}", ".", files["list"]) for kind in ("garbage", "length", "cut", "types", "list"))
    yield from (Case("files pack", f"content {kind}", ".", files["pack"]) for kind in ("garbage", "tar"))
    yield Case("files stat", "content more", ".", files["stat"])
    yield Case("files list", "endless list", "more entries than were asked for|malformed", files["list"])
    yield Case("files read", "endless bytes", "more of a file than was asked for", ("files", "read", "{0}", "f", "--limit", "1000"))
    processes = ("processes", "{0}")
    yield from (Case("ask", act, says, processes) for act, says in
                (("silent", "has not answered for 20 s"), ("deaf", "has not answered for 20 s"), ("exit 0", "."), ("close", "."), ("swap", "."),
                 ("flood output", "."), ("flood headers", "."), ("error escapes", "owned"), ("answer empty", "."), ("answer types", "."),
                 ("answer huge", "."), ("answer escapes", ".")))
    yield from (Case("answer", act, ".", processes) for act in ("length over", "stream 1", "channel 1", "payload deep", "payload cut"))
    snapshot = ("snapshot", "create", "{0}", "one")
    yield from (Case("ask", act, ".", snapshot) for act in ("silent", "exit 0", "answer empty", "error escapes"))


LATE = "the guest has not gone on with the operation on files for 600 s"
PATCH = b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-kept\n+changed\n"

CASES = [*starting(), *running(), *working()]


@pytest.fixture(scope="module")
def lab(cache_dir):
    place = hostile_lab.Lab()
    (place.scratch / "given").mkdir()
    (place.scratch / "given/file").write_text("given")
    yield place
    try:
        listed = place.pyro("task", "list", "-q")
        for task_id in listed.text.split():
            assert place.pyro("task", "delete", task_id).code == 0
        harness.expect_task_directories(place.pyro, [])
        harness.wait_until(lambda: not harness.descendants(), "no process is left", 60)
    finally:
        place.close()


@pytest.fixture(scope="module")
def honest(lab):
    """What an honest guest costs its supervisor and its client, in KiB."""
    task = lab.task()
    done = lab.call("task", "exec", "-q", task.id, "--", "sh", "-c", "head -c 3000000 /dev/zero; cat", data=b"x" * 3_000_000)
    assert done.code == 0 and not done.hung, str(done)
    task.stop()
    kib = lab.watch.await_end(task.id)
    task.delete()
    assert kib, "its supervisor has not ended"
    return kib, done.kib


def play(lab, honest, case):
    """What is wrong with it."""
    wrong = []
    task = lab.task(case.step, case.act)
    places = {"scratch": lab.scratch}
    words = [word.format(task.id, **places) for word in case.call]
    words = [words[0], "-q", *words[1:]] if case.call[0] == "exec" else words
    if case.step in ("ask", "answer"):  # Neither starts a guest.
        assert lab.call("task", "exec", "-q", task.id, "--", "true").code == 0
    done = lab.call("task", *words, data=case.data)

    def expect(right, what):
        if not right:
            wrong.append(f"{case}: {what}\n{done}")

    expect(not done.hung, "the call hangs")
    expect(hostile_lab.is_harmless(done.err), "the guest speaks to the terminal")
    if case.call[0] == "exec":
        expect_truth(case, lab.journal(task), done, expect)
    else:
        expect(done.code == 1, "the call does not fail")
    if case.says:
        last = ("\n" + done.err.decode()).rsplit("\npyro: ", 1)[-1]
        expect(re.search(case.says, last), f"it does not say '{case.says}'")
        expect(done.err.startswith(b"pyro: ") and last.count("\n") <= 1 + last.count("\nhint: "), "it is no sentence and a hint")
    # A child begins with the memory of its parent, as the kernel counts it.
    least = max(honest[1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    expect(done.kib <= least + MORE_KIB, f"the client took {done.kib} KiB, and {honest[1]} with an honest guest")

    # The task goes on with an honest guest.
    lab.become_honest(task)
    if not lab.watch.gone(task.id):
        status = lab.call("task", "stop", task.id)
        expect(status.code == 0, f"the task cannot be stopped: {status}")
    kib = lab.watch.await_end(task.id)
    expect(kib is not None and kib <= honest[0] + MORE_KIB, f"the supervisor took {kib} KiB, and {honest[0]} with an honest guest")
    again = lab.call("task", "exec", "-q", task.id, "--", "sh", "-c", "cat f; echo fine")
    expect((again.code, again.out) == (0, b"kept\nfine\n"), f"the task does not start again: {again}")
    deleted = lab.call("task", "delete", task.id)
    expect(deleted.code == 0 and not task.directory.exists(), f"it cannot be deleted: {deleted}")
    return wrong


def expect_truth(case, ends, done, expect):
    """The journal has no success that there was not, and the call's end is that of the journal."""
    ends = [end for sequence, end in ends.items() if sequence > 1]
    if case.says:
        limit = case.says == LIMIT
        expect(done.code == (124 if limit else 125), "the call does not fail")
        outcome = "timed_out" if limit else "interrupted"
        expect(all(end is not None and end["outcome"] == outcome for end in ends), f"the journal says {ends}")
        return
    expect(len(ends) == 1 and ends[0]["outcome"] == "exited" and ends[0]["exit_code"] == done.code == 0, f"the journal says {ends}")
    expect(ends[0]["stdout_bytes"] == len(done.out) == len("out\nin\nend\n"), f"the journal says {ends}")


def test_a_hostile_guest_harms_nothing(lab, honest, capsys):
    assert len({str(case) for case in CASES}) == len(CASES) >= 200
    neighbour = lab.create()
    over = threading.Event()
    calls = []

    def go_on():
        while not over.is_set():
            calls.append(lab.call("task", "exec", "-q", neighbour.id, "--", "sh", "-c", "echo kept >> f; echo ok"))
            over.wait(0.2)

    with concurrent.futures.ThreadPoolExecutor(WORKERS + 1) as pool:
        going = pool.submit(go_on)
        # The slow ones first.
        order = sorted(CASES, key=lambda case: (case.act not in ("begun", "silent", "deaf"), str(case)))
        try:
            found = list(pool.map(lambda case: play(lab, honest, case), order))
        finally:
            over.set()
        going.result()
    wrong = [one for of in found for one in of]
    with capsys.disabled():
        print(f"\n{len(CASES)} hostile guests, {len(calls)} commands of their neighbour; an honest supervisor took {honest[0]} KiB,"
              f" a hostile one at most {max(lab.watch.kib.values())} KiB")
    assert len(lab.watch.kib) > len(CASES) / 2
    assert max(lab.watch.kib.values()) <= honest[0] + MORE_KIB
    assert not wrong, f"{len(wrong)} complaints\n" + "\n".join(wrong)
    assert calls and all((done.code, done.out) == (0, b"ok\n") for done in calls), [str(done) for done in calls if done.code != 0]
    assert neighbour.delete()["deleted"]


def test_a_call_that_is_not_begun_harms_no_other_of_its_task(lab):
    task = lab.task("exec", "lone")
    first = lab.pyro.start("task", "exec", "-q", "--timeout-seconds", "3600", task.id, "--", "echo", "never")
    harness.wait_until(lambda: len(lab.journal(task)) == 2, "the guest has it")
    long = lab.pyro.start("task", "exec", "-q", "--timeout-seconds", "3600", task.id, "--", "cat", stdin=-1)
    other = lab.call("task", "exec", "-q", task.id, "--", "echo", "ok")
    assert (other.code, other.out) == (0, b"ok\n"), str(other)
    done = harness.finish(first)
    assert done.code == 125 and NOT_BEGUN in done.talk, done
    assert harness.finish(long, b"all the time\n").out == b"all the time\n"
    outcomes = [end["outcome"] for _, end in sorted(lab.journal(task).items())]
    assert outcomes == ["exited", "interrupted", "exited", "exited"]
    lab.become_honest(task)
    task.delete()


RUNS = [("hello", "silent", NO_BOOT), ("ready", "exit 0", GONE), ("ready", "flood same", BREACH), ("exec", "silent", NOT_BEGUN),
        ("started", "flood nothing", BREACH), ("exited", "exited code", BREACH), ("exited", "close", CLOSED), ("exec", "error escapes", "owned")]


def test_a_run_in_a_hostile_guest_fails_and_leaves_nothing(lab):
    for step, act, says in RUNS:
        lab.pyro.state.mkdir(exist_ok=True)
        lab.become_hostile(lab.pyro.state, step, act)
        try:
            done = lab.call("run", "-q", "--timeout-seconds", "3600", harness.BASE, "--", "echo", "out")
        finally:
            (lab.pyro.state / "hostile.json").unlink()
        assert done.code == 125 and not done.hung and re.search(says, done.err.decode()), f"{step} {act}: {done}"
        assert hostile_lab.is_harmless(done.err), str(done)
        assert lab.pyro.directories() == [] and lab.pyro.rows() == [], f"{step} {act}"
