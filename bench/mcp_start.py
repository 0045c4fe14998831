#!/usr/bin/python3
"""How long `pyro mcp serve` takes to its first answer, as ratios taken in one run, and what it holds in memory.

usage: bench/mcp_start.py [PYRO] [ROUNDS]

The rounds are interleaved, so that a busy machine slows all rows alike; each figure is a median.
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
PYRO = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/bin/pyro")
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 41

INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}}
DISCOVER = {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {}}}}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}


def start(environment):
    return subprocess.Popen([PYRO, "mcp", "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, env=environment)


def ask(process, message):
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def first_answer(message, environment):
    begin = time.perf_counter()
    process = start(environment)
    answer = ask(process, message)
    taken = time.perf_counter() - begin
    assert "result" in answer, answer
    process.stdin.close()
    process.wait()
    return taken


def plain(*command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def resident(environment):
    process = start(environment)
    ask(process, INITIALIZE)
    ask(process, LIST)
    lines = pathlib.Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    process.stdin.close()
    process.wait()
    return sizes["Rss"], sizes["Pss"]


def main():
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"PATH": os.environ["PATH"], "HOME": scratch}
        rows = {
            "/bin/true": lambda: plain("/bin/true"),
            "/usr/bin/python3 -c pass": lambda: plain("/usr/bin/python3", "-c", "pass"),
            "pyro --version": lambda: plain(PYRO, "--version"),
            "pyro mcp serve, initialize answered": lambda: first_answer(INITIALIZE, environment),
            "pyro mcp serve, server/discover answered": lambda: first_answer(DISCOVER, environment),
        }
        taken = {name: [] for name in rows}
        for _ in range(ROUNDS):
            for name, run in rows.items():
                taken[name].append(run())
        medians = {name: statistics.median(values) for name, values in taken.items()}
        rss, pss = resident(environment)
    print(f"{'':42} {'ms':>8} {'/ true':>8} {'/ python3':>10}")
    for name, median in medians.items():
        print(f"{name:42} {median * 1000:8.2f} {median / medians['/bin/true']:8.2f} "
              f"{median / medians['/usr/bin/python3 -c pass']:10.2f}")
    print(f"resident memory of an idle server after tools/list: {rss} KiB (PSS {pss} KiB)")
    print(f"medians of {ROUNDS} interleaved rounds; start of the process to the first answer")


if __name__ == "__main__":
    main()
