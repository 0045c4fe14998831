"""Root in a real guest turns against its own agent and its channel: the host's side stays bounded, says what happened, and goes on."""

import harness
import pytest

LIMIT = 60  # Seconds that a hostile command may take before pyro kills it.
MORE_KIB = 32 * 1024

# Scripts of root; each may end the guest. `port`: what the agent speaks to the host on.
PORT = "for port in /dev/virtio-ports/* /dev/vport* /proc/1/fd/*; do [ -e $port ] && "
WAYS = {
    "garbage into the channel": PORT + "timeout 2 dd if=/dev/urandom of=$port bs=4k count=64 2>/dev/null; done",
    "a flood of the channel": PORT + "timeout 3 dd if=/dev/zero of=$port bs=64k count=2000 2>/dev/null; done",
    "the host's frames read away": PORT + "timeout 1 cat $port > /dev/null 2>&1; done",
    "kill the agent": "kill -9 1; kill -SEGV 1; kill -STOP 1; sleep 1",
    "write into the agent's memory": "dd if=/dev/zero of=/proc/1/mem bs=4096 seek=1 count=1 conv=notrunc 2>/dev/null; "
                                     "perl -e 'open(M, \"+<\", \"/proc/1/mem\"); open(P, \"/proc/1/maps\"); while (<P>) { next unless /^([0-9a-f]+)-.* rw/; "
                                     "no warnings; seek(M, hex($1), 0); print M (\"\\xff\" x 65536); } close(M)'",
    "a flood of the console": "timeout 5 sh -c 'yes \"$(printf \"\\033[2J\\033]0;owned\\007\")\" > /dev/console'",
    "a flood of the kernel's log": "timeout 5 sh -c 'while :; do echo \"<0>flood of the log\"; done > /dev/kmsg'",
    "reset the machine": "echo 1 > /proc/sys/kernel/sysrq; echo b > /proc/sysrq-trigger; sleep 30",
    "panic": "echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger; sleep 30",
    "no memory for the agent": "perl -e '@a = map { \"x\" x 1048576 } 1..4000; sleep 30'",
    "processes without end": "timeout 5 perl -e 'for (;;) { fork() }' > /dev/null 2>&1",
}


def supervisor_of(task):
    return harness.of_program(task.processes(), "pyro-supervisor")[0]


@pytest.mark.cost(15)
def test_root_that_turns_against_its_agent_harms_its_own_guest_alone(create):
    task, neighbour = create(), create()
    assert task.exec("sh", "-c", "echo kept > f; sync").code == 0
    assert neighbour.exec("true").code == 0
    honest = supervisor_of(neighbour).status("VmHWM")
    watched = supervisor_of(task)
    for name, script in WAYS.items():
        before = len(task.entries())
        done = task.exec("sh", "-c", script, flags=("-q", "--timeout-seconds", str(LIMIT * harness.patience)))
        peak = watched.status("VmHWM") if harness.read_process(watched.pid) else 0
        print(f"{name}: {done.code} {done.talk.strip()[-150:]!r} {peak} KiB")
        assert peak <= honest + MORE_KIB, name
        end = task.entries()[before]
        assert done.code != 125 or (end["outcome"] == "interrupted" and "pyro: " in done.talk), (name, done, end)
        assert done.code == 125 or end["exit_code"] == done.code, (name, done, end)
        assert neighbour.exec("echo", "fine").out == b"fine\n", name
        again = task.exec("cat", "f")
        if (again.code, again.out) != (0, b"kept\n"):  # The guest lives, and is no good to anyone.
            task.stop()
            again = task.exec("cat", "f")
        assert (again.code, again.out) == (0, b"kept\n"), (name, again)
        watched = supervisor_of(task)
