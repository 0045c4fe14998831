"""The Python package under threads and signals: one Pyro for all of them, and waits that end."""

import concurrent.futures
import os
import signal
import sys
import threading
import time

import harness
import pyro_mcp
import pytest


def test_eight_threads_share_one_pyro(sdk):
    """Commands in one task, and VMs of their own, all at once; Python goes on meanwhile."""
    with sdk.task(environment=harness.BASE) as task:
        barrier = threading.Barrier(8)

        def work(number):
            barrier.wait()
            if number % 4 == 3:
                got = sdk.run_in_vm(environment=harness.BASE, timeout_seconds=280,
                                    command=f"echo {number}")
            else:
                got = task.exec(command=f"echo {number}; echo {number} > f{number}; sleep 1",
                                timeout_seconds=280)
            sdk.list_tasks()
            return got["stdout"]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(work, number) for number in range(8)]
            turns = 0
            while not all(future.done() for future in futures):
                turns += 1
                time.sleep(0.001)
            assert [future.result() for future in futures] == [f"{n}\n" for n in range(8)]
        assert turns > 100, "the GIL was held"
        logs = task.logs()
        assert sorted(e["sequence"] for e in logs["entries"]) == list(range(1, 7))
        assert task.exec(command="cat f*", timeout_seconds=250)["stdout"] == "0\n1\n2\n4\n5\n6\n"


def test_commands_of_two_threads_run_at_the_same_time(task):
    """Each waits for what the other writes: one after the other they would never end."""
    command = "echo > {0}; while ! [ -e {1} ]; do sleep 0.1; done; echo {0}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        a = pool.submit(task.exec, command=command.format("a", "b"), timeout_seconds=250)
        b = pool.submit(task.exec, command=command.format("b", "a"), timeout_seconds=250)
        assert (a.result()["stdout"], b.result()["stdout"]) == ("a\n", "b\n")


# Interruption.

def interrupt_when(condition):
    """SIGINT to this process, as from a terminal, once `condition` holds and the main thread is in
    a call of pyro."""
    def in_a_call():
        frame = sys._current_frames()[threading.main_thread().ident]
        return os.path.dirname(frame.f_code.co_filename) == os.path.dirname(pyro_mcp.__file__)

    def wait():
        harness.wait_until(lambda: condition() and in_a_call(), "the call is under way")
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_ctrl_c_interrupts_a_wait_and_leaves_nothing(sdk, pyro):
    handler, wakeup = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)
    thread = interrupt_when(lambda: harness.of_program(harness.descendants(), harness.MACHINE))
    with pytest.raises(KeyboardInterrupt):
        sdk.run_in_vm(environment=harness.BASE, command="sleep 1000", timeout_seconds=2000)
    thread.join()
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.set_wakeup_fd(wakeup) == -1
    harness.expect_nothing_left(pyro)
    assert sdk.list_environments()["environments"]


def running(sdk, task):
    return lambda: (sdk.status_task(task.task_id)["last_command"] or {}).get("state") == "running"


def test_ctrl_c_kills_a_tasks_command_and_keeps_the_task(sdk, task):
    thread = interrupt_when(running(sdk, task))
    with pytest.raises(KeyboardInterrupt):
        task.exec(command="sleep 1000", timeout_seconds=2000)
    thread.join()
    assert task.logs()["entries"][0]["outcome"] == "cancelled"
    assert task.exec(command="echo on", timeout_seconds=250)["stdout"] == "on\n"


def test_ctrl_c_interrupts_calls_of_other_threads_too(sdk, task):
    """They raise CancelledError, the main thread KeyboardInterrupt, and all is as before."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(task.exec, command="sleep 1000", timeout_seconds=2000)
        harness.wait_until(running(sdk, task), "it runs")
        second = pool.submit(task.exec, command="sleep 1001", timeout_seconds=2000)
        harness.wait_until(lambda: task.status()["command_count"] == 2, "both run")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            first.exception()
        for future in (first, second):
            assert isinstance(future.exception(), pyro_mcp.CancelledError), future
        # The same descriptor does not cancel what comes later.
        later = pool.submit(task.exec, command="echo later", timeout_seconds=250)
        assert later.result()["stdout"] == "later\n"
    assert [e["outcome"] for e in task.logs()["entries"]] == ["cancelled", "cancelled", "exited"]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)


def test_a_handler_of_the_programs_own_does_not_cancel_threads(sdk, task):
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("handled"))
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            future = pool.submit(task.exec, command="while ! [ -e go ]; do sleep 0.1; done; echo whole",
                                 timeout_seconds=250)
            harness.wait_until(running(sdk, task), "it runs")
            os.kill(os.getpid(), signal.SIGINT)
            harness.wait_until(lambda: seen, "the handler ran")
            task.exec(command="touch go", timeout_seconds=250)
            assert future.result()["stdout"] == "whole\n"
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_of_other_signals_run_during_a_call(sdk, task):
    """One that raises interrupts the call; one that does not lets it go on."""
    class Late(Exception):
        pass

    seen = []

    def late(*_):
        raise Late

    before = (signal.signal(signal.SIGUSR1, lambda *_: seen.append(task.status()["state"])),
              signal.signal(signal.SIGUSR2, late))
    try:
        def send():
            harness.wait_until(running(sdk, task), "it runs")
            os.kill(os.getpid(), signal.SIGUSR1)
            harness.wait_until(lambda: seen, "the handler ran during the call")
            os.kill(os.getpid(), signal.SIGUSR2)

        thread = threading.Thread(target=send)
        thread.start()
        with pytest.raises(Late):
            task.exec(command="sleep 1000", timeout_seconds=2000)
        thread.join()
        assert seen == ["started"]
    finally:
        signal.signal(signal.SIGUSR1, before[0])
        signal.signal(signal.SIGUSR2, before[1])


def test_a_task_whose_creation_was_interrupted_is_not_left_behind(sdk, pyro):
    thread = interrupt_when(lambda: harness.of_program(harness.descendants(), harness.MACHINE))
    with pytest.raises(KeyboardInterrupt):
        sdk.create_task(environment=harness.BASE)
    thread.join()
    harness.wait_until(lambda: harness.task_directories(pyro) == [], "nothing is left")
    assert sdk.list_tasks()["count"] == 0


def test_ctrl_c_ends_a_wait_and_not_the_command(sdk, task):
    sdk.start_task_command(task.task_id, command="while ! [ -e go ]; do sleep 0.1; done", timeout_seconds=250)
    thread = interrupt_when(running(sdk, task))
    with pytest.raises(KeyboardInterrupt):
        sdk.get_task_command(task.task_id, 1, wait_seconds=600)
    thread.join()
    task.exec(command="touch go", timeout_seconds=250)
    assert sdk.get_task_command(task.task_id, 1, wait_seconds=250)["exit_code"] == 0


# MCP.
