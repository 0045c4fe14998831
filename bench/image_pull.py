#!/usr/bin/python3
"""From an image in a registry on loopback to its first command: pyro against podman, by root.

    bench/image_pull.py [--rounds 5] [--mib 300] [--machine usermode]

Prints what `pyro env pull` and `pyro run` of an image of ten layers take, against `podman pull` and `podman run`, both with nothing
stored before, and then the same for a second image, which shares nine of the ten layers. What both measure in turn is the same
registry, whose files are in memory. debian:12-base must be in --cache: each round begins with a copy of it. Processor seconds are those
of the two commands and of what they wait for, so that a busy host counts less.

All that is stored is kept until the end. ext4 without a journal passes over each inode that was freed in the last minutes, so a removal
after each round would slow the next one, of the other program. TMPDIR says where it is stored; one round takes about 1.5 GB.
"""

import argparse
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from images import samples  # noqa: E402
from images.image import Image  # noqa: E402
from images.layers import Layer, directory, file  # noqa: E402
from images.podman import LIMITS, Podman  # noqa: E402
from images.registry import Registry  # noqa: E402

LAYERS = 10
FILE_BYTES = 24 * 1024  # About the mean of a Debian system.


def content(noise: random.Random, size: int) -> bytes:
    """A third is noise and the rest text, so that it shrinks about as programs do."""
    words = [noise.randbytes(5).hex().encode() for _ in range(200)]
    text = b" ".join(noise.choices(words, k=size // 16))
    return (noise.randbytes(size // 3) + text)[:size]


def layer(name: str, size: int, seed: int) -> Layer:
    noise = random.Random(seed)
    entries, held, number = [directory(name)], 0, 0
    while held < size:
        if number % 100 == 0:
            entries.append(directory(f"{name}/{number // 100}"))
        data = content(noise, min(int(noise.expovariate(1 / FILE_BYTES)) + 1, 20 * FILE_BYTES))
        entries.append(file(f"{name}/{number // 100}/{number}", data))
        held += len(data)
        number += 1
    return Layer.of(entries)


def images(mib: int) -> tuple[Image, Image]:
    config = {"Entrypoint": ["/probe"], "Env": [samples.PATH]}
    share = (mib << 20) // LAYERS
    shared = [Layer.of([*samples.busybox_entries(), samples.probe()])]
    shared += [layer(f"layer-{number}", share, number) for number in range(1, LAYERS - 1)]
    return tuple(Image([*shared, layer("top", share, 100 + number)], config) for number in (1, 2))


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(words: list, env: dict[str, str]) -> float:
    start = time.monotonic()
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    taken = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{words}: exit code {done.returncode}: {done.stderr.decode(errors='replace')[-1000:]}")
    return taken


def both(pull: list, run: list, env: dict[str, str]) -> tuple[float, float, float]:
    """Seconds of the pull and of the first command, and processor seconds of the two."""
    before = processor()
    return seconds(pull, env), seconds(run, env), processor() - before


def ours(own: pathlib.Path, cache: pathlib.Path, machine: str, sources: list[str]) -> list[tuple[float, float, float]]:
    """Of each source in turn."""
    (own / "cache/environments").mkdir(parents=True, mode=0o700)
    subprocess.run(["cp", "-a", cache / "environments/debian-12-base", own / "cache/environments"], check=True)
    env = {**os.environ, "PYRO_CACHE_DIR": str(own / "cache"), "PYRO_STATE_DIR": str(own / "state")}
    if machine:
        env["PYRO_MACHINE"] = machine
    pyro = ROOT / "build/bin/pyro"
    return [both([pyro, "env", "pull", "--plain-http", f"oci:{source}"], [pyro, "run", "-q", source], env) for source in sources]


def theirs(own: pathlib.Path, sources: list[str]) -> list[tuple[float, float, float]]:
    podman = Podman(own)
    return [both(podman.command("pull", "-q", "--tls-verify=false", source), podman.command("run", "--rm", *LIMITS, source), podman.env)
            for source in sources]


def median(samples_: list[tuple[float, float, float]]) -> tuple[float, float, float, float]:
    """Pull, first command, both together, and processor seconds."""
    return (statistics.median(one[0] for one in samples_), statistics.median(one[1] for one in samples_),
            statistics.median(one[0] + one[1] for one in samples_), statistics.median(one[2] for one in samples_))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=300, help="of files in each image; default: 300")
    parser.add_argument("--machine", default="", help="what runs guests; default: as pyro decides")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/test-cache")
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("podman is measured as root")
    first, second = images(args.mib)
    results: dict[str, list[list[tuple[float, float, float]]]] = {"pyro": [], "podman": []}
    with tempfile.TemporaryDirectory(prefix="pyro-bench-") as folder:
        scratch = pathlib.Path(folder)
        registry = Registry(scratch / "registry")
        registry.start()
        try:
            sources = [f"{registry.host}/bench/image:{number}" for number in (1, 2)]
            for number, image in enumerate((first, second), 1):
                registry.push("bench/image", image.manifest(), str(number))
            print(f"{LAYERS} layers of {args.mib} MiB of files, {sum(len(one.blob) for one in first.layers) >> 20} MiB as they are copied", flush=True)
            for round_ in range(args.rounds):
                own = {name: scratch / f"{name}-{round_}" for name in results}
                contenders = {"pyro": lambda own=own: ours(own["pyro"], args.cache, args.machine, sources),
                              "podman": lambda own=own: theirs(own["podman"], sources)}
                for name in sorted(contenders, reverse=round_ % 2 == 0):
                    results[name].append(contenders[name]())
                print(f"round {round_ + 1}: " + "; ".join(f"{name} " + ", ".join(f"{pull:.2f}+{run:.2f}" for pull, run, _ in results[name][-1])
                                                          for name in results), flush=True)
        finally:
            registry.stop()
    totals, used = {}, {}
    for name, rounds in results.items():
        for which in (0, 1):
            pull, run, together, processors = median([one[which] for one in rounds])
            totals[name, which], used[name, which] = together, processors
            print(f"{name}, {'second image' if which else 'first image'}: pull {pull:.2f} s, first command {run:.2f} s, together {together:.2f} s; "
                  f"{processors:.2f} processor seconds")
    print(f"first image, pyro/podman: {totals['pyro', 0] / totals['podman', 0]:.2f}, of processor seconds {used['pyro', 0] / used['podman', 0]:.2f}; "
          f"second/first image: pyro {totals['pyro', 1] / totals['pyro', 0]:.2f}, podman {totals['podman', 1] / totals['podman', 0]:.2f}")


if __name__ == "__main__":
    main()
