"""The peers that share the host's kernel, or bring one in user space: runsc (gVisor), runc and bubblewrap, on one root."""

import contextlib
import json
import os
import pathlib
import re
import shutil

import host
from archive import Archive
from context import Context
from program import WORKSPACE, timed
from rounds import Failed


RUNSC_SUITE = "trixie"  # Where the newer gVisor is from.


def bundle(directory: pathlib.Path, root: pathlib.Path, *args: str, rootless: bool, workspace: pathlib.Path | None = None) -> pathlib.Path:
    """An OCI bundle that runs `args`: own namespaces, read-only root, no capability, no network. `workspace` stands where a guest of pyro has its own."""
    linux: dict = {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]}
    if rootless:
        linux["namespaces"].append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    config = {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": list(args), "cwd": "/", "noNewPrivileges": True,
                    "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "root": {"path": str(root), "readonly": True},
        "hostname": "bench",
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
                   {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}],
        "linux": linux}
    if workspace is not None:
        config["mounts"].append({"destination": WORKSPACE, "type": "bind", "source": str(workspace), "options": ["rbind", "rw"]})
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


class Runtime:
    """runsc or runc, with a state directory of its own. `label` tells those of one program apart."""

    def __init__(self, name: str, flags: list[str], root: pathlib.Path, scratch: pathlib.Path, program: pathlib.Path | None = None,
                 label: str = "", workspace: pathlib.Path | None = None):
        if program is None and shutil.which(name) is None:
            raise Failed(f"{name} is not installed")
        self.name = name
        self.label = label or name
        self.rootless = os.geteuid() != 0
        self.command = [str(program or name), "--root", str(scratch / f"{self.label}.state"), *flags]
        self.once = bundle(scratch / f"{self.label}.once", root, "/bin/true", rootless=self.needs_user_namespace)
        self.idle = bundle(scratch / f"{self.label}.idle", root, "/bin/sleep", "1000000", rootless=self.needs_user_namespace,
                           workspace=workspace)
        self.count = 0
        # Started by root, runsc gives its streams away to the user "nobody": they must not be the host's /dev/null.
        self.streams = (scratch / f"{self.label}.streams").open("w+b")

    @property
    def needs_user_namespace(self) -> bool:
        return self.rootless and self.name == "runc"  # runsc --rootless makes its own.

    def run(self) -> float:
        """A container from nothing to gone again, /bin/true in between."""
        self.count += 1
        return timed([*self.command, "run", "--bundle", self.once, f"bench-{self.label}-{self.count}"],
                     stdin=self.streams, stdout=self.streams)[0]

    def start_idle(self, stack: contextlib.ExitStack) -> str:
        """A container that stays, for exec; removed when the stack unwinds."""
        name = f"bench-{self.label}-idle"
        stack.callback(self.delete, name)
        # The container keeps its creator's streams, so they may not be pipes that another process reads to the end.
        timed([*self.command, "run", "--detach", "--bundle", self.idle, name],
              stdin=self.streams, stdout=self.streams, stderr=self.streams)
        return name

    def delete(self, name: str) -> None:
        with contextlib.suppress(Failed):  # All that is left is killed at the end of the benchmark.
            timed([*self.command, "delete", "--force", name], seconds=60)

    def exec(self, name: str) -> float:
        return timed([*self.command, "exec", name, "/bin/true"], stdin=self.streams, stdout=self.streams)[0]


def runsc(root: pathlib.Path, scratch: pathlib.Path) -> Runtime:
    """gVisor without KVM, and without cgroups, which not every host hands out."""
    return Runtime("runsc", runsc_flags("ptrace"), root, scratch)


def runsc_flags(platform: str) -> list[str]:
    return [f"--platform={platform}", "--network=none", "--ignore-cgroups", *([] if os.geteuid() == 0 else ["--rootless"])]


def newer_runsc(context: Context, environment: str, label: str, workspace: pathlib.Path | None = None) -> Runtime:
    """Debian 13's gVisor, whose platform systrap is quicker than ptrace. Unpacked from its package, and not installed."""
    program = unpacked_runsc(context.kept)
    return Runtime("runsc", runsc_flags("systrap"), context.container_root(environment), context.scratch, program, label, workspace)


def unpacked_runsc(kept: pathlib.Path) -> pathlib.Path:
    archive = Archive(kept / RUNSC_SUITE, RUNSC_SUITE, "deb")
    return archive.unpacked("runsc") / "usr/bin/runsc"


def newer_runsc_name(kept: pathlib.Path) -> str:
    """Its name in the table; its version is what the program says."""
    try:
        said = host.first_line(str(unpacked_runsc(kept)), "--version")
    except Failed:
        return "runsc (systrap)"
    found = re.search(r"\d{8}", said)
    return f"runsc {found.group() if found else said} (systrap)"


def runc(root: pathlib.Path, scratch: pathlib.Path) -> Runtime:
    return Runtime("runc", [] if os.geteuid() == 0 else ["--rootless=true"], root, scratch)


def bubblewrap(root: pathlib.Path) -> float:
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev",
               "--tmpfs", "/tmp", "/bin/true"]
    if shutil.which("bwrap") is None:
        raise Failed("bwrap is not installed")
    return timed(command)[0]
