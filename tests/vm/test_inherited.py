"""pyro started by a process that hands down what no program can work with.

For each thing inherited: either pyro works all the same, or one error names it. No guest, file or
process is left either way.
"""

import os
import pathlib
import re
import resource
import signal

import harness
import pytest
from terminal import Terminal

MIB = 1 << 20


def limit(which, soft, hard=None):
    """For preexec_fn: both limits of the process to be, or only its soft one."""
    def lower():
        kept = resource.getrlimit(which)[1]
        resource.setrlimit(which, (soft, kept if hard is None else hard))
    return lower


def handed_down(**things):
    def prepare():
        for name, value in things.items():
            {"ignore": lambda v: signal.signal(v, signal.SIG_IGN),
             "block": lambda v: signal.pthread_sigmask(signal.SIG_SETMASK, v),
             "umask": os.umask,
             "close": lambda v: [os.close(fd) for fd in v]}[name](value)
    return prepare


ODD = {
    "SIGCHLD ignored": handed_down(ignore=signal.SIGCHLD),
    "SIGPIPE and every other signal blocked": handed_down(block=signal.valid_signals()),
    "umask 0777": handed_down(umask=0o777),
    "a soft limit of 5 open files": limit(resource.RLIMIT_NOFILE, 5),
    "a soft limit on the size of files": limit(resource.RLIMIT_FSIZE, 1000),
    "a soft limit on CPU time": limit(resource.RLIMIT_CPU, 1),
    "a stack of 128 KiB": limit(resource.RLIMIT_STACK, 128 << 10, 128 << 10),
}


@pytest.mark.parametrize("odd", ODD)
def test_a_task_is_made_used_and_read_by_a_process_with(pyro, odd):
    prepare = ODD[odd]
    made = pyro("task", "create", "-q", harness.BASE, preexec_fn=prepare)
    assert made.code == 0, made
    task = harness.Task(pyro, made.text.strip())
    try:
        done = task.exec("sh", "-c", "echo out; cat >&2; exit 7", input=b"in", preexec_fn=prepare)
        assert (done.code, done.out, done.err) == (7, b"out\n", b"in"), done
        logs = pyro("task", "logs", "--json", task.id, preexec_fn=prepare)
        assert logs.code == 0 and logs.json["entries"][0]["stdout"] == "out\n", logs
    finally:
        task.delete()


def test_a_run_works_without_standard_descriptors(pyro):
    """Only its exit code is left to see. Output that cannot be written is an error."""
    done = pyro.run("sh", "-c", "exit 7", preexec_fn=handed_down(close=(0, 1, 2)))
    assert (done.code, done.out, done.err) == (7, b"", b""), done
    done = pyro.run("sh", "-c", "echo lost; exit 7", preexec_fn=handed_down(close=(0, 1, 2)))
    assert (done.code, done.out, done.err) == (125, b"", b""), done


def test_an_interrupt_is_heard_by_a_process_that_inherited_it_blocked(pyro):
    process = pyro.start_run("sh", "-c", "echo begun; sleep 200",
                             preexec_fn=handed_down(block={signal.SIGINT, signal.SIGTERM}))
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130


def test_doctor_finds_nothing_wrong_where_children_are_ignored(pyro):
    done = pyro("doctor", "--json", preexec_fn=handed_down(ignore=signal.SIGCHLD))
    assert done.code == 0, done


@pytest.mark.parametrize("files", [5, 32, 255])
@pytest.mark.parametrize("call", [("run", "-q", harness.BASE, "--", "true"), ("doctor",),
                                  ("task", "list")])
def test_too_few_open_files_are_named(pyro, call, files):
    done = pyro(*call, preexec_fn=limit(resource.RLIMIT_NOFILE, files, files))
    assert done.code == (125 if call[0] == "run" else 1), done
    assert f"may open {files} files" in done.talk and "ulimit -n" in done.talk, done
    assert "namespace" not in done.talk, done


def test_as_many_open_files_as_are_asked_for_are_enough(pyro):
    done = pyro.run("echo", "fine", preexec_fn=limit(resource.RLIMIT_NOFILE, 256, 256))
    assert (done.code, done.out) == (0, b"fine\n"), done


def test_a_limit_on_the_size_of_files_is_named(pyro):
    for size in (20_000, 500 * MIB):
        done = pyro("run", "-q", harness.BASE, "--", "true",
                    preexec_fn=limit(resource.RLIMIT_FSIZE, size, size))
        assert done.code == 125, done
        assert "ulimit -f" in done.talk and "disk space" not in done.talk, done
        assert pyro("env", "list").code == 0  # Clears what is left.
        assert pyro.directories() == [] and pyro.rows() == []


def test_an_export_larger_than_a_file_may_be_leaves_nothing_and_the_task_alone(pyro, create,
                                                                              scratch):
    task = create()
    assert task.exec("sh", "-c", "head -c 3000000 /dev/zero > big; echo x > small").code == 0
    running = task.start("sh", "-c", "echo begun; read line; echo $line", stdin=-1)
    assert running.stdout.readline() == b"begun\n"
    out = scratch / "out"
    out.mkdir()
    small = limit(resource.RLIMIT_FSIZE, MIB, MIB)
    for what, name in (("big", "file"), (".", "tree")):
        done = pyro("task", "export", task.id, what, out / name, preexec_fn=small)
        assert done.code == 1, done
        assert "ulimit -f" in done.talk and "disk space" not in done.talk, done
        assert list(out.iterdir()) == []
    done = pyro("task", "export", task.id, "small", out / "small", preexec_fn=small)
    assert done.code == 0 and (out / "small").read_bytes() == b"x\n", done
    more = task.exec("echo", "also under the limit", preexec_fn=small)
    assert more.code == 0, more
    out, _ = running.communicate(b"alive\n", timeout=harness.HANG_SECONDS)
    assert (running.returncode, out) == (0, b"alive\n")


def test_a_guest_does_not_keep_the_soft_limits_of_who_started_it(pyro):
    def lower():
        for which in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
            limit(which, 300)()
    made = pyro("task", "create", "-q", harness.BASE, preexec_fn=lower)
    assert made.code == 0, made
    task = harness.Task(pyro, made.text.strip())
    try:
        limits = {}
        for one in task.processes():
            text = pathlib.Path(f"/proc/{one.pid}/limits").read_text()
            for name, soft, hard in re.findall(r"^(Max .*?) {2,}(\S+) +(\S+)", text, re.M):
                limits.setdefault(name, set()).add((one.program, soft, hard))
        for name in ("Max open files", "Max file size", "Max cpu time"):
            assert not [entry for entry in limits[name] if entry[1] == "300"], limits[name]
    finally:
        task.delete()


def test_a_guest_belongs_to_no_terminal_group_or_session_of_who_started_it(pyro):
    terminal = Terminal()
    made = pyro("task", "create", "-q", harness.BASE, stdin=terminal.slave,
                start_new_session=True)
    assert made.code == 0, made
    task = harness.Task(pyro, made.text.strip())
    try:
        ours = (os.getsid(0), os.getpgid(0))
        for one in task.processes():
            stat = pathlib.Path(f"/proc/{one.pid}/stat").read_text()
            group, session, tty = map(int, stat[stat.rindex(")") + 2:].split()[2:5])
            assert tty == 0 and group not in ours and session not in ours, one
    finally:
        task.delete()
