"""What clients do that mean harm, or are broken: the server bounds it, and the others notice nothing."""

import json
import random
import select
import statistics
import time

import pytest
from mcp_client import Events, Http, call, modern, request, resident_kib, until

HEAD = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*\r\n"


def send_raw(server, data):
    """What the server sends back until it closes."""
    sock = server.socket()
    try:
        sock.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return read_all(sock)


def read_all(sock):
    got = b""
    with sock:
        while True:
            try:
                piece = sock.recv(65536)
            except ConnectionResetError:
                return got
            if not piece:
                return got
            got += piece


def status_of(raw):
    return int(raw.split(b" ", 2)[1]) if raw else None


@pytest.fixture(scope="module")
def server():
    with Http(read_timeout=1000, write_timeout=1000, body_bytes=1 << 20) as running:
        yield running
        assert running.stop() == 0


def alive(server):
    return server.ask(modern("server/discover"))["result"]["resultType"] == "complete"


def latency(server, count=60):
    """The median time of a plain request on a connection that is open already."""
    connection = server.connection()
    times = []
    for ident in range(count):
        begin = time.monotonic()
        assert server.post(modern("tools/list", ident=ident), connection)[0] == 200
        times.append(time.monotonic() - begin)
    return statistics.median(times)


def test_200_open_streams_do_not_slow_a_plain_request():
    with Http() as server:
        quiet = latency(server)
        streams = []
        for ident in range(200):
            listen = modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, ident)
            messages = Events(server.open(listen)).messages()
            next(messages)
            streams.append(messages)
        ratio = latency(server) / quiet
        print(f"\na plain request beside 200 open streams takes {ratio:.2f} times as long as alone")
        print(f"resident memory with 200 open streams: {resident_kib(server.pid) / 1024:.1f} MiB")
        assert ratio < 5
        server.ask(modern("tools/call", call("test_trigger_tool_change")))
        for messages in streams:
            assert next(messages)["method"] == "notifications/tools/list_changed"


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(server):
    raw = send_raw(server, (HEAD + "Content-Length: 1048577\r\n\r\n").encode())
    assert status_of(raw) == 413


def test_a_body_whose_length_is_not_told_is_counted(server):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    raw = send_raw(server, (HEAD + "Transfer-Encoding: chunked\r\n\r\n").encode() + chunk * 20)
    assert status_of(raw) == 413
    assert alive(server)


def test_headers_beyond_the_limit_are_refused(server):
    raw = send_raw(server, (HEAD + "X-Big: " + "x" * 20000 + "\r\n\r\n").encode())
    assert status_of(raw) == 431
    raw = send_raw(server, (HEAD + "X-Many: x\r\n" * 2000).encode())
    assert status_of(raw) == 431


def test_a_client_that_sends_drop_by_drop_is_cut_off_and_delays_no_other(server):
    sock = server.socket()
    sock.sendall(b"POST /mcp HT")
    begun = server.socket()
    begun.sendall((HEAD + "Content-Length: 100\r\n\r\n{").encode())
    assert alive(server)
    assert read_all(sock) == b"" and read_all(begun) == b""


def test_a_client_that_does_not_read_is_cut_off_and_its_call_cancelled(server):
    message = modern("tools/call", call("probe_flood", {"count": 1000000, "bytes": 200}))
    message["params"]["_meta"]["progressToken"] = 1
    before = resident_kib(server.pid)
    socks = []
    for _ in range(5):
        sock = server.socket()
        body = json.dumps(message).encode()
        headers = "".join(f"{key}: {value}\r\n" for key, value in server.headers(message).items())
        sock.sendall(
            f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        socks.append(sock)
    assert alive(server)
    until(lambda: resident_kib(server.pid) - before < 100 * 1024, "bounded memory")
    for sock in socks:
        read_all(sock)
    assert alive(server)


def test_a_huge_answer_to_a_client_that_reads_slowly_arrives_whole(server):
    message = modern("tools/call", call("probe_flood", {"count": 0, "bytes": 4000000}))
    connection = server.connection()
    response = server.open(message, connection)
    body = b""
    while piece := response.read(400000):
        body += piece
        assert alive(server)
    assert len(json.loads(body)["result"]["content"][0]["text"]) == 4000000


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\n Host: localhost\r\n\r\n",
        HEAD.encode() + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        HEAD.encode() + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\r\n" * 1000,
        b"\x00" * 1000,
    ],
)
def test_what_is_no_http_is_refused(server, data):
    assert status_of(send_raw(server, data)) in (400, 403, 413, None)
    assert alive(server)


def test_random_changes_to_a_good_request_end_in_an_answer_or_a_closed_connection(server):
    message = modern("tools/call", call("greet", {"name": "x"}))
    body = json.dumps(message)
    headers = "".join(f"{key}: {value}\r\n" for key, value in server.headers(message).items())
    good = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}"
    seed = random.randrange(1 << 32)
    print(f"\nseed {seed}")
    rng = random.Random(seed)
    for _ in range(100):
        data = bytearray(good.encode())
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            choice = rng.randrange(3)
            if choice == 0:
                data[at] = rng.randrange(256)
            elif choice == 1:
                del data[at : at + rng.randint(1, 20)]
            else:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 20)))
        sock = server.socket()
        sock.sendall(bytes(data))
        sock.shutdown(1)
        read_all(sock)
    assert alive(server)


def test_an_old_client_is_told_that_it_is_too_old(server):
    assert status_of(send_raw(server, HEAD.replace("HTTP/1.1", "HTTP/1.0").encode() + b"Content-Length: 2\r\n\r\n{}")) == 505


def test_two_requests_in_one_piece_are_answered_in_order(server):
    pieces = b""
    for ident in ("first", "second"):
        message = modern("server/discover", ident=ident)
        body = json.dumps(message).encode()
        headers = "".join(f"{key}: {value}\r\n" for key, value in server.headers(message).items())
        last = "Connection: close\r\n" if ident == "second" else ""
        pieces += (
            f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{last}{headers}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    raw = send_raw(server, pieces)
    assert raw.count(b"HTTP/1.1 200") == 2
    assert 0 < raw.find(b'"id":"first"') < raw.find(b'"id":"second"')


def test_connections_beyond_the_limit_are_closed_and_room_comes_back():
    with Http(connections=10) as server:
        held = [server.socket() for _ in range(10)]
        assert server.socket().recv(1) == b""
        for sock in held:
            sock.close()

        def again():
            try:
                return alive(server)
            except (ConnectionError, OSError):
                return False

        until(again, "room for a connection")


def test_listens_are_limited():
    with Http(listens=2) as server:
        listen = modern("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
        held = [server.open(listen) for _ in range(2)]
        assert server.post(listen)[2]["error"]["code"] == -32603
        assert all(response.status == 200 for response in held)


def test_calls_beyond_what_may_wait_are_refused_and_reads_go_on():
    with Http(workers=2, queued_calls=2) as server:
        # Two run, two wait, and the fifth to arrive is one too many; it may be any of them.
        held = []
        for _ in range(5):
            connection = server.connection()
            message = modern("tools/call", call("probe_wait"))
            connection.request("POST", "/mcp", json.dumps(message), server.headers(message))
            held.append((connection, connection.sock))
        unanswered = list(held)
        answers = []  # Kept, so that the streams of those that run stay open.

        def refused():
            readable = select.select([sock for _, sock in unanswered], [], [], 0)[0]
            for connection, sock in [one for one in unanswered if one[1] in readable]:
                unanswered.remove((connection, sock))
                answers.append(connection.getresponse())
                if answers[-1].status == 503:
                    return json.loads(answers[-1].read())["error"]["code"] == -32000
            return False

        until(refused, "a refusal")
        assert "result" in server.ask(modern("resources/list"))
        for connection, _ in held:
            connection.close()
        for answer in answers:
            answer.close()
        until(lambda: server.post(modern("tools/call", call("greet")))[0] == 200, "room for a call")


def test_idle_sessions_end():
    with Http(session_idle=1, sessions=1) as server:
        first = server.session()
        server.session()
        assert server.post(request("ping"), Mcp_Session_Id=first)[0] == 404


def test_a_state_that_was_changed_is_refused(server):
    params = call("test_input_required_result_request_state")
    can = {"elicitation": {}}
    first = server.ask(modern("tools/call", params, capabilities=can))["result"]
    answers = {"confirm": {"action": "accept", "content": {"ok": True}}}
    for state in (first["requestState"] + "-TAMPERED", first["requestState"][:-1], "", "a.b", "x" * 300000):
        again = {**params, "requestState": state, "inputResponses": answers}
        assert server.ask(modern("tools/call", again, capabilities=can))["error"]["code"] == -32602
    again = {**params, "requestState": first["requestState"], "inputResponses": answers}
    assert "state-ok" in server.ask(modern("tools/call", again, capabilities=can))["result"]["content"][0]["text"]
