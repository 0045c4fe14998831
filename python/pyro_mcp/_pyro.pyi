"""The compiled module."""

from typing import Any, Callable, Optional

from . import results

VERSION: str
ERROR_CODES: tuple[str, ...]
DEFAULT_TIMEOUT_SECONDS: int

_Output = Optional[Callable[[bytes], object]]

class EventStream:
    def next(self, wait_seconds: float, /) -> list[results.Event]: ...
    def interrupt(self) -> None: ...
    def fileno(self) -> int: ...

class Engine:
    def __init__(self) -> None: ...
    # By the name of the operation in docs/api.json. Texts are bytes. `out_fd`: where an export goes, or -1.
    def call(self, operation: str, arguments: dict[str, object], stdin_fd: int, out_fd: int, on_stdout: _Output,
             on_stderr: _Output, /) -> Any: ...
    def watch(self, id: bytes, /) -> EventStream: ...
    def serve_mcp(self, profile: str, spares: int, /) -> bool: ...
