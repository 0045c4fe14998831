"""The events of Pyro.watch."""

from __future__ import annotations

from typing import Literal, Optional, TypedDict


class _EventBase(TypedDict):
    event: Literal["present", "created", "started", "command_began", "output", "command_ended",
                   "stopped", "deleted", "environments_changed"]
    at: str  # RFC 3339: when it was recorded, or else noticed.


class Event(_EventBase, total=False):
    """One thing that happened to a VM or a task, with the keys that it names."""

    id: str  # Not of environments_changed.
    state: str  # Of present.
    sequence: int  # Of command_began, output and command_ended.
    command: list[str]  # Of command_began.
    stream: Literal["stdout", "stderr"]  # Of output.
    bytes: int  # Of output: of the stream, in the journal until now.
    outcome: str  # Of command_ended, like the next.
    exit_code: int
    last_error: Optional[str]  # Of stopped: why the guest was lost, or None.
