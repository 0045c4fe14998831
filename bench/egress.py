#!/usr/bin/python3
"""What a guest downloads with a network policy against without one, by root, in network namespaces of its own.

    PYRO_ACCELERATOR=usermode bench/egress.py [--mib 64] [--rounds 9]

Prints MiB a second of each, in turns, as the guest's curl tells them, and their ratio. `egress_bench` has the gate alone.
"""

import argparse
import importlib
import os
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/vm")]
harness = importlib.import_module("harness")
world = importlib.import_module("test_network")

SERVER = r"""
import http.server, sys
class Zeros(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mib = int(self.path[1:])
        self.send_response(200); self.send_header("Content-Length", str(mib << 20)); self.end_headers()
        for _ in range(mib): self.wfile.write(bytes(1 << 20))
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8090), Zeros)
print("ready", flush=True)
server.serve_forever()
"""


def speed(pyro, task: str, mib: int) -> float:
    done = pyro("task", "exec", "--timeout-seconds", "300", task, "--", "curl", "-sS", "-o", "/dev/null", "-w", "%{speed_download}",
                f"http://{world.NAME}:8090/{mib}")
    if done.code != 0:
        sys.exit(f"{done}")
    return float(done.text) / (1 << 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        names = world.Namespaces(pathlib.Path(home))
        try:
            names._start(["nsenter", f"--net=/proc/{names.outside}/ns/net", sys.executable, "-c", SERVER])
            pyro = harness.Pyro(pathlib.Path(home) / "state", harness.CACHE, home, names.enter_host)
            if "PYRO_LIBEXEC_DIR" in os.environ:
                pyro.env["PYRO_LIBEXEC_DIR"] = os.environ["PYRO_LIBEXEC_DIR"]
            flags = {"without": ["--network"], "with": ["--allow", f"{world.NAME}:8090"]}
            tasks = {how: pyro("task", "create", "-q", *words, harness.FULL).text.strip() for how, words in flags.items()}
            speeds: dict[str, list[float]] = {how: [] for how in tasks}
            for _ in range(arguments.rounds):
                for how, task in tasks.items():
                    speeds[how].append(speed(pyro, task, arguments.mib))
            medians = {how: statistics.median(all_of_it) for how, all_of_it in speeds.items()}
            for how in tasks:
                print(f"{how} a policy: median {medians[how]:.0f} MiB/s, best {max(speeds[how]):.0f}")
            print(f"ratio: {medians['with'] / medians['without']:.2f}, of the best "
                  f"{max(speeds['with']) / max(speeds['without']):.2f}")
            for task in tasks.values():
                pyro("task", "delete", task)
        finally:
            names.close()


if __name__ == "__main__":
    main()
