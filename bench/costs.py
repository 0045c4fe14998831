"""What a kernel takes for one system call, one page fault, and one process from its start to its end: the least of many tries, so that
other load does not count. rows_work.py runs it on each kernel. Printed are microseconds, as one JSON document."""

import json
import mmap
import os
import time

CALLS = 200
PAGES = 256


def least(measure, tries: int) -> float:
    return min(measure() for _ in range(tries)) * 1e6


def loop_of(call):
    def measure() -> float:
        start = time.monotonic()
        for _ in range(CALLS):
            call()
        return (time.monotonic() - start) / CALLS

    return measure


def page_fault() -> float:
    with mmap.mmap(-1, PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        start = time.monotonic()
        for page in range(PAGES):
            memory[page * mmap.PAGESIZE] = 1
        return (time.monotonic() - start) / PAGES


def process() -> float:
    start = time.monotonic()
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return time.monotonic() - start


if __name__ == "__main__":
    system_call = least(loop_of(os.getppid), 300) - least(loop_of(lambda: None), 300)
    print(json.dumps({"system call": max(system_call, 0.0), "page fault": least(page_fault, 100), "process": least(process, 60)}))
