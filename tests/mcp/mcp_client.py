"""Bare clients of the fixture server: no library between the test and the bytes."""

import contextlib
import http.client
import json
import os
import select
import signal
import socket
import subprocess
import time

import harness

SERVER = harness.BIN / "pyro-mcp-conformance"
MODERN = "2026-07-28"
LEGACY = "2025-11-25"
PATIENCE = 60  # Seconds; only a bound on waits for what must come.
TASKS = "io.modelcontextprotocol/tasks"


def until(condition, what):
    """Waits for a condition that another process brings about."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


def meta(capabilities=None, **more):
    prefix = "io.modelcontextprotocol/"
    entries = {f"{prefix}protocolVersion": MODERN, f"{prefix}clientCapabilities": capabilities or {}}
    entries.update(more)
    return entries


def request(method, params=None, ident=1):
    return {"jsonrpc": "2.0", "id": ident, "method": method, "params": params or {}}


def modern(method, params=None, ident=1, capabilities=None, **more):
    return request(method, {**(params or {}), "_meta": meta(capabilities, **more)}, ident)


def call(tool, arguments=None, **params):
    return {"name": tool, "arguments": arguments or {}, **params}


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Stdio:
    """One server process, spoken to over its pipes."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            [SERVER, *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()

    def send_bytes(self, data):
        self.process.stdin.write(data)

    def send(self, message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def receive(self):
        """The next line, which must be a JSON-RPC message; None at the end."""
        while b"\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert ready, "no answer came"
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                assert not self.buffer, f"half a line at the end: {self.buffer!r}"
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def ask(self, message):
        """Sends a request and takes messages until its answer comes."""
        self.send(message)
        while True:
            answer = self.receive()
            assert answer is not None, "the server ended"
            if answer.get("id") == message["id"] and "method" not in answer:
                return answer

    def initialize(self, capabilities=None, version=LEGACY):
        answer = self.ask(
            request(
                "initialize",
                {
                    "protocolVersion": version,
                    "capabilities": capabilities or {},
                    "clientInfo": {"name": "test", "version": "1"},
                },
                "init",
            )
        )
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer["result"]

    def close_stdin_and_wait(self):
        self.process.stdin.close()
        return self.process.wait(PATIENCE)


class Events:
    """A response of server-sent events, read as it comes."""

    def __init__(self, response):
        self.response = response

    def __iter__(self):
        event = {}
        while True:
            line = self.response.readline()
            if not line:
                return
            line = line.decode().rstrip("\n")
            if line == "":
                if event:
                    yield event
                event = {}
            elif not line.startswith(":"):
                key, _, value = line.partition(":")
                event[key] = value.removeprefix(" ")

    def messages(self):
        for event in self:
            if event.get("data"):
                yield json.loads(event["data"])

    def answer(self, ident=1):
        for message in self.messages():
            if message.get("id") == ident and "method" not in message:
                return message
        raise AssertionError("the stream ended without an answer")


class Http:
    """One server process on a port of loopback."""

    def __init__(self, *flags, **limits):
        for name, value in limits.items():
            flags += ("--limit", f"{name}={value}")
        self.process = subprocess.Popen(
            [SERVER, "--http", "0", *flags], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        url = self.process.stdout.readline().decode().strip()
        assert url, self.process.stderr.read().decode()
        self.url = url
        self.port = int(url.rsplit(":", 1)[1].split("/")[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    @staticmethod
    def headers(message=None, **more):
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        params = (message or {}).get("params", {})
        if "_meta" in params and "io.modelcontextprotocol/protocolVersion" in params["_meta"]:
            headers["MCP-Protocol-Version"] = MODERN
            headers["Mcp-Method"] = message["method"]
            name = params.get("name") or params.get("uri") or params.get("taskId")
            if name:
                headers["Mcp-Name"] = name
        headers.update({key.replace("_", "-"): value for key, value in more.items()})
        return {key: value for key, value in headers.items() if value is not None}

    def open(self, message, connection=None, **headers):
        """Sends a POST and gives the response unread."""
        connection = connection or self.connection()
        connection.request("POST", "/mcp", json.dumps(message), self.headers(message, **headers))
        return connection.getresponse()

    def post(self, message, connection=None, **headers):
        """Sends a POST and reads what it is answered: status, headers and the message or None."""
        response = self.open(message, connection, **headers)
        if response.getheader("Content-Type") == "text/event-stream":
            return response.status, response.headers, Events(response).answer(message.get("id"))
        body = response.read()
        return response.status, response.headers, json.loads(body) if body else None

    def ask(self, message, **headers):
        status, _, answer = self.post(message, **headers)
        assert status == 200, answer
        return answer

    def counts(self):
        """How many probe_wait calls run, and how many were cancelled."""
        return self.ask(modern("tools/call", call("probe_counts")))["result"]["structuredContent"]

    def session(self, version=LEGACY, capabilities=None):
        params = {
            "protocolVersion": version,
            "capabilities": capabilities or {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        status, headers, answer = self.post(request("initialize", params))
        assert status == 200, answer
        return headers["Mcp-Session-Id"]

    def get(self, session, last_event=None):
        connection = self.connection()
        headers = {"Accept": "text/event-stream", "Mcp-Session-Id": session}
        if last_event:
            headers["Last-Event-ID"] = last_event
        connection.request("GET", "/mcp", headers=headers)
        return connection.getresponse()

    def delete(self, session):
        connection = self.connection()
        connection.request("DELETE", "/mcp", headers={"Mcp-Session-Id": session})
        response = connection.getresponse()
        response.read()
        return response.status
