#!/usr/bin/python3
"""Fails when a source file includes what its floor may not see.

The floors are those of docs/ARCHITECTURE.md: a folder sees itself, the folders named here, and include/pyro. Libraries from
outside are touched only where this table says so. A second guard is the link check of cmake/pyro.cmake.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

FLOORS = {
    "base": set(),
    "api": {"base"},
    "sys": {"base"},
    "wire": {"base"},
    "db": {"base"},
    "registry": {"db", "sys", "base"},
    "vmm": {"sys", "base"},
    "environment": {"sys", "base"},
    "archive": {"sys", "base"},
    "supervisor": {"registry", "vmm", "wire", "sys", "base"},
    "engine": {"api", "registry", "vmm", "environment", "archive", "wire", "sys", "base"},
    "agent": {"wire", "sys", "base"},
    "mcp": {"sys", "base"},
    "chat": {"base"},
    "mcp_server": {"api", "mcp", "base"},
    "cli": {"api", "chat", "mcp_server", "base"},
    "python": {"api", "base"},
    "apps": {"cli", "supervisor", "agent", "vmm", "sys", "base"},
}

# What tests, and what is in folders named `testing`, may see beyond that.
TESTS_SEE = {"api": {"sys"}, "cli": {"engine", "sys"}, "mcp_server": {"engine", "sys"}}

# Header prefix of a library: the folders that may include it.
OUTSIDE = {
    "sqlite3.h": {"db"},
    "CLI/": {"cli"},
    "archive": {"environment", "archive"},
    "zlib.h": {"archive"},
    "openssl/": {"environment", "mcp"},
    "nlohmann/": {"base"},
    "boost/": {"supervisor", "agent", "mcp", "chat"},
    "tl/": set(),
    "slirp/": {"vmm"},
    "pybind11/": {"python"},
}

# Headers that only these files may include. Files of the same folder, tests and folders named `testing` may as well.
SEAMS = {
    "vmm/qemu/": {"vmm/factory.cc"},
    "vmm/fake/": set(),
    "vmm/factory.h": {"vmm/factory.cc", "engine/system_context.cc", "apps/pyro_supervisor.cc"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def crosses_a_seam(source: str, header: str) -> bool:
    """Whether `source`, written from the root of src as `header` is, goes past a seam of SEAMS."""
    if source.endswith("_test.cc") or "/testing/" in source:
        return False
    for seam, allowed in SEAMS.items():
        if header.startswith(seam) and source not in allowed and not source.startswith(seam):
            return True
    return False


def problems_in(path: pathlib.Path, folder: str) -> list[str]:
    found = []
    test = path.name.endswith("_test.cc")
    for_tests = test or "testing" in path.parts
    visible = FLOORS[folder] | (TESTS_SEE.get(folder, set()) if for_tests else set())
    source = path.relative_to(ROOT / "src").as_posix() if path.is_relative_to(ROOT / "src") else path.name
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, header = match.groups()
        where = f"{path.relative_to(ROOT)}:{number}"
        if kind == "<":
            for prefix, folders in OUTSIDE.items():
                if header.startswith(prefix) and folder not in folders and not test:
                    found.append(f"{where}: <{header}> belongs to {', '.join(sorted(folders)) or 'include/pyro'}")
            continue
        other = header.split("/")[0]
        if other == "pyro" or (path.parent / header).exists() and folder == "python":
            continue
        if other not in FLOORS:
            found.append(f'{where}: "{header}" is not written from the root of src')
        elif other != folder and other not in visible:
            found.append(f"{where}: {folder} may not include {other}")
        elif crosses_a_seam(source, header):
            found.append(f"{where}: {header} is behind a seam; take what it makes from your caller")
    return found


def main() -> int:
    found = []
    count = 0
    folders = {p.name: p for p in (ROOT / "src").iterdir() if p.is_dir()} | {"python": ROOT / "python/src"}
    for folder, where in sorted(folders.items()):
        if folder not in FLOORS:
            found.append(f"src/{folder} has no floor")
            continue
        for path in sorted(where.rglob("*")):
            if path.suffix in (".h", ".cc"):
                count += 1
                found += problems_in(path, folder)
    for line in found:
        print(line)
    print(f"check_layers: {count} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
