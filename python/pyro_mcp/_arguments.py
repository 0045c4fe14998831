"""What callers pass to the calls of pyro, checked and made ready for the compiled module."""

from __future__ import annotations

import codecs
import contextlib
import os
import tempfile
from typing import IO, Any, Callable, Iterator, Mapping, Optional, Protocol, Sequence, Union

from . import _pyro
from .errors import InvalidArgumentError

# The guest's bash runs a string, or its sh if it has no bash; a list of words runs unchanged, without
# a shell.
Command = Union[str, Sequence[str]]

# Takes a piece of a command's output as it arrives. Bytes that are not UTF-8 are U+FFFD.
OutputCallback = Callable[[str], object]

# The same with output="bytes": the bytes as they are.
BytesCallback = Callable[[bytes], object]


class OpenFile(Protocol):
    """An open file, such as ``open()`` and ``subprocess.Popen.stdout`` return."""

    def fileno(self) -> int: ...


# An open file, or its descriptor.
Descriptor = Union[int, OpenFile]

# What a command reads: the bytes themselves, or a file from where it stands.
Input = Union[bytes, bytearray, memoryview, Descriptor]

# Files of a batch: their paths, with their bytes, or with a pair of bytes and mode.
Content = Union[bytes, bytearray, memoryview]
Files = Mapping[Union[str, "os.PathLike[str]"], Union[Content, tuple[Content, int]]]

_INT64 = 1 << 63


class _Usual(int):
    """A default that is not passed on, since the engine may have another one, such as that of a task."""


USUAL_LIMIT: int = _Usual(30)


def _wrong_type(name: str, value: object, wanted: str) -> TypeError:
    return TypeError(f"{name} is {type(value).__name__}, not {wanted}")


def _int(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name, value, "int")
    number: int = value
    if not -_INT64 <= number < _INT64:
        raise InvalidArgumentError(f"{name} is {number}", "give a smaller number")
    return number


def _limit(name: str, value: Any) -> int:
    """Seconds; 0 is no limit, as is None, which is not passed on."""
    if _int(name, value) < 0:
        raise InvalidArgumentError(f"{name} is {value}", "give up to 604800; 0 or None is no limit")
    return int(value)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(name, value, "a number")
    if not 0 <= value <= 604800:
        raise InvalidArgumentError(f"{name} is {value}", f"{name} takes 0 to 604800")
    return float(value)


def _bytes(name: str, value: Any) -> bytes:
    """The bytes that Python's own calls would pass to the system."""
    if not isinstance(value, str):
        raise _wrong_type(name, value, "str")
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{name} cannot be written as UTF-8",
                                   "it holds a lone surrogate") from None


def _text(name: str, value: Any) -> bytes:
    text = _bytes(name, value)
    if not text:
        raise InvalidArgumentError(f"{name} is empty",
                                   "give it a value; an optional argument may be left out instead")
    return text


def _choice(name: str, value: Any, choices: list[str]) -> bytes:
    if value not in choices:
        raise InvalidArgumentError(f"{name} is {value!r}", f"give {' or '.join(choices)}")
    return _text(name, value)


def _words(name: str, value: Any, each: str) -> list[bytes]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray)):
        raise _wrong_type(name, value, "str or a list of str" if each.startswith("a word") else "a list of str")
    return [_bytes(each, word) for word in value]


def _pairs(name: str, value: Any) -> dict[bytes, bytes]:
    if not isinstance(value, Mapping):
        raise _wrong_type(name, value, "a dict of str")
    return {_bytes(f"a name in {name}", key): _bytes(f"a value in {name}", item) for key, item in value.items()}


def _descriptor(name: str, value: Any, wanted: str = "an open file") -> int:
    if isinstance(value, bool) or not (isinstance(value, int) or hasattr(value, "fileno")):
        raise _wrong_type(name, value, wanted)
    number = value if isinstance(value, int) else int(value.fileno())
    if number < 0:
        raise InvalidArgumentError(f"{name} is {number}", "give an open file or its descriptor")
    try:
        os.fstat(number)
    except (OSError, OverflowError):
        raise InvalidArgumentError(f"{name} is {number}, which is not open",
                                   "give an open file or its descriptor") from None
    return number


def _ready(name: str, value: Any, kind: str) -> object:
    """The value for the compiled module, by the kind of its row."""
    if kind == "integer":
        return _int(name, value)
    if kind == "limit":
        return _limit(name, value)
    if kind == "number":
        return _seconds(name, value)
    if kind == "flag":
        if not isinstance(value, bool):
            raise _wrong_type(name, value, "bool")
        return value
    if kind == "texts":
        return _words(name, value, f"{'a pattern' if name == 'exclude' else 'an entry'} of {name}")
    if kind == "command":
        return _text(name, value) if isinstance(value, str) else _words(name, value, f"a word of {name}")
    if kind == "pairs":
        return _pairs(name, value)
    if kind == "path":
        return _text(name, os.fspath(value))
    return _text(name, value) if kind == "text" else _choice(name, value, kind.split(","))


def _write_batch(file: IO[bytes], files: Files) -> None:
    for path, item in files.items():
        content, mode = item if isinstance(item, tuple) else (item, 0)
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise _wrong_type(f"the content of {path!r}", content, "bytes")
        name = _text("a path of data", os.fspath(path))
        if b"\0" in name or len(name) > 4095:
            raise InvalidArgumentError(f"{path!r} is no path", "give up to 4095 bytes without a NUL")
        if not 0 <= _int(f"the mode of {path!r}", mode) <= 0o7777:
            raise InvalidArgumentError(f"the mode of {path!r} is {mode}", "give up to 0o7777")
        file.write(_pyro.file_header(name, memoryview(content).nbytes, mode))
        file.write(content)


@contextlib.contextmanager
def _input(name: str, value: Union[str, Input, Files, None]) -> Iterator[int]:
    """A descriptor that has it; -1 for none."""
    if value is None:
        yield -1
    elif isinstance(value, Mapping):
        with tempfile.TemporaryFile() as file:
            _write_batch(file, value)
            file.seek(0)
            yield file.fileno()
    elif isinstance(value, (bytes, bytearray, memoryview)):
        with open(os.memfd_create("stdin"), "w+b") as file:
            file.write(value)
            file.seek(0)
            yield file.fileno()
    else:
        yield _descriptor(name, value, "bytes or an open file")


class _Decoding:
    """Turns pieces of bytes into pieces of text: a character may span two of them."""

    def __init__(self, callback: OutputCallback) -> None:
        self._callback = callback
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def __call__(self, piece: bytes) -> None:
        text = self._decoder.decode(piece)
        if text:
            self._callback(text)

    def finish(self) -> None:
        rest = self._decoder.decode(b"", True)
        if rest:
            self._callback(rest)


class Caller:
    """Makes the calls of the operations."""

    _engine: _pyro.Engine
    _kinds: dict[str, str]  # Of the arguments, by name, or by the names of operation and argument.

    def _call(self, operation: str, /, *, stdin: Optional[Input] = None,
              on_stdout: Optional[Callable[[Any], object]] = None,
              on_stderr: Optional[Callable[[Any], object]] = None, output: str = "text",
              data: Union[str, Input, Files, None] = None, into: Optional[Descriptor] = None, **arguments: Any) -> Any:
        out_fd = -1 if into is None else _descriptor("into", into)
        destination = arguments.get("destination", "")
        if not isinstance(destination, (str, os.PathLike)):
            out_fd = _descriptor("destination", destination)
            arguments["destination"] = "-"
        ready = {name: _ready(name, value, self._kinds.get(f"{operation} {name}") or self._kinds[name])
                 for name, value in arguments.items() if value is not None and not isinstance(value, _Usual)}
        raw = _choice("output", output, ["text", "bytes"]) == b"bytes"
        decoding = [None if one is None or raw else _Decoding(one) for one in (on_stdout, on_stderr)]
        out, err = (on_stdout, on_stderr) if raw else decoding
        if isinstance(data, str) and operation == "task patch":
            data = data.encode("utf-8", "surrogateescape")
        with _input(*("stdin", stdin) if data is None else ("data", data)) as stdin_fd:
            answer = self._engine.call(operation, ready, stdin_fd, out_fd, out, err, raw)
        for stream in decoding:
            if stream is not None:
                stream.finish()
        return answer
