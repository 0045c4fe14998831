"""What idle tasks take of the host's memory."""

import time

import host
from context import Context
from figures import Goal, Row, Spread
from rounds import Failed, hush, say

MIB_PER_TASK = 300  # Free memory needed before one is started; a guest that boots cold takes less.
MACHINES = {"qemu-system-x86_64", "linux"}  # The program that is a guest's machine: the second is the kernel in user mode.


def measure(context: Context) -> list[Row]:
    return [alone(context), *side_by_side(context)]


def side_by_side(context: Context) -> list[Row]:
    rows = []
    for count in context.tasks:
        rows.append(together(context, f"idle clone, PSS, one of {count}", count, Goal(30.0, "≤ 30 MiB")))
        rows.append(together(context, f"idle guest in user mode, PSS, one of {count}", count, Goal(20.0, "≤ 20 MiB"), "--machine", "usermode"))
    return rows


def alone(context: Context) -> Row:
    """A fresh task each time: where memory is shared among clones, one alone is its only owner, and counts all of it."""
    row = Row("idle clone, PSS", goal=Goal(25.0, "≤ 25 MiB"), unit="MiB")
    pss: list[float] = []
    programs: dict[str, list[float]] = {}

    def weigh() -> float:
        with_tasks = Tasks(context, 1)
        try:
            parts = settled(context, with_tasks.ids[0])
        finally:
            with_tasks.delete()
        for program, kib in parts.items():
            programs.setdefault(program, []).append(kib / 1024)
        pss.append(sum(parts.values()) / 1024)
        return pss[-1]

    series = context.measure("memory", {"one": weigh})
    if "one" not in series:
        row.why = series.why["one"]
        return row
    row.spread = Spread.of(series.values["one"])
    row.samples = {"mib": series.values["one"], **programs}
    row.sides = ", ".join(f"{program} {Spread.of(values).median:.1f}" for program, values in sorted(programs.items()))
    return row


def together(context: Context, figure: str, count: int, goal: Goal, *flags: str) -> Row:
    row = Row(figure, goal=goal, unit="MiB")
    if host.available_mib() < count * MIB_PER_TASK:
        row.why = f"{count} tasks may need {count * MIB_PER_TASK} MiB, and {host.available_mib()} are available"
        return row
    try:
        with_tasks = Tasks(context, count, *flags)
        try:
            for task in with_tasks.ids:
                settled(context, task)
            say(f"memory: weighing {count} tasks")
            parts = [weigh_now(context, task) for task in with_tasks.ids]
        finally:
            with_tasks.delete()
    except Failed as failure:
        row.why = str(failure)
        return row
    hush()
    each = [sum(of_task.values()) / 1024 for of_task in parts]
    programs = sorted({program for of_task in parts for program in of_task})
    medians = [(program, Spread.of([of_task.get(program, 0) / 1024 for of_task in parts]).median) for program in programs]
    row.spread = Spread.of(each)
    row.samples = {"mib": each}
    row.sides = f"{sum(each):.0f} MiB for all {count}: " + ", ".join(f"{program} {median:.1f}" for program, median in medians)
    return row


class Tasks:
    def __init__(self, context: Context, count: int, *flags: str):
        self.context = context
        self.ids: list[str] = []
        try:
            for number in range(count):
                say(f"memory: task {number + 1} of {count}")
                self.ids.append(context.pyro.create(context.environment, "--ttl-seconds", "3600", *flags))
                context.pyro.time("task", "exec", "-q", self.ids[-1], "--", "true")
        except Failed:
            self.delete()
            raise

    def delete(self) -> None:
        self.context.pyro.delete(*self.ids)


def weigh_now(context: Context, task: str) -> dict[str, int]:
    """KiB by program: supervisor, jail, QEMU or the kernel in user mode with the guest's programs, and what carries its network if
    there is any."""
    parts: dict[str, int] = {}
    for process in context.pyro.processes(task):
        try:
            # The kernel in user mode has a second process with the same memory, for its disks.
            if process.program == "linux" and host.share_memory(process.pid, process.parent):
                continue
            parts[process.program] = parts.get(process.program, 0) + host.pss_kib(process.pid)
        except ProcessLookupError:
            continue
        except OSError as error:
            raise Failed(f"the memory of {process.program} cannot be read: {error.strerror}") from None
    if not MACHINES & parts.keys():
        raise Failed(f"no machine is found below the supervisor of {task}: {sorted(parts)}")
    return parts


def settled(context: Context, task: str, seconds: float = 15) -> dict[str, int]:
    """After its last command a guest gives memory back for a while; weighed when two looks in a row, half a second apart,
    differ by less than 1 %, or when time is up."""
    deadline = time.monotonic() + seconds
    before = weigh_now(context, task)
    while time.monotonic() < deadline:
        time.sleep(0.5)  # The span between two looks.
        now = weigh_now(context, task)
        if abs(sum(now.values()) - sum(before.values())) < 0.01 * sum(before.values()):
            return now
        before = now
    return before
