"""A VM, a task and a stream of events as context managers."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Iterator, Optional, Type

from . import _pyro, results
from ._api import TaskCalls, VmCalls
from ._arguments import _seconds
from .errors import NotFoundError, PyroError

if TYPE_CHECKING:
    from ._client import Pyro

_log = logging.getLogger("pyro_mcp")


class Vm(VmCalls):
    """A started VM. It takes one command, and is deleted at the end of its ``with`` block at the latest."""

    def __init__(self, pyro: Pyro, vm_id: str) -> None:
        self._pyro = pyro
        self.vm_id = vm_id

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


class Task(TaskCalls):
    """A task. It is deleted, with its workspace and journal, at the end of its ``with`` block.

    ``Task(pyro, task_id)`` is a handle for a task that is there already; without a ``with`` block
    it deletes nothing.
    """

    def __init__(self, pyro: Pyro, task_id: str) -> None:
        self._pyro = pyro
        self.task_id = task_id

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
            self._events = self._stream.next(_seconds("wait_seconds", wait_seconds))
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
