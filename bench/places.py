"""Where a program can run on the files of one environment: on the host, in runsc, in a guest of pyro. Each call is timed as its caller
sees it, by the host's clock, from the start of the command that runs it there to its end."""

import contextlib
import os
import pathlib
import subprocess
import typing

from containers import Runtime
from program import WORKSPACE, Pyro, timed

# What a command finds in its environment, the same in every place.
ENVIRONMENT = ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "LC_ALL=C.UTF-8"]
GRACE_SECONDS = 60  # Beyond a guest's own time limit, until the call itself counts as hung.


class Place(typing.Protocol):
    def call(self, command: list[str], seconds: float) -> tuple[float, bytes]:
        """Seconds, and what the command wrote on its stdout. Failed unless it exits with 0 in time."""


class Host:
    """The host's own kernel and processor, with the environment's files as the root."""

    def __init__(self, root: pathlib.Path, workspace: pathlib.Path | None = None):
        self.command = ["bwrap", "--die-with-parent", "--cap-drop", "ALL", "--ro-bind", str(root), "/", "--proc", "/proc", "--dev", "/dev",
                        "--tmpfs", "/tmp", *([] if os.geteuid() == 0 else ["--unshare-user", "--uid", "0", "--gid", "0"])]
        if workspace is not None:
            self.command += ["--bind", str(workspace), WORKSPACE]
        self.command += ["--chdir", WORKSPACE]

    def call(self, command: list[str], seconds: float) -> tuple[float, bytes]:
        return output(timed([*self.command, *ENVIRONMENT, *command], seconds, stdout=subprocess.PIPE))


class Sandbox:
    """`runsc exec` into a container that stays."""

    def __init__(self, runtime: Runtime, stack: contextlib.ExitStack):
        self.runtime = runtime
        self.name = runtime.start_idle(stack)

    def call(self, command: list[str], seconds: float) -> tuple[float, bytes]:
        words = [*self.runtime.command, "exec", "--cwd", WORKSPACE, self.name, *ENVIRONMENT, *command]
        return output(timed(words, seconds, stdin=self.runtime.streams, stdout=subprocess.PIPE))


class Guest:
    """`pyro task exec` in a task whose guest runs."""

    def __init__(self, pyro: Pyro, environment: str, stack: contextlib.ExitStack, source: pathlib.Path | None = None):
        self.pyro = pyro
        fill = [] if source is None else ["--source-path", str(source)]
        self.task = pyro.create(environment, "--ttl-seconds", "6h", *fill)
        stack.callback(self.delete)

    def call(self, command: list[str], seconds: float) -> tuple[float, bytes]:
        words = [self.pyro.program, "task", "exec", "-q", "--timeout-seconds", str(int(seconds)), self.task, "--", *ENVIRONMENT, *command]
        return output(timed(words, seconds + GRACE_SECONDS, env=self.pyro.env, stdout=subprocess.PIPE))

    def delete(self) -> None:
        self.pyro.delete(self.task)


def output(ended: tuple[float, subprocess.CompletedProcess]) -> tuple[float, bytes]:
    return ended[0], ended[1].stdout
