"""A command in a machine that runs already."""

from containers import Runtime, runc, runsc
from context import Context
from figures import Goal, Row, Spread, ratio_row
from rounds import Contender
from rows_start import one_of

EXEC = "pyro task exec"
OWN = "pyro's own part"


def measure(context: Context) -> list[Row]:
    pyro = context.pyro
    task = pyro.create(context.environment, "--ttl-seconds", "3600")

    def own_part() -> float:
        """The round trip as its caller sees it, without what the command took in the guest by the agent's clock."""
        taken, result = pyro.timed_json("task", "exec", "--json", task, "--", "true")
        return max(taken - result["duration_ms"] / 1000, 0.0)

    found: dict[str, Contender] = {EXEC: lambda: pyro.time("task", "exec", "-q", task, "--", "true"), OWN: own_part}
    for name, make in (("runsc exec", runsc), ("runc exec", runc)):
        found[name] = one_of(lambda make=make: into_idle(context, make(context.container_root(), context.scratch)))
    series = context.measure("exec", found)
    pyro.delete(task)

    def row(peer: str, goal: Goal | None) -> Row:
        label, against = "`pyro task exec ID -- true`", f"`{peer}`"
        if EXEC in series and peer in series:
            return ratio_row(label, against, goal, series.values[EXEC], series.values[peer])
        return Row(label, against, goal, why=series.missing(EXEC, peer))

    own = Row("pyro's own part of an exec", goal=Goal(10.0, "≤ 10 ms"), unit="ms", why=series.missing(OWN),
              sides="round trip minus the time that the agent measured")
    if OWN in series:
        own.spread = Spread.of([value * 1000 for value in series.values[OWN]])
        own.samples = {"seconds": series.values[OWN]}
    return [row("runsc exec", Goal(1.0, "≤ 1.0")), row("runc exec", None), own]


def into_idle(context: Context, runtime: Runtime) -> Contender:
    name = runtime.start_idle(context.stack)
    return lambda: runtime.exec(name)
