"""pyro watch, with real guests: what happens is told as it happens, by any process."""

import json
import signal
import subprocess

import harness


class Watching:
    """A `pyro watch --json` and the events that it has printed."""

    def __init__(self, pyro, *words):
        self.process = pyro.start("watch", "--json", *words)
        self.events = []

    def until(self, event, **fields):
        """The first event of that kind and with these fields; what comes before is kept."""
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == event and fields.items() <= self.events[-1].items():
                return self.events[-1]
        raise AssertionError(f"no {event} in {self.events}")

    def names(self):
        """Without the steps in which output came."""
        return [one["event"] for one in self.events if one["event"] != "output"]


def test_a_tasks_life_is_told_by_other_processes_to_one_that_watches(pyro, create):
    task = create()
    with_all = Watching(pyro)
    alone = Watching(pyro, task.id)
    for one in (with_all, alone):
        assert one.until("present", id=task.id)["state"] == "started"
    script = "echo begun; until [ -e go ]; do sleep 0.1; done; seq 5000; exit 4"
    assert task.exec("sh", "-c", script, flags=("--background",)).code == 0
    assert alone.until("output", sequence=1)["bytes"] == len("begun\n")
    task.exec("touch", "go")
    ended = alone.until("command_ended", sequence=1)
    assert (ended["outcome"], ended["exit_code"]) == ("exited", 4)
    sizes = [one["bytes"] for one in alone.events if one["event"] == "output" and one["sequence"] == 1]
    assert sizes == sorted(sizes)
    assert sizes[-1] == len("begun\n") + len("".join(f"{n}\n" for n in range(1, 5001)))
    # Its supervisor is killed: no call of pyro is needed to notice.
    assert task.exec("sleep", "1000", flags=("--background",)).code == 0
    alone.until("command_began", sequence=3)
    harness.kill_all(harness.of_program(task.processes(), "pyro-supervisor"))
    assert alone.until("stopped")["last_error"] == "its supervisor was killed"
    assert {"event": "command_ended", "sequence": 3, "exit_code": 125}.items() <= alone.events[-2].items()
    # The journal goes with the task: a watch that had not read its end by then can tell only `deleted`.
    with_all.until("stopped", id=task.id)
    task.delete()
    alone.until("deleted")
    assert alone.process.wait(harness.HANG_SECONDS) == 0
    with_all.until("deleted", id=task.id)
    # Commands that end and begin at one moment are told in either order.
    assert sorted(with_all.names()) == sorted(alone.names())
    with_all.process.send_signal(signal.SIGINT)
    assert with_all.process.wait(harness.HANG_SECONDS) == 130


def test_a_reader_that_goes_away_ends_it_and_a_run_is_told_as_well(pyro):
    run = pyro.start_run("cat", stdin=subprocess.PIPE)
    watching = Watching(pyro)
    first = json.loads(watching.process.stdout.readline())
    assert first["id"].startswith("vm_") and first["event"] in ("present", "created")
    assert harness.finish(run, b"").code == 0
    watching.until("deleted", id=first["id"])
    watching.process.stdout.close()
    # At once: it needs no further event to notice.
    assert watching.process.wait(harness.HANG_SECONDS) == 128 + signal.SIGPIPE
