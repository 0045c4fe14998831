"""Root in a real guest turns against its own agent and its channel: the host's side stays bounded, says what happened, and goes on."""

import contextlib
import threading

import harness
import pytest

LIMIT = 30  # Seconds that a hostile command may take before pyro kills it.
MORE_KIB = 32 * 1024

# Scripts of root; each may end the guest. `port`: what the agent speaks to the host on.
PORT = "for port in /dev/virtio-ports/* /dev/vport* /proc/1/fd/*; do [ -e $port ] && "
WAYS = {
    "garbage into the channel": PORT + "timeout 2 dd if=/dev/urandom of=$port bs=4k count=64 2>/dev/null; done",
    "a flood of the channel": PORT + "timeout 2 dd if=/dev/zero of=$port bs=64k count=2000 2>/dev/null; done",
    "the host's frames read away": PORT + "timeout 1 cat $port > /dev/null 2>&1; done",
    "kill the agent": "kill -9 1; kill -SEGV 1; kill -STOP 1; sleep 1",
    "write into the agent's memory": "dd if=/dev/zero of=/proc/1/mem bs=4096 seek=1 count=1 conv=notrunc 2>/dev/null; "
                                     "perl -e 'open(M, \"+<\", \"/proc/1/mem\"); open(P, \"/proc/1/maps\"); while (<P>) { next unless /^([0-9a-f]+)-.* rw/; "
                                     "no warnings; seek(M, hex($1), 0); print M (\"\\xff\" x 65536); } close(M)'",
    "a flood of the console": "timeout 2 sh -c 'yes \"$(printf \"\\033[2J\\033]0;owned\\007\")\" > /dev/console'",
    "a flood of the kernel's log": "timeout 2 sh -c 'while :; do echo \"<0>flood of the log\"; done > /dev/kmsg'",
    # 169: reboot(2), for kernels without such keys.
    "reset the machine": "echo b > /proc/sysrq-trigger; perl -e 'syscall(169, 0xfee1dead, 672274793, 0x01234567, 0)'; sleep 3",
    "panic": "echo c > /proc/sysrq-trigger; perl -e 'kill 9, -1'; sleep 3",
    "no memory for the agent": "perl -e '@a = map { \"x\" x 1048576 } 1..4000; sleep 3'",
}


def supervisor_of(task):
    return harness.of_program(task.processes(), "pyro-supervisor")[0]


@contextlib.contextmanager
def peak_of(process):
    """A list whose one number is the most memory in KiB that the process has taken meanwhile, also if it ends."""
    most, over = [0], threading.Event()

    def look():
        while True:
            with contextlib.suppress(OSError, KeyError):  # It has ended.
                most[0] = max(most[0], process.status("VmHWM"))
            if over.wait(0.05):
                return

    thread = threading.Thread(target=look)
    thread.start()
    yield most
    over.set()
    thread.join()


@pytest.mark.cost(25)
def test_root_that_turns_against_its_agent_harms_its_own_guest_alone(create):
    task, neighbour = create(), create()
    assert task.exec("sh", "-c", "echo kept > f; sync").code == 0
    assert neighbour.exec("true").code == 0
    honest = supervisor_of(neighbour).status("VmHWM")
    watched = supervisor_of(task)
    for name, script in WAYS.items():
        before = len(task.entries())
        with peak_of(watched) as most:
            done = task.exec("sh", "-c", script, flags=("-q", "--timeout-seconds", str(LIMIT * harness.patience)))
        peak = most[0]
        said = done.err.decode(errors="replace").strip()  # What it wrote into the pipes of its own command is there, too.
        print(f"{name}: {done.code} {said[-150:]!r} {peak} KiB")
        assert 0 < peak <= honest + MORE_KIB, name
        end = task.entries()[before]
        assert done.code != 125 or (end["outcome"] == "interrupted" and "pyro: " in said), (name, str(done), end)
        assert done.code == 125 or end["exit_code"] == done.code, (name, str(done), end)
        assert neighbour.exec("echo", "fine").out == b"fine\n", name
        again = task.exec("cat", "f")
        if (again.code, again.out) != (0, b"kept\n"):  # The guest lives, and is no good to anyone.
            task.stop()
            again = task.exec("cat", "f")
        assert (again.code, again.out) == (0, b"kept\n"), (name, str(again))
        watched = supervisor_of(task)
