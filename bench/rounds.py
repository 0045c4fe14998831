"""Measuring in turn: every contender once in each round, so that all of them meet the same machine."""

import sys
import time
from collections.abc import Callable


class Failed(Exception):
    """A contender cannot be measured; the text says why, in words for the table."""


Contender = Callable[[], float]  # Measures once; seconds, or the unit of its row.


class Series:
    """What the contenders of one group gave."""

    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}
        self.why: dict[str, str] = {}  # Of those that failed; they have no values.
        self.cut_short = False  # Time was up before all the rounds were done.

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def missing(self, *names: str) -> str:
        """Why a row of these cannot be made, or nothing."""
        return "; ".join(f"{name}: {self.why[name]}" for name in names if name in self.why)


def interleave(contenders: dict[str, Contender], rounds: int, seconds: float, least: int = 3,
               clock: Callable[[], float] = time.monotonic, talk: Callable[[str], None] | None = None, warm_up: bool = True) -> Series:
    """A round before the others fills caches, shows who fails, and does not count, if `warm_up`. The order turns by one from round to
    round, so that no contender always comes after the same neighbour. Ends early after `seconds`, but not before `least` rounds.
    A contender that fails is out, also with what it measured before: a series has one value for every round."""
    series = Series()
    alive = dict(contenders)
    end = clock() + seconds
    done = 0
    for turn in range(0 if warm_up else 1, rounds + 1):
        if done >= least and clock() > end:
            series.cut_short = True
            break
        names = list(alive)
        start = turn % len(names) if names else 0
        for name in names[start:] + names[:start]:
            try:
                value = alive[name]()
            except Failed as failure:
                del alive[name]
                series.values.pop(name, None)
                series.why[name] = str(failure)
                continue
            if turn > 0:
                series.values.setdefault(name, []).append(value)
        if not alive:
            break
        done = turn
        if talk:
            talk(f"round {turn} of {rounds}" if turn else "warming up")
    return series


def say(text: str) -> None:
    """Progress for a person who watches: one line that is written over on a terminal; nothing elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def hush() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
