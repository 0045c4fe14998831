#!/usr/bin/python3
"""Prints which share of the lines of some folders the tests without guests run, and how long those tests take.

Needs gcc and its gcov. Only the folders in question are compiled for it, in a build directory of their own.
"""

import argparse
import collections
import concurrent.futures
import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = {"engine": "engine", "supervisor": "supervisor", "cli": "front/cli"}  # Of src, by the library's name.


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=ROOT / "build/coverage", type=pathlib.Path, help="the build directory")
    parser.add_argument("--jobs", default=os.cpu_count(), type=int, help="how many compilers and tests at once")
    parser.add_argument("programs", nargs="*", help="test programs to build and run; without any, all without guests")
    parser.add_argument("--files", action="store_true", help="a line for each file, too")
    parser.add_argument("--least", default=0, type=float, help="fail if a folder has less, in percent")
    return parser.parse_args()


def build(directory: pathlib.Path, jobs: int, programs: list[str]) -> None:
    subprocess.run(
        ["cmake", "-S", ROOT, "-B", directory, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
         "-DCMAKE_CXX_COMPILER=g++", "-DCMAKE_CXX_FLAGS_DEBUG=-O0", "-DPYRO_TESTS=ON",
         "-DPYRO_COVERAGE=" + ";".join(FOLDERS)],
        check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", directory, "-j", str(jobs), "--target", *(programs or ["guestless"])], check=True)
    for old in directory.rglob("*.gcda"):
        old.unlink()


def run(directory: pathlib.Path, jobs: int, programs: list[str]) -> float:
    begin = time.monotonic()
    command = ["ctest", "--test-dir", directory, "-L", "unit|process", "--output-on-failure", "-j", str(2 * jobs)]
    if programs:
        command += ["-R", f"^({'|'.join(programs)})$"]
    subprocess.run(command, check=True)
    return time.monotonic() - begin


def lines_of(notes: pathlib.Path) -> list[tuple[str, int, int]]:
    """(file, line, how often it ran) of one compiled file."""
    data = notes.with_suffix(".gcda")
    told = subprocess.run(["gcov", "--json-format", "--stdout", data if data.exists() else notes], cwd=notes.parent,
                          check=True, capture_output=True).stdout
    text = gzip.decompress(told) if told[:2] == b"\x1f\x8b" else told
    found = []
    for file in json.loads(text)["files"]:
        for line in file["lines"]:
            found.append((file["file"], line["line_number"], line["count"]))
    return found


def main() -> int:
    options = arguments()
    if shutil.which("gcov") is None:
        print("coverage: gcov is missing: apt-get install gcc")
        return 2
    directory = options.build.resolve()
    build(directory, options.jobs, options.programs)
    seconds = run(directory, options.jobs, options.programs)

    counts: dict[str, dict[int, int]] = collections.defaultdict(dict)
    notes = [file for folder in FOLDERS.values() for file in (directory / "src" / folder).rglob("*.gcno")]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for lines in pool.map(lines_of, notes):
            for name, line, count in lines:
                path = (directory / name).resolve()
                if not path.is_relative_to(ROOT / "src"):
                    continue
                source = path.relative_to(ROOT / "src").as_posix()
                of_file = counts[source]
                of_file[line] = max(of_file.get(line, 0), count)

    print(f"tests without guests: {seconds:.1f} s\n\nfolder        lines    run  share")
    worst = 100.0
    for folder in FOLDERS.values():
        files = {name: lines for name, lines in sorted(counts.items())
                 if name.startswith(folder + "/") and "/testing/" not in name and not name.endswith("_test.cc")}
        total = sum(len(lines) for lines in files.values())
        ran = sum(1 for lines in files.values() for count in lines.values() if count)
        share = 100 * ran / max(total, 1)
        worst = min(worst, share)
        print(f"{folder:<12} {total:>6} {ran:>6}  {share:4.1f}%")
        for name, lines in files.items() if options.files else ():
            done = sum(1 for count in lines.values() if count)
            print(f"  {name:<40} {len(lines):>5} {done:>5}  {100 * done / max(len(lines), 1):4.0f}%")
    if worst < options.least:
        print(f"coverage: less than {options.least:.0f}% of a folder")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
