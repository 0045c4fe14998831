"""From nothing to the end of /bin/true: pyro, a raw QEMU boot, and containers."""

from containers import bubblewrap, runc, runsc
from context import Context
from figures import Goal, Row, series_row
from program import Pyro
from raw_guest import RawGuests
from rounds import Contender, Failed

RUN = "pyro run"
COLD = "pyro run, cold"
SPARE = "pyro run, spare"
RAW = "raw QEMU boot"


BOOT_COLD = "PYRO_WARM_START"
COLD_ENV = {BOOT_COLD: "0"}  # No template is used and none is made.


def cold_environment(context: Context) -> dict[str, str] | None:
    """What makes a run boot cold; None where the program does not know the variable, and every run is cold."""
    return COLD_ENV if BOOT_COLD.encode() in context.pyro.program.read_bytes() else None


def measure(context: Context) -> list[Row]:
    cold = cold_environment(context)
    if cold is None:
        context.notes.append("this pyro has no warm start: every run boots cold")
    series = context.measure("start", contenders(context, cold))
    label = f"`pyro run {context.environment} -- true`"

    def row(name: str, ours: str, peer: str, against: str, goal: Goal | None) -> Row:
        return series_row(series, name, against, goal, ours, peer)

    rows = [row(label, RUN, RAW, "raw QEMU cold boot, same kernel, root and command", Goal(1 / 15, "≤ 1/15")),
            row(label, RUN, "runsc run", "`runsc run`, same root", Goal(1.0, "≤ 1.0")),
            row(label + ", a spare waiting", SPARE, RAW, "raw QEMU, as above", Goal(1 / 15, "≤ 1/15")),
            row(label + ", a spare waiting", SPARE, "runsc run", "`runsc run`, same root", Goal(1.0, "≤ 1.0")),
            row(label, RUN, "runc run", "`runc run`, same root", None),
            row(label, RUN, "bwrap", "`bwrap`, same root", None)]
    if cold is not None:
        rows.append(row(label + ", cold", COLD, RAW, "raw QEMU, as above", None))
    return rows


def contenders(context: Context, cold: dict[str, str] | None) -> dict[str, Contender]:
    guests = RawGuests(context)
    guests.prepare_boot()
    pyro = context.pyro
    words = [context.environment, "--", "true"]

    def timeline(kind: str, env: dict[str, str]) -> float:
        """Also what the run says of its own steps, for the picture."""
        taken, result = pyro.timed_json("run", "--json", *words, env=env)
        context.timings.setdefault(kind, []).append({**result["timings"], "process_ms": taken * 1000})
        return taken

    found: dict[str, Contender] = {RAW: guests.boot_to_true, RUN: lambda: pyro.time("run", "-q", *words)}
    if cold is None:
        found["pyro run --json"] = lambda: timeline("cold", {})
    else:
        found[COLD] = lambda: pyro.time("run", "-q", *words, env=cold)
        found["pyro run --json"] = lambda: timeline("warm", {})
        found["pyro run --json, cold"] = lambda: timeline("cold", cold)
    found[SPARE] = one_of(lambda: spare_run(context, words))
    for name, make in (("runsc run", runsc), ("runc run", runc)):
        found[name] = one_of(lambda make=make: make(context.container_root(), context.scratch).run)
    found["bwrap"] = lambda: bubblewrap(context.container_root())
    return found


def spare_run(context: Context, words: list[str]) -> Contender:
    """A run that finds a guest waiting. The pool is full and at rest before, and again when the next is measured; neither is
    timed."""
    pyro = Pyro(context.pyro.program, context.pyro.cache, context.pyro.state.parent / "spares")
    keep = ["warm", "-q", context.environment, "--count"]
    context.stack.callback(pyro.time, *keep, "0")

    def call() -> float:
        pyro.time(*keep, "1")
        taken, result = pyro.timed_json("run", "--json", *words)
        if result["timings"]["start"] != "spare":
            raise Failed(f"a run was to take a spare and started from {result['timings']['start']}")
        pyro.time(*keep, "1")
        return taken

    return call


def one_of(make) -> Contender:
    """A contender that is made at its first call, so that what keeps it from being made is its own failure alone."""
    made: list[Contender] = []

    def call() -> float:
        if not made:
            made.append(make())
        return made[0]()

    return call
