"""Real clients on real guests: the Inspector's command line, and the official TypeScript SDK."""

import json
import subprocess

import harness
import npm_tools
import pytest

NODE = npm_tools.NODE
INSPECTOR = npm_tools.MODULES / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
ERAS = ["legacy", "auto", "modern"]


@pytest.fixture(scope="session")
def node():
    npm_tools.require()
    return NODE


class Inspector:
    """The Inspector's command line against one server."""

    def __init__(self, node, pyro, home, server, era, headers=()):
        self.words = [str(node), str(INSPECTOR), "--cli", *server, "--protocol-era", era,
                      "--format", "json"]
        for header in headers:
            self.words += ["--header", header]
        self.env = {**pyro.env, "HOME": str(home), "MCP_INSPECTOR_SECRET_STORE": "memory"}

    def __call__(self, method, *more):
        return harness.finish(subprocess.Popen(
            [*self.words, "--method", method, *more], env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    def tool(self, name, /, **arguments):
        return self("tools/call", "--tool-name", name, "--tool-args-json", json.dumps(arguments))

    def value(self, name, /, **arguments):
        """Structured content; the Inspector has compared it with the tool's output schema."""
        done = self.tool(name, **arguments)
        assert done.code == 0, done
        return json.loads(done.out)["result"]["structuredContent"]

    def failure(self, name, /, **arguments):
        done = self.tool(name, **arguments)
        assert done.code == 5, done
        result = json.loads(done.out)["result"]
        assert result["isError"] is True
        return json.loads(result["content"][0]["text"])["error"]


@pytest.fixture
def inspect(node, pyro, scratch):
    """inspect(era): over stdio. Tasks that are left are deleted."""
    home = scratch / "inspector"
    home.mkdir()

    # Clients hand on next to nothing of their own environment.
    needed = [f"{name}={pyro.env[name]}" for name in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR")]
    stdio = ["/usr/bin/env", *needed, str(pyro.program), "mcp", "serve", "--spares", "0"]

    def make(era, server=None, headers=()):
        return Inspector(node, pyro, home, server or stdio, era, headers)

    yield make
    for task_id in pyro("task", "list", "-q").text.split():
        assert pyro("task", "delete", task_id).code == 0


@pytest.fixture
def http(pyro, scratch, helpers):
    """The server over HTTP, with a token: its URL and the header to show."""
    token = scratch / "token"
    token.write_text("0123456789abcdef0123456789abcdef\n")
    token.chmod(0o600)
    process = pyro.start("mcp", "serve", "--http", "127.0.0.1:0", "--token-file", str(token), "--spares", "0")
    line = process.stderr.readline().decode()
    assert "listens at http://127.0.0.1:" in line, line
    yield line.rsplit(" ", 1)[1].strip(), "Authorization: Bearer 0123456789abcdef0123456789abcdef"
    process.terminate()
    assert process.wait(timeout=60) == 0


def every_tool(client, scratch):
    """Each tool once, on real guests; then what a model does wrong."""
    listed = client("tools/list", "--strict")
    assert listed.code == 0, listed
    names = {tool["name"] for tool in json.loads(listed.out)["result"]["tools"]}
    called = set()

    def value(name, /, **arguments):
        called.add(name)
        return client.value(name, **arguments)

    base = {"environment": harness.BASE, "mem_mib": 512}
    assert harness.BASE in str(value("vm_list_environments"))
    ran = value("vm_run", **base, command="echo hi; exit 3", timeout_seconds=250)
    assert (ran["stdout"], ran["exit_code"]) == ("hi\n", 3)
    vm_id = value("vm_create", **base)["vm_id"]
    assert value("vm_start", vm_id=vm_id)["state"] == "started"
    assert value("vm_status", vm_id=vm_id)["vm_id"] == vm_id
    assert value("vm_network_info", vm_id=vm_id)["network_enabled"] is False
    assert value("vm_stop", vm_id=vm_id)["state"] == "stopped"
    assert value("vm_start", vm_id=vm_id)["state"] == "started"
    assert value("vm_exec", vm_id=vm_id, command=["echo", "x"], timeout_seconds=250)["stdout"] == "x\n"
    vm_id = value("vm_create", **base)["vm_id"]
    assert value("vm_delete", vm_id=vm_id)["deleted"] is True
    value("vm_reap_expired")
    assert value("vm_list")["vms"] == []
    assert value("vm_keep_spares", **base, count=1)["waiting"] == 1
    assert len(value("vm_list")["spares"]) == 1
    value("vm_keep_spares", **base, count=0)
    assert "packages" in value("vm_inspect_environment", environment=harness.BASE)
    assert "bytes_freed" in value("vm_prune_environments")
    assert value("vm_doctor")["runtime_ok"] is True
    task_id = value("task_create", **base)["task_id"]
    done = value("task_exec", task_id=task_id, command="echo kept | tee f", timeout_seconds=250)
    assert (done["stdout"], done["sequence"]) == ("kept\n", 1)
    long = value("task_exec", task_id=task_id, command="sleep 5; echo slept", timeout_seconds=250)
    assert long["stdout"] == "slept\n"  # In the modern era by way of an MCP task.
    assert value("task_status", task_id=task_id)["command_count"] == 2
    assert value("task_logs", task_id=task_id)["count"] == 2
    assert value("task_logs", task_id=task_id, sequence=1, stream="stdout")["text"] == "kept\n"
    assert value("task_list")["count"] == 1
    value("task_export", task_id=task_id, path="f", destination=str(scratch / "f"))
    assert (scratch / "f").read_text() == "kept\n"
    (scratch / "f").unlink()
    assert value("task_write_file", task_id=task_id, path="new/g", text="written\n")["path"] == "/workspace/new/g"
    assert value("task_read_file", task_id=task_id, path="new/g")["text"] == "written\n"
    assert [one["path"] for one in value("task_read_file", task_id=task_id, path=".")["entries"]] == ["f", "new"]
    assert value("task_diff", task_id=task_id, paths=["f"])["patch"].endswith("+kept\n")
    value("task_snapshot", task_id=task_id, action="create", name="s")
    assert [one["name"] for one in value("task_snapshot", task_id=task_id, action="list")["snapshots"]] == ["create", "s"]
    assert value("task_stop", task_id=task_id)["state"] == "stopped"
    read = client("resources/read", "--uri", f"pyro://tasks/{task_id}/commands/1/stdout")
    assert read.code == 0 and "kept" in read.text, read
    assert value("task_delete", task_id=task_id)["deleted"] is True
    assert called == names, names ^ called
    gone = client.failure("task_exec", task_id=task_id, command="true")
    assert gone["code"] == "not_found" and gone["hint"]
    bad = client.failure("vm_run", environment=harness.BASE, command="true", timeout_seconds=-1)
    assert bad["code"] == "invalid_argument" and bad["hint"]


@pytest.mark.cost(60)
@pytest.mark.parametrize("era", ERAS)
def test_every_tool_over_stdio(inspect, scratch, era):
    every_tool(inspect(era), scratch)


@pytest.mark.cost(60)
def test_every_tool_over_http(inspect, http, scratch):
    url, header = http
    every_tool(inspect("auto", [url, "--transport", "http"], [header]), scratch)


def test_http_without_the_token_is_refused(inspect, http):
    url, _ = http
    done = inspect("auto", [url, "--transport", "http"])("tools/list")
    assert done.code != 0 and b"tools" not in done.out, done


@pytest.mark.cost(250)
@pytest.mark.usefixtures("node")
def test_an_agents_story(pyro, build_environment):
    """debian:12-build, because the program is in C: no smaller environment has a compiler."""
    steps = npm_tools.steps_of("story.mjs", pyro, build_environment)
    assert steps["connected"]["era"] == "legacy" and steps["reconnected"]["era"] == "modern"
    assert steps["broken"]["exit_code"] != 0 and "primes.c" in steps["broken"]["stderr"]
    assert steps["built"] == {"exit_code": 0, "stdout": "168 primes below 1000\n"}
    assert (steps["long"]["exit_code"], steps["long"]["lines"]) == (0, 6)
    values = [one["progress"] for one in steps["long"]["progress"]]
    assert len(values) >= 3 and values == sorted(set(values))
    assert steps["cancelled"]["settled"] != "ended"
    assert (steps["cancelled"]["outcome"], steps["cancelled"]["stdout"]) == ("cancelled", "begun\n")
    assert steps["killed"] == {"settled": "lost"}
    assert steps["found"] == {"state": "running", "stdout": "before\n"}
    assert steps["finished"] == {"state": "ended", "exit_code": 0,
                                 "stdout": "before\n25 primes below 100\n"}
    assert steps["journal"]["outcomes"] == ["exited"] * 4 + ["cancelled"] + ["exited"] * 2
    assert steps["resource"]["text"] == "before\n25 primes below 100\n"
    assert steps["deleted"]["deleted"] is True
