"""Bytes through a guest: both ways, many, and with a reader that has stopped."""

import fcntl
import hashlib
import os
import signal
import struct
import subprocess
import termios
import time

import harness
import pytest

MANY = 50_000_000
# Of a process that passes on gigabytes: nothing may grow with what goes through.
MAX_RESIDENT_KIB = 64 * 1024


def yes(size):
    return (b"y\n" * (size // 2 + 1))[:size]


def test_much_stdin_arrives_whole(pyro):
    data = yes(MANY)
    done = pyro.run("sha256sum", input=data, flags=("-q", "--timeout-seconds", "200"))
    assert done.code == 0, done
    assert done.text.split()[0] == hashlib.sha256(data).hexdigest()


def test_much_stdout_arrives_whole(pyro):
    done = pyro.run("head", "-c", str(MANY), "/dev/zero", flags=("-q", "--timeout-seconds", "200"))
    assert done.code == 0, (done.code, done.err)
    assert len(done.out) == MANY
    assert hashlib.sha256(done.out).digest() == hashlib.sha256(bytes(MANY)).digest()


def test_binary_data_goes_through_and_comes_back(pyro):
    data = bytes(range(256)) * 4096 + os.urandom(1 << 20)
    done = pyro.run("cat", input=data)
    assert done.code == 0 and done.out == data, (done.code, len(done.out), done.err)


def test_both_streams_at_once_are_whole(pyro):
    done = pyro.run("bash", "-c", "head -c 5000000 /dev/zero | tr '\\0' o & "
                    "head -c 5000000 /dev/zero | tr '\\0' e >&2; wait",
                    flags=("-q", "--timeout-seconds", "100"))
    assert done.code == 0, done.code
    assert done.out == b"o" * 5_000_000 and done.err == b"e" * 5_000_000


def test_output_comes_while_the_command_runs(pyro):
    # It waits for our answer to what it has said: only a live stream gets further.
    process = pyro.start_run("sh", "-c", "echo name?; read name; echo hello $name >&2; read x",
                             stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"name?\n"
    process.stdin.write(b"guest\n")
    process.stdin.flush()
    assert process.stderr.readline() == b"hello guest\n"
    done = harness.finish(process)  # Closes stdin; read fails.
    assert done.code == 1, done


@pytest.mark.parametrize("stdin", ["closed", "null", "file", "empty", "directory"])
def test_kinds_of_stdin(pyro, scratch, stdin):
    (scratch / "file").write_bytes(b"from a file\n")
    (scratch / "empty").write_bytes(b"")
    command = ("sh", "-c", "cat; echo end")
    if stdin == "closed":
        shell = [str(pyro.program), "run", "-q", harness.BASE, "--", *command]
        done = harness.finish(subprocess.Popen(["sh", "-c", 'exec "$@" <&-', "sh", *shell],
                                               env=pyro.env, stdout=subprocess.PIPE,
                                               stderr=subprocess.PIPE))
    else:
        path = {"null": "/dev/null", "directory": "/"}.get(stdin, scratch / stdin)
        fd = os.open(path, os.O_RDONLY)
        done = pyro.run(*command, stdin=fd)
        os.close(fd)
    wanted = b"from a file\nend\n" if stdin == "file" else b"end\n"
    assert (done.code, done.out, done.err) == (0, wanted, b""), done


def test_unread_stdin_does_not_delay_the_end(pyro):
    read, write = os.pipe()  # Held open and never written.
    done = pyro.run("echo", "done", stdin=read)
    os.close(read)
    os.close(write)
    assert (done.code, done.out) == (0, b"done\n"), done
    process = pyro.start_run("true", stdin=subprocess.PIPE)
    done = harness.finish(process, yes(5_000_000))
    assert done.code == 0, done


def test_a_terminal_as_stdin_and_stdout(pyro, terminal):
    process = pyro.start_run("sh", "-c", "read line; echo got $line", stdin=terminal.slave,
                             stdout=terminal.slave, stderr=terminal.slave, flags=())
    terminal.type("typed\n")
    assert process.wait(timeout=harness.HANG_SECONDS) == 0
    seen = terminal.rest()
    assert "got typed\r\n" in seen
    # Progress was drawn and is cleared before the command's own words.
    assert "debian:12-base" in seen.split("got typed")[0]
    assert seen.split("got typed")[0].endswith("\r\x1b[2K")
    assert "[run] exit_code=" in seen.splitlines()[-1]


def test_ctrl_c_on_a_terminal_ends_the_command(pyro, terminal):
    process = pyro.start_run("sh", "-c", "echo begun; exec sleep 200", stdin=terminal.slave,
                             stdout=terminal.slave, stderr=terminal.slave,
                             start_new_session=True,
                             preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    terminal.read_until(lambda text: "begun" in text)
    terminal.type("\x03")
    assert process.wait(timeout=harness.HANG_SECONDS) == 130


def test_no_output_at_all(pyro):
    done = pyro.run("true")
    assert (done.code, done.out, done.err) == (0, b"", b""), done


def test_a_closed_stdout_ends_the_command(pyro):
    process = pyro.start_run("yes", flags=("-q", "--timeout-seconds", "250"))
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    process.stdout = None
    done = harness.finish(process)
    assert done.code == 141, done
    assert done.err == b""
    harness.expect_nothing_left(pyro)


def test_head_in_a_pipeline_gets_its_line(pyro):
    script = '"$@" | head -1; exit ${PIPESTATUS[0]}'
    done = harness.finish(subprocess.Popen(
        ["bash", "-c", script, "bash", str(pyro.program), "run", "-q", harness.BASE, "--", "yes"],
        env=pyro.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert (done.code, done.out) == (141, b"y\n"), done


def test_stdout_that_is_closed_from_the_start(pyro):
    done = harness.finish(subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&-', "sh", str(pyro.program), "run", "-q", harness.BASE, "--",
         "sh", "-c", "echo lost; exit 4"],
        env=pyro.env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE))
    assert done.code in (4, 125), done


def waiting_bytes(fd):
    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0]


@pytest.mark.cost(25)
def test_a_stopped_reader_stops_the_command_and_costs_no_memory(pyro):
    process = pyro.start_run("yes", flags=("-q", "--timeout-seconds", "600"))
    out = process.stdout.fileno()
    got = 0
    while got < 20_000_000:  # That much goes through while the client reads.
        got += len(os.read(out, 1 << 20))
    capacity = fcntl.fcntl(out, fcntl.F_GETPIPE_SZ)
    harness.wait_until(lambda: waiting_bytes(out) >= capacity - 4096, "the pipe is full")

    # The client reads no more now. Look for as long as the guest could write many times the limit.
    family = harness.of_program(harness.descendants(), "pyro") + harness.of_program(
        harness.descendants(), "pyro-supervisor")
    assert sorted(one.program for one in family) == ["pyro", "pyro-supervisor"]
    qemu = harness.of_program(harness.descendants(), harness.MACHINE)
    assert len(qemu) == 1
    grown_from = qemu[0].status("VmRSS")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for one in family:
            assert one.status("VmHWM") < MAX_RESIDENT_KIB, one
        time.sleep(0.2)
    assert qemu[0].status("VmRSS") < grown_from + MAX_RESIDENT_KIB
    print({one.program: one.status("VmHWM") for one in family})

    # It goes on where it stood.
    more = b""
    while len(more) < 20_000_000:
        more += os.read(out, 1 << 20)
    assert set(more[:1000]) == {ord("y"), ord("\n")} and more.count(b"yy") == 0
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130


def test_a_stopped_reader_does_not_stop_a_signal(pyro):
    process = pyro.start_run("yes", flags=("-q", "--timeout-seconds", "600"))
    out = process.stdout.fileno()
    assert process.stdout.read(2) == b"y\n"
    capacity = fcntl.fcntl(out, fcntl.F_GETPIPE_SZ)
    harness.wait_until(lambda: waiting_bytes(out) >= capacity - 4096, "the pipe is full")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=harness.HANG_SECONDS) == 143


@pytest.mark.cost(15)
def test_much_stdin_to_a_command_that_does_not_read_costs_no_memory(pyro):
    process = pyro.start_run("sh", "-c", "echo ready; exec sleep 250", stdin=subprocess.PIPE,
                             flags=("-q", "--timeout-seconds", "260"))
    assert process.stdout.readline() == b"ready\n"
    os.set_blocking(process.stdin.fileno(), False)
    sent = 0
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            sent += os.write(process.stdin.fileno(), bytes(65536))
        except BlockingIOError:
            time.sleep(0.05)
    # One window, what is on its way, and the pipes of both sides.
    assert sent < 4 << 20
    for one in harness.descendants():
        if one.program in ("pyro", "pyro-supervisor"):
            assert one.status("VmHWM") < MAX_RESIDENT_KIB
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=harness.HANG_SECONDS) == 130
    try:
        process.stdin.close()
    except BrokenPipeError:
        pass
