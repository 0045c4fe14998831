"""What ends pyro ends the guest, and nothing of it stays."""

import os
import signal
import subprocess

import harness
import pytest


def begun(pyro, *flags, script="echo begun; exec sleep 200"):
    process = pyro.start_run("sh", "-c", script, flags=("-q", "--timeout-seconds", "250", *flags))
    assert process.stdout.readline() == b"begun\n", harness.finish(process)
    return process


@pytest.mark.parametrize("signo, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143),
                                         (signal.SIGHUP, 129)])
def test_a_signal_stops_the_command_and_removes_the_vm(pyro, signo, code):
    process = begun(pyro)
    assert len(pyro.directories()) == 1 and len(pyro.rows()) == 1
    process.send_signal(signo)
    done = harness.finish(process)
    assert (done.code, done.out, done.err) == (code, b"", b""), done
    # The VM is gone when pyro is, not some time later.
    assert pyro.directories() == [] and pyro.rows() == []


def test_a_signal_while_the_guest_boots(pyro):
    process = pyro.start_run("sleep", "200")
    harness.wait_until(lambda: harness.of_program(harness.descendants(), harness.MACHINE),
                       "QEMU runs")
    process.send_signal(signal.SIGINT)
    done = harness.finish(process)
    assert (done.code, done.out) == (130, b""), done
    assert pyro.directories() == [] and pyro.rows() == []


def test_a_second_signal_ends_pyro_at_once_and_the_vm_with_it(pyro):
    process = begun(pyro)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert harness.finish(process).code in (130, 143)


def test_an_ignored_signal_stays_ignored(pyro):
    process = subprocess.Popen(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", str(pyro.program), "run", "-q", harness.BASE,
         "--", "sh", "-c", "echo begun; read line; exit 5"], env=pyro.env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGHUP)
    assert harness.finish(process, b"go\n").code == 5


def test_a_signal_with_json_leaves_a_document(pyro):
    process = pyro.start_run("sleep", "200", flags=("--json",))
    harness.wait_until(lambda: harness.of_program(harness.descendants(), harness.MACHINE),
                       "QEMU runs")
    process.send_signal(signal.SIGINT)
    done = harness.finish(process)
    assert done.code == 130
    assert done.json["error"]["code"] == "cancelled"


def test_the_end_of_a_killed_guest_is_told(pyro):
    process = begun(pyro)
    qemu, = harness.of_program(harness.descendants(), harness.MACHINE)
    os.kill(qemu.pid, signal.SIGKILL)
    done = harness.finish(process)
    assert done.code == 125, done
    assert "guest" in done.talk.splitlines()[0]


def test_the_end_of_a_killed_supervisor_is_told(pyro):
    process = begun(pyro)
    supervisor, = harness.of_program(harness.descendants(), "pyro-supervisor")
    os.kill(supervisor.pid, signal.SIGKILL)
    done = harness.finish(process)
    assert done.code == 125, done
    assert done.talk.startswith("pyro: "), done
    # Its guest went with it; the next call clears what it could not.
    harness.wait_until(lambda: not harness.descendants(), "its guest is gone")
    assert pyro.run("true").code == 0


def test_a_supervisor_killed_at_its_birth_is_told(pyro):
    done = pyro.run("true", env={"PYRO_FAILPOINT": "supervisor.configured"})
    assert done.code == 125, done
    assert done.talk.startswith("pyro: "), done
    harness.wait_until(lambda: not harness.descendants(), "its guest is gone")
    assert pyro("env", "list").code == 0


def test_killing_pyro_removes_the_vm(pyro):
    process = begun(pyro)
    process.kill()
    assert harness.finish(process).code == -9
    harness.expect_nothing_left(pyro)  # By itself: no call came.


def test_a_guest_that_powers_off_is_lost_not_hung(pyro):
    # A kernel in user mode has no such trigger: reboot(2), with the magic numbers that it wants.
    reset = ("perl -e 'syscall(169, 0xfee1dead, 0x28121969, 0x01234567)'" if harness.USERMODE
             else "echo b > /proc/sysrq-trigger")
    done = pyro.run("sh", "-c", f"{reset}; sleep 100")
    assert done.code == 125, done
    assert done.talk.startswith("pyro: "), done
