"""A VM, a task and a stream of events as context managers."""

from __future__ import annotations

import logging
import os
from types import TracebackType
from typing import TYPE_CHECKING, Iterator, Literal, Optional, Type, Union

from . import _pyro, results
from .errors import NotFoundError, PyroError

if TYPE_CHECKING:
    from ._client import Command, Descriptor, OutputCallback, Pyro

_log = logging.getLogger("pyro_mcp")


class Vm:
    """A started VM. It takes one command, and is deleted at the end of its ``with`` block at the latest."""

    def __init__(self, pyro: Pyro, vm_id: str) -> None:
        self._pyro = pyro
        self.vm_id = vm_id

    def exec(self, *, command: Command, timeout_seconds: int = 30,
             stdin: Optional[Descriptor] = None, on_stdout: Optional[OutputCallback] = None,
             on_stderr: Optional[OutputCallback] = None) -> results.ExecResult:
        """Pyro.exec_vm for this VM, which is deleted when the command ends."""
        return self._pyro.exec_vm(self.vm_id, command=command, timeout_seconds=timeout_seconds,
                                  stdin=stdin, on_stdout=on_stdout, on_stderr=on_stderr)

    def status(self) -> results.VmInfo:
        return self._pyro.status_vm(self.vm_id)

    def network_info(self) -> results.VmNetworkInfo:
        return self._pyro.network_info_vm(self.vm_id)

    def stop(self) -> results.VmInfo:
        return self._pyro.stop_vm(self.vm_id)

    def start(self) -> results.VmInfo:
        return self._pyro.start_vm(self.vm_id)

    def delete(self) -> results.DeletedVm:
        return self._pyro.delete_vm(self.vm_id)

    def __enter__(self) -> Vm:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self._pyro.delete_vm(self.vm_id)
        except NotFoundError:
            pass  # Its command or the end of its lease has deleted it.
        except PyroError as failed:
            if error is None:
                raise
            _log.warning("%s is left behind: %s", self.vm_id, failed)


class Task:
    """A task. It is deleted, with its workspace and journal, at the end of its ``with`` block.

    ``Task(pyro, task_id)`` is a handle for a task that is there already; without a ``with`` block
    it deletes nothing.
    """

    def __init__(self, pyro: Pyro, task_id: str) -> None:
        self._pyro = pyro
        self.task_id = task_id

    def exec(self, *, command: Command, timeout_seconds: int = 30,
             stdin: Optional[Descriptor] = None, on_stdout: Optional[OutputCallback] = None,
             on_stderr: Optional[OutputCallback] = None) -> results.TaskExecResult:
        """Pyro.exec_task for this task."""
        return self._pyro.exec_task(self.task_id, command=command, timeout_seconds=timeout_seconds,
                                    stdin=stdin, on_stdout=on_stdout, on_stderr=on_stderr)

    def start_command(self, *, command: Command,
                      timeout_seconds: Optional[int] = None) -> results.StartedTaskCommand:
        """Pyro.start_task_command for this task."""
        return self._pyro.start_task_command(self.task_id, command=command,
                                             timeout_seconds=timeout_seconds)

    def cancel_command(self, sequence: int) -> results.TaskCommandInfo:
        """Pyro.cancel_task_command for this task."""
        return self._pyro.cancel_task_command(self.task_id, sequence)

    def get_command(self, sequence: int, *, wait_seconds: float = 0) -> results.TaskCommandInfo:
        """Pyro.get_task_command for this task."""
        return self._pyro.get_task_command(self.task_id, sequence, wait_seconds=wait_seconds)

    def list_commands(self, *, first: int = 1, limit: int = 0) -> results.TaskCommandPage:
        """Pyro.list_task_commands for this task."""
        return self._pyro.list_task_commands(self.task_id, first=first, limit=limit)

    def read_output(self, sequence: int, *, stream: Literal["stdout", "stderr"] = "stdout",
                    offset: int = 0, limit: int = 1048576,
                    wait_seconds: float = 0) -> results.TaskOutput:
        """Pyro.read_task_output for this task."""
        return self._pyro.read_task_output(self.task_id, sequence, stream=stream, offset=offset,
                                           limit=limit, wait_seconds=wait_seconds)

    def read_command(self, sequence: int, *, follow: bool = False,
                     on_stdout: Optional[OutputCallback] = None,
                     on_stderr: Optional[OutputCallback] = None) -> results.TaskCommand:
        """Pyro.read_task_command for this task."""
        return self._pyro.read_task_command(self.task_id, sequence, follow=follow,
                                            on_stdout=on_stdout, on_stderr=on_stderr)

    def status(self) -> results.TaskInfo:
        return self._pyro.status_task(self.task_id)

    def logs(self, *, first: int = 1, limit: int = 0) -> results.TaskLogs:
        return self._pyro.logs_task(self.task_id, first=first, limit=limit)

    def stop(self) -> results.TaskInfo:
        return self._pyro.stop_task(self.task_id)

    def export(self, *, path: str, destination: Union[str, os.PathLike[str], Descriptor],
               force: bool = False) -> results.ExportedPath:
        return self._pyro.export_task(self.task_id, path=path, destination=destination, force=force)

    def delete(self) -> results.DeletedTask:
        return self._pyro.delete_task(self.task_id)

    def __enter__(self) -> Task:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        try:
            self._pyro.delete_task(self.task_id)
        except NotFoundError:
            pass
        except PyroError as failed:
            if error is None:
                raise
            _log.warning("%s is left behind: %s", self.task_id, failed)


class Watch:
    """The events of Pyro.watch, as an iterator and for a ``with`` block. It never ends by itself: each
    step waits for the next event. One thread at a time may read; close() is for any thread.
    """

    def __init__(self, stream: _pyro.EventStream) -> None:
        self._stream = stream
        self._events: list[results.Event] = []
        self._closed = False

    def next(self, *, wait_seconds: float = 0) -> Optional[results.Event]:
        """The next event, or None if there is none within ``wait_seconds``, at most 604800."""
        if not self._events and not self._closed:
            self._events = self._stream.next(wait_seconds)
        return self._events.pop(0) if self._events and not self._closed else None

    def fileno(self) -> int:
        """Readable when events may have come: for select, which next() follows until it is None."""
        return self._stream.fileno()

    def close(self) -> None:
        """Ends the iteration, also one that waits in another thread."""
        self._closed = True
        self._stream.interrupt()

    def __iter__(self) -> Iterator[results.Event]:
        return self

    def __next__(self) -> results.Event:
        while not self._closed:
            event = self.next(wait_seconds=3600)
            if event is not None:
                return event
        raise StopIteration

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()
