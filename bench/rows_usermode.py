"""Guests in user mode beside gVisor: from nothing to the end of a command, a command in what runs already, tasks with a spare, memory."""

import time
from collections.abc import Callable

from containers import newer_runsc, newer_runsc_name
from context import SHORT, Context
from figures import Goal, Row, series_row
from program import Pyro
from rounds import Contender, Failed
from rows_exec import into_idle, own_part, own_row
from rows_start import COLD_ENV, one_of
from rows_tasks import at_once_row

MACHINES = {"usermode": "user mode", "tcg": "TCG"}
RUN = "pyro run, user mode"
EXEC = "pyro task exec, user mode"
OWN = "pyro's own part, user mode"
TASKS_SHARE = 0.15  # Of a group's time.


def start(context: Context) -> list[Row]:
    """A run from nothing, and a task with a spare waiting, against a container from nothing to gone again."""
    runsc = f"{newer_runsc_name(context.kept)} run"
    found: dict[str, Contender] = {
        RUN: lambda: context.on("usermode").time("run", "-q", context.environment, "--", "true", env=COLD_ENV),
        runsc: one_of(lambda: newer_runsc(context, context.environment, "runsc-once").run)}
    for machine, name in MACHINES.items():
        found[f"task create, {name}"] = one_of(lambda machine=machine: task_with_spare(context, machine))
    series = context.measure("usermode-start", found)
    rows = [series_row(series, f"`pyro run {context.environment} -- true`, user mode, no template, no spare", f"`{runsc}`",
                       Goal(1.0, "≤ 1.0"), RUN, runsc)]
    rows += [series_row(series, f"`pyro task create`, {name}, a spare waiting", f"`{runsc}`", Goal(0.6, "≤ 0.6"), f"task create, {name}",
                        runsc)
             for name in MACHINES.values()]
    return rows


def task_with_spare(context: Context, machine: str) -> Contender:
    """The pool is full and at rest before, and again when the next is measured; neither is timed. A task that was a spare has its
    number."""
    pyro = Pyro(context.pyro.program, context.pyro.cache, context.scratch / f"{SHORT[machine]}s", machine)
    keep = ["warm", "-q", context.environment, "--count"]
    context.stack.callback(pyro.time, *keep, "0")

    def call() -> float:
        pyro.time(*keep, "1")
        waiting = [path.name.partition("_")[2] for path in (pyro.state / "spares").glob("*/vm_*")]
        start = time.monotonic()
        task = pyro.create(context.environment)
        taken = time.monotonic() - start
        pyro.delete(task)
        if task.partition("_")[2] not in waiting:
            raise Failed("a task was to take the spare and took none")
        pyro.time(*keep, "1")
        return taken

    return call


def exec_(context: Context) -> list[Row]:
    """A command in what runs already."""
    runsc = f"{newer_runsc_name(context.kept)} exec"
    task = one_of_task(context)
    found: dict[str, Contender] = {
        EXEC: lambda: context.on("usermode").time("task", "exec", "-q", task(), "--", "true"),
        OWN: lambda: own_part(context.on("usermode"), task()),
        runsc: one_of(lambda: into_idle(context, newer_runsc(context, context.environment, "runsc-exec")))}
    series = context.measure("usermode-exec", found)
    return [series_row(series, "`pyro task exec ID -- true`, user mode", f"`{runsc}`", Goal(1.0, "≤ 1.0"), EXEC, runsc),
            own_row("pyro's own part of an exec, user mode", series, OWN)]


def one_of_task(context: Context) -> Callable[[], str]:
    """Made when it is first asked for."""
    made: list[str] = []

    def task() -> str:
        if not made:
            made.append(context.on("usermode").create(context.environment, "--ttl-seconds", "6h"))
        return made[0]

    return task


def tasks(context: Context) -> list[Row]:
    return [at_once_row(context, context.on("usermode"), "20 tasks created at once, user mode", context.seconds * TASKS_SHARE)]
