"""What tests/images/probe.c tells: trees, and what a process was started with."""

from __future__ import annotations

import collections
import dataclasses


def parse(listing: str) -> dict[str, dict[str, object]]:
    """Fields by path. `links` has the paths that share the file's inode."""
    found: dict[str, dict[str, object]] = {}
    inodes = collections.defaultdict(list)
    for line in listing.splitlines():
        path, *fields = line.split(" ")
        found[path] = dict(field.split("=", 1) for field in fields)
        if inode := found[path].pop("inode", None):
            inodes[inode].append(path)
    for paths in inodes.values():
        for path in paths:
            found[path]["links"] = tuple(paths)
    return found


def differences(ours: str, theirs: str, without: tuple[str, ...] = (), changed: tuple[str, ...] = ()) -> list[str]:
    """One line for each path and field that differ, except those at and below the paths in `without`. Of the paths in `changed` the
    time is not compared. podman's overlay has its own mode for the root directory, so that is not compared either."""
    left, right = parse(ours), parse(theirs)
    for tree in (left, right):
        tree["/"].pop("mode")
        for path in ("/", *changed):
            tree[path].pop("mtime")
    found = []
    for path in sorted(left.keys() | right.keys()):
        if any(path == skipped or path.startswith(f"{skipped}/") for skipped in without):
            continue
        if path not in left or path not in right:
            found.append(f"{path}: only in {'ours' if path in left else 'theirs'}")
            continue
        for field in sorted(left[path].keys() | right[path].keys()):
            if left[path].get(field) != right[path].get(field):
                found.append(f"{path}: {field} {left[path].get(field)} instead of {right[path].get(field)}")
    return found


@dataclasses.dataclass
class Told:
    """A process, as itself tells it."""
    args: list[str]
    env: dict[str, str]
    cwd: str
    uid: str
    gid: str
    groups: set[int]

    @classmethod
    def of(cls, output: bytes) -> Told:
        fields = collections.defaultdict(list)
        for line in output.decode().splitlines():
            name, _, value = line.partition("=")
            fields[name].append(value)
        gid, = fields["gid"]
        # Some list the group of the process once more among its other groups, and some do not.
        groups = {int(group) for group in fields["group"]} | {int(gid.split(":")[0])}
        return cls(fields["arg"], dict(value.split("=", 1) for value in fields["env"]), *fields["cwd"], *fields["uid"], gid, groups)
