#!/usr/bin/python3
"""Fails when a document names something that does not exist, or when a text is not plain English.

Checked in every *.md: relative links, paths in backticks, PYRO_ variables (and that each one the programs read is documented),
and names of tests; and that no sentence has more than 25 words. Checked in every *.md and every source: the words of NOT_PLAIN.
Checked in C++: comments end at column 100, since the formatter leaves them alone.
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

# Words that hide who does what, and what to write instead. A phrase is also found across the lines of a comment and the
# pieces of a string.
NOT_PLAIN = {
    "whoever": "name the caller, client or process; or 'if a process …'",
    "whatever": "'any', 'even if', 'regardless of'",
    "whichever": "'the one that', 'either'",
    "nobody": "'no process', 'no client', or the passive",
    "somebody": "'another process', 'a client'",
    "anybody": "'any process', 'you'",
    "be had": "'available', 'can start'",
    "but for": "'except', 'apart from'",
    "had it to": "'if it had to'",
    "so long": "'for that time', '… seconds after'; 'as long as'",
    "no root to be": "'root is not needed'",
    "whose absence": "'if … is missing'",
    "anew": "'again', 'from scratch'",
    "likewise": "'the same for …', 'also'",
    "besides": "'other than', 'in addition to', 'also'",
}
HOLDS_THE_WORDS = {"check_docs.py", "test_plain_english.py"}
LONGEST_SENTENCE = 25
WIDEST_COMMENT = 100
PROSE = SOURCE | {".md", ".c", ".pyi", ".mjs", ".toml"}


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

def plain_pattern(phrase: str) -> re.Pattern[str]:
    """Finds it in prose, in snake_case and in CamelCase."""
    words = phrase.split()
    prose = r"[\s\"#/*_\\]+".join(words)
    camel = "".join(word.capitalize() for word in words)
    # The account "nobody" is a name.
    return re.compile(rf"(?<![A-Za-z0-9])(?i:{prose})(?![A-Za-z0-9])(?<!\"nobody(?=\"))|(?<![A-Z]){camel}(?![a-z])")


PATTERNS = [(phrase, plain_pattern(phrase), instead) for phrase, instead in NOT_PLAIN.items()]


def check_words(path: pathlib.Path, text: str) -> list[str]:
    found = []
    for phrase, pattern, instead in PATTERNS:
        for match in pattern.finditer(text):
            number = text.count("\n", 0, match.start()) + 1
            found.append(f"{path.relative_to(ROOT)}:{number}: not plain: '{phrase}'; write {instead}")
    return found


def check_comments(path: pathlib.Path, text: str) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{number}: a comment of {len(line)} columns, {WIDEST_COMMENT} at most"
            for number, line in enumerate(text.splitlines(), 1)
            if len(line) > WIDEST_COMMENT and re.search(r"(^|\s)// ", line)]


def check_plain(files: list[pathlib.Path]) -> list[str]:
    problems = []
    for path in files:
        named = path.suffix in PROSE or path.name in ("Makefile", "CMakeLists.txt") or path.parent.name == ".ci"
        if not named or path.name in HOLDS_THE_WORDS:
            continue
        problems += check_words(path, text_of(path))
        if path.suffix in (".h", ".cc"):
            problems += check_comments(path, text_of(path))
    return problems


def sentences(text: str):
    """Each sentence of a document with the line it begins in: of paragraphs, list items and cells of tables, not of code."""
    fenced = False
    block: list[tuple[int, str]] = []
    blocks: list[list[tuple[int, str]]] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if FENCE.match(line):
            fenced = not fenced
            line = ""
        if fenced:
            continue
        if line.lstrip().startswith("|"):
            blocks += [[(number, cell)] for cell in line.strip().strip("|").split(" | ")]
            line = ""
        if not line.strip() or re.match(r"\s*([-*]|\d+\.)\s|#", line):
            blocks.append(block)
            block = []
        if line.strip():
            block.append((number, re.sub(r"^\s*([-*]|\d+\.|#+)\s", "", line)))
    for block in blocks:
        # What stands in backticks counts as one word.
        words = [(number, word) for number, line in block for word in QUOTED.sub("Q", LINK.sub("]", line)).split()]
        sentence: list[tuple[int, str]] = []
        for number, word in words:
            sentence.append((number, word))
            if word == "·" or re.search(r"[.!?:][)\"*]*$", word):
                yield sentence
                sentence = []
        if sentence:
            yield sentence


def long_sentences(path: pathlib.Path) -> list[str]:
    return [f"{path.relative_to(ROOT)}:{sentence[0][0]}: a sentence of {len(sentence)} words: {' '.join(word for _, word in sentence)}"
            for sentence in sentences(text_of(path)) if len(sentence) > LONGEST_SENTENCE]


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
    problems += check_plain(files)
    for document in documents:
        problems += long_sentences(document.path)
    for line in problems:
        print(line)
    print(f"check_docs: {len(documents)} documents, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
