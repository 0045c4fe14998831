"""The figures of a soak, and which of them must be what."""

import collections
import pathlib
import statistics
import threading

# Each must stay 0.
FAULTS = ("finished commands lost", "wrong answers", "orphans", "stuck locks", "rows without a directory", "directories without a row",
          "clocks that did not follow", "clients that failed")
MOST_RATIO = 1.1
MOST_FDS = 4


class Figures:
    """Thread-safe."""

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.details = []
        self.times = []
        self.clock_times = []
        self.first = {}  # Of supervisors: (pid, start) to (KiB, descriptors).
        self.ratio = None
        self.fds = None
        self.lived = 0

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] += by

    def fault(self, what, detail):
        assert what in FAULTS
        with self.lock:
            self.counts[what] += 1
            self.details.append(f"{what}: {detail}")

    def took(self, seconds):
        with self.lock:
            self.times.append(seconds)

    def followed(self, seconds):
        with self.lock:
            self.clock_times.append(seconds)

    def begin(self, supervisors):
        self.first = {key: told for key, told in measure(supervisors).items() if key not in self.first} | self.first

    def end(self, supervisors):
        """Compares those that lived through."""
        last = measure(supervisors)
        both = [(self.first[key], last[key]) for key in last if key in self.first]
        self.lived = len(both)
        if both:
            self.ratio = statistics.median(now[0] / then[0] for then, now in both)
            self.memory = (statistics.median(then[0] for then, _ in both), statistics.median(now[0] for _, now in both))
            self.fds = (statistics.median(then[1] for then, _ in both), statistics.median(now[1] for _, now in both))

    def line(self, books):
        """One line for each minute."""
        with self.lock:
            counts = dict(self.counts)
        execs = sum(count for name, count in counts.items() if name.startswith("execs by "))
        kills = sum(count for name, count in counts.items() if name.startswith("killed: "))
        finished = sum(len(book.finished) for book in books)
        faults = ", ".join(f"{counts.get(name, 0)} {name}" for name in FAULTS if counts.get(name))
        return (f"{execs} execs, {finished} finished, {kills} kills, "
                f"{counts.get('full disks of guests', 0) + counts.get('full disks of the state', 0)} full disks, "
                f"{counts.get('clock steps', 0)} clock steps, {counts.get('pauses', 0)} pauses, faults: {faults or 'none'}")

    def table(self, books, minutes):
        ends = sum((book.ends for book in books), collections.Counter())
        execs = sum(ends.values())
        rows = {"tasks": len(books), "execs": execs, "execs a minute": round(execs / minutes),
                **{f"ended: {end}": count for end, count in sorted(ends.items())},
                **{name: round(count) for name, count in sorted(self.counts.items()) if name not in FAULTS}}
        if self.times:
            rows["median of an exec, ms"] = round(1000 * statistics.median(self.times))
        if self.clock_times:
            rows["a step reaches the guest, ms, median and most"] = (
                f"{1000 * statistics.median(self.clock_times):.0f}, {1000 * max(self.clock_times):.0f}")
        rows["supervisors that lived through"] = self.lived
        if self.ratio is not None:
            rows["their memory, KiB, start and end, median"] = f"{self.memory[0]:.0f}, {self.memory[1]:.0f}"
            rows[f"ratio of it, median (at most {MOST_RATIO})"] = f"{self.ratio:.3f}"
            rows[f"their descriptors, start and end, median (at most {MOST_FDS} more)"] = f"{self.fds[0]:.0f}, {self.fds[1]:.0f}"
        rows |= {f"{name} (must be 0)": self.counts[name] for name in FAULTS}
        width = max(map(len, rows))
        reasons = sum((book.reasons for book in books), collections.Counter())
        return "\n".join([f"{count} x {reason}" for reason, count in reasons.most_common(15)] +
                         [f"{name:{width}}  {value}" for name, value in rows.items()])

    def verdict(self, execs):
        """The exit code."""
        well = (execs > 0 and self.lived > 0 and not any(self.counts[name] for name in FAULTS)
                and self.ratio <= MOST_RATIO and self.fds[1] <= self.fds[0] + MOST_FDS)
        return 0 if well else 1


def measure(supervisors):
    """KiB in memory and open descriptors of each."""
    told = {}
    for process in supervisors:
        try:
            told[(process.pid, process.start)] = (process.status("VmRSS"), len(list(pathlib.Path(f"/proc/{process.pid}/fd").iterdir())))
        except (OSError, KeyError):
            continue
    return told
