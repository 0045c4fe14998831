#!/usr/bin/python3 -IS
"""What a user of the host tries against files and processes; {"paths": [...], "pids": [...]} comes on stdin.

Prints the ways that led somewhere: [[WAY, PATH OR PID], ...]. It changes nothing.
"""

import array
import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import stat
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PIDFD_GETFD = 0x4206, 438


def opened(path, flags):
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
    return True


def lock(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass  # It may, and another holds it.
    os.close(descriptor)
    return True


def make(path):
    name = f"{path}/of-a-neighbour"
    os.mkdir(name)
    os.rmdir(name)
    return True


def connect(path):
    here = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(f"/proc/self/fd/{here}/{os.path.basename(path)}")
    os.close(here)
    return True


def ptrace(pid):
    if LIBC.ptrace(PTRACE_SEIZE, pid, None, None) != 0:
        return False
    os.kill(pid, 0)
    return True  # The end of this process detaches.


def take_descriptor(pid):
    pidfd = os.pidfd_open(pid)
    taken = any(LIBC.syscall(PIDFD_GETFD, pidfd, number, 0) >= 0 for number in range(16))
    os.close(pidfd)
    return taken


def remote(pid):
    """Reads a byte of the process by its map."""
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        start = int(next(line for line in maps if " r" in line).split("-")[0], 16)
    byte = ctypes.create_string_buffer(1)
    vector = array.array("Q", [ctypes.addressof(byte), 1])
    there = array.array("Q", [start, 1])
    return LIBC.process_vm_readv(pid, ctypes.c_void_p(vector.buffer_info()[0]), 1, ctypes.c_void_p(there.buffer_info()[0]), 1, 0) == 1


OF_FILES = {"read": lambda path: opened(path, os.O_RDONLY), "write": lambda path: opened(path, os.O_WRONLY), "lock": lock}
OF_DIRECTORIES = {"list": lambda path: bool(os.listdir(path)) or True, "make": make, "enter": lambda path: os.chdir(path) or True}
OF_PROCESSES = {
    "environ": lambda pid: opened(f"/proc/{pid}/environ", os.O_RDONLY) and bool(open(f"/proc/{pid}/environ", "rb").read(1)),
    "memory": lambda pid: opened(f"/proc/{pid}/mem", os.O_RDWR),
    "maps": lambda pid: bool(open(f"/proc/{pid}/maps", "rb").read(1)),
    "descriptors": lambda pid: bool(os.listdir(f"/proc/{pid}/fd")),
    "root": lambda pid: bool(os.listdir(f"/proc/{pid}/root/")),
    "directory": lambda pid: bool(os.readlink(f"/proc/{pid}/cwd")),
    "program": lambda pid: bool(os.readlink(f"/proc/{pid}/exe")),
    "accounts": lambda pid: bool(open(f"/proc/{pid}/io", "rb").read(1)),
    "namespace": lambda pid: bool(os.readlink(f"/proc/{pid}/ns/net")),
    "signal": lambda pid: os.kill(pid, 0) is None,
    "continue": lambda pid: os.kill(pid, signal.SIGCONT) is None,
    "trace": ptrace,
    "take a descriptor": take_descriptor,
    "read its memory": remote,
    "priority": lambda pid: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid)) is None,
    "processors": lambda pid: os.sched_setaffinity(pid, os.sched_getaffinity(pid)) is None,
    "limits": lambda pid: bool(resource.prlimit(pid, resource.RLIMIT_NOFILE)),
}


def ways_for(path, mode):
    """`mode`: 0 if even the kind of the thing cannot be seen; then all is tried."""
    if stat.S_ISSOCK(mode):
        return {"connect": connect}
    if stat.S_ISDIR(mode):
        return OF_DIRECTORIES
    return OF_FILES if mode else {**OF_FILES, **OF_DIRECTORIES, "connect": connect}


def main():
    job = json.load(sys.stdin)
    led = []
    for path in job["paths"]:
        mode = 0
        with contextlib.suppress(OSError):
            mode = os.lstat(path).st_mode
        for way, attempt in ways_for(path, mode).items():
            with contextlib.suppress(OSError):
                if attempt(path):
                    led.append([way, path])
    for pid in job["pids"]:
        for way, attempt in OF_PROCESSES.items():
            with contextlib.suppress(OSError, StopIteration):
                if attempt(pid):
                    led.append([way, pid])
    json.dump(led, sys.stdout)


main()
