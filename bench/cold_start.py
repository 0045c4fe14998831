#!/usr/bin/python3
"""The time from `pyro run` to the first byte of output, against a raw QEMU boot of the same kernel and root to the same command.

Both are cold, one after the other in turn, in one run; what is printed is each median and their ratio. The raw boot has no jail, no
supervisor, no writable disk and an init of forty lines.

usage: cold_start.py [ROUNDS]   (default 9; needs cc, and debian:12-base installed in PYRO_CACHE_DIR)
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYRO = pathlib.Path(os.environ.get("PYRO_TEST_BIN", ROOT / "build/bin")) / "pyro"
CACHE = pathlib.Path(os.environ.get("PYRO_CACHE_DIR", pathlib.Path.home() / ".cache/pyro-mcp"))


def newc(entries: list[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive in the form that the kernel unpacks."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")]):
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def make_initrd(environment: pathlib.Path, scratch: pathlib.Path) -> pathlib.Path:
    init = scratch / "init"
    subprocess.run(["cc", "-O2", "-static", "-o", init, ROOT / "bench/raw_init.c"], check=True)
    entries = [("dev", 0o40755, b""), ("modules", 0o40755, b""), ("init", 0o100755, init.read_bytes())]
    manifest = subprocess.run([PYRO, "env", "inspect", "debian:12-base", "--json"], check=True, capture_output=True, text=True)
    modules = re.findall(r'"([\w-]+\.ko) \d+ [0-9a-f]{64}"', manifest.stdout)
    for number, name in enumerate(modules):
        entries.append((f"modules/{number:02}-{name}", 0o100644, (environment / "modules" / name).read_bytes()))
    initrd = scratch / "initrd"
    initrd.write_bytes(newc(entries))
    return initrd


def raw_command(environment: pathlib.Path, initrd: pathlib.Path, khz: int) -> list[str]:
    return ["qemu-system-x86_64", "-M", "microvm,acpi=on,rtc=on", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-kernel", str(environment / "vmlinuz"), "-initrd", str(initrd), "-append",
            "console=ttyS0 quiet reboot=t panic=-1 rdinit=/init tsc=reliable no_timer_check cryptomgr.notests "
            f"tsc_early_khz={khz}",
            "-drive", f"if=none,id=root,format=raw,readonly=on,file={environment}/base.erofs",
            "-device", "virtio-blk-device,drive=root"]


def first_output(command: list[str], marker: bytes) -> float:
    start = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        seen = b""
        while marker not in seen:
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise SystemExit(f"{command[0]} ended without output: {seen!r}")
            seen += chunk
        taken = time.monotonic() - start
        if command[0] != str(PYRO):
            process.kill()
    return taken


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    environment = (CACHE / "environments/debian-12-base" / "current").resolve()
    mhz = re.search(r"cpu MHz\s*:\s*([\d.]+)", pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii"))
    khz = int(float(mhz.group(1)) * 1000) if mhz else 2000000
    pyro = [str(PYRO), "run", "-q", "debian:12-base", "--", "echo", "hello from pyro"]
    with tempfile.TemporaryDirectory() as scratch:
        raw = raw_command(environment, make_initrd(environment, pathlib.Path(scratch)), khz)
        pairs = [(first_output(raw, b"hello from"), first_output(pyro, b"hello from")) for _ in range(rounds)]
    raw_s, pyro_s = (sorted(values) for values in zip(*pairs))
    version = subprocess.run(["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True).stdout.split("\n")[0]
    print(f"{version}; TCG; {rounds} rounds in turn; seconds, median (min to max)")
    print(f"raw QEMU  {statistics.median(raw_s):.2f} ({raw_s[0]:.2f} to {raw_s[-1]:.2f})")
    print(f"pyro run  {statistics.median(pyro_s):.2f} ({pyro_s[0]:.2f} to {pyro_s[-1]:.2f})")
    print(f"ratio of the medians  {statistics.median(pyro_s) / statistics.median(raw_s):.2f}")


if __name__ == "__main__":
    main()
