#!/usr/bin/python3
"""Runs the fuzz targets, one after the other or some at once, and prints a table of what they did.

What a target finds stays in BUILD/fuzz/found/TARGET for the next run, and what ends one in BUILD/fuzz/crashes. The exit code
is 1 if a target found a crash, a hang or a leak. With --coverage it runs each target once on what is known, and prints which
lines of its parser ran.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CORPUS = ROOT / "fuzz/corpus"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/dev", type=pathlib.Path, help="the directory of the build")
    parser.add_argument("--minutes", default=1.0, type=float, help="for each target")
    parser.add_argument("--jobs", default=os.cpu_count(), type=int, help="how many targets at once")
    parser.add_argument("--coverage", action="store_true", help="measure lines; the build is that of the preset fuzz-coverage")
    parser.add_argument("--found", default=None, type=pathlib.Path, help="another directory of what was found")
    parser.add_argument("targets", nargs="*", help="all, if none is named")
    return parser.parse_args()


def targets_of(build: pathlib.Path, wanted: list[str]) -> dict[str, list[str]]:
    """The parser's sources, by target."""
    lines = (build / "fuzz/targets.txt").read_text().splitlines()
    known = {words[0]: words[1:] for words in map(str.split, lines)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"fuzz: no target is named {unknown[0]}; these are: {' '.join(known)}")
    return {name: known[name] for name in wanted or known}


def figure(log: str, name: str) -> int:
    found = re.findall(name, log)
    return int(found[-1]) if found else 0


def fuzz(options: argparse.Namespace, name: str) -> dict:
    found = options.found / name
    crashes = options.build / "fuzz/crashes" / name
    for directory in (found, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    known = set(crashes.iterdir())
    done = subprocess.run(
        [options.build / "fuzz" / name, f"-max_total_time={max(1, round(60 * options.minutes))}", "-max_len=4096", "-timeout=10",
         "-rss_limit_mb=2048", "-print_final_stats=1", "-verbosity=1", f"-artifact_prefix={crashes}/", found, CORPUS / name],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", check=False)
    log = done.stderr
    (options.build / "fuzz" / f"{name}.log").write_text(log)
    return {"name": name, "executions": figure(log, r"stat::number_of_executed_units:\s*(\d+)"),
            "per second": figure(log, r"stat::average_exec_per_sec:\s*(\d+)"), "edges": figure(log, r"cov: (\d+)"),
            "inputs": sum(1 for _ in found.iterdir()), "memory": figure(log, r"stat::peak_rss_mb:\s*(\d+)"),
            "failed": done.returncode != 0, "crashes": sorted(map(str, set(crashes.iterdir()) - known)), "end": log[-3000:]}


def run_all(options: argparse.Namespace, targets: dict[str, list[str]]) -> int:
    bad = executions = 0
    print(f"{'target':26}{'executions':>12}{'per second':>12}{'edges':>8}{'inputs':>8}{'MB':>6}  result", flush=True)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for told in pool.map(lambda name: fuzz(options, name), targets):
            result = "failed" if told["failed"] else "passed"
            print(f"{told['name']:26}{told['executions']:12}{told['per second']:12}{told['edges']:8}{told['inputs']:8}"
                  f"{told['memory']:6}  {result}", flush=True)
            executions += told["executions"]
            bad += told["failed"]
            if told["failed"]:
                print(told["end"] + "\n" + "\n".join(told["crashes"]), flush=True)
    print(f"{len(targets)} targets, {options.minutes:g} minutes each, {executions} executions; {bad} failed")
    return 1 if bad else 0


def llvm(program: str) -> str:
    """Of the version of clang that built the targets."""
    told = subprocess.run(["clang++", "--version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"version (\d+)", told).group(1)
    path = shutil.which(f"{program}-{version}") or shutil.which(program)
    if path is None:
        sys.exit(f"fuzz: there is no {program}; install Debian's package llvm")
    return path


def cover(options: argparse.Namespace, name: str, sources: list[str]) -> list[tuple[str, int, int]]:
    """(source, lines that ran, lines)"""
    program = options.build / "fuzz" / name
    raw = options.build / "fuzz" / f"{name}.profraw"
    data = raw.with_suffix(".profdata")
    known = [path for path in (CORPUS / name, options.found / name) if path.is_dir()]
    subprocess.run([program, "-runs=0", "-max_len=4096", *known], env=os.environ | {"LLVM_PROFILE_FILE": str(raw)},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    subprocess.run([llvm("llvm-profdata"), "merge", "-sparse", raw, "-o", data], check=True)
    told = subprocess.run(
        [llvm("llvm-cov"), "export", "-summary-only", f"-instr-profile={data}", program,
         *(ROOT / "src" / source for source in sources)], capture_output=True, check=True).stdout
    raw.unlink()
    lines = {file["filename"]: file["summary"]["lines"] for file in json.loads(told)["data"][0]["files"]}
    result = []
    for source in sources:
        counts = lines.get(str(ROOT / "src" / source), {"covered": 0, "count": 0})
        result.append((source, counts["covered"], counts["count"]))
    return result


def measure(options: argparse.Namespace, targets: dict[str, list[str]]) -> int:
    ran = total = 0
    print(f"{'target':26}{'source':44}{'lines':>6}{'ran':>6}")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, rows in zip(targets, pool.map(lambda name: cover(options, name, targets[name]), targets)):
            for source, covered, count in rows:
                print(f"{name:26}{source:44}{count:6}{100 * covered / max(1, count):5.0f}%", flush=True)
                ran += covered
                total += count
    print(f"{len(targets)} targets: {ran} of {total} lines of their parsers ran, {100 * ran / max(1, total):.0f} %")
    return 0


def main() -> int:
    options = arguments()
    options.build = options.build.resolve()
    options.found = (options.found or ROOT / "build/dev/fuzz/found").resolve()
    targets = targets_of(options.build, options.targets)
    return (measure if options.coverage else run_all)(options, targets)


if __name__ == "__main__":
    sys.exit(main())
