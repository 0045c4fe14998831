"""A small MCP client over stdio, for tests that look at every message."""

import json
import os
import queue
import signal
import subprocess
import threading

import harness

RESULT_LIMIT = 30000  # Characters of one result, as clients take it.

MODERN = "2026-07-28"
LEGACY = "2025-11-25"


class Reply:
    """What came back for one request."""

    def __init__(self, message):
        self.message = message

    @property
    def result(self):
        assert "result" in self.message, self.message
        return self.message["result"]

    @property
    def error(self):
        assert "error" in self.message, self.message
        return self.message["error"]


class Server:
    """`pyro mcp serve` as a child, and the one client of it."""

    def __init__(self, pyro, *flags, era="legacy", capabilities=None, greet=True):
        self.era = era
        self.capabilities = capabilities or {}
        # Only tests of spares wait for them.
        flags = flags if "--spares" in flags else ("--spares", "0", *flags)
        self.process = pyro.start("mcp", "serve", *flags, stdin=subprocess.PIPE)
        self.notifications = []
        self.noise = []  # Lines of stdout that are no JSON-RPC.
        self._replies = {}
        self._arrived = threading.Condition()
        self._next = 0
        self._ended = False
        self._talk = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._drain, daemon=True).start()
        if greet and era == "legacy":
            self.greeting = self.request("initialize", {
                "protocolVersion": LEGACY, "capabilities": self.capabilities,
                "clientInfo": {"name": "test", "version": "1"}}).result
            self.notify("notifications/initialized", {})

    def _drain(self):
        for line in self.process.stderr:
            self._talk.put(line)

    def talk(self):
        lines = []
        while not self._talk.empty():
            lines.append(self._talk.get())
        return b"".join(lines).decode()

    def _read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
            except (ValueError, KeyError, TypeError, AssertionError):
                self.noise.append(line)
                continue
            with self._arrived:
                if "id" in message and "method" not in message:
                    self._replies[message["id"]] = message
                else:
                    self.notifications.append(message)
                self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def _meta(self, params, progress):
        meta = dict(params.get("_meta", {}))
        if progress:
            meta["progressToken"] = progress
        if self.era == "modern":
            meta["io.modelcontextprotocol/protocolVersion"] = MODERN
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities
        return {**params, "_meta": meta} if meta else params

    def write(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def send(self, method, params=None, progress=None):
        """Sends a request and returns its id at once."""
        self._next += 1
        self.write({"jsonrpc": "2.0", "id": self._next, "method": method,
                    "params": self._meta(params or {}, progress)})
        return self._next

    def notify(self, method, params):
        self.write({"jsonrpc": "2.0", "method": method, "params": self._meta(params, None)})

    def reply(self, number, seconds=harness.HANG_SECONDS):
        with self._arrived:
            done = self._arrived.wait_for(lambda: number in self._replies or self._ended, seconds)
            assert done, f"no answer to request {number}; stderr: {self.talk()}"
            assert number in self._replies, f"the server is gone; stderr: {self.talk()}"
            return Reply(self._replies[number])

    def answered(self, number):
        with self._arrived:
            return number in self._replies

    def request(self, method, params=None, progress=None):
        return self.reply(self.send(method, params, progress))

    def cancel(self, number):
        self.notify("notifications/cancelled", {"requestId": number, "reason": "test"})

    def call_later(self, tool, arguments, progress=None):
        return self.send("tools/call", {"name": tool, "arguments": arguments}, progress)

    def call(self, tool, arguments=None, progress=None):
        """The result of a tool that succeeded."""
        result = self.reply(self.call_later(tool, arguments or {}, progress)).result
        assert not result.get("isError"), result
        return result

    def value(self, tool, **arguments):
        """Its structured content."""
        return self.call(tool, arguments)["structuredContent"]

    def failure(self, tool, **arguments):
        """The error of a tool that failed: {code, message, hint}."""
        result = self.reply(self.call_later(tool, arguments)).result
        assert result.get("isError") is True, result
        return json.loads(result["content"][0]["text"])["error"]

    def wait_for(self, what, condition):
        """The first notification that the condition holds for."""
        with self._arrived:
            found = []

            def look():
                found[:] = [one for one in self.notifications if condition(one)]
                return found or self._ended

            assert self._arrived.wait_for(look, harness.HANG_SECONDS), f"waited in vain: {what}"
            assert found, f"the server is gone: {what}"
            return found[0]

    def progress(self, token):
        with self._arrived:
            return [one["params"] for one in self.notifications
                    if one["method"] == "notifications/progress"
                    and one["params"]["progressToken"] == token]

    def wait_for_progress(self, token, text=""):
        return self.wait_for(f"progress {text}", lambda one: one["method"] == "notifications/progress"
                             and one["params"]["progressToken"] == token
                             and text in one["params"].get("message", ""))

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def close(self):
        """Closes stdin and returns the exit code."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def new_task(server, **options):
    return server.value("task_create", environment=harness.BASE, mem_mib=512, **options)["task_id"]


def run(server, task_id, command, **options):
    return server.value("task_exec", task_id=task_id, command=command, timeout_seconds=250, **options)


def text_of(result):
    return "".join(block.get("text", "") for block in result["content"] if block["type"] == "text")
