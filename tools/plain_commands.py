#!/usr/bin/python3
"""plain_commands.py BUILD: makes BUILD/compile_commands.json name each source by itself.

The compiler sees batches of sources and a precompiled header in its own format. Editors and clang-tidy want neither.
"""

import json
import os
import pathlib
import re
import shlex
import sys

PRECOMPILED = re.compile(r" -Winvalid-pch| -include(-pch)? \S*/cmake_pch\.\S+")
# Of GCC alone.
WARNINGS = re.compile(r" -Wno-(restrict|stringop-overflow)\b")


def sources_of(batch: pathlib.Path, command: str) -> list[str]:
    """What a batch includes, found where the compiler finds it."""
    words = shlex.split(command)
    root = pathlib.Path(words[words.index("-iquote") + 1])
    return [str(root / name) for name in re.findall(r'^#include "(.+)"$', batch.read_text(encoding="utf-8"), re.M)]


def plain(entries: list[dict], build: pathlib.Path) -> list[dict]:
    found: dict[str, dict] = {}  # Once each, also what two libraries compile.
    for entry in entries:
        file = pathlib.Path(entry["file"])
        if file.name.startswith("cmake_pch."):
            continue
        entry = entry | {"command": WARNINGS.sub("", PRECOMPILED.sub("", entry["command"]))}
        if file.parent != build / "batches":
            found.setdefault(entry["file"], entry)
            continue
        for source in sources_of(file, entry["command"]):
            command = entry["command"].replace(str(file), source)
            found.setdefault(source, entry | {"command": command, "file": source})
    return list(found.values())


def main() -> int:
    build = pathlib.Path(sys.argv[1]).resolve()
    path = build / "compile_commands.json"
    entries = plain(json.loads(path.read_text(encoding="utf-8")), build)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
