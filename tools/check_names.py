#!/usr/bin/python3
"""Fails when two sources of a library's folder use one name for things that are local to a file.

Sources are compiled in batches (docs/design/0010-build-time.md), so that such names meet. The check looks at the layout that
the formatter makes: a declaration at namespace level begins at the start of a line.
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
NAMESPACE = re.compile(r"\s*(?:inline\s+)?namespace\b([^{;=]*)\{")
TYPE = re.compile(r"(?:class|struct|union|enum(?:\s+class)?)\s+(\w+)(?!\s+\w+\s*[=;{(])")
NAME = re.compile(r"(?<![\w:~])([A-Za-z_]\w*)\s*(?=\(|=|\{|\[|$)")
NO_NAMES = {"decltype", "alignas", "noexcept", "operator", "requires", "__attribute__"}
PAIRS = {"(": ")", "{": "}", "[": "]"}


def code_of(text: str) -> str:
    """Without comments, literals and directives."""
    text = re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", "", text)
    return DIRECTIVE.sub("", NOT_CODE.sub(lambda match: " " if match.group(0)[0] == "/" else "0", text))


def after_brackets(code: str, at: int) -> int:
    depth = 0
    for index in range(at, len(code)):
        depth += (code[index] in PAIRS) - (code[index] in PAIRS.values())
        if depth == 0:
            return index + 1
    return len(code)


def declarations(code: str, at: int = 0, local: bool = False) -> tuple[list[str], int]:
    """What is declared at namespace level and can be seen in this file alone: heads, up to a body or a semicolon."""
    found = []
    start = at
    while at < len(code):
        namespace = NAMESPACE.match(code, at)
        if namespace and not code[start:at].strip():
            inner, at = declarations(code, namespace.end(), local or not namespace.group(1).strip())
            found += inner
            start = at
        elif code[at] == "}":
            return found, at + 1
        elif code[at] in PAIRS:
            end = after_brackets(code, at)
            head = code[start:at].strip()
            # The body of a function ends its declaration; that of a type or a value is followed by a semicolon.
            if code[at] == "{" and not re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b", head, re.S) \
                    and not re.match(r"\s*[;,=]", code[end:end + 40]):
                found.append((head, local))
                start = end
            at = end
        elif code[at] == ";":
            found.append((code[start:at].strip(), local))
            at += 1
            start = at
        else:
            at += 1
    return found, at


def name_of(head: str) -> str | None:
    head = re.sub(r"\[\[.*?\]\]", "", head)
    before = ""
    while before != head:
        before = head
        head = re.sub(r"<[^<>]*>", "", head)
    head = re.sub(r"^template\s*", "", head).strip()
    if not head or re.match(r"(using|namespace|static_assert|friend|typedef)\b", head):
        return None  # An alias may be declared twice.
    if match := TYPE.match(head):
        return match.group(1)
    return next((name for name in NAME.findall(head) if name not in NO_NAMES), None)


def local_names(text: str) -> set[str]:
    names = set(MACRO.findall(text))
    for head, local in declarations(code_of(text))[0]:
        if local or re.match(r"(template\s*<.*?>\s*)?(inline\s+|constexpr\s+)*static\b", head, re.S):
            names.add(name_of(head))
    return names - {None}


def problems_in(folder: pathlib.Path) -> list[str]:
    files = collections.defaultdict(list)
    for path in sorted(folder.rglob("*.cc")):
        if not path.name.endswith("_test.cc") and "testing" not in path.parts:
            for name in local_names(path.read_text(encoding="utf-8")):
                files[name].append(str(path.relative_to(folder.parent)))
    return [f"{name} is local to each of {', '.join(paths)}: give each a name of its own"
            for name, paths in sorted(files.items()) if len(paths) > 1]


def main() -> int:
    folders = sorted({path.parent for path in (ROOT / "src").glob("*/**/CMakeLists.txt")})
    found = [problem for folder in folders for problem in problems_in(folder)]
    for line in found:
        print(line)
    print(f"check_names: {len(folders)} folders, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
