"""Raw QEMU guests of an environment's own kernel and root: no jail, no supervisor, no writable disk, an init of a hundred lines.

One boots to /bin/true; the other boots to dropbear, and is reached through QEMU's user-mode network and a port of the
host's loopback, as people reach such guests.
"""

import contextlib
import os
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import time

import host
from context import Context
from program import HANG_SECONDS, ROOT, timed
from rounds import Failed

ENDED = b"raw guest: ended with 0"
# What pyro gives its guests under TCG, from src/vmm/qemu/argv.cc: raw guests are to have no handicap.
EMULATED_CPU = "max,erms=off,fsrm=off,smap=off,smep=off,umip=off,pku=off,la57=off,mpx=off,svm=off"
KERNEL_ARGUMENTS = "console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check cryptomgr.notests"
EMULATED_ARGUMENTS = " mitigations=off"
BOOT_SECONDS = 120  # After this time a boot counts as hung.
BOOTS = 3  # So many of them may hang in a row.
SERVING = b"Not backgrounding"  # What dropbear says when it listens.


def newc(entries: list[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive in the form that the kernel unpacks."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")]):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


class RawGuests:
    """What the raw guests of one environment boot from, in `scratch`."""

    def __init__(self, context: Context):
        self.environment = context.installed
        self.scratch = context.scratch
        self.accelerator = context.accelerator
        self.notes = context.notes
        self.init = self.scratch / "init"
        timed(["cc", "-O2", "-static", "-o", self.init, ROOT / "bench/raw_init.c"])
        self.modules = [(f"modules/{number:02}-{name}", 0o100644, (self.environment / "modules" / name).read_bytes())
                        for number, name in enumerate(context.modules)]

    def prepare_boot(self) -> None:
        self.initrd("true.initrd", [])

    def initrd(self, name: str, extra: list[tuple[str, int, bytes]]) -> pathlib.Path:
        path = self.scratch / name
        path.write_bytes(newc([("dev", 0o40755, b""), ("modules", 0o40755, b""),
                               ("init", 0o100755, self.init.read_bytes()), *self.modules, *extra]))
        return path

    def command(self, initrd: pathlib.Path, *devices: str) -> list[str]:
        """The machine that pyro starts, as far as a raw guest needs it."""
        tcg = self.accelerator == "tcg"
        emulated = f"{EMULATED_ARGUMENTS} tsc_early_khz={host.tsc_khz()}" if tcg else ""
        return ["qemu-system-x86_64", "-M", "microvm,acpi=on,rtc=on",
                *(["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU] if tcg else ["-accel", "kvm", "-cpu", "host"]),
                "-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
                "-kernel", str(self.environment / "vmlinuz"), "-initrd", str(initrd), "-append",
                KERNEL_ARGUMENTS + emulated,
                "-drive", f"if=none,id=root,format=raw,readonly=on,file={self.environment}/base.erofs",
                "-device", "virtio-blk-device,drive=root", *devices]

    def boot_to_true(self) -> float:
        """Seconds from the start of QEMU until the guest says that the command has ended; what comes after is not counted. A boot
        that hangs is not held against QEMU: it is noted, and another takes its place."""
        for left in reversed(range(BOOTS)):
            start = time.monotonic()
            with console(self.command(self.scratch / "true.initrd")) as process:
                try:
                    wait_for(process, ENDED, BOOT_SECONDS)
                    return time.monotonic() - start
                except Hung as hung:
                    self.notes.append(f"a raw boot was given up after {BOOT_SECONDS} s: {hung}")
                    if left == 0:
                        raise
        raise AssertionError("not reached")

    def prepare_boot(self) -> None:
        self.initrd("true.initrd", [])

    def initrd(self, name: str, extra: list[tuple[str, int, bytes]]) -> pathlib.Path:
        path = self.scratch / name
        path.write_bytes(newc([("dev", 0o40755, b""), ("modules", 0o40755, b""),
                               ("init", 0o100755, self.init.read_bytes()), *self.modules, *extra]))
        return path

    def command(self, initrd: pathlib.Path, *devices: str) -> list[str]:
        """The machine that pyro starts, as far as a raw guest needs it."""
        tcg = self.accelerator == "tcg"
        emulated = f"{EMULATED_ARGUMENTS} tsc_early_khz={host.tsc_khz()}" if tcg else ""
        return ["qemu-system-x86_64", "-M", "microvm,acpi=on,rtc=on",
                *(["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU] if tcg else ["-accel", "kvm", "-cpu", "host"]),
                "-smp", "1", "-m", "1024", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
                "-kernel", str(self.environment / "vmlinuz"), "-initrd", str(initrd), "-append",
                KERNEL_ARGUMENTS + emulated,
                "-drive", f"if=none,id=root,format=raw,readonly=on,file={self.environment}/base.erofs",
                "-device", "virtio-blk-device,drive=root", *devices]

    def boot_to_true(self) -> float:
        """Seconds from the start of QEMU until the guest says that the command has ended; what comes after is not counted."""
        start = time.monotonic()
        with console(self.command(self.scratch / "true.initrd")) as process:
            wait_for(process, ENDED)
            return time.monotonic() - start


@contextlib.contextmanager
def console(command: list[str]):
    """A QEMU whose serial port is our pipe; killed at the end of the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               preexec_fn=host.die_with_parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Hung(Failed):
    """A guest says nothing any more."""


def wait_for(process: subprocess.Popen, marker: bytes, seconds: float = HANG_SECONDS) -> None:
    seen = b""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while marker not in seen:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise Hung(f"the raw guest hangs; its console ends with {seen[-100:]!r}")
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise Failed(f"the raw guest ended early: {seen[-200:]!r}")
            seen += chunk


class SshGuest:
    """A raw guest with dropbear in it and one connection to it that stands already."""

    def __init__(self, guests: RawGuests, stack: contextlib.ExitStack):
        for program in ("ssh", "ssh-keygen", "dropbearkey"):
            if shutil.which(program) is None:
                raise Failed(f"there is no {program}")
        self.scratch = guests.scratch
        self.key = self.scratch / "id"
        self.control = self.scratch / "ssh.sock"
        timed(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key])
        timed(["dropbearkey", "-t", "ed25519", "-f", self.scratch / "hostkey"])
        initrd = guests.initrd("ssh.initrd", self.files())
        self.port = free_port()
        forward = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-10.0.2.15:22"
        entropy = ("-object", "rng-random,id=entropy,filename=/dev/urandom", "-device", "virtio-rng-device,rng=entropy")
        process = stack.enter_context(console(guests.command(initrd, "-netdev", forward, "-device",
                                                             "virtio-net-device,netdev=net", *entropy)))
        wait_for(process, SERVING)
        self.connect(stack)

    def files(self) -> list[tuple[str, int, bytes]]:
        """dropbear of this host, with the libraries that the guest may lack; the C library is the guest's."""
        server = pathlib.Path("/usr/sbin/dropbear")
        if not server.exists():
            raise Failed("there is no /usr/sbin/dropbear")
        needed = subprocess.run(["ldd", server], capture_output=True, text=True, check=True).stdout
        files = [("ssh", 0o40755, b""), ("ssh/home", 0o40700, b""), ("ssh/home/.ssh", 0o40700, b""),
                 ("ssh/home/.ssh/authorized_keys", 0o100600, self.key.with_suffix(".pub").read_bytes()),
                 ("ssh/hostkey", 0o100600, (self.scratch / "hostkey").read_bytes()),
                 ("ssh/dropbear", 0o100755, server.read_bytes())]
        for name, path in re.findall(r"^\s*(\S+) => (/\S+)", needed, re.MULTILINE):
            if not name.startswith("libc.so"):
                files.append((f"ssh/{name}", 0o100755, pathlib.Path(path).read_bytes()))
        return files

    def connect(self, stack: contextlib.ExitStack) -> None:
        """The connection is made once and shared by every command, so that no handshake is ever in a figure."""
        log = self.scratch / "ssh.log"
        with open(log, "wb") as talk:
            master = subprocess.Popen(self.client("-v", "-N", "-M"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                      stderr=talk, preexec_fn=host.die_with_parent)
        stack.callback(lambda: (master.kill(), master.wait()))
        deadline = time.monotonic() + HANG_SECONDS
        while not self.control.exists():  # ssh makes it when the connection stands; it has no other way to say so.
            if master.poll() is not None or time.monotonic() > deadline:
                raise Failed("ssh does not connect: " + log.read_text(errors="replace").strip().splitlines()[-1][:200])
            time.sleep(0.05)
        found = re.search(r"kex: server->client cipher: (\S+)", log.read_text(errors="replace"))
        self.cipher = found.group(1) if found else "unknown"

    def client(self, *args: str) -> list[str]:
        """The words before a remote command."""
        return ["ssh", "-F", "none", "-T", "-S", str(self.control), "-i", str(self.key), "-p", str(self.port),
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "StrictHostKeyChecking=no", *args, "root@127.0.0.1"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
