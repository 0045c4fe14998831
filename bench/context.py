"""What every group of rows is given: the programs, how long it may take, and what unwinds at the end."""

import contextlib
import dataclasses
import pathlib

import host
from program import Pyro, timed
from rounds import Contender, Series, hush, interleave, say


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
    notes: list[str] = dataclasses.field(default_factory=list)  # Said below the table.
    timings: dict[str, list[dict]] = dataclasses.field(default_factory=dict)  # By "warm" and "cold", for the picture.

    _root: pathlib.Path | None = None

    def container_root(self) -> pathlib.Path:
        """The files of the environment's base image, so that containers run on the same root as guests do."""
        if self._root is None:
            directory = self.scratch / "root"
            timed(["fsck.erofs", f"--extract={directory}", self.installed / "base.erofs"])
            self._root = directory
        return self._root

    def measure(self, group: str, contenders: dict[str, Contender], seconds: float | None = None,
                least: int = 3) -> Series:
        def after_round(text: str) -> None:
            say(f"{group}: {text}")
            host.reap_orphans()

        series = interleave(contenders, self.rounds, seconds or self.seconds, least, talk=after_round)
        hush()
        self.notes += [f"{group}: {name} was left out: {why}" for name, why in series.why.items()]
        if series.cut_short:
            done = len(next(iter(series.values.values()), []))
            self.notes.append(f"{group}: {done} rounds instead of {self.rounds}, as its time was up")
        return series
