"""Streamable HTTP over real sockets: sessions, streams, resumption, who is let in."""

import json
import subprocess

import pytest
from mcp_client import LEGACY, PATIENCE, SERVER, Events, Http, call, modern, request, until

CAN_LISTEN = {"notifications": {"toolsListChanged": True}}


@pytest.fixture(scope="module")
def server():
    with Http() as running:
        yield running
        assert running.stop() == 0


def test_both_eras_are_served_by_one_endpoint(server):
    assert server.ask(modern("server/discover"))["result"]["supportedVersions"] == ["2026-07-28"]
    session = server.session()
    assert "tools" in server.ask(request("tools/list"), Mcp_Session_Id=session)["result"]
    assert server.delete(session) == 200


def test_only_known_hosts_and_origins_are_served(server):
    message = modern("server/discover")
    for name in ("Host", "Origin"):
        for value in ("http://evil.example", "evil.example", f"127.0.0.1.evil.example:{server.port}", "null"):
            status, _, answer = server.post(message, **{name: value})
            assert status == 403 and "error" in answer, (name, value)
    assert server.post(message, Host=f"[::1]:{server.port}")[0] == 200
    assert server.post(message, Host=f"LOCALHOST:{server.port}")[0] == 200
    assert server.post(message, Origin=f"http://localhost:{server.port}")[0] == 200
    status, headers, _ = server.post(message)
    assert status == 200 and not any(key.lower().startswith("access-control") for key in headers)


def test_a_token_is_asked_for_and_compared():
    token = "0123456789abcdef0123456789abcdef"
    with Http("--token", token) as server:
        message = modern("server/discover")
        status, headers, _ = server.post(message)
        assert status == 401 and headers["WWW-Authenticate"] == "Bearer"
        assert server.post(message, Authorization="Bearer " + token[:-1])[0] == 401
        assert server.post(message, Authorization="Bearer " + token)[0] == 200


def test_an_address_that_others_reach_needs_a_token():
    for address in ("0.0.0.0", "::", "192.0.2.1"):
        run = subprocess.run(
            [SERVER, "--http", "0", "--address", address], capture_output=True, timeout=PATIENCE, check=False
        )
        assert run.returncode == 1 and b"no token is set" in run.stderr
        assert run.stdout == b""


def test_a_session_lives_from_initialize_to_delete(server):
    session = server.session()
    assert len(session) >= 22 and all(0x21 <= ord(c) <= 0x7E for c in session)
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert server.post(note, Mcp_Session_Id=session)[0] == 202
    assert server.post(request("ping"), Mcp_Session_Id=session)[2]["result"] == {}
    assert server.post(request("ping"))[0] == 400
    assert server.post(request("ping"), Mcp_Session_Id="unknown")[0] == 404
    assert server.post(request("ping"), Mcp_Session_Id=session, MCP_Protocol_Version="1999-01-01")[0] == 400
    assert server.delete(session) == 200
    assert server.delete(session) == 404
    status, _, answer = server.post(request("ping"), Mcp_Session_Id=session)
    assert status == 404 and answer["error"]["code"] == -32001 and answer["id"] == 1


def test_deleting_a_session_cancels_its_calls(server):
    session = server.session()
    before = server.counts()["cancelled"]
    response = server.open(
        request("tools/call", call("probe_wait", _meta={"progressToken": 1})), Mcp_Session_Id=session
    )
    events = iter(Events(response))
    assert next(events)["data"] == ""  # The primer.
    assert json.loads(next(events)["data"])["method"] == "notifications/progress"
    assert server.delete(session) == 200
    assert list(events) == []
    until(lambda: server.counts()["cancelled"] == before + 1, "the cancellation")


def test_a_client_comes_back_for_what_it_missed(server):
    session = server.session()
    response = server.open(request("tools/call", call("test_reconnection"), 7), Mcp_Session_Id=session)
    events = list(Events(response))
    assert len(events) == 1 and events[0]["data"] == "" and int(events[0]["retry"]) > 0
    resumed = Events(server.get(session, events[0]["id"]))
    answer = resumed.answer(7)
    assert "closed" in answer["result"]["content"][0]["text"]
    # And once more, from any point of the stream.
    assert Events(server.get(session, events[0]["id"])).answer(7) == answer
    assert server.get(session, "s99999999::1").status == 400
    assert server.get(session, "nonsense").status == 400


def test_another_session_cannot_take_a_stream(server):
    mine, other = server.session(), server.session()
    response = server.open(request("tools/call", call("test_reconnection"), 7), Mcp_Session_Id=mine)
    event = next(iter(Events(response)))
    assert server.get(other, event["id"]).status == 400


def test_older_clients_get_no_event_without_a_message(server):
    session = server.session(version="2025-03-26")
    params = call("test_tool_with_progress", _meta={"progressToken": 1})
    events = list(Events(server.open(request("tools/call", params), Mcp_Session_Id=session)))
    assert len(events) == 4 and all(event["data"] for event in events)


def test_a_legacy_client_that_goes_away_cancels_nothing(server):
    session = server.session()
    before = server.counts()
    params = call("probe_wait", _meta={"progressToken": 1})
    connection = server.connection()
    response = server.open(request("tools/call", params, 11), connection, Mcp_Session_Id=session)
    events = iter(Events(response))
    last = [next(events), next(events)][-1]["id"]
    response.close()
    connection.close()
    counts = server.counts()
    assert counts["waiting"] == before["waiting"] + 1 and counts["cancelled"] == before["cancelled"]
    resumed = Events(server.get(session, last))
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 11}}
    assert server.post(cancel, Mcp_Session_Id=session)[0] == 202
    assert list(resumed.messages()) == []
    until(lambda: server.counts()["cancelled"] == before["cancelled"] + 1, "the cancellation")


@pytest.mark.parametrize("stage", ["before any answer", "in the stream"])
def test_a_modern_client_that_goes_away_cancels_its_call(server, stage):
    before = server.counts()
    streaming = stage == "in the stream"
    params = call("probe_wait", _meta={"progressToken": 1} if streaming else {})
    message = modern("tools/call", params)
    if streaming:
        message["params"]["_meta"]["progressToken"] = 1
    connection = server.connection()
    # One that has served before.
    assert server.post(modern("server/discover"), connection)[0] == 200
    connection.request("POST", "/mcp", json.dumps(message), server.headers(message))
    if streaming:
        response = connection.getresponse()
        next(iter(Events(response)))
        response.close()
    else:
        until(lambda: server.counts()["waiting"] == before["waiting"] + 1, "the call")
    connection.close()
    until(lambda: server.counts()["cancelled"] == before["cancelled"] + 1, "the cancellation")


def test_the_get_stream_is_one_per_session_and_hears_of_changes(server):
    session = server.session()
    server.ask(request("resources/subscribe", {"uri": "test://watched-resource"}), Mcp_Session_Id=session)
    stream = server.get(session)
    assert stream.status == 200
    events = iter(Events(stream))
    next(events)  # The primer.
    assert server.get(session).status == 409
    server.ask(modern("tools/call", call("test_trigger_tool_change")))
    server.ask(modern("tools/call", call("probe_touch", {"uri": "test://other"})))
    server.ask(modern("tools/call", call("probe_touch", {"uri": "test://watched-resource"})))
    heard = [json.loads(next(events)["data"]) for _ in range(2)]
    assert [message["method"] for message in heard] == [
        "notifications/tools/list_changed",
        "notifications/resources/updated",
    ]
    assert heard[1]["params"]["uri"] == "test://watched-resource"
    server.delete(session)
    assert list(events) == []


def test_a_listen_hears_until_the_client_goes(server):
    message = modern("subscriptions/listen", CAN_LISTEN, "sub")
    messages = Events(server.open(message)).messages()
    acknowledged = next(messages)
    assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}
    server.ask(modern("tools/call", call("test_trigger_prompt_change")))
    server.ask(modern("tools/call", call("test_trigger_tool_change")))
    changed = next(messages)
    assert changed["method"] == "notifications/tools/list_changed"
    assert changed["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "sub"


def test_the_client_is_asked_on_the_stream_of_its_call(server):
    session = server.session(capabilities={"sampling": {}})
    response = server.open(request("tools/call", call("test_sampling", {"prompt": "hi"}), 3), Mcp_Session_Id=session)
    messages = Events(response).messages()
    question = next(messages)
    assert question["method"] == "sampling/createMessage"
    content = {"role": "assistant", "content": {"type": "text", "text": "yo"}, "model": "m"}
    reply = {"jsonrpc": "2.0", "id": question["id"], "result": content}
    assert server.post(reply, Mcp_Session_Id=session)[0] == 202
    assert next(messages)["result"]["content"][0]["text"] == "LLM response: yo"


def test_what_takes_longer_becomes_a_stream_with_signs_of_life():
    with Http(stream_after=50, keep_alive=50) as server:
        response = server.open(modern("tools/call", call("probe_wait")))
        assert response.getheader("Content-Type") == "text/event-stream"
        assert response.getheader("X-Accel-Buffering") == "no"
        assert [response.readline() for _ in range(3)] == [b": keep-alive\n", b"\n", b": keep-alive\n"]


def test_a_stopped_server_ends_its_streams():
    with Http() as server:
        listen = Events(server.open(modern("subscriptions/listen", CAN_LISTEN))).messages()
        next(listen)
        session = server.session()
        stream = iter(Events(server.get(session)))
        next(stream)
        waiting = modern("tools/call", call("probe_wait"))
        waiting["params"]["_meta"]["progressToken"] = 1
        running = Events(server.open(waiting)).messages()
        next(running)
        idle = server.socket()
        assert server.stop() == 0
        assert next(listen)["result"]["resultType"] == "complete"
        assert list(stream) == [] and list(running) == []
        assert idle.recv(1) == b""


def test_a_port_that_is_taken_is_named():
    with Http() as server:
        run = subprocess.run(
            [SERVER, "--http", str(server.port)], capture_output=True, timeout=PATIENCE, check=False
        )
        assert run.returncode == 1 and b"cannot listen" in run.stderr


def test_sessions_are_limited_and_the_longest_idle_makes_room():
    with Http(sessions=2) as server:
        first, second = server.session(), server.session()
        busy = server.get(first)
        third = server.session()
        assert server.post(request("ping"), Mcp_Session_Id=second)[0] == 404
        assert server.post(request("ping"), Mcp_Session_Id=first)[0] == 200
        also_busy = server.get(third)
        assert server.post(request("initialize", {"protocolVersion": LEGACY}))[0] == 503
        assert busy.status == also_busy.status == 200
