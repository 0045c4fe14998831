"""The exceptions of failed calls of pyro: one class for each code.

The end of a command in a guest is never an exception: see ``exit_code`` and ``outcome`` in its result.
"""

from __future__ import annotations


class PyroError(Exception):
    """A call failed.

    ``code`` is a stable name for programs, ``message`` one sentence for people, ``hint`` a remedy
    (may be empty).
    """

    code: str = "internal"

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
    """There is no such VM, task, environment or file."""

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


ERROR_CLASSES: dict[str, type[PyroError]] = {
    cls.code: cls
    for cls in (
        InvalidArgumentError, NotFoundError, AlreadyExistsError, WrongStateError, UnavailableError,
        TimedOutError, CancelledError, NoSpaceError, PermissionDeniedError, ProtocolError,
        DataLossError, LimitExceededError, InternalError, GuestUnavailableError, MissingToolError,
    )
}


def error_of_code(code: str, message: str, hint: str) -> PyroError:
    """Returns the exception for a code. An unknown code of another version gives a plain PyroError with
    that code."""
    return ERROR_CLASSES.get(code, PyroError)(message, hint, code)
