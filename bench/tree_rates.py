#!/usr/bin/python3
"""Trees in and out of a task: pyro's own tar against GNU tar in the same guest, by `task exec -- tar`.

    bench/tree_rates.py [--mib 500] [--files 20000] [--rounds 3] [--machine usermode] [--cache DIR]

A tree of files of 5 MiB and one of small files go in by `task cp`, out by `task cp`, and out as an archive by `task export`. The same
goes through `tar` on this host and in the guest, by stdin and stdout of `task exec --no-journal`. Rounds alternate between the two, and the median of
each counts. Exits with 1 if pyro has less than 0.7 of GNU tar's rate in any row. debian:12-base must be in --cache.
"""

import argparse
import os
import pathlib
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LEAST_RATE = 0.7
FILE_BYTES = 5 << 20


def seconds(call) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def run(words: list, env: dict[str, str], **options) -> str:
    done = subprocess.run([str(word) for word in words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{words}: exit code {done.returncode}")
    return done.stdout.strip()


def large_tree(path: pathlib.Path, mib: int) -> None:
    path.mkdir()
    noise = random.Random(1)
    for number in range(max(1, (mib << 20) // FILE_BYTES)):
        (path / f"file-{number}").write_bytes(noise.randbytes(FILE_BYTES))


def small_tree(path: pathlib.Path, count: int) -> None:
    noise = random.Random(2)
    for number in range(count):
        directory = path / f"d{number % 200}"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"file-{number}").write_bytes(noise.randbytes(noise.randrange(100, 4000)))


class Rates:
    def __init__(self, env: dict[str, str], task: str, scratch: pathlib.Path, rounds: int):
        self.env, self.task, self.scratch, self.rounds = env, task, scratch, rounds
        self.pyro = ROOT / "build/bin/pyro"
        self.turn = 0
        self.good = True

    def fresh(self) -> str:
        self.turn += 1
        return f"turn-{self.turn}"

    def in_guest(self, script: str) -> list:
        return [self.pyro, "task", "exec", "-q", "--no-journal", "--timeout-seconds", "3600", self.task, "--", "sh", "-c", script]

    def pipe(self, first: list, second: list) -> None:
        line = f"set -o pipefail; {shlex.join(map(str, first))} | {shlex.join(map(str, second))}"
        run(["bash", "-c", line], self.env)

    def ways(self, tree: pathlib.Path, what: str) -> tuple:
        """pyro's way and GNU tar's. Both get what is theirs ready outside of the clock."""
        inside, out = self.fresh(), self.scratch / self.fresh()
        if what == "in by cp":
            run(self.in_guest(f"mkdir {inside}"), self.env)
            return (lambda: run([self.pyro, "task", "cp", "-q", f"{tree}/.", f"{self.task}:{inside}-own"], self.env),
                    lambda: self.pipe(["tar", "-C", tree, "-cf", "-", "."], self.in_guest(f"tar -xf - -C {inside}")))
        if what == "out by cp":
            (self.scratch / inside).mkdir()
            return (lambda: run([self.pyro, "task", "cp", "-q", f"{self.task}:{tree.name}", out], self.env),
                    lambda: self.pipe(self.in_guest(f"tar -C {tree.name} -cf - ."), ["tar", "-xf", "-", "-C", self.scratch / inside]))
        other = f"{out}-other.tar"
        return (lambda: run([self.pyro, "task", "export", "-q", self.task, tree.name, f"{out}.tar"], self.env),
                lambda: self.pipe(self.in_guest(f"tar -C {tree.name} -cf - ."), ["dd", "bs=1M", "status=none", f"of={other}"]))

    def measure(self, tree: pathlib.Path, label: str, size: int, unit: str) -> None:
        for what in ("in by cp", "out by cp", "out by export"):
            taken: tuple[list[float], list[float]] = ([], [])
            for round_ in range(self.rounds):
                pair = self.ways(tree, what)
                for which in sorted((0, 1), reverse=round_ % 2 == 1):
                    taken[which].append(seconds(pair[which]))
            own, tar = map(statistics.median, taken)
            self.good = self.good and tar / own >= LEAST_RATE
            print(f"{label + ', ' + what:36}{size / own:>9.0f} {unit}/s{size / tar:>9.0f} {unit}/s{tar / own:>7.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=500, help="of the tree of large files; default: 500")
    parser.add_argument("--files", type=int, default=20_000, help="of the tree of small files; default: 20000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--machine", default="", help="what runs guests; default: as pyro decides")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/test-cache")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pyro-bench-") as folder:
        scratch = pathlib.Path(folder)
        env = {**os.environ, "PYRO_CACHE_DIR": str(scratch / "cache"), "PYRO_STATE_DIR": str(scratch / "state")}
        if args.machine:
            env["PYRO_MACHINE"] = args.machine
        (scratch / "cache/environments").mkdir(parents=True, mode=0o700)
        shutil.copytree(args.cache / "environments/debian-12-base", scratch / "cache/environments/debian-12-base", symlinks=True)
        large_tree(scratch / "large", args.mib)
        small_tree(scratch / "small", args.files)
        pyro = ROOT / "build/bin/pyro"
        task = run([pyro, "task", "create", "-q", "debian:12-base"], env)
        try:
            for name in ("large", "small"):
                run([pyro, "task", "cp", "-q", f"{scratch / name}/.", f"{task}:{name}"], env)
            print(f"{'':36}{'pyro':>9}{'GNU tar':>15}{'ratio':>12}")
            rates = Rates(env, task, scratch, args.rounds)
            rates.measure(scratch / "large", f"{args.mib} MiB", args.mib, "MiB")
            rates.measure(scratch / "small", f"{args.files} files", args.files, "files")
        finally:
            run([pyro, "task", "delete", "-q", task], env)
    return 0 if rates.good else 1


if __name__ == "__main__":
    sys.exit(main())
