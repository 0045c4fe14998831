"""Operations on files by the agent's own program, as a process of this host."""

import os
import struct
import subprocess
import tempfile

import harness

REQUEST = {"operation": "write", "path": ".", "to": "", "offset": 0, "limit": 0, "mode": 0, "depth": 1, "parents": False,
           "recursive": False, "replace": False}


def text(value):
    """CBOR of a text."""
    raw = os.fsencode(value)
    return b"\x79" + struct.pack(">H", len(raw)) + raw


def request(**fields):
    """CBOR of a map of texts, numbers and flags."""

    def item(value):
        if isinstance(value, str):
            return text(value)
        return {False: b"\xf4", True: b"\xf5"}[value] if isinstance(value, bool) else b"\x1b" + struct.pack(">Q", value)

    return bytes([0xA0 + len(fields)]) + b"".join(text(name) + item(value) for name, value in fields.items())


def decode(raw, at=0):
    """One CBOR value, and where it ends."""
    kind, short = raw[at] >> 5, raw[at] & 31
    at += 1
    number = short
    if short >= 24 and kind != 7:
        size = 1 << (short - 24)
        number = int.from_bytes(raw[at:at + size], "big")
        at += size
    if kind in (0, 1):
        return (number if kind == 0 else -1 - number), at
    if kind in (2, 3):
        return os.fsdecode(raw[at:at + number]), at + number
    if kind == 7:
        return {20: False, 21: True, 22: None}[short], at
    values = []
    for _ in range(number * (2 if kind == 5 else 1)):
        value, at = decode(raw, at)
        values.append(value)
    return (dict(zip(values[::2], values[1::2], strict=True)) if kind == 5 else values), at


def records(raw):
    """The values of a stream of records."""
    found = []
    while raw:
        length = int.from_bytes(raw[:4], "little")
        found.append(decode(raw[4:4 + length])[0])
        raw = raw[4 + length:]
    return found


def carry_out(content, env=None, data=None, **fields):
    """The finished process of one operation; `data`: the directory that stands for the guest's disk."""
    with tempfile.TemporaryFile() as asked:
        asked.write(request(**{**REQUEST, **fields}))
        asked.seek(0)
        passed = [asked.fileno()]
        line = 'exec 3<&"$1"'
        if data is not None:
            passed.append(os.open(data, os.O_RDONLY | os.O_DIRECTORY))
            line += ' 4<&"$2"'
        words = ["/bin/bash", "-c", f'{line}; exec -a pyro-file "$0"', str(harness.BIN / "pyro-agent"), *map(str, passed)]
        try:
            return subprocess.run(words, input=content, env={**os.environ, **(env or {})}, check=False,
                                  capture_output=True, pass_fds=passed)
        finally:
            for fd in passed[1:]:
                os.close(fd)


def end_of(done):
    """How the operation ended."""
    assert done.returncode == 0, done
    [end] = records(done.stderr)
    return end
