#!/usr/bin/python3
"""What one guest waits for while others take all they can: `task exec -- true` in it alone, and beside greedy guests.

    bench/fairness.py [--machine usermode] [--guests 8] [--rounds 3] [--calls 20]

Each greedy guest computes in several processes, fills its memory, writes and syncs its disk, and prints without an end. Phases with
and without them alternate; the host's own shell is measured in each phase too. Exits with 1 if a median is more than --most times
that of the guest alone.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GREED = {
    "processor": "(while :; do :; done) & (while :; do (:); done) &",
    "disk": "(while :; do dd if=/dev/zero of=/workspace/big bs=1M count=32 conv=fsync 2>/dev/null; done) &",
    "memory": "(head -c 160M /dev/zero | tail -c 160M | sleep 100000) &",
    "output": "yes 'all of it' &",
}
pyro = ROOT / "build/bin/pyro"
LOOP = "i=0; while [ $i -lt 50000 ]; do i=$((i + 1)); done"


def call(env: dict[str, str], *words: str) -> str:
    done = subprocess.run([pyro, *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"fairness: {' '.join(words)}: {done.stderr}")
    return done.stdout.strip()


def milliseconds(words: list[str | pathlib.Path], env: dict[str, str]) -> float:
    begin = time.monotonic()
    subprocess.run(words, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begin) * 1000


class Greedy:
    """Guests that take all they can between start() and stop()."""

    def __init__(self, env: dict[str, str], count: int, options: list[str], environment: str, greed: list[str]):
        self.env = env
        self.tasks = [call(env, "task", "create", "-q", *options, environment) for _ in range(count)]
        self.script = "\n".join(GREED[kind] for kind in greed) + "\nwait"
        self.running: list[tuple[str, str]] = []

    def start(self) -> None:
        for task in self.tasks:
            sequence = call(self.env, "task", "exec", "-q", "--background", task, "--", "sh", "-c", self.script).split()[-1]
            self.running.append((task, sequence))
        time.sleep(3)

    def stop(self) -> None:
        for task, sequence in self.running:
            subprocess.run([pyro, "task", "stop", "-q", task, "--sequence", sequence], env=self.env, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running = []


def main() -> int:
    global pyro
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guests", type=int, default=8, help="how many are greedy")
    parser.add_argument("--rounds", type=int, default=3, help="phases of each kind")
    parser.add_argument("--calls", type=int, default=20, help="in each phase")
    parser.add_argument("--most", type=float, default=4, help="the ratio that is allowed")
    parser.add_argument("--greed", nargs="+", choices=GREED, default=list(GREED), help="what the greedy ones take; all by default")
    parser.add_argument("--environment", default="debian:12-base")
    parser.add_argument("--machine", default="", help="of the guests; empty: as works here")
    parser.add_argument("--programs", type=pathlib.Path, default=pyro.parent, help="the directory of pyro")
    options = parser.parse_args()
    pyro = options.programs / "pyro"
    env = dict(os.environ)
    machine = ["--machine", options.machine] if options.machine else []
    with tempfile.TemporaryDirectory(prefix="pyro-fairness-") as scratch, contextlib.ExitStack() as stack:
        env["PYRO_STATE_DIR"] = str(pathlib.Path(scratch) / "state")
        stack.callback(lambda: call(env, "task", "delete", "-q", *call(env, "task", "list", "-q").split()))
        size = ["--mem-mib", "256", "--ttl-seconds", "1h", *machine]
        ninth = call(env, "task", "create", "-q", *size, options.environment)
        greedy = Greedy(env, options.guests, size, options.environment, options.greed)
        what = {"task exec -- true": [pyro, "task", "exec", "-q", ninth, "--", "true"],
                "the host's shell: true": ["/bin/sh", "-c", "true"],
                "the host's shell: a loop": ["/bin/sh", "-c", LOOP]}
        taken: dict[tuple[str, bool], list[float]] = {(name, beside): [] for name in what for beside in (False, True)}
        for words in what.values():
            milliseconds(words, env)
        for _ in range(options.rounds):
            for beside in (False, True):
                if beside:
                    greedy.start()
                    stack.callback(greedy.stop)
                for name, words in what.items():
                    taken[name, beside] += [milliseconds(words, env) for _ in range(options.calls)]
                if beside:
                    greedy.stop()
                    time.sleep(2)
        accelerator = "guests in user mode" if options.machine == "usermode" else "guests of QEMU"
        print(f"{accelerator}, {options.guests} that take {', '.join(options.greed)}, {os.cpu_count()} processors; milliseconds, median and 90th percentile")
        bad = 0
        for name in what:
            alone, beside = taken[name, False], taken[name, True]
            ratio = statistics.median(beside) / statistics.median(alone)
            print(f"{name:26} alone {statistics.median(alone):8.1f} {statistics.quantiles(alone, n=10)[8]:8.1f}   "
                  f"beside them {statistics.median(beside):8.1f} {statistics.quantiles(beside, n=10)[8]:8.1f}   ratio {ratio:5.2f}")
            bad += name.startswith("task") and ratio > options.most
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
