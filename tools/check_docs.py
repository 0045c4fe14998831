#!/usr/bin/python3
"""Fails when a document speaks of something that is not there.

Checked in every *.md: relative links, paths in backticks, PYRO_ variables (and that each one the programs read is documented),
and names of tests.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOT_OURS = {".git", "build", "node_modules", "__pycache__", ".pytest_cache"}
SOURCE = {".h", ".cc", ".def", ".S", ".py", ".sh", ".cmake"}

LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^\s*(```|~~~)")
QUOTED = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"\.?[\w.+-]+(/[\w.+*-]+)*/?")
VARIABLE = re.compile(r"\bPYRO_[A-Z0-9_]*[A-Z0-9]\b")
# How a program asks for a variable: by these calls, or, in our own sources, through a helper that is given its whole name.
READ = re.compile(r"(?:getenv|Environment|environ\.get|environ)\s*[(\[]\s*[\"'](PYRO_[A-Z0-9_]+)[\"']")
NAMED = re.compile(r"[\"'](PYRO_[A-Z0-9_]+)[\"']")
TEST_NAME = re.compile(r"([A-Z]\w*[a-z]\w*)\.([A-Z]\w*[a-z]\w*)")
TEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)")
PYTEST = re.compile(r"^\s*def (test_\w+)\(", re.MULTILINE)


def files_below(directory: pathlib.Path) -> list[pathlib.Path]:
    found = []
    for path in sorted(directory.iterdir()):
        if path.name in NOT_OURS:
            continue
        if path.is_dir() and not path.is_symlink():
            found += files_below(path)
        elif path.is_file():
            found.append(path)
    return found


def text_of(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def exists(pattern: str) -> bool:
    """Whether a path, which may hold *, is there: from the root, from src or from include."""
    pattern = pattern.rstrip("/")
    return any(any(base.glob(pattern)) for base in (ROOT, ROOT / "src", ROOT / "include"))


def looks_like_path(word: str) -> bool:
    """A path whose first part is a folder of this repository, or the name of a document in its root."""
    if not PATH.fullmatch(word) or ".." in word:
        return False
    first, slash, _ = word.partition("/")
    if first in NOT_OURS:
        return False
    if not slash:
        return bool(re.fullmatch(r"[A-Z_]{3,}(\.md)?|[\w-]+\.md|CMake\w+\.(txt|json)", word)) and word.endswith((".md", ".json"))
    return any((base / first).is_dir() for base in (ROOT, ROOT / "src"))


class Document:
    def __init__(self, path: pathlib.Path):
        self.path = path
        self.problems: list[str] = []

    def say(self, number: int, what: str) -> None:
        self.problems.append(f"{self.path.relative_to(ROOT)}:{number}: {what}")

    def check(self, known_variables: set[str], known_tests: set[str], pytests: set[str]) -> set[str]:
        """Returns the PYRO_ variables that it names."""
        named: set[str] = set()
        fenced = False
        for number, line in enumerate(text_of(self.path).splitlines(), 1):
            for variable in VARIABLE.findall(line):
                named.add(variable)
                if variable not in known_variables:
                    self.say(number, f"nothing knows the variable {variable}")
            if FENCE.match(line):
                fenced = not fenced
            if fenced:
                continue
            self.check_links(number, QUOTED.sub("", line))
            for word in QUOTED.findall(line):
                self.check_word(number, word, known_tests, pytests)
        return named

    def check_links(self, number: int, line: str) -> None:
        for target in LINK.findall(line):
            if re.match(r"[a-z][a-z0-9+.-]*:", target) or target.startswith("#"):
                continue
            file = (self.path.parent / target.split("#")[0]).resolve()
            if not file.is_relative_to(ROOT) or not file.exists():
                self.say(number, f"the link leads nowhere: {target}")

    def check_word(self, number: int, word: str, tests: set[str], pytests: set[str]) -> None:
        match = TEST_NAME.fullmatch(word)
        if match and word not in tests:
            self.say(number, f"there is no test {word}")
        elif re.fullmatch(r"test_\w+", word) and word not in pytests:
            self.say(number, f"there is no test {word}")
        elif not match and looks_like_path(word) and not exists(word) and not (self.path.parent / word).exists():
            self.say(number, f"there is no {word}")


def main() -> int:
    files = files_below(ROOT)
    known: set[str] = set()
    read: dict[str, str] = {}
    tests: set[str] = set()
    pytests: set[str] = set()
    for path in files:
        build_file = path.name in ("Makefile", "CMakeLists.txt", "CMakePresets.json")
        if path == pathlib.Path(__file__).resolve() or not (path.suffix in SOURCE or build_file or path.parent.name == ".ci"):
            continue
        text = text_of(path)
        known |= set(VARIABLE.findall(text))
        if path.suffix == ".cc":
            tests |= {f"{suite}.{name}" for suite, name in TEST.findall(text)}
        if path.suffix == ".py":
            pytests |= set(PYTEST.findall(text))
        part = path.relative_to(ROOT).parts[0]
        if part not in ("src", "tests"):
            continue
        of_a_test = path.name.endswith("_test.cc") or part == "tests"
        for variable in (READ if of_a_test else NAMED).findall(text):
            read.setdefault(variable, str(path.relative_to(ROOT)))

    documents = [Document(path) for path in files if path.suffix == ".md"]
    documented: set[str] = set()
    problems: list[str] = []
    for document in documents:
        documented |= document.check(known, tests, pytests)
        problems += document.problems
    for variable in sorted(set(read) - documented):
        problems.append(f"{read[variable]}: reads {variable}, which no document names")
    for line in problems:
        print(line)
    print(f"check_docs: {len(documents)} documents, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
