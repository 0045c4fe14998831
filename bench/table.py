"""The table that `make bench` prints, and the same for programs to read."""

import dataclasses
import textwrap

from figures import Row, Spread, number

WIDTH = 110


def value(row: Row) -> str:
    unit = f" {row.unit}" if row.unit else ""
    return f"{number(row.spread.median)}{unit}" if row.spread else "–"


def spread(row: Row) -> str:
    if row.spread is None:
        return "–"
    if row.spread.count == 1:
        return "one value"
    return f"{number(row.spread.p10)} to {number(row.spread.p90)} (n={row.spread.count})"


def sides(row: Row) -> str:
    """Of a ratio the row says what it is made of; other figures have a least and a most."""
    if not row.unit or row.spread.count == 1:
        return row.sides
    return f"{number(row.spread.least)} to {number(row.spread.most)} {row.unit}" + (f"; {row.sides}" if row.sides else "")


def plain(cell: str) -> str:
    return cell.replace("`", "")


def format_table(rows: list[Row]) -> str:
    """Columns as wide as what is in them; below each row what its figure is made of, or why there is none."""
    cells = [["figure", "against", "value", "p10 to p90", "goal", ""]]
    for row in rows:
        cells.append([plain(row.figure), plain(row.against), value(row), spread(row), row.goal.text if row.goal else "–",
                      row.verdict])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    out = []
    for number_of_line, line in enumerate(cells):
        out.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        if number_of_line == 0:
            out.append("  ".join("-" * width for width in widths))
            continue
        row = rows[number_of_line - 1]
        below = f"not measured: {row.why}" if row.spread is None else sides(row)
        out += textwrap.wrap(plain(below), WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(out) + "\n"


def as_json(row: Row) -> dict:
    form = {"figure": row.figure, "against": row.against, "unit": row.unit or "ratio", "verdict": row.verdict,
            "sides": row.sides, "why": row.why, "samples": row.samples, "goal": None, "spread": None}
    if row.goal:
        form["goal"] = {"limit": row.goal.limit, "at_least": row.goal.at_least, "text": row.goal.text}
    if row.spread:
        form["spread"] = dataclasses.asdict(row.spread)
    return form


def median_of_steps(runs: list[dict]) -> dict[str, float]:
    """Each step's median over the runs that took it; steps are the numbers of `timings` whose names end in _ms."""
    names = {name for run in runs for name, value in run.items() if name.endswith("_ms") and is_number(value)}
    return {name: Spread.of([run[name] for run in runs if is_number(run.get(name))]).median for name in names}


def is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
