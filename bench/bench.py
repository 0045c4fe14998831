#!/usr/bin/python3
"""Measures pyro against programs of Debian, all in turn in one run, and prints a table. See docs/BENCHMARKS.md.

`make bench` calls it. Results go to build/bench: table.txt, results-DATE.json, timeline.svg.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import host
import rows_exec
import rows_journal
import rows_memory
import rows_output
import rows_start
import rows_suites
import rows_tasks
import rows_usermode
import rows_work
import table
import timeline
from context import Context
from figures import Row, Spread
from program import HANG_SECONDS, ROOT, Pyro
from rounds import Failed, hush

GROUPS = {"start": rows_start.measure, "exec": rows_exec.measure, "memory": rows_memory.measure,
          "output": rows_output.measure, "tasks": rows_tasks.measure, "journal": rows_journal.measure,
          "usermode-start": rows_usermode.start, "usermode-work": rows_work.measure, "usermode-exec": rows_usermode.exec_,
          "usermode-memory": rows_memory.side_by_side, "usermode-tasks": rows_usermode.tasks, "usermode-suites": rows_suites.measure}
PACKAGES = ["qemu-system-x86", "runsc", "runc", "bubblewrap", "dropbear-bin", "openssh-client", "erofs-utils"]
GROUP_SECONDS = 1800  # In addition to its rounds, until a group counts as hung.
LONGEST_SCRATCH = 50  # Characters. Below it are sockets, whose names have room for little more than 100.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 20, and a minute for each group")
    parser.add_argument("--rows", default=",".join(GROUPS), metavar="GROUP,…", help=f"of {', '.join(GROUPS)}; default: all. usermode is all of usermode-…")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="for a group; after that it takes no further round")
    parser.add_argument("--tasks", default="10", metavar="N,…", help="so many idle tasks are weighed together; default: 10")
    parser.add_argument("--environment", default="debian:12")
    given = parser.parse_args()
    try:
        given.rows = groups(given.rows)
    except KeyError as unknown:
        parser.error(f"there is no group {unknown.args[0]}")
    given.rounds = given.rounds or (5 if given.quick else 20)
    given.seconds = given.seconds or (60 if given.quick else 600)
    given.tasks = [int(count) for count in given.tasks.split(",") if count]
    return given


def groups(words: str) -> list[str]:
    """Each word is a group, or the beginning of the names of several: "usermode" is all of "usermode-…". KeyError names one that is
    neither."""
    found: list[str] = []
    for word in words.split(","):
        named = [name for name in GROUPS if name == word or name.startswith(f"{word}-")]
        if not named:
            raise KeyError(word)
        found += [name for name in named if name not in found]
    return [name for name in found if name != "usermode-memory" or "memory" not in found]  # The latter has its rows.


def scratch_directory(stack: contextlib.ExitStack, results: pathlib.Path) -> pathlib.Path:
    """On the file system of the results if the path is short enough, else where temporary files go."""
    parent = str(results) if len(str(results)) < LONGEST_SCRATCH - 10 else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=parent))
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def stop_on_signals() -> None:
    def stop(number: int, _frame) -> None:
        print(f"bench: stopped by {signal.Signals(number).name}; tidying up", file=sys.stderr)
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def machine(pyro: Pyro, accelerator: str) -> list[str]:
    kernel = os.uname()
    versions = [host.first_line(str(pyro.program), "--version"), host.first_line("qemu-system-x86_64", "--version")]
    return ["; ".join([*versions, f"accelerator {accelerator}"]),
            "; ".join(f"{name} {host.package(name) or 'not installed'}" for name in PACKAGES),
            f"{host.processor()}, {host.available_mib()} MiB available; Linux {kernel.release}; "
            f"as {'root' if os.geteuid() == 0 else 'a user who is not root'}"]


def picture(context: Context, rows: list[Row], footer: list[str]) -> str | None:
    panels = []
    for kind in ("warm", "cold"):
        runs = context.timings.get(kind, [])[1:] or context.timings.get(kind, [])  # The first one was the warm-up.
        if runs:
            panels.append((f"pyro run {context.environment} -- true, {kind} (medians of {len(runs)})", table.median_of_steps(runs)))
    if not panels:
        return None
    others = {}
    for row in rows:
        if "theirs" in row.samples and row.figure.endswith("-- true`") and "run" in row.figure:
            others[table.plain(row.against)] = Spread.of(row.samples["theirs"]).median * 1000
    return timeline.draw(panels, others, footer)


class Overdue(BaseException):
    """A group has not come to its end. No contender's failure, so that no series goes on after it."""


@contextlib.contextmanager
def bounded(seconds: float):
    """Ends what is inside if it takes longer: every wait in there has a limit of its own, and this is for one that was forgotten."""

    def overdue(_number: int, frame) -> None:
        traceback.print_stack(frame)
        raise Overdue(f"the group was ended after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds, HANG_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(context: Context, group: str) -> list[Row]:
    try:
        with bounded(3 * context.seconds + GROUP_SECONDS):
            return GROUPS[group](context)
    except (Failed, Overdue) as failure:
        return [Row(f"rows of '{group}'", why=str(failure))]
    except Exception as error:  # One group's bug does not take the others' figures along.
        traceback.print_exc()
        return [Row(f"rows of '{group}'", why=f"the benchmark itself failed: {error!r}")]
    finally:
        hush()


class Report:
    """Written again after each group, so that an interrupted run leaves its results."""

    def __init__(self, given: argparse.Namespace, results: pathlib.Path):
        now = time.gmtime()
        self.results = results
        self.title = f"{time.strftime('%Y-%m-%d %H:%M UTC', now)}; up to {given.rounds} rounds in turn; medians"
        self.samples = results / time.strftime("results-%Y%m%d-%H%M%S.json", now)
        self.busy_before = host.load()
        self.text = ""
        self.drawn = ""

    def load(self) -> str:
        cpus = os.cpu_count() or 1
        said = f"load {self.busy_before:.1f} before, {host.load():.1f} after, on {cpus} CPUs"
        if self.busy_before > cpus * 0.5:
            said += ": the machine was BUSY with other things, so that absolute figures say little"
        return said

    def write(self, context: Context, about: list[str], rows: list[Row]) -> None:
        about = [*about, self.load()]
        notes = [f"note: {note}" for note in context.notes]
        self.text = "\n".join([self.title, *about, "", table.format_table(rows), *notes]).rstrip() + "\n"
        (self.results / "table.txt").write_text(self.text)
        document = {"title": self.title, "machine": about, "notes": context.notes, "timings": context.timings,
                    "rows": [table.as_json(row) for row in rows]}
        self.samples.write_text(json.dumps(document, indent=1))
        self.drawn = picture(context, rows, about) or ""
        if self.drawn:
            (self.results / "timeline.svg").write_text(self.drawn)


def main() -> int:
    given = arguments()
    stop_on_signals()
    host.adopt_orphans()
    results = ROOT / "build/bench"
    results.mkdir(parents=True, exist_ok=True)
    cache = pathlib.Path(os.environ.get("PYRO_TEST_CACHE") or ROOT / "build/test-cache")
    program = pathlib.Path(os.environ.get("PYRO_TEST_BIN") or ROOT / "build/bin") / "pyro"
    report = Report(given, results)
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        scratch = scratch_directory(stack, results)
        stack.callback(host.end_descendants)  # Before the directory goes.
        pyro = Pyro(program, cache, scratch / "state")
        pyro.pull(given.environment)
        inspected = pyro.json("env", "inspect", given.environment, "--json")
        installed = pathlib.Path(inspected["directory"])
        modules = [line.split()[0] for line in inspected["modules"]]
        accelerator = pyro.json("run", "--json", given.environment, "--", "true")["accelerator"]
        context = Context(pyro, given.environment, installed, modules, scratch, accelerator, given.rounds, given.seconds,
                          given.tasks, stack, results / "archive", given.quick)
        about = machine(pyro, accelerator)
        for group in given.rows:
            rows += measure(context, group)
            report.write(context, about, rows)
    print(report.text, end="")
    print(f"\nwritten: {results}/table.txt, {report.samples.name}" + (", timeline.svg" if report.drawn else ""))
    return 1 if any(row.spread is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
