"""The start-up timeline as a picture: where the milliseconds of a run go, and how long others take. SVG, written by hand."""

import textwrap
from html import escape

# Distinct from each other and from the text, also for eyes that see no red or green.
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"]
OTHERS = "#b0b0b0"
WIDTH, LEFT, RIGHT = 960, 24, 110  # Pixels; RIGHT is kept free for figures behind a bar.
BAR, GAP, LINE = 34, 8, 20
FOOTER = 130  # Characters of small print in a line.
NAMES = {"process_ms": "process gone (its start, and tidying up)"}


def segments(steps: dict[str, float]) -> list[tuple[str, float, float]]:
    """Name, begin and end of each, in order of time. A step of `timings` counts from the call's beginning, so that its segment
    begins where the step before it ended."""
    found = []
    before = 0.0
    for name, end in sorted(steps.items(), key=lambda step: (step[1], step[0])):
        found.append((NAMES.get(name) or name.removesuffix("_ms").replace("_", " "), before, end))
        before = end
    return found


class Canvas:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 16.0

    def text(self, x: float, y: float, words: str, size: int = 13, weight: str = "normal", anchor: str = "start") -> None:
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
                          f'text-anchor="{anchor}">{escape(words)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, colour: str, title: str) -> None:
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{height}" fill="{colour}">'
                          f"<title>{escape(title)}</title></rect>")

    def panel(self, title: str, steps: dict[str, float], others: dict[str, float]) -> None:
        """One bar of segments with its legend, and a thin bar for each of the others on the same scale."""
        parts = segments(steps)
        end = parts[-1][2]
        scale = (WIDTH - LEFT - RIGHT) / max(end, 1e-9)
        self.y += 22
        self.text(LEFT, self.y, title, 16, "bold")
        self.y += 12
        for number, (name, begin, stop) in enumerate(parts):
            self.bar(LEFT + begin * scale, self.y, (stop - begin) * scale, BAR, COLOURS[number % len(COLOURS)],
                     f"{name}: {stop - begin:.0f} ms")
        self.text(LEFT + end * scale + 6, self.y + BAR / 2 + 5, f"{end:.0f} ms", 14, "bold")
        self.y += BAR + GAP
        for name, taken in others.items():
            width = min(taken, end) * scale
            words = f"{name}: {taken:.0f} ms" + (" →" if taken > end else "")
            self.bar(LEFT, self.y, width, 16, OTHERS, words)
            if width > len(words) * 7 + 8:
                self.text(LEFT + 4, self.y + 12, words, 11)
            else:
                self.text(LEFT + width + 6, self.y + 12, words, 11)
            self.y += 16 + GAP / 2
        self.y += GAP
        for number, (name, begin, stop) in enumerate(parts):
            self.y += LINE
            self.bar(LEFT, self.y - 12, 14, 14, COLOURS[number % len(COLOURS)], name)
            self.text(LEFT + 22, self.y, name if name in NAMES.values() else f"until {name}")
            self.text(LEFT + 420, self.y, f"{stop - begin:.0f} ms", anchor="end")
            self.text(LEFT + 520, self.y, f"at {stop:.0f} ms", anchor="end")
        self.y += GAP

    def svg(self, footer: list[str]) -> str:
        self.y += 10
        for line in [part for whole in footer for part in textwrap.wrap(whole, FOOTER)]:
            self.y += 16
            self.text(LEFT, self.y, line, 11)
        height = self.y + 16
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" viewBox="0 0 {WIDTH} {height:.0f}" '
                f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" fill="#222">\n'
                f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fff"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def draw(panels: list[tuple[str, dict[str, float]]], others: dict[str, float], footer: list[str]) -> str:
    """`panels`: a title with the medians of its steps, in milliseconds; `others`: medians of other programs, in milliseconds."""
    canvas = Canvas()
    for title, steps in panels:
        canvas.panel(title, steps, others)
    return canvas.svg(footer)
