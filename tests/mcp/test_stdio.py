"""The protocol over stdin and stdout, as a client's process sees it."""

import json
import os
import select
import signal

from mcp_client import LEGACY, Stdio, call, modern, request, resident_kib, until


def test_both_eras_are_served_by_one_process_in_any_order():
    with Stdio() as server:
        discovered = server.ask(modern("server/discover", ident="d"))["result"]
        assert discovered["supportedVersions"] == ["2026-07-28"]
        assert server.initialize()["protocolVersion"] == LEGACY
        assert server.ask(modern("tools/list", ident=2))["result"]["resultType"] == "complete"
        assert "resultType" not in server.ask(request("tools/list", ident=3))["result"]
        assert server.close_stdin_and_wait() == 0


def test_ids_come_back_exactly_as_they_were():
    with Stdio() as server:
        for ident in (0, -1, 2**63 - 1, 2**64 - 1, "", "7", "ä\n"):
            assert server.ask(request("ping", ident=ident))["id"] == ident


def test_requests_are_answered_before_the_client_said_it_was_initialized():
    with Stdio() as server:
        assert "result" in server.ask(request("tools/list"))


def test_stdout_carries_nothing_but_the_protocol():
    with Stdio() as server:
        server.initialize()
        text = server.ask(request("tools/call", call("probe_shout")))["result"]["content"][0]["text"]
        assert text == "stdin had 0 bytes"
        server.process.stdin.close()
        assert server.receive() is None
        noise = server.process.stderr.read().decode()
        for line in ("printf reaches no client", "write reaches no client", "a child reaches no client"):
            assert line in noise


def test_a_running_call_delays_no_other():
    with Stdio() as server:
        server.initialize()
        server.send(request("tools/call", call("probe_wait", _meta={"progressToken": "p"}), 1))
        assert server.receive()["params"]["progressToken"] == "p"
        assert server.ask(request("ping", ident=2))["result"] == {}
        counts = server.ask(request("tools/call", call("probe_counts"), 3))["result"]["structuredContent"]
        assert counts == {"cancelled": 0, "waiting": 1}


def test_a_cancelled_call_ends_without_an_answer():
    with Stdio() as server:
        server.initialize()
        for make, ident in ((request, "a"), (modern, "b")):
            server.send(make("tools/call", call("probe_wait"), ident))
            server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ident}})

        def both_cancelled():
            answer = server.ask(request("tools/call", call("probe_counts"), "count"))
            return answer["result"]["structuredContent"]["waiting"] == 0

        until(both_cancelled, "the end of cancelled calls")
        server.process.stdin.close()
        while (message := server.receive()) is not None:
            assert message.get("id") not in ("a", "b")


def test_the_end_of_stdin_ends_running_calls_and_the_process():
    with Stdio() as server:
        server.initialize()
        server.send(request("tools/call", call("probe_wait", _meta={"progressToken": 1})))
        server.receive()
        assert server.close_stdin_and_wait() == 0


def test_sigterm_ends_the_process_and_answers_open_listens():
    with Stdio() as server:
        server.send(modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, "sub"))
        assert server.receive()["method"] == "notifications/subscriptions/acknowledged"
        server.process.send_signal(signal.SIGTERM)
        answer = server.receive()
        assert answer["id"] == "sub"
        assert answer["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "sub"
        assert server.process.wait(60) == 0


def test_nonsense_is_answered_and_survived():
    with Stdio() as server:
        lines = [b"{", b"nonsense", b"\xff\xfe", b"[" * 100000, b"[]", b"3", b'{"jsonrpc":"2.0","id":{},"method":"x"}']
        for line in lines:
            server.send_bytes(line + b"\r\n")
            assert server.receive()["error"]["code"] in (-32700, -32600)
        server.send_bytes(b"\n\n")
        server.send({"jsonrpc": "2.0", "method": "notifications/none"})
        server.send({"jsonrpc": "2.0", "id": 99, "result": {}})
        assert server.ask(request("ping"))["result"] == {}


def test_a_line_beyond_the_limit_is_refused_once_and_the_next_is_read():
    with Stdio() as server:
        server.send_bytes(b'{"x":"' + b"y" * (9 * 1024 * 1024) + b'"}\n')
        assert server.receive()["error"]["code"] == -32700
        assert server.ask(request("ping"))["result"] == {}


def test_a_line_may_come_in_pieces():
    with Stdio() as server:
        data = json.dumps(request("ping", ident="slow")).encode() + b"\n"
        for byte in data:
            server.send_bytes(bytes([byte]))
        assert server.receive()["id"] == "slow"


def test_a_client_that_does_not_read_costs_bounded_memory_and_cancels_all_the_same():
    with Stdio() as server:
        server.initialize()
        before = resident_kib(server.process.pid)
        flood = call("probe_flood", {"count": 1000000, "bytes": 150}, _meta={"progressToken": "f"})
        server.send(request("tools/call", flood, "flood"))
        server.send(request("tools/call", call("probe_wait"), "wait"))
        for ident in ("flood", "wait"):
            server.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ident}})
        # Of a million reports most are dropped; the process stays small.
        assert resident_kib(server.process.pid) - before < 200 * 1024
        assert server.ask(request("ping", ident="still"))["result"] == {}


def test_a_client_that_never_reads_is_not_read_for_ever_and_leaves_no_process():
    with Stdio() as server:
        server.initialize()
        before = resident_kib(server.process.pid)
        stdin = server.process.stdin.fileno()
        os.set_blocking(stdin, False)
        lines = (json.dumps(request("tools/list")).encode() + b"\n") * 100
        # The answers are some hundred times as long as the requests.
        for _ in range(100000):
            if not select.select([], [stdin], [], 2)[1]:
                break
            os.write(stdin, lines)
        else:
            raise AssertionError("the server takes requests without an end")
        assert resident_kib(server.process.pid) - before < 270 * 1024
        server.process.stdin.close()
        server.process.stdout.close()
        server.process.wait(60)


def test_what_a_client_can_mend_comes_back_as_a_result():
    with Stdio() as server:
        server.initialize()
        bad = server.ask(request("tools/call", call("probe_flood", {"count": "many"})))["result"]
        assert bad["isError"]
        error = json.loads(bad["content"][0]["text"])["error"]
        assert error["code"] == "invalid_argument" and "count" in error["message"] and error["hint"]
        assert server.ask(request("tools/call", call("nothing")))["error"]["code"] == -32602


def test_the_client_is_asked_and_answers_in_the_legacy_era():
    with Stdio() as server:
        server.initialize({"elicitation": {}})
        server.send(request("tools/call", call("test_elicitation", {"message": "Well?"}), 4))
        question = server.receive()
        assert question["method"] == "elicitation/create" and question["params"]["message"] == "Well?"
        server.send({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {}}})
        assert "accept" in server.receive()["result"]["content"][0]["text"]


def test_an_opening_with_any_version_is_answered():
    for version in ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"):
        with Stdio() as server:
            assert server.initialize(version=version)["protocolVersion"] == version
    with Stdio() as server:
        assert server.initialize(version="2031-01-01")["protocolVersion"] == LEGACY
