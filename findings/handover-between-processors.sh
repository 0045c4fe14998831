#!/usr/bin/env bash
# Expected: a tracer and the process that it traces take turns, so it does not matter on which processors they run. The scheduler
#           keeps them together, or a second processor makes them faster.
# Seen: the scheduler puts the one that it wakes on an idle processor. Each turn then wakes a processor. On a virtual machine that takes
#       several times the processor time of a turn on one processor.
# Versions: Linux 6.18 in a virtual machine with two processors; CPython 3.11.2 makes the calls.
# Source: kernel/sched/fair.c, select_idle_sibling(): an idle processor that shares a cache is preferred to the one of the waker.
# For pyro: the kernel in user mode keeps its program on its own processor (usermode/patches/0016-one-processor.patch).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(python3.11-minimal=3.11.2-6+deb12u9 libpython3.11-minimal=3.11.2-6+deb12u9 libpython3.11-stdlib=3.11.2-6+deb12u9 libffi8=3.4.4-1)
apt-get download -qq "${packages[@]}" 2>/dev/null || { echo "${packages[*]}: not reachable" >&2; exit 2; }
for package in *.deb; do dpkg -x "$package" root; done
export PYTHONHOME=$work/root/usr LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu
uname -sr | cut -d- -f1
root/usr/bin/python3.11 - <<'PY'
import ctypes, os, resource, signal, sys

TRACEME, SYSEMU, TURNS = 0, 31, 20000
ptrace = ctypes.CDLL(None).ptrace
processors = sorted(os.sched_getaffinity(0))
if len(processors) < 2:
    sys.exit(2)


def turn(tracer, traced):
    """Microseconds of processor time of both in one turn."""
    child = os.fork()
    if child == 0:
        os.sched_setaffinity(0, [traced])
        ptrace(TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        while True:
            os.getppid()
    os.sched_setaffinity(0, [tracer])
    os.waitpid(child, 0)
    before = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(TURNS):
        ptrace(SYSEMU, child, None, None)
        os.waitpid(child, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN), resource.getrusage(resource.RUSAGE_SELF)
    return sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after)) * 1e6 / TURNS


one = turn(processors[0], processors[0])
two = turn(processors[0], processors[1])
print(f"one processor: {one:.1f} us a turn; two: {two:.1f} us")
sys.exit(0 if two > 2 * one else 1)
PY
