"""What programs take in a guest in user mode: loops that compute, and processes that start."""

import contextlib
import json

from containers import newer_runsc, newer_runsc_name
from context import Context
from figures import Goal, Row, Spread, number, series_row
from places import Guest, Host, Place, Sandbox
from program import ROOT
from rounds import Contender, Failed

LIMIT_SECONDS = 120
COSTS = ROOT / "bench/costs.py"
PERL = "my $x = 1; for (1..3000000) { $x = ($x * 1103515245 + 12345) % 2147483648 } print $x"
SHELL = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
PYTHON = "x = 0\nfor i in range(3000000): x = (x + i * i) & 0xffffffff"
FORKS = 200
START = f"i=0; while [ $i -lt {FORKS} ]; do /bin/true; i=$((i+1)); done"
# Prints the seconds that the command took by the clock of the kernel that it runs on, which does not follow changes of the date.
CLOCK = """import subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(time.monotonic() - start)"""
LOOPS = {"perl, 3 million multiplications": ["perl", "-e", PERL], "sh, 300,000 additions": ["sh", "-c", SHELL],
         "python3, 3 million additions": ["python3", "-c", PYTHON]}
STARTS = f"{FORKS} × fork and exec"
GUEST, HOST = "user mode", "host"


def measure(context: Context) -> list[Row]:
    runsc = newer_runsc_name(context.kept)
    places = {HOST: lambda: Host(context.container_root()),
              GUEST: lambda: Guest(context.on("usermode"), context.environment, context.stack),
              runsc: lambda: Sandbox(newer_runsc(context, context.environment, "runsc-work"), context.stack)}
    made: dict[str, Place] = {}
    whole: dict[str, list[float]] = {}  # Seconds of the call, by the host's clock.

    def contender(name: str, place: str, command: list[str]) -> Contender:
        def call() -> float:
            if place not in made:
                made[place] = places[place]()
            outside, said = made[place].call(["python3", "-c", CLOCK, *command], LIMIT_SECONDS)
            inside = float(said)
            if inside > outside:
                raise Failed(f"its clock says {inside:.3f} s for what takes {outside:.3f} s")
            whole.setdefault(name, []).append(outside)
            return inside

        return call

    found: dict[str, Contender] = {}
    for work, command in LOOPS.items():
        for place in (HOST, GUEST):
            found[f"{work}, {place}"] = contender(f"{work}, {place}", place, command)
    for place in (HOST, GUEST, runsc):
        found[f"{STARTS}, {place}"] = contender(f"{STARTS}, {place}", place, ["sh", "-c", START])
    series = context.measure("usermode-work", found)

    for place, where in made.items():
        with contextlib.suppress(Failed):
            _, said = where.call(["python3", "-c", COSTS.read_text()], LIMIT_SECONDS)
            parts = ", ".join(f"{number(value)} for a {name}" for name, value in json.loads(said).items())
            context.notes.append(f"usermode-work: least of many on {place}, in µs: {parts}")

    def row(work: str, peer: str, goal: Goal) -> Row:
        ours, theirs = f"{work}, {GUEST}", f"{work}, {peer}"
        label, against = f"{work}, in user mode", f"`{peer}`" if peer == runsc else peer
        made_row = series_row(series, label, against, goal, ours, theirs)
        if made_row.spread is None:
            return made_row
        outside = [number(Spread.of(whole[name][1:]).median * 1000) for name in (ours, theirs)]
        made_row.sides += f"; the whole command by the host's clock: {outside[0]} / {outside[1]} ms"
        made_row.samples.update({"ours by the host's clock": whole[ours][1:], "theirs by the host's clock": whole[theirs][1:]})
        return made_row

    rows = [row(work, HOST, Goal(1.3, "≤ 1.3")) for work in LOOPS]
    return [*rows, row(STARTS, HOST, Goal(12.0, "≤ 12")), row(STARTS, runsc, Goal(0.9, "≤ 0.9"))]
