"""Many tasks at once."""

import subprocess
import time

import host
from context import Context
from figures import Goal, Row, Spread, ratio
from program import HANG_SECONDS, Pyro
from rounds import Failed
from rows_memory import MIB_PER_TASK

COUNT = 20


def measure(context: Context) -> list[Row]:
    return [at_once_row(context, context.pyro, f"{COUNT} tasks created at once", context.seconds)]


def at_once_row(context: Context, pyro: Pyro, figure: str, seconds: float) -> Row:
    row = Row(figure, f"{COUNT} × one, created one after the other", Goal(0.6, "≤ 0.6"))
    if host.available_mib() < COUNT * MIB_PER_TASK:
        row.why = f"{COUNT} tasks may need {COUNT * MIB_PER_TASK} MiB, and {host.available_mib()} are available"
        return row
    singles: list[float] = []

    def at_once() -> float:
        taken = create_at_once(pyro, context.environment, COUNT)
        pyro.delete_all()
        return taken

    def one_by_one() -> float:
        """One task at a time: the last is deleted before the next is made."""
        taken = 0.0
        for _ in range(COUNT):
            start = time.monotonic()
            task = pyro.create(context.environment)
            singles.append(time.monotonic() - start)
            taken += singles[-1]
            pyro.delete(task)
        return taken

    series = context.measure("tasks", {"at once": at_once, "one by one": one_by_one}, seconds, least=1)
    row.why = series.missing("at once", "one by one")
    if not row.why:
        row.spread = ratio(series.values["at once"], series.values["one by one"])
        row.samples = {"ours": series.values["at once"], "theirs": series.values["one by one"], "one": singles}
        row.sides = f"{Spread.of(series.values['at once']).text} / {COUNT} × {Spread.of(singles).text} s"
    return row


def create_at_once(pyro: Pyro, environment: str, count: int) -> float:
    """Seconds until the last of them is created."""
    start = time.monotonic()
    started = [pyro.popen("task", "create", "-q", environment, stderr=subprocess.PIPE) for _ in range(count)]
    failures = []
    for process in started:
        try:
            talk = process.communicate(timeout=max(start + HANG_SECONDS - time.monotonic(), 1))[1]
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            failures.append("hangs")
            continue
        if process.returncode != 0:
            failures.append((talk.decode(errors="replace").strip().splitlines() or ["no word"])[0])
    taken = time.monotonic() - start
    if failures:
        pyro.delete_all()
        raise Failed(f"{len(failures)} of {count} failed: {failures[0]}")
    return taken
