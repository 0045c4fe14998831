"""How fast a command's output arrives: a task's, and that of ssh into a raw guest of the same kernel, root and VMM."""

import contextlib
import os
import select
import subprocess
import time

import host
from context import Context
from figures import Goal, Row, Spread, ratio
from program import HANG_SECONDS, has_ended, words
from raw_guest import RawGuests, SshGuest
from rounds import Failed, say

MIB = 16  # For each measurement. A task's journal keeps 1 GiB in all, which the rounds together stay below.


def measure(context: Context) -> list[Row]:
    label = "stdout throughput of a task"
    row = Row(label, "`ssh` to dropbear in a raw guest", Goal(2.0, "≥ 2", at_least=True))
    task = ""
    stack = context.stack.enter_context(contextlib.ExitStack())
    try:
        say("output: starting both guests")
        guest = SshGuest(RawGuests(context), stack)
        row.against = f"`ssh` ({guest.cipher}) to dropbear in a raw guest, user-mode network"
        task = context.pyro.create(context.environment, "--ttl-seconds", "3600")
        command = ["head", "-c", str(MIB << 20), "/dev/zero"]
        ours = [context.pyro.program, "task", "exec", "-q", "--timeout-seconds", "280", task, "--", *command]
        series = context.measure("output", {"task": lambda: rate(ours, context.pyro.env),
                                            "ssh": lambda: rate([*guest.client(), " ".join(command)], None)})
        if not series.why:
            mine, theirs = series.values["task"], series.values["ssh"]
            row.spread = ratio(mine, theirs)
            row.samples = {"ours": mine, "theirs": theirs}
            row.sides = f"{Spread.of(mine).median:.1f} / {Spread.of(theirs).median:.1f} MiB/s"
        row.why = series.missing("task", "ssh")
    except Failed as failure:
        row.why = str(failure)
    stack.close()
    if task:
        context.pyro.delete(task)
    return [row]


def rate(command: list, env: dict | None) -> float:
    """MiB per second from the start of the client to its end, through a pipe; all of it must have come."""
    start = time.monotonic()
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        poll = select.poll()
        poll.register(process.stdout, select.POLLIN)
        count = 0
        while poll.poll(max(start + HANG_SECONDS - time.monotonic(), 0) * 1000):
            chunk = os.read(process.stdout.fileno(), 1 << 20)
            if not chunk:
                break
            count += len(chunk)
        else:
            host.end_tree(process)
            raise Failed(f"hangs: {words(command)}")
        if not has_ended(process, HANG_SECONDS):
            host.end_tree(process)
            raise Failed(f"hangs after its output: {words(command)}")
    taken = time.monotonic() - start
    if process.returncode != 0 or count != MIB << 20:
        raise Failed(f"exit code {process.returncode} and {count} of {MIB << 20} bytes from {words(command)}")
    return MIB / taken
