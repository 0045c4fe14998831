#!/usr/bin/python3
"""Fails when a source file includes what its floor may not see.

The floors are those of docs/ARCHITECTURE.md: a folder sees itself, the folders and headers named here, and include/pyro. A
folder below another one, such as mcp/http, may have a floor of its own. Libraries from outside are touched
only where this table says so. A second guard is the link check of cmake/pyro.cmake.
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
    "state": {"db", "sys", "base"},
    "image": {"archive", "sys", "base"},
    "archive": {"sys", "base"},
    "jail": {"sys", "base"},
    "downloads": {"sys", "base"},
    "vmm": {"jail", "sys", "base"},
    "net": {"vmm/vmm.h", "jail", "sys", "base"},  # The card that a machine takes.
    "proxy": {"downloads", "net", "jail", "sys", "base"},
    "supervisor": {"state", "vmm", "proxy", "downloads", "net", "wire", "sys", "base"},
    "engine": {"api", "state", "vmm", "net", "jail", "image", "archive", "downloads", "wire", "sys", "base"},
    "agent": {"wire", "sys", "base"},
    "mcp/schema": {"base"},
    "mcp/protocol": {"mcp/schema", "base"},
    "mcp/server": {"mcp/protocol", "mcp/schema", "sys", "base"},
    "mcp/http": {"mcp/server", "mcp/protocol", "sys", "base"},
    "mcp/stdio": {"mcp/server", "mcp/protocol", "sys", "base"},
    "mcp/testing": {"mcp/http", "mcp/stdio", "mcp/server", "mcp/protocol", "mcp/schema", "sys", "base"},
    "chat": {"api", "base"},
    "front/mcp": {"api", "mcp", "base"},
    "front/cli": {"api", "chat", "front/mcp", "base"},
    "python": {"api", "base"},
    "apps": {"front/cli", "supervisor", "agent", "vmm", "proxy", "net", "sys", "base"},
}

# What tests, and what is in folders named `testing`, may see beyond that.
TESTS_SEE = {
    "api": {"sys"},
    "front/cli": {"engine", "sys"},
    "front/mcp": {"engine", "sys"},
    "jail": {"vmm"},
    "mcp/protocol": {"mcp/stdio"},
    "mcp/server": {"mcp/testing"},
    "net": {"vmm"},
}

# Header prefix of a library: the folders that may include it.
OUTSIDE = {
    "sqlite3.h": {"db"},
    "CLI/": {"front/cli"},
    "dtl/": {"engine"},
    "archive": {"image", "archive"},
    "zlib.h": {"archive"},
    "openssl/": {"downloads", "image", "mcp", "proxy"},
    "nlohmann/": {"base"},
    "boost/": {"supervisor", "agent", "mcp", "chat", "proxy"},
    "tl/": set(),
    "slirp/": {"net"},
    "seccomp": {"jail", "vmm"},
    "pybind11/": {"python"},
}

# Headers that only these files may include. Files of the same folder, tests and folders named `testing` may as well.
SEAMS = {
    "vmm/qemu/": {"vmm/factory.cc"},
    "vmm/uml/": {"vmm/factory.cc"},
    "vmm/fake/": set(),
    "vmm/factory.h": {"vmm/factory.cc", "engine/system_context.cc", "apps/pyro_supervisor.cc",
                       "apps/testing/pyro_supervisor_stepped.cc"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def is_in(file: str, folders: set[str]) -> bool:
    """Whether `file`, written from the root of src, is one of `folders` or lies in one."""
    return any(file == folder or file.startswith(folder + "/") for folder in folders)


def crosses_a_seam(source: str, header: str) -> bool:
    """Whether `source`, written from the root of src as `header` is, goes past a seam of SEAMS."""
    if source.endswith("_test.cc") or "/testing/" in source:
        return False
    for seam, allowed in SEAMS.items():
        if header.startswith(seam) and source not in allowed and not source.startswith(seam):
            return True
    return False


def source_of(path: pathlib.Path) -> str:
    """From the root of src, as includes write it."""
    return path.relative_to(ROOT / "src" if path.is_relative_to(ROOT / "src") else ROOT).as_posix()


def problems_in(path: pathlib.Path, folder: str) -> list[str]:
    found = []
    test = path.name.endswith("_test.cc")
    for_tests = test or "testing" in path.parts
    visible = FLOORS[folder] | (TESTS_SEE.get(folder, set()) if for_tests else set())
    source = source_of(path)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, header = match.groups()
        where = f"{path.relative_to(ROOT)}:{number}"
        if kind == "<":
            for prefix, folders in OUTSIDE.items():
                if header.startswith(prefix) and not is_in(folder, folders) and not test:
                    found.append(f"{where}: <{header}> belongs to {', '.join(sorted(folders)) or 'include/pyro'}")
            continue
        if header.startswith("pyro/") or (path.parent / header).exists() and folder == "python":
            continue
        if not is_in(header, set(FLOORS)):
            found.append(f'{where}: "{header}" is not written from the root of src')
        elif not is_in(header, visible | {folder}):
            found.append(f"{where}: {folder} may not include {header}")
        elif crosses_a_seam(source, header):
            found.append(f"{where}: {header} is behind a seam; take what it makes from your caller")
    return found


def main() -> int:
    found = []
    count = 0
    for path in sorted([*(ROOT / "src").rglob("*"), *(ROOT / "python/src").rglob("*")]):
        if path.suffix not in (".h", ".cc"):
            continue
        count += 1
        folders = [folder for folder in FLOORS if is_in(source_of(path), {folder})]
        if folders:
            found += problems_in(path, max(folders, key=len))
        else:
            found.append(f"{path.relative_to(ROOT)} is on no floor")
    for line in found:
        print(line)
    print(f"check_layers: {count} files, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
