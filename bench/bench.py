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
import rows_tasks
import table
import timeline
from context import Context
from figures import Row, Spread
from program import ROOT, Pyro
from rounds import Failed, hush

GROUPS = {"start": rows_start.measure, "exec": rows_exec.measure, "memory": rows_memory.measure,
          "output": rows_output.measure, "tasks": rows_tasks.measure, "journal": rows_journal.measure}
PACKAGES = ["qemu-system-x86", "runsc", "runc", "bubblewrap", "dropbear-bin", "openssh-client", "erofs-utils"]
LONGEST_SCRATCH = 50  # Characters. Below it are sockets, whose names have room for little more than 100.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rounds instead of 20, and a minute for each group")
    parser.add_argument("--rows", default=",".join(GROUPS), metavar="GROUP,…", help=f"of {', '.join(GROUPS)}; default: all")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--seconds", type=float, help="for a group; after that it takes no further round")
    parser.add_argument("--tasks", default="10", metavar="N,…", help="so many idle tasks are weighed together; default: 10")
    parser.add_argument("--environment", default="debian:12")
    given = parser.parse_args()
    given.rows = given.rows.split(",")
    if unknown := set(given.rows) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    given.rounds = given.rounds or (5 if given.quick else 20)
    given.seconds = given.seconds or (60 if given.quick else 600)
    given.tasks = [int(count) for count in given.tasks.split(",") if count]
    return given


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


def measure(context: Context, group: str) -> list[Row]:
    try:
        return GROUPS[group](context)
    except Failed as failure:
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
                          given.tasks, stack)
        about = machine(pyro, accelerator)
        for group in given.rows:
            rows += measure(context, group)
            report.write(context, about, rows)
    print(report.text, end="")
    print(f"\nwritten: {results}/table.txt, {report.samples.name}" + (", timeline.svg" if report.drawn else ""))
    return 1 if any(row.spread is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
