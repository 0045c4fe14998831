"""A command in a machine that runs already."""

from containers import Runtime, runc, runsc
from context import Context
from figures import Goal, Row, Spread, series_row
from program import Pyro
from rounds import Contender, Series
from rows_start import one_of

EXEC = "pyro task exec"
OWN = "pyro's own part"


def measure(context: Context) -> list[Row]:
    pyro = context.pyro
    task = pyro.create(context.environment, "--ttl-seconds", "3600")
    found: dict[str, Contender] = {EXEC: lambda: pyro.time("task", "exec", "-q", task, "--", "true"),
                                   OWN: lambda: own_part(pyro, task)}
    for name, make in (("runsc exec", runsc), ("runc exec", runc)):
        found[name] = one_of(lambda make=make: into_idle(context, make(context.container_root(), context.scratch)))
    series = context.measure("exec", found)
    pyro.delete(task)

    def row(peer: str, goal: Goal | None) -> Row:
        return series_row(series, "`pyro task exec ID -- true`", f"`{peer}`", goal, EXEC, peer)

    return [row("runsc exec", Goal(1.0, "≤ 1.0")), row("runc exec", None), own_row("pyro's own part of an exec", series, OWN)]


def own_part(pyro: Pyro, task: str) -> float:
    """The round trip as its caller sees it, without what the command took in the guest by the agent's clock."""
    taken, result = pyro.timed_json("task", "exec", "--json", task, "--", "true")
    return max(taken - result["duration_ms"] / 1000, 0.0)


def own_row(figure: str, series: Series, name: str) -> Row:
    row = Row(figure, goal=Goal(10.0, "≤ 10 ms"), unit="ms", why=series.missing(name),
              sides="round trip minus the time that the agent measured")
    if name in series:
        row.spread = Spread.of([value * 1000 for value in series.values[name]])
        row.samples = {"seconds": series.values[name]}
    return row


def into_idle(context: Context, runtime: Runtime) -> Contender:
    name = runtime.start_idle(context.stack)
    return lambda: runtime.exec(name)
