"""pyro demo, and pyro demo ollama against scripted endpoints over real HTTP and TLS."""

import http.server
import json
import re
import signal
import socket
import ssl
import subprocess
import threading

import harness
import pytest

SUMMARY = re.compile(r"\[summary\] status=(\S+) rounds=(\d+) commands=(\d+) refused_calls=(\d+) "
                     r"model=(\S+) duration_ms=\d+")


# The one-shot life cycle.

def test_the_demo_tells_the_life_of_a_vm(pyro):
    done = pyro("demo")
    assert done.code == 0, done
    steps = re.findall(r"^ *(\d)\. (\w+) .* (\d+\.\d\d) s$", done.text, re.M)
    assert [(number, name) for number, name, _ in steps] == [
        ("1", "environment"), ("2", "create"), ("3", "start"), ("4", "exec"), ("5", "gone")]
    assert "| git version 2." in done.text and "cloud-amd64" in done.text
    assert max(map(len, done.text.splitlines())) <= 80, done.text
    assert "\x1b" not in done.text
    assert pyro.directories() == []


def test_the_demo_in_json(pyro):
    done = pyro("demo", "--json")
    assert (done.code, done.err) == (0, b""), done
    assert [step["step"] for step in done.json["steps"]] == ["environment", "create", "start", "exec", "gone"]
    assert done.json["total_ms"] >= max(step["duration_ms"] for step in done.json["steps"])
    assert done.json["result"]["exit_code"] == 0 and done.json["vm_id"].startswith("vm_")
    assert "git version" in done.json["result"]["stdout"]


def test_an_interrupted_demo_leaves_nothing(pyro):
    process = pyro.start("demo")
    harness.wait_until(lambda: harness.of_program(harness.descendants(), harness.MACHINE),
                       "the guest is there")
    process.send_signal(signal.SIGINT)
    assert harness.finish(process).code == 130
    assert pyro.directories() == []


# A model.

def call(arguments, name="vm_run", identity="c1"):
    return {"choices": [{"finish_reason": "tool_calls", "message": {
        "role": "assistant", "content": None, "tool_calls": [
            {"id": identity, "type": "function",
             "function": {"name": name, "arguments": json.dumps(arguments)}}]}}]}


def vm_run(command, **more):
    return call({"environment": harness.BASE, "command": command, "timeout_seconds": 250, **more})


def say(text):
    return {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": text}}]}


class Endpoint:
    """Answers from a list, the last one for ever: dicts as JSON, bytes as they are, pairs with a
    status, functions get the connection."""

    def __init__(self, *answers, tls=None):
        self.requests = []
        endpoint = self
        pending = list(answers)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((self.path, dict(self.headers), body))
                answer = pending.pop(0) if len(pending) > 1 else pending[0]
                if callable(answer):
                    return answer(self)
                status, answer = answer if isinstance(answer, tuple) else (200, answer)
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    pass  # Too long for the other side.

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        scheme = "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            scheme = "https"
        self.url = f"{scheme}://localhost:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def endpoint():
    made = []

    def make(*answers, **options):
        made.append(Endpoint(*answers, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ollama(program, url, *flags, **options):
    return program("demo", "ollama", "--base-url", url, "--model", "scripted", *flags, **options)


def summary(done):
    match = SUMMARY.fullmatch(done.text.splitlines()[-1])
    assert match, done
    status, rounds, commands, refused, model = match.groups()
    assert model == "scripted"
    return status, int(rounds), int(commands), int(refused)


def test_a_model_runs_commands_until_it_is_done(pyro, endpoint):
    model = endpoint(vm_run("echo first; exit 3"), vm_run(["echo", "second  one"]), say("Both ran.\nDone."))
    done = ollama(pyro, model.url, "--prompt", "Run two commands.")
    assert (done.code, done.err) == (0, b""), done
    assert summary(done) == ("done", 3, 2, 0)
    assert "[prompt] Run two commands." in done.text
    assert "[round 1] vm_run debian:12-base: echo first; exit 3" in done.text
    assert re.search(r"\[round 1\] exit_code=3 duration_ms=\d+ first", done.text)
    assert "[answer] Both ran.\n[answer] Done." in done.text
    paths, headers, bodies = zip(*model.requests)
    assert set(paths) == {"/v1/chat/completions"}
    assert "Authorization" not in headers[0]
    assert bodies[0]["model"] == "scripted" and bodies[0]["stream"] is False
    assert [m["role"] for m in bodies[0]["messages"]] == ["system", "user"]
    tool, = bodies[0]["tools"]
    assert tool["function"]["name"] == "vm_run"
    assert set(tool["function"]["parameters"]["properties"]) == {
        "environment", "command", "timeout_seconds", "vcpu_count", "mem_mib"}
    told = json.loads(bodies[1]["messages"][-1]["content"])
    assert (told["stdout"], told["exit_code"]) == ("first\n", 3)
    assert bodies[1]["messages"][-1]["tool_call_id"] == "c1"
    assert json.loads(bodies[2]["messages"][-1]["content"])["stdout"] == "second  one\n"


def test_a_wrong_tool_and_bad_arguments_are_told_to_the_model(pyro, endpoint):
    model = endpoint(call({}, name="rm_rf"), call({"command": "true"}), vm_run("echo mended"),
                     call({"environment": "no-such:1", "command": "true"}), vm_run("true"), say("ok"))
    done = ollama(pyro, model.url)
    assert done.code == 0, done
    assert summary(done) == ("done", 6, 2, 3)
    told = [json.loads(body["messages"][-1]["content"]) for _, _, body in model.requests[1:]]
    assert told[0]["error"]["code"] == "not_found" and "rm_rf" in told[0]["error"]["message"]
    assert "environment" in told[1]["error"]["message"] and told[1]["error"]["hint"]
    assert told[2]["stdout"] == "mended\n"
    assert told[3]["error"]["code"] == "not_found"


def expect(done, status, part):
    assert done.code == 1, done
    assert harness.is_one_sentence_and_hint(done.talk), done
    assert part in done.talk.splitlines()[0], done
    assert summary(done)[0] == status


def test_bad_calls_are_bounded(bare, endpoint):
    model = endpoint(call({}, name="nothing"))
    done = ollama(bare, model.url)
    expect(done, "protocol", "3 calls in a row")
    assert len(model.requests) == 3


def test_a_model_that_never_stops_is_stopped(pyro, endpoint):
    model = endpoint(vm_run("echo again"))
    done = ollama(pyro, model.url, "--max-rounds", "2")
    expect(done, "limit_exceeded", "not done after 2 rounds")
    assert summary(done) == ("limit_exceeded", 2, 2, 0) and len(model.requests) == 2


@pytest.mark.parametrize("argument", [{"network": True}, {"allow_host_compat": True}])
def test_a_model_cannot_give_itself_more_than_the_user_did(bare, endpoint, argument):
    model = endpoint(vm_run("true", **argument))
    done = ollama(bare, model.url)
    expect(done, "protocol", next(iter(argument)))


def test_a_model_that_runs_nothing_is_no_success(bare, endpoint):
    done = ollama(bare, endpoint(say("I know it without looking.")).url)
    expect(done, "protocol", "without running a command")
    assert "[answer] I know it without looking." in done.text


def test_what_a_model_says_does_not_steer_the_terminal(bare, endpoint):
    done = ollama(bare, endpoint(say("\x1b[2Jgone\x07")).url)
    assert "\x1b" not in done.text and "\x07" not in done.text and "\\x1b[2Jgone" in done.text


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_where_nothing_listens_it_says_so(bare):
    done = ollama(bare, f"http://127.0.0.1:{free_port()}/v1")
    expect(done, "unavailable", "nothing listens there")
    assert "ollama serve" in done.talk and "--base-url" in done.talk


@pytest.mark.parametrize("answer, status, part", [
    (b"<html>", "protocol", "no chat completion"),
    (b"", "protocol", "no chat completion"),
    ({"choices": []}, "protocol", "no chat completion"),
    (b"[" * 100000, "protocol", "nested"),
    (b" " * (5 << 20), "limit_exceeded", "more than 4.0 MiB"),
    (say("x" * 300000), "limit_exceeded", "content"),
    ((404, {"error": {"message": "model 'scripted' not found"}}), "unavailable", "404: model 'scripted' not found"),
    ((401, {"error": "who are you"}), "unavailable", "401: who are you"),
    ((302, b""), "unavailable", "302"),
    ((500, b"\x1b[31mbroken"), "unavailable", "\\x1b[31mbroken"),
    (lambda h: h.wfile.write(b"no HTTP at all\r\n\r\n"), "protocol", "something else than HTTP"),
    (lambda h: h.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), "unavailable", "closed"),
    (lambda h: None, "unavailable", "closed"),
    (lambda h: h.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20000 + b"\r\n"), "protocol", "HTTP"),
], ids=["html", "empty", "no-choice", "nested", "too-long", "long-text", "404", "401", "redirect",
        "500", "no-http", "short", "closed", "headers"])
def test_a_broken_answer_is_one_sentence(bare, endpoint, answer, status, part):
    done = ollama(bare, endpoint(answer).url)
    expect(done, status, part)
    assert "\x1b" not in done.talk


def test_an_endpoint_that_hangs_can_be_interrupted(bare, endpoint):
    asked, release = threading.Event(), threading.Event()

    def hang(_):
        asked.set()
        release.wait(harness.HANG_SECONDS)

    model = endpoint(hang)
    process = bare.start("demo", "ollama", "--base-url", model.url)
    assert asked.wait(harness.HANG_SECONDS)
    process.send_signal(signal.SIGINT)
    done = harness.finish(process)
    release.set()
    assert done.code == 130, done
    assert "status=cancelled" in done.text


# Keys.

def test_a_key_comes_from_a_variable_or_a_file_and_is_never_shown(bare, endpoint, scratch):
    secret = "sk-0123456789"
    model = endpoint(say("no command"))
    (scratch / "key").write_text(secret + "\n")
    for flags in (["--api-key-env", "A_KEY"], ["--api-key-file", str(scratch / "key")]):
        done = ollama(bare, model.url, *flags, env={"A_KEY": secret})
        assert model.requests[-1][1]["Authorization"] == f"Bearer {secret}"
        assert secret not in done.text + done.talk
    ollama(bare, model.url, env={"OPENAI_API_KEY": secret})
    assert "Authorization" not in model.requests[-1][1], "a key was sent without a request"


@pytest.mark.parametrize("key", ["", " \n", "two words", "a\r\nX-Injected: b", "x" * 5000])
def test_what_is_no_key_is_refused_before_anything_is_sent(bare, endpoint, scratch, key):
    model = endpoint(say("x"))
    (scratch / "key").write_text(key)
    done = ollama(bare, model.url, "--api-key-file", str(scratch / "key"))
    assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done
    assert not model.requests


def test_a_key_does_not_travel_in_the_clear(bare):
    done = ollama(bare, "http://models.example/v1", "--api-key-env", "A_KEY", env={"A_KEY": "k"})
    assert done.code == 1 and "unencrypted" in done.talk, done


def test_tls_is_checked_against_the_systems_authorities(bare, endpoint, scratch):
    certificate = (str(scratch / "cert.pem"), str(scratch / "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
                    certificate[1], "-out", certificate[0]], check=True, capture_output=True)
    model = endpoint(say("no command"), tls=certificate)
    expect(ollama(bare, model.url), "unavailable", "TLS handshake failed")
    assert not model.requests
    trusted = {"SSL_CERT_FILE": certificate[0]}
    expect(ollama(bare, model.url, env=trusted), "protocol", "without running a command")
    assert len(model.requests) == 1
    other_name = model.url.replace("localhost", "127.0.0.1")
    expect(ollama(bare, other_name, env=trusted), "unavailable", "TLS handshake failed")


# Bad flags.

@pytest.mark.parametrize("words", [
    ["--base-url", "localhost"], ["--base-url", "http://a@b"], ["--max-rounds", "0"],
    ["--max-rounds", "101"], ["--api-key-env", "A", "--api-key-file", "b"], ["extra"]])
def test_bad_flags_are_one_sentence(bare, words):
    done = bare("demo", "ollama", *words)
    assert done.code in (1, 2) and harness.is_one_sentence_and_hint(done.talk), done
    assert not bare.cache.exists() or not any(bare.cache.rglob("*"))
