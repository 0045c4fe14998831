"""A registry's bad days: an HTTP proxy on loopback that cuts, stalls, tampers or refuses, and counts what was asked for."""

from __future__ import annotations

import collections
import dataclasses
import http.client
import http.server
import socket
import struct
import subprocess
import threading
import time
from typing import Iterator

CHUNK = 64 * 1024


@dataclasses.dataclass
class Fault:
    """What happens to answers to GET for paths that contain `path`: the first `times` of them, behind their first `after` bytes."""
    path: str
    kind: str  # "cut", "stall", "tamper" or "status".
    after: int = 0
    times: int = 1_000_000
    status: int = 503


class Proxy:
    """Stands before the registry at `port`. A context: its threads are gone at the end."""

    def __init__(self, port: int):
        self.target = port
        self.faults: list[Fault] = []
        self.asked: collections.Counter[str] = collections.Counter()  # "GET /v2/…": how often.
        self.faulted = threading.Event()  # A fault has happened.
        self.bytes_sent = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Proxy:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def take(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def note(self, method: str, path: str) -> None:
        with self._lock:
            self.asked[f"{method} {path}"] += 1

    def gets(self, part: str) -> int:
        """How many GET requests there were for paths that contain `part`."""
        with self._lock:
            return sum(count for what, count in self.asked.items() if what.startswith("GET ") and part in what)

    def await_fault(self, process: subprocess.Popen, seconds: float = 120) -> None:
        """Until a fault has happened to what the process asked for."""
        deadline = time.monotonic() + seconds
        while not self.faulted.wait(0.05):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "nothing has asked for what is faulty"

    def wait_while_stalled(self, client: socket.socket) -> None:
        """Until the client leaves, or the test is over."""
        client.settimeout(0.1)
        while not self._closing.is_set():
            try:
                if client.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except OSError:
                return


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request, client_address) -> None:
        """A client that leaves in the middle of an answer is what tests want."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 1  # An idle connection ends soon, so that none keeps the proxy from its end.
    owner: Proxy

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self._forward(None)

    def do_GET(self) -> None:
        self._forward(self.owner.take(self.path))

    def _forward(self, fault: Fault | None) -> None:
        self.owner.note(self.command, self.path)
        if fault is not None and fault.kind == "status":
            self.owner.faulted.set()
            self.send_response(fault.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.owner.target, timeout=60)
        try:
            try:
                upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():  # Some come several times.
                    if name.lower() != "connection":
                        upstream.putheader(name, value)
                upstream.endheaders()
                answer = upstream.getresponse()
            except OSError:
                self._reset()
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                    self.send_header(name, value)
            if answer.headers.get("Content-Length") is None:
                self.close_connection = True
            self.end_headers()
            if self.command == "GET":
                self._send(answer, fault)
        finally:
            upstream.close()

    def _send(self, answer: http.client.HTTPResponse, fault: Fault | None) -> None:
        sent = 0
        for chunk in _chunks(answer):
            if fault is not None and sent + len(chunk) > fault.after:
                at = fault.after - sent
                self.owner.faulted.set()
                if fault.kind == "tamper":
                    chunk = chunk[:at] + bytes([chunk[at] ^ 1]) + chunk[at + 1:]
                    fault = None
                else:
                    self.wfile.write(chunk[:at])
                    if fault.kind == "stall":
                        self.owner.wait_while_stalled(self.connection)
                    self._reset()
                    return
            self.wfile.write(chunk)
            sent += len(chunk)
            self.owner.bytes_sent += len(chunk)

    def _reset(self) -> None:
        """Closes without a goodbye, as a host that goes down does."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk
