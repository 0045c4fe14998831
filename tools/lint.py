#!/usr/bin/python3
"""lint.py BUILD [--jobs N] [SOURCE...]: clang-tidy over each source that BUILD compiles and that is no test, or over those named.

A source that was clean is not read again until it, a header of it, a flag, .clang-tidy or clang-tidy changes. What was
clean is kept by content, for all clones, in PYRO_LINT_CACHE or ~/.cache/pyro-lint.
"""

import argparse
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TIDY = "clang-tidy-14"
COMPILER = "clang++-14"


@functools.lru_cache(maxsize=None)
def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Linter:
    def __init__(self, build: pathlib.Path, cache: pathlib.Path):
        self.build = build
        self.cache = cache
        self.cache.mkdir(parents=True, exist_ok=True)
        version = subprocess.run([TIDY, "--version"], check=True, capture_output=True).stdout
        self.settings = version + (ROOT / ".clang-tidy").read_bytes()
        entries = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
        self.commands = {pathlib.Path(entry["file"]): entry for entry in entries}

    def name(self, text: str) -> str:
        """The same in each clone and each build directory."""
        return text.replace(str(self.build), "BUILD").replace(str(ROOT), "ROOT")

    def path(self, name: str) -> pathlib.Path:
        return pathlib.Path(name.replace("BUILD", str(self.build), 1).replace("ROOT", str(ROOT), 1))

    def stamp(self, source: pathlib.Path) -> pathlib.Path:
        key = hashlib.sha256(self.settings + self.name(self.commands[source]["command"]).encode())
        return self.cache / f"{key.hexdigest()}.json"

    def inputs(self, source: pathlib.Path) -> dict[str, str]:
        """The digest of each file that the source is made of."""
        entry = self.commands[source]
        words = shlex.split(entry["command"])
        output = words.index("-o")
        words = [COMPILER, *words[1:output], *words[output + 2:], "-w", "-Wno-error", "-M"]
        rule = subprocess.run(words, cwd=entry["directory"], check=True, capture_output=True, text=True).stdout
        names = rule.replace("\\\n", " ").split(":", 1)[1].split()
        files = {pathlib.Path(entry["directory"], name).resolve() for name in names}
        return {self.name(str(file)): digest(file) for file in sorted(files)}

    def was_clean(self, source: pathlib.Path) -> bool:
        try:
            seen = json.loads(self.stamp(source).read_text(encoding="utf-8"))
            return all(digest(self.path(name)) == value for name, value in seen.items())
        except (OSError, ValueError):
            return False

    def lint(self, source: pathlib.Path) -> str | None:
        """None if the source is clean; else what clang-tidy says."""
        inputs = self.inputs(source)
        # Flags of g++ that clang does not know are no fault of a source.
        known = ["--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-ignored-optimization-argument"]
        done = subprocess.run([TIDY, "-p", str(self.build), "--quiet", *known, str(source)],
                              check=False, capture_output=True, text=True)
        if done.returncode != 0:
            # Otherwise its stderr only counts the warnings that it suppressed in headers of others.
            return done.stdout + done.stderr
        new = self.stamp(source).with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(inputs), encoding="utf-8")
        os.replace(new, self.stamp(source))
        return None


def sources() -> list[pathlib.Path]:
    listed = subprocess.run(["git", "ls-files", "src/*.cc", "python/*.cc"], cwd=ROOT, check=True, capture_output=True,
                            text=True).stdout.split()
    return [ROOT / name for name in listed if not name.endswith("_test.cc")]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("sources", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    cache = os.environ.get("PYRO_LINT_CACHE") or pathlib.Path.home() / ".cache/pyro-lint"
    linter = Linter(options.build.resolve(), pathlib.Path(cache))
    wanted = [source.resolve() for source in options.sources] or sources()
    missing = [source for source in wanted if source not in linter.commands]
    for source in missing:
        print(f"lint: {source.relative_to(ROOT)} is in no library or program")
    wanted = [source for source in wanted if source not in missing]
    todo = [source for source in wanted if not linter.was_clean(source)]
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(linter.lint, source): source for source in todo}
        for number, done in enumerate(concurrent.futures.as_completed(running), 1):
            print(f"[{number}/{len(todo)}] {running[done].relative_to(ROOT)}", flush=True)
            if (said := done.result()) is not None:
                bad += 1
                print(said, end="")
    print(f"lint: {len(wanted)} sources, {len(wanted) - len(todo)} unchanged since they were clean, {bad} with problems")
    return 1 if bad or missing else 0


if __name__ == "__main__":
    sys.exit(main())
