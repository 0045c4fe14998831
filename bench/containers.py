"""The peers that share the host's kernel, or bring one in user space: runsc (gVisor), runc and bubblewrap, on one root."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

from program import timed
from rounds import Failed


def bundle(directory: pathlib.Path, root: pathlib.Path, *args: str, rootless: bool) -> pathlib.Path:
    """An OCI bundle that runs `args`: own namespaces, read-only root, no capability, no network."""
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
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config))
    return directory


class Runtime:
    """runsc or runc, with a state directory of its own."""

    def __init__(self, name: str, flags: list[str], root: pathlib.Path, scratch: pathlib.Path):
        if shutil.which(name) is None:
            raise Failed(f"{name} is not installed")
        self.name = name
        self.rootless = os.geteuid() != 0
        self.command = [name, "--root", str(scratch / f"{name}.state"), *flags]
        self.once = bundle(scratch / f"{name}.once", root, "/bin/true", rootless=self.needs_user_namespace)
        self.idle = bundle(scratch / f"{name}.idle", root, "/bin/sleep", "1000000", rootless=self.needs_user_namespace)
        self.count = 0
        # Started by root, runsc gives its streams away to the user "nobody": they must not be the host's /dev/null.
        self.streams = (scratch / f"{name}.streams").open("w+b")

    @property
    def needs_user_namespace(self) -> bool:
        return self.rootless and self.name == "runc"  # runsc --rootless makes its own.

    def run(self) -> float:
        """A container from nothing to gone again, /bin/true in between."""
        self.count += 1
        return timed([*self.command, "run", "--bundle", self.once, f"bench-{self.name}-{self.count}"],
                     stdin=self.streams, stdout=self.streams)[0]

    def start_idle(self, stack: contextlib.ExitStack) -> str:
        """A container that stays, for exec; removed when the stack unwinds."""
        name = f"bench-{self.name}-idle"
        stack.callback(lambda: subprocess.run([*self.command, "delete", "--force", name], timeout=60, check=False,
                                              stdin=subprocess.DEVNULL, capture_output=True))
        # The container keeps its creator's streams, so they may not be pipes that another process reads to the end.
        timed([*self.command, "run", "--detach", "--bundle", self.idle, name],
              stdin=self.streams, stdout=self.streams, stderr=self.streams)
        return name

    def exec(self, name: str) -> float:
        return timed([*self.command, "exec", name, "/bin/true"], stdin=self.streams, stdout=self.streams)[0]


def runsc(root: pathlib.Path, scratch: pathlib.Path) -> Runtime:
    """gVisor without KVM, and without cgroups, which not every host hands out."""
    flags = ["--platform=ptrace", "--network=none", "--ignore-cgroups"]
    return Runtime("runsc", flags + ([] if os.geteuid() == 0 else ["--rootless"]), root, scratch)


def runc(root: pathlib.Path, scratch: pathlib.Path) -> Runtime:
    return Runtime("runc", [] if os.geteuid() == 0 else ["--rootless=true"], root, scratch)


def bubblewrap(root: pathlib.Path) -> float:
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev",
               "--tmpfs", "/tmp", "/bin/true"]
    if shutil.which("bwrap") is None:
        raise Failed("bwrap is not installed")
    return timed(command)[0]
