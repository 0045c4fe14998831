"""This machine: what it is, how busy it is, its processes and their memory."""

import contextlib
import ctypes
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
SYS_KCMP = 312
KCMP_VM = 1
PR_SET_CHILD_SUBREAPER = 36
PROC = pathlib.Path("/proc")


def adopt_orphans() -> None:
    """Every process started below this one stays below it, even if it detaches: so that all of them can be ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def die_with_parent() -> None:
    """For Popen's preexec_fn."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    state: str
    start: int  # With the pid: who it is, even after the number was used again.

    @property
    def program(self) -> str:
        try:
            return os.path.basename(os.readlink(PROC / str(self.pid) / "exe"))
        except OSError:
            return ""


def read_process(pid: int) -> Process | None:
    """None when it is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2:].split()
    return Process(pid, int(fields[1]), fields[0], int(fields[19]))


def descendants(root: int) -> list[Process]:
    children: dict[int, list[Process]] = {}
    for entry in os.listdir(PROC):
        process = read_process(int(entry)) if entry.isdigit() else None
        if process is not None:
            children.setdefault(process.parent, []).append(process)
    found, pending = [], [root]
    while pending:
        for process in children.get(pending.pop(), []):
            pending.append(process.pid)
            if process.state not in "ZX":
                found.append(process)
    return found


def reap_orphans(but: int = 0) -> None:
    """Reaps adopted processes that have ended, and leaves the child `but` to its waiter."""
    children = [int(pid) for file in PROC.glob("self/task/*/children") for pid in file.read_text().split()]
    for process in map(read_process, children):
        if process is not None and process.state == "Z" and process.pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)


def end_tree(process: subprocess.Popen) -> None:
    """Kills a child of ours and all that is below it, each by its pid, and reaps the child."""
    for each in [*filter(None, [read_process(process.pid)]), *descendants(process.pid)]:
        kill(each)
    process.wait()


def kill(process: Process) -> None:
    """Unless another has its number by now."""
    now = read_process(process.pid)
    if now is not None and now.start == process.start:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def end_descendants(seconds: float = 20) -> list[str]:
    """Kills what is left below this process, each by its pid, and reaps it. Returns the programs that had to be killed."""
    killed: dict[int, str] = {}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = descendants(os.getpid())
        for process in left:
            killed.setdefault(process.pid, process.program)
            kill(process)
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            if not left:
                break
        time.sleep(0.02)
    return sorted(killed.values())


def pss_kib(pid: int) -> int:
    """The process's share of physical memory: pages that several processes map are divided among them. OSError if it is
    gone or may not be looked at."""
    text = (PROC / str(pid) / "smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1))


def share_memory(one: int, other: int) -> bool:
    """True if both processes have the same address space, as threads do: the memory of one is that of the other. OSError if
    one is gone or the kernel does not tell."""
    order = ctypes.CDLL(None, use_errno=True).syscall(SYS_KCMP, one, other, KCMP_VM, 0, 0)
    if order < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return order == 0


def available_mib() -> int:
    return int(re.search(r"MemAvailable:\s+(\d+)", (PROC / "meminfo").read_text()).group(1)) // 1024


def load() -> float:
    return os.getloadavg()[0]


def first_line(*command: str) -> str:
    """What a program says of its version; empty if it is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()


def package(name: str) -> str:
    """The version of a Debian package; empty if it is not installed."""
    done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name],
                          capture_output=True, text=True, check=False)
    status, _, version = done.stdout.partition(" ")
    return version if status == "installed" else ""


def processor() -> str:
    text = (PROC / "cpuinfo").read_text(errors="replace")
    model = re.search(r"model name\s*:\s*(.+)", text)
    return f"{model.group(1) if model else 'unknown processor'}, {os.cpu_count()} CPUs"


def tsc_khz() -> int:
    """The frequency that a guest under TCG is told, as pyro tells it; see docs/design/0001-boot-and-accelerator.md."""
    mhz = re.search(r"cpu MHz\s*:\s*([\d.]+)", (PROC / "cpuinfo").read_text(errors="replace"))
    return int(float(mhz.group(1)) * 1000) if mhz else 2000000
