"""podman as root, with a store of its own: what pyro's trees and processes are compared with."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess

from images.registry import program

# A container without limits and cgroups of its own: a host without systemd, or one that is a container, forbids to make them. crun
# takes no host with cgroups of both versions, so it sees those of version 2 alone.
PREPARE = "umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup"
LIMITS = ("--cgroups=disabled", "--network=none", "--ulimit=nofile=1000:1000", "--ulimit=nproc=1000:1000")


class Podman:
    """Everything happens in a mount namespace that ends with the command, so that no mount is left."""

    def __init__(self, directory: pathlib.Path, driver: str = "overlay"):
        assert os.geteuid() == 0
        self.directory = directory
        program("crun")
        self.words = [program("podman"), "--root", f"{directory}/root", "--runroot", f"{directory}/runroot", "--tmpdir", f"{directory}/tmp",
                      "--storage-driver", driver, "--events-backend=file", "--cgroup-manager=cgroupfs", "--runtime", "crun"]
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(directory), "TMPDIR": str(directory)}
        directory.mkdir(parents=True)

    def command(self, *words: object) -> list[str]:
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{PREPARE} && exec "$@"', "sh", *self.words, *map(str, words)]

    def __call__(self, *words: object) -> bytes:
        return _finish(self.command(*words), self.env)

    def pull(self, source: str) -> str:
        """`source` as podman names it; returns the image's id."""
        return self("pull", "-q", "--tls-verify=false", source).decode().strip()

    def run(self, image: str, *words: str, flags: tuple[str, ...] = ()) -> bytes:
        """A container's output."""
        return self("run", "--rm", *LIMITS, *flags, image, *words)

    def tree(self, image: str, probe: pathlib.Path) -> str:
        """What `probe` lists of the image's files, without a container."""
        podman = shlex.join(self.words)
        script = f"where=$({podman} image mount {image}) && {shlex.quote(str(probe))} tree $where && {podman} image umount {image} >&2"
        return _finish(["unshare", "--mount", "--propagation", "private", "sh", "-c", script], self.env).decode()


def _finish(words: list[str], env: dict[str, str]) -> bytes:
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 0, (words, done.returncode, done.stdout[-1000:], done.stderr[-2000:])
    return done.stdout
