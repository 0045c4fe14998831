"""What is made of measurements: medians, spread, ratios, and rows of the table. No clock and no process in here."""

import dataclasses
import statistics


def quantile(values: list[float], fraction: float) -> float:
    """By linear interpolation between the closest ranks; `fraction` is from 0 to 1, `values` not empty."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * fraction
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median and how far the values lie from it: nine tenths and one tenth of them are below p90 and p10."""

    median: float
    p10: float
    p90: float
    mad: float  # The median of the distances from the median.
    count: int
    least: float
    most: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        if not values:
            raise ValueError("a median needs at least one value")
        median = statistics.median(values)
        mad = statistics.median(abs(value - median) for value in values)
        return Spread(median, quantile(values, 0.1), quantile(values, 0.9), mad, len(values), min(values), max(values))

    def scaled(self, factor: float) -> "Spread":
        return Spread(self.median * factor, self.p10 * factor, self.p90 * factor, self.mad * factor, self.count, self.least * factor,
                      self.most * factor)

    @property
    def text(self) -> str:
        """The median, and in brackets the least and the most."""
        return number(self.median) + (f" ({number(self.least)} to {number(self.most)})" if self.count > 1 else "")


def ratio(ours: list[float], theirs: list[float]) -> Spread:
    """The ratio of the medians. Its spread is that of the ratios of the single rounds: value i of both lists was taken in
    round i, one after the other, so that what slowed the machine down for a while is in both."""
    if len(ours) != len(theirs):
        raise ValueError("both sides of a ratio are measured in the same rounds")
    singles = Spread.of([mine / other for mine, other in zip(ours, theirs)])
    value = statistics.median(ours) / statistics.median(theirs)
    return dataclasses.replace(singles, median=value)


@dataclasses.dataclass(frozen=True)
class Goal:
    """Where a figure is to end up: at most `limit`, or at least."""

    limit: float
    text: str  # As the table says it: "≤ 1/15", "≥ 2".
    at_least: bool = False

    def met_by(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclasses.dataclass
class Row:
    """One line of the table. Without a spread it was not measured, and `why` says why not."""

    figure: str
    against: str = "–"
    goal: Goal | None = None
    unit: str = ""  # Empty: a ratio.
    spread: Spread | None = None
    why: str = ""
    sides: str = ""  # The two medians of a ratio, or what was added up.
    samples: dict[str, list[float]] = dataclasses.field(default_factory=dict)

    @property
    def verdict(self) -> str:
        if self.spread is None:
            return "not measured"
        if self.goal is None:
            return "no goal"
        return "met" if self.goal.met_by(self.spread.median) else "not met"


def ratio_row(figure: str, against: str, goal: Goal | None, ours: list[float], theirs: list[float],
              unit: str = "ms", factor: float = 1000.0) -> Row:
    """A row for two series of one run; seconds become milliseconds in what people read unless said otherwise."""
    mine, other = Spread.of(ours).scaled(factor), Spread.of(theirs).scaled(factor)
    return Row(figure, against, goal, "", ratio(ours, theirs),
               sides=f"{mine.text} / {other.text} {unit}", samples={"ours": ours, "theirs": theirs})


def series_row(series, figure: str, against: str, goal: Goal | None, ours: str, theirs: str) -> Row:
    """The row of two contenders of a `rounds.Series`, or why there is none."""
    if ours in series and theirs in series:
        return ratio_row(figure, against, goal, series.values[ours], series.values[theirs])
    return Row(figure, against, goal, why=series.missing(ours, theirs))


def number(value: float) -> str:
    """Three digits, as far as a measurement deserves them."""
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.3f}"
