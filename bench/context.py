"""What every group of rows is given: the programs, how long it may take, and what unwinds at the end."""

import contextlib
import dataclasses
import pathlib

import host
from program import Pyro, timed
from rounds import Contender, Failed, Series, hush, interleave, say


SHORT = {"usermode": "um", "tcg": "tcg"}  # Of machines: sockets lie below, and their paths may not be long.


@dataclasses.dataclass
class Context:
    pyro: Pyro
    environment: str
    installed: pathlib.Path  # The directory of that environment.
    modules: list[str]  # Of its kernel, in the order in which they are loaded.
    scratch: pathlib.Path  # For the peers' files; goes at the end.
    accelerator: str  # Of pyro's guests, and so of the raw ones: "kvm" or "tcg"
    rounds: int
    seconds: float  # After this time a group takes no further round.
    tasks: list[int]  # How many idle tasks are weighed together, in addition to one alone.
    stack: contextlib.ExitStack
    kept: pathlib.Path  # For packages that the next benchmark need not fetch again.
    quick: bool
    notes: list[str] = dataclasses.field(default_factory=list)  # Said below the table.
    timings: dict[str, list[dict]] = dataclasses.field(default_factory=dict)  # By "warm" and "cold", for the picture.

    _roots: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    _machines: dict[str, Pyro] = dataclasses.field(default_factory=dict)

    def container_root(self, environment: str = "") -> pathlib.Path:
        """The files of an environment's base image, so that containers run on the same root as guests do. Without a name, those of
        the environment that is measured."""
        name = environment or self.environment
        if name not in self._roots:
            directory = self.scratch / f"root{len(self._roots) or ''}"
            image = self.pyro.json("env", "inspect", name, "--json")["directory"] + "/base.erofs"
            timed(["fsck.erofs", f"--extract={directory}", image])
            self._roots[name] = directory
        return self._roots[name]

    def on(self, machine: str) -> Pyro:
        """pyro with guests on "usermode" or "tcg", and a state directory of its own."""
        if machine not in self._machines:
            pyro = Pyro(self.pyro.program, self.pyro.cache, self.scratch / SHORT[machine], machine)
            found = pyro.json("run", "--json", self.environment, "--", "true")["accelerator"]
            if found != machine:
                raise Failed(f"a guest was to run on {machine} and runs on {found}")
            self._machines[machine] = pyro
        return self._machines[machine]

    def measure(self, group: str, contenders: dict[str, Contender], seconds: float | None = None, least: int = 3,
                rounds: int | None = None, warm_up: bool = True) -> Series:
        def after_round(text: str) -> None:
            say(f"{group}: {text}")
            host.reap_orphans()

        rounds = rounds or self.rounds
        series = interleave(contenders, rounds, seconds or self.seconds, least, talk=after_round, warm_up=warm_up)
        hush()
        self.notes += [f"{group}: {name} was left out: {why}" for name, why in series.why.items()]
        if series.cut_short:
            done = len(next(iter(series.values.values()), []))
            self.notes.append(f"{group}: {done} rounds instead of {rounds}, as its time was up")
        return series
