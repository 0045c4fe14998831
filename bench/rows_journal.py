"""What a long journal costs those who ask for it."""

import task_figures
from context import Context
from figures import Goal, Row, series_row
from rounds import Failed, say

FEW, MANY = task_figures.SHORT, 10_000
QUESTIONS = {"task status": ["status"], "task logs": ["logs"], "task logs --tail 10": ["logs", "--tail", "10"]}
GOAL = Goal(1.5, "≤ 1.5")


def measure(context: Context) -> list[Row]:
    """Both tasks are stopped and differ in nothing but their journals."""
    pyro = context.pyro
    say("journal: filling")
    short = pyro.create(context.environment)
    for _ in range(FEW):
        pyro.time("task", "exec", "-q", short, "--", "echo", task_figures.OUTPUT.strip())
    pyro.time("task", "stop", short)
    long = grown_copy(context, short)

    found = {}
    for name, words in QUESTIONS.items():
        for task, size in ((long, "many"), (short, "few")):
            found[f"{name}, {size}"] = lambda words=words, task=task: pyro.time("task", words[0], task, *words[1:])
    series = context.measure("journal", found)
    pyro.delete(short, long)
    rows = []
    for name in QUESTIONS:
        label, against = f"`{name}`, {MANY:,} commands", f"with {FEW}"
        rows.append(series_row(series, label, against, GOAL, f"{name}, many", f"{name}, few"))
    return rows


def grown_copy(context: Context, short: str) -> str:
    """A copy of a stopped task's directory under another id, with its last command repeated. Having no row, it is adopted by the
    next call, which docs/REGISTRY.md promises; running as many commands would take a quarter of an hour."""
    filler = task_figures.Bench(context.pyro.state)
    filler.env = context.pyro.env
    try:
        return filler.long_task(short, MANY)
    except SystemExit as failure:
        raise Failed(str(failure)) from None
