#!/usr/bin/python3
"""What a long journal costs, and what pyro itself takes of a `task exec`.

Two tasks that differ in nothing but their journals, of 10 and of 10,000 entries, are asked the same in turn, in one run. Printed is the
median of each, the range of the middle half, and the ratio of the medians. The long journal is made of a copy of the short task's
directory, with entries and their output added, which pyro adopts.

usage: task_figures.py [ROUNDS] [ENTRIES]   (default 40 and 10000; needs debian:12-base in PYRO_CACHE_DIR)
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYRO = pathlib.Path(os.environ.get("PYRO_TEST_BIN", ROOT / "build/bin")) / "pyro"
CACHE = pathlib.Path(os.environ.get("PYRO_CACHE_DIR", pathlib.Path.home() / ".cache/pyro-mcp"))
HANG_SECONDS = 300
SHORT = 10
OUTPUT = "a line of output\n"


class Bench:
    def __init__(self, state: pathlib.Path) -> None:
        self.state = state
        self.env = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(state), "PYRO_STATE_DIR": str(state), "PYRO_CACHE_DIR": str(CACHE)}
        for name in ("PYRO_APT_SOURCES", "PYRO_ACCELERATOR"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def pyro(self, *args: str) -> str:
        try:
            done = subprocess.run([PYRO, *args], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=HANG_SECONDS)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"pyro {' '.join(args)} hangs") from None
        if done.returncode != 0:
            raise SystemExit(f"pyro {' '.join(args)}: {done.stderr}")
        return done.stdout

    def seconds(self, *args: str) -> float:
        begin = time.perf_counter()
        self.pyro(*args)
        return time.perf_counter() - begin

    def directory(self, task: str) -> pathlib.Path:
        return self.state / "tasks" / task

    def last_duration(self, task: str) -> float:
        """Of the latest command, in seconds, as the agent measured it in the guest."""
        with open(self.directory(task) / "journal.jsonl", "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            lines = log.read().splitlines()
        end = json.loads(lines[-1])
        assert end["event"] == "end", end
        return end["duration_us"] / 1e6

    def short_task(self) -> str:
        task = self.pyro("task", "create", "-q", "debian:12-base").strip()
        for _ in range(SHORT):
            self.pyro("task", "exec", "-q", task, "--", "echo", OUTPUT.strip())
        self.pyro("task", "stop", task)
        return task

    def long_task(self, short: str, entries: int) -> str:
        long = short[:-1] + ("a" if short[-1] != "a" else "e")
        directory = self.directory(long)
        subprocess.run(["cp", "-a", "--sparse=always", self.directory(short), directory], check=True)
        for name in ("control.sock", "reserve"):
            (directory / name).unlink(missing_ok=True)
        manifest = directory / "manifest.json"
        manifest.write_text(manifest.read_text(encoding="utf-8").replace(short, long), encoding="utf-8")
        log = directory / "journal.jsonl"
        last = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()][-2:]
        with open(log, "a", encoding="utf-8") as file:
            for sequence in range(SHORT + 1, entries + 1):
                for event in last:
                    file.write(json.dumps({**event, "sequence": sequence}, separators=(",", ":")) + "\n")
                output = directory / "commands" / str(sequence)
                output.mkdir(mode=0o700)
                (output / "stdout").write_text(OUTPUT, encoding="ascii")
                (output / "stderr").touch()
        count = json.loads(self.pyro("task", "status", long, "--json"))["command_count"]
        assert count == entries, count
        return long


def show(name: str, few: list[float], many: list[float]) -> None:
    middle = [statistics.quantiles(values, n=4) for values in (few, many)]
    print(f"{name:30} {statistics.median(few) * 1000:8.1f} ({middle[0][0] * 1000:.1f} to {middle[0][2] * 1000:.1f})"
          f"  {statistics.median(many) * 1000:8.1f} ({middle[1][0] * 1000:.1f} to {middle[1][2] * 1000:.1f})"
          f"  {statistics.median(many) / statistics.median(few):6.2f}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    entries = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory(prefix="pyro-bench-") as state:
        bench = Bench(pathlib.Path(state))
        try:
            measure(bench, rounds, entries)
        finally:
            for task in bench.pyro("task", "list", "-q").split():
                bench.pyro("task", "delete", task)


def measure(bench: Bench, rounds: int, entries: int) -> None:
    short = bench.short_task()
    tasks = (short, bench.long_task(short, entries))
    for task in tasks:
        bench.pyro("task", "exec", "-q", task, "--", "true")
    print(f"{rounds} rounds in turn; milliseconds, median (middle half)")
    print(f"{'':30} {SHORT:>8} entries           {entries:>8} entries            ratio")
    trips: tuple[list[float], list[float]] = ([], [])
    shares: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for index in (0, 1) if number % 2 else (1, 0):
            trips[index].append(bench.seconds("task", "exec", "-q", tasks[index], "--", "true"))
            shares[index].append(trips[index][-1] - bench.last_duration(tasks[index]))
    show("task exec -- true, round trip", *trips)
    show("  without the guest's part", *shares)
    for words in (("status",), ("status", "--json"), ("logs",), ("logs", "--tail", "10"), ("logs", "--sequence", "5")):
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds):
            for index in (0, 1) if number % 2 else (1, 0):
                times[index].append(bench.seconds("task", words[0], tasks[index], *words[1:]))
        show("task " + " ".join(words), *times)


if __name__ == "__main__":
    main()
