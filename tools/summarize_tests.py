#!/usr/bin/python3
"""Prints the slowest tests of a run, and how many tests, kills and assertions there are.

summarize_tests.py DIRECTORY...   each holds what ctest's entries wrote: NAME.xml of pytest or GoogleTest
summarize_tests.py --sources      counts in the sources alone; --root takes those of another tree
"""

import argparse
import ast
import dataclasses
import pathlib
import re
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
SLOWEST = 20
TEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\(", re.M)
EXPECTATION = re.compile(r"\b(?:EXPECT|ASSERT)_[A-Z_]+\(|\bADD_FAILURE(?:_AT)?\(|\bFAIL\(")
PYTEST_CALLS = {"raises", "fail"}


@dataclasses.dataclass
class Test:
    entry: str  # Of ctest.
    name: str
    seconds: float
    outcome: str  # passed, skipped or failed.
    kills: int
    is_pytest: bool


def outcome_of(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped") is not None or case.get("result") in ("skipped", "suppressed") or (
        case.get("status") == "notrun")
    return "skipped" if skipped else "passed"


def read(directory, path):
    """The tests of one entry. GoogleTest writes a status for each, pytest does not."""
    tests = []
    entry = str(path.relative_to(directory))[:-len(".xml")]
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        is_pytest = case.get("status") is None
        kills = sum(int(one.get("value")) for one in case.iter("property") if one.get("name") == "kills")
        name = case.get("name") if is_pytest else f"{case.get('classname')}.{case.get('name')}"
        tests.append(Test(entry, name, float(case.get("time") or 0), outcome_of(case), kills, is_pytest))
    return tests


def summary(directories):
    tests = [test for directory in directories for path in sorted(directory.rglob("*.xml"))
             for test in read(directory, path)]
    slowest = sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]
    lines = [f"The slowest {len(slowest)} of {len(tests)} tests:"]
    lines += [f"{test.seconds:7.1f} s  {test.entry if test.is_pytest else ''}  {test.name}" for test in slowest]
    lines += [f"skipped: {test.entry} {test.name}" for test in tests if test.outcome == "skipped"]
    lines += [f"failed: {test.entry} {test.name}" for test in tests if test.outcome == "failed"]
    ours = sum(test.is_pytest for test in tests)
    counts = {outcome: sum(test.outcome == outcome for test in tests) for outcome in ("passed", "skipped", "failed")}
    lines.append(f"{len(tests)} tests ran: {len(tests) - ours} of GoogleTest, {ours} of pytest; {counts['passed']} passed, "
                 f"{counts['skipped']} skipped, {counts['failed']} failed; {sum(test.kills for test in tests)} kills")
    return lines


def assertions_of_python(text):
    """`assert` statements, and calls of pytest that say what must happen."""
    return sum(isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                                                and node.func.attr in PYTEST_CALLS) for node in ast.walk(ast.parse(text)))


def sources(root):
    python = [path.read_text(encoding="utf-8") for path in sorted((root / "tests").rglob("*.py"))]
    cpp = [path.read_text(encoding="utf-8") for below in ("src", "tests") for path in sorted((root / below).rglob("*.cc"))
           if path.name.endswith("_test.cc") or path.parent.name == "testing" or below == "tests"]
    functions = sum(len(re.findall(r"^\s*def test_\w+\(", text, re.M)) for text in python)
    return (f"In the sources: {sum(len(TEST.findall(text)) for text in cpp)} tests of GoogleTest, {functions} test functions of "
            f"pytest; {sum(len(EXPECTATION.findall(text)) for text in cpp)} + {sum(map(assertions_of_python, python))} assertions")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", nargs="*", type=pathlib.Path)
    parser.add_argument("--sources", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    options = parser.parse_args()
    if not options.sources:
        print("\n".join(summary(options.directories)))
    print(sources(options.root))


if __name__ == "__main__":
    main()
