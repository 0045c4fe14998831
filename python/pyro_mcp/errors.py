"""The exceptions of failed calls of pyro: one class for each code.

The end of a command in a guest is never an exception: see ``exit_code`` and ``outcome`` in its result.
"""

from __future__ import annotations

import errno


class PyroError(Exception):
    """A call failed.

    ``code`` is a stable name for programs, ``message`` one sentence for people, ``hint`` a remedy
    (may be empty). ``path`` is the path in a task that it is about; empty if it is about none.
    """

    code: str = "internal"
    path: str = ""

    def __init__(self, message: str, hint: str = "", code: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class InvalidArgumentError(PyroError):
    """The same request can never succeed; the message names the argument."""

    code = "invalid_argument"


class NotFoundError(PyroError):
    """There is no such VM, task, environment or file. Of a path in a task it is PathNotFoundError."""

    code = "not_found"


class AlreadyExistsError(PyroError):
    """It exists already, or another process created it first."""

    code = "already_exists"


class WrongStateError(PyroError):
    """The object is not in the state that the call needs, for example a VM that is not started."""

    code = "wrong_state"


class UnavailableError(PyroError):
    """A later try may succeed."""

    code = "unavailable"


class TimedOutError(PyroError):
    """A deadline of pyro's own passed. A command's timeout is a result (exit code 124), not this."""

    code = "timed_out"


class CancelledError(PyroError):
    """The call was interrupted, and its command killed. In the main thread Ctrl-C raises
    KeyboardInterrupt instead."""

    code = "cancelled"


class NoSpaceError(PyroError):
    """The disk or the quota is full."""

    code = "no_space"


class PermissionDeniedError(PyroError):
    """The system refuses this user."""

    code = "permission_denied"


class ProtocolError(PyroError):
    """Another process sent a malformed message, which was not used."""

    code = "protocol"


class DataLossError(PyroError):
    """Stored bytes are broken; a repair may help."""

    code = "data_loss"


class LimitExceededError(PyroError):
    """A documented limit was reached."""

    code = "limit_exceeded"


class InternalError(PyroError):
    """A bug in pyro."""

    code = "internal"


class GuestUnavailableError(PyroError):
    """The guest did not boot, or it died."""

    code = "guest_unavailable"


class MissingToolError(PyroError):
    """A program that pyro needs is not installed; the hint is the command that installs it."""

    code = "missing_tool"


class IsDirectoryError(PyroError, IsADirectoryError):
    """A path of a task is a directory, and the call takes none."""

    code = "is_a_directory"


class NotDirectoryError(PyroError, NotADirectoryError):
    """A path of a task, or a part of it, is no directory."""

    code = "not_a_directory"


class ConflictError(PyroError):
    """What is there is not what a change was made from; nothing was changed. The message says what is there."""

    code = "conflict"


class PathNotFoundError(NotFoundError, FileNotFoundError):
    """Nothing is at a path of a task."""


class PathExistsError(AlreadyExistsError, FileExistsError):
    """Something is at a path of a task."""


class PathPermissionError(PermissionDeniedError, PermissionError):
    """A task's system refuses a path to the user of the call."""


ERROR_CLASSES: dict[str, type[PyroError]] = {
    cls.code: cls
    for cls in (
        InvalidArgumentError, NotFoundError, AlreadyExistsError, WrongStateError, UnavailableError,
        TimedOutError, CancelledError, NoSpaceError, PermissionDeniedError, ProtocolError,
        DataLossError, LimitExceededError, InternalError, GuestUnavailableError, MissingToolError,
        IsDirectoryError, NotDirectoryError, ConflictError,
    )
}

# Of an error about a path in a task: the class that is also Python's own, and its errno.
PATH_CLASSES: dict[str, tuple[type[PyroError], int]] = {
    "not_found": (PathNotFoundError, errno.ENOENT),
    "already_exists": (PathExistsError, errno.EEXIST),
    "permission_denied": (PathPermissionError, errno.EACCES),
    "is_a_directory": (IsDirectoryError, errno.EISDIR),
    "not_a_directory": (NotDirectoryError, errno.ENOTDIR),
}


def error_of_code(code: str, message: str, hint: str, path: str = "") -> PyroError:
    """Returns the exception for a code. An unknown code of another version gives a plain PyroError with
    that code."""
    plain: tuple[type[PyroError], int] = (ERROR_CLASSES.get(code, PyroError), 0)
    cls, number = PATH_CLASSES.get(code, plain) if path else plain
    error = cls(message, hint, code)
    error.path = path
    if isinstance(error, OSError):
        error.errno, error.strerror, error.filename = number, message, path
    return error
