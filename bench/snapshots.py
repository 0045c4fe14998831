#!/usr/bin/python3
"""Snapshots and diffs of one task, by root: on a small xfs with reflinks, and on the file system of TMPDIR.

    bench/snapshots.py [--environment debian:12] [--files 50000] [--mib 1024]

Prints what a snapshot of a workspace with so many MiB takes, and what a diff of a tree of so many files takes, of which every 500th
has changed, against `git diff --no-index` of the two trees in the task's guest.
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
from typing import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROUNDS = 3


def call(*words: str | pathlib.Path, env: dict[str, str]) -> str:
    done = subprocess.run([ROOT / "build/bin/pyro", *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or done.stderr.startswith("pyro: "):
        sys.exit(f"{words}: {done.stderr}")
    return done.stdout.strip()


def seconds(*words: str | pathlib.Path, env: dict[str, str]) -> float:
    start = time.monotonic()
    call(*words, env=env)
    return time.monotonic() - start


@contextlib.contextmanager
def xfs(folder: pathlib.Path, mib: int) -> Iterator[pathlib.Path]:
    image, state = folder / "disk", folder / "state"
    with open(image, "wb") as file:
        file.truncate(mib << 20)
    state.mkdir()
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, state], check=True)
    try:
        state.chmod(0o700)
        yield state
    finally:
        subprocess.run(["umount", "-l", state], check=True)


def measure_snapshots(state: pathlib.Path, environment: str, mib: int, base: dict[str, str]) -> None:
    env = {**base, "PYRO_STATE_DIR": str(state)}
    task = call("task", "create", "-q", environment, env=env)
    call("task", "exec", "-q", "--timeout-seconds", "0", task, "--",
         "sh", "-c", f"dd if=/dev/urandom of=f bs=1M count={mib} status=none; sync", env=env)
    subprocess.run(["sync", "-f", state], check=True)
    taken = [seconds("task", "snapshot", "create", task, f"s{round}", env=env) for round in range(ROUNDS)]
    print(f"snapshot of {mib} MiB: {statistics.median(taken) * 1000:.0f} ms; {call('task', 'df', task, env=env)}")
    call("task", "delete", "-q", task, env=env)


def measure_diff(state: pathlib.Path, environment: str, files: int, base: dict[str, str]) -> None:
    env = {**base, "PYRO_STATE_DIR": str(state)}
    task = call("task", "create", "-q", "--mem-mib", "2048", environment, env=env)

    def run(script: str) -> float:
        return seconds("task", "exec", "-q", "--timeout-seconds", "0", task, "--", "sh", "-c", script, env=env)

    run(f"mkdir a && cd a && i=0; while [ $i -lt {files} ]; do d=$((i / 100)); [ $((i % 100)) -ne 0 ] || mkdir $d; "
        "echo \"file $i of many\" > $d/$i; i=$((i + 1)); done")
    call("task", "snapshot", "create", task, "before", env=env)
    run("cp -a a /workspace/.before")
    run(f"cd a; i=0; while [ $i -lt {files} ]; do echo more >> $((i / 100))/$i; i=$((i + 500)); done")
    # Warm on both sides: git reads all of both trees, ours the inodes of both.
    theirs = [run("git diff --no-index .before a > /dev/null; true") for _ in range(ROUNDS)]
    ours = [seconds("task", "diff", task, "--snapshot", "before", "a", env=env) for _ in range(ROUNDS)]
    print(f"diff of {files} files: {statistics.median(ours):.2f} s, git {statistics.median(theirs):.2f} s, "
          f"ratio {statistics.median(ours) / statistics.median(theirs):.2f}")
    call("task", "delete", "-q", task, env=env)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", default="debian:12")
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--mib", type=int, default=1024)
    args = parser.parse_args()
    base = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="pyro-snapshots-") as scratch:
        folder = pathlib.Path(scratch)
        with xfs(folder, args.mib + 2048) as state:
            print("xfs with reflinks", flush=True)
            measure_snapshots(state, args.environment, args.mib, base)
            measure_diff(state, args.environment, args.files, base)
        plain = folder / "plain"
        plain.mkdir()
        print("the file system of TMPDIR", flush=True)
        measure_snapshots(plain, args.environment, args.mib, base)
        measure_diff(plain, args.environment, args.files, base)


if __name__ == "__main__":
    main()
