"""What clients see of pyro's MCP server before any guest runs: tools, schemas, instructions."""

import json
import os
import pathlib
import re

import harness
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"
CONTRACT = ["vm_run", "vm_list_environments", "vm_create", "vm_start", "vm_exec", "vm_stop", "vm_delete",
            "vm_status", "vm_network_info", "vm_reap_expired", "vm_list", "vm_keep_spares", "vm_inspect_environment", "vm_prune_environments", "vm_doctor", "task_create", "task_exec", "task_read_file", "task_write_file", "task_diff",
            "task_snapshot", "task_status",
            "task_logs", "task_delete", "task_list", "task_stop", "task_export"]
PROFILES = {
    "full": CONTRACT,
    "vm-run": ["vm_run", "vm_list_environments"],
    "task": ["vm_list_environments", *(name for name in CONTRACT if name.startswith("task_"))],
}
ANNOTATIONS = {
    # readOnly, destructive, idempotent, openWorld
    "vm_run": (False, False, False, True),
    "vm_list_environments": (True, False, True, False),
    "vm_create": (False, False, False, True),
    "vm_start": (False, False, True, False),
    "vm_exec": (False, True, False, True),
    "vm_stop": (False, True, True, False),
    "vm_delete": (False, True, True, False),
    "vm_status": (True, False, True, False),
    "vm_network_info": (True, False, True, False),
    "vm_reap_expired": (False, True, True, False),
    "vm_list": (True, False, True, False),
    "vm_keep_spares": (False, False, True, True),
    "vm_inspect_environment": (True, False, True, False),
    "vm_prune_environments": (False, True, True, False),
    "vm_doctor": (True, False, True, False),
    "task_create": (False, False, False, True),
    "task_exec": (False, True, False, True),
    "task_read_file": (True, False, True, False),
    "task_write_file": (False, True, False, False),
    "task_diff": (True, False, True, False),
    "task_snapshot": (False, True, False, False),
    "task_status": (True, False, True, False),
    "task_logs": (True, False, True, False),
    "task_delete": (False, True, True, False),
    "task_list": (True, False, True, False),
    "task_stop": (False, True, True, False),
    "task_export": (False, True, False, False),
}
KEYWORDS = {"type", "description", "properties", "required", "additionalProperties", "items", "enum",
            "minimum", "maximum", "default", "minItems", "minLength", "anyOf"}
# A person reviews a change of the list: PYRO_UPDATE_GOLDEN=1 writes it again.
UPDATE = os.environ.get("PYRO_UPDATE_GOLDEN") == "1"


@pytest.fixture
def tools(bare, serve):
    return serve(pyro=bare).request("tools/list").result["tools"]


def schemas_of(schema, at):
    """Every schema within one, with where it stands."""
    yield schema, at
    for name, below in schema.get("properties", {}).items():
        yield from schemas_of(below, f"{at}.{name}")
    if "items" in schema:
        yield from schemas_of(schema["items"], f"{at}[]")
    for number, below in enumerate(schema.get("anyOf", [])):
        yield from schemas_of(below, f"{at}|{number}")


def test_the_list_is_the_golden_one(tools):
    text = json.dumps(tools, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    path = GOLDEN / "tools_list.json"
    if UPDATE:
        path.write_text(text)
    assert text == path.read_text(), "PYRO_UPDATE_GOLDEN=1 writes the golden file again"


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_profiles_offer_their_tools_in_order(bare, serve, profile, era):
    server = serve("--profile", profile, pyro=bare, era=era)
    listed = server.request("tools/list").result
    assert [tool["name"] for tool in listed["tools"]] == PROFILES[profile]
    assert "nextCursor" not in listed
    templates = server.request("resources/templates/list").result["resourceTemplates"]
    assert bool(templates) == (profile != "vm-run")
    prompts = [prompt["name"] for prompt in server.request("prompts/list").result["prompts"]]
    assert prompts == {"full": ["try_command", "work_in_task"], "vm-run": ["try_command"],
                       "task": ["work_in_task"]}[profile]


def test_every_tool_is_described_for_a_stranger(tools):
    for tool in tools:
        assert re.fullmatch(r"[a-z_]{1,64}", tool["name"])
        assert len(tool["title"]) > 5, tool["name"]
        assert 30 < len(tool["description"].encode()) < 1024, tool["name"]
        # What is left out is the protocol's default; of a tool that only reads, two mean nothing.
        hints = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True,
                 **tool.get("annotations", {})}
        if hints["readOnlyHint"]:
            hints |= {"destructiveHint": False, "idempotentHint": True}
        assert tuple(hints.values()) == ANNOTATIONS[tool["name"]], tool["name"]


def test_every_schema_keeps_to_what_all_clients_understand(tools):
    for tool in tools:
        assert "inputSchema" in tool, tool["name"]
        for kind in {"inputSchema", "outputSchema"} & tool.keys():
            root = tool[kind]
            assert root["type"] == "object" and "anyOf" not in root, tool["name"]
            for schema, at in schemas_of(root, f"{tool['name']}.{kind}"):
                assert set(schema) <= KEYWORDS, (at, set(schema) - KEYWORDS)
                assert isinstance(schema, dict) and isinstance(schema.get("type", ""), str), at
                assert "type" in schema or "anyOf" in schema, at
                for name in schema.get("properties", {}):
                    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name), at
                assert set(schema.get("required", [])) <= set(schema.get("properties", {})), at
        for name, schema in tool["inputSchema"].get("properties", {}).items():
            assert schema.get("description"), f"{tool['name']}.{name}"
        assert tool["inputSchema"]["additionalProperties"] is False, tool["name"]


def test_the_names_and_defaults_of_the_contract(tools):
    by_name = {tool["name"]: tool["inputSchema"] for tool in tools}
    made = {"environment", "vcpu_count", "mem_mib", "ttl_seconds", "network", "allow_host_compat"}
    defaults = {"environment": "debian:12", "vcpu_count": 1, "mem_mib": 1024, "ttl_seconds": 600, "network": False,
                "allow_host_compat": False}
    for name in ("vm_run", "vm_create", "task_create"):
        properties = by_name[name]["properties"]
        assert made <= set(properties), name
        assert {key: properties[key]["default"] for key in defaults} == defaults, name
    for name in ("vm_run", "vm_exec", "task_exec"):
        assert by_name[name]["properties"]["timeout_seconds"]["default"] == 30, name
        assert "command" in by_name[name]["required"], name
    for name, schema in by_name.items():
        for handle in ("vm_id", "task_id"):
            assert (handle in schema["properties"]) == (handle in schema.get("required", [])), name


@pytest.mark.parametrize("profile", PROFILES)
def test_instructions_fit_and_name_only_what_there_is(bare, serve, profile):
    server = serve("--profile", profile, pyro=bare)
    text = server.greeting["instructions"]
    assert 200 < len(text.encode()) < 2048
    named = set(re.findall(r"\b(?:vm|task)_[a-z_]+", text)) - {"task_id", "vm_id"}
    assert named <= set(PROFILES[profile]), named
    assert server.greeting["serverInfo"]["name"] == "pyro"
    assert server.greeting["protocolVersion"] == "2025-11-25"


def test_the_modern_era_is_served_by_the_same_process(bare, serve):
    server = serve(pyro=bare)
    server.era = "modern"
    found = server.request("server/discover").result
    assert "2026-07-28" in found["supportedVersions"]
    assert "io.modelcontextprotocol/tasks" in found["capabilities"]["extensions"]
    assert len(server.request("tools/list").result["tools"]) == len(CONTRACT)
    server.era = "legacy"
    assert len(server.request("tools/list").result["tools"]) == len(CONTRACT)


def test_answering_costs_nothing_on_disk(bare, serve):
    server = serve(pyro=bare)
    server.request("tools/list")
    assert not bare.state.exists(), "the handshake touched the state directory"
    assert not bare.cache.exists()


BAD = [
    ("vm_run", {"environment": "debian:12"}, "command"),
    ("vm_run", {"command": "true", "environment": ""}, "environment"),
    ("vm_run", {"environment": "debian:12", "command": 7}, "command"),
    ("vm_run", {"environment": "debian:12", "command": []}, "command"),
    ("vm_run", {"environment": "debian:12", "command": ""}, "command"),
    ("vm_run", {"environment": "debian:12", "command": "true", "timeout_seconds": -1}, "timeout_seconds"),
    ("vm_run", {"environment": "debian:12", "command": "true", "mem_mib": "1024"}, "mem_mib"),
    ("vm_run", {"environment": "debian:12", "command": "true", "netwrok": True}, "netwrok"),
    ("task_exec", {"task_id": "task_aaaaaaaa"}, "command"),
    ("task_logs", {"task_id": "task_aaaaaaaa", "stream": "stdout"}, "sequence"),
    ("task_logs", {"task_id": "task_aaaaaaaa", "limit": 21}, "limit"),
    ("task_logs", {"task_id": "task_aaaaaaaa", "sequence": 0}, "sequence"),
    ("task_create", {"environment": "debian:12", "source_path": "relative"}, "source_path"),
    ("task_export", {"task_id": "task_aaaaaaaa", "path": "f", "destination": "f"}, "destination"),
    ("task_read_file", {"task_id": "task_aaaaaaaa", "path": "f", "offset": -1}, "offset"),
    ("task_snapshot", {"task_id": "task_aaaaaaaa"}, "action"),
    ("task_snapshot", {"task_id": "task_aaaaaaaa", "action": "restore"}, "reset"),
    ("task_snapshot", {"task_id": "task_aaaaaaaa", "action": "reset"}, "name"),
]


@pytest.mark.parametrize("tool, arguments, named", BAD, ids=[f"{t}-{n}-{i}" for i, (t, _, n) in enumerate(BAD)])
def test_a_bad_argument_is_an_error_that_a_model_can_mend(bare, serve, tool, arguments, named):
    error = serve(pyro=bare).failure(tool, **arguments)
    assert error["code"] == "invalid_argument", error
    assert named in error["message"] + error["hint"], error
    assert len(error["hint"]) > 8, error


@pytest.mark.parametrize("tool", [name for name in CONTRACT if name.startswith("vm_") and name in (
    "vm_start", "vm_exec", "vm_stop", "vm_delete", "vm_status", "vm_network_info")]
    + ["task_exec", "task_status", "task_logs", "task_delete", "task_stop", "task_export", "task_diff", "task_snapshot"])
def test_a_bad_id_is_an_error_with_code_and_hint(bare, serve, tool):
    kind = tool.split("_")[0]
    more = {"vm_exec": {"command": "true"}, "task_exec": {"command": "true"},
            "task_export": {"path": ".", "destination": "/nowhere/at/all"},
            "task_snapshot": {"action": "reset", "name": "create"}}.get(tool, {})
    server = serve(pyro=bare)
    if tool == "task_delete":  # What is gone already may be deleted again.
        assert server.value(tool, task_id="task_" + "a" * 26)["deleted"] is True
        return
    gone = server.failure(tool, **{f"{kind}_id": f"{kind}_" + "a" * 26}, **more)
    assert gone["code"] == "not_found" and len(gone["hint"]) > 8, gone
    assert "pyro " not in gone["hint"], "a hint in the words of the command line"
    wrong = server.failure(tool, **{f"{kind}_id": "../../etc"}, **more)
    # It could be the name of a task.
    assert wrong["code"] == ("not_found" if kind == "task" else "invalid_argument") and len(wrong["hint"]) > 8, wrong


def test_an_unknown_tool_is_a_protocol_error(bare, serve):
    server = serve(pyro=bare)
    assert server.request("tools/call", {"name": "vm_fly", "arguments": {}}).error["code"] == -32602


def test_prompts_and_completion(bare, serve):
    server = serve(pyro=bare)
    prompt = server.request("prompts/get", {"name": "try_command", "arguments": {
        "command": "make me"}}).result
    text = prompt["messages"][0]["content"]["text"]
    assert "make me" in text and "vm_run" in text and "debian:12" in text
    prompt = server.request("prompts/get", {"name": "work_in_task", "arguments": {
        "goal": "win", "environment": "debian:12"}}).result
    assert "win" in prompt["messages"][0]["content"]["text"]
    done = server.request("completion/complete", {
        "ref": {"type": "ref/prompt", "name": "work_in_task"},
        "argument": {"name": "environment", "value": "debian:12-b"}}).result["completion"]
    assert done["values"] == ["debian:12-base", "debian:12-build"]


def test_resources_without_tasks(bare, serve):
    server = serve(pyro=bare)
    uris = [one["uri"] for one in server.request("resources/list").result["resources"]]
    assert uris == ["pyro://environments", "pyro://tasks"]
    content = server.request("resources/read", {"uri": "pyro://environments"}).result["contents"][0]
    assert content["mimeType"] == "application/json"
    names = [one["name"] for one in json.loads(content["text"])["environments"]]
    assert harness.BASE in names
    for uri in ("pyro://nothing", "pyro://tasks/../../etc/passwd", "pyro://tasks/task_" + "a" * 26,
                "pyro://tasks/task_" + "a" * 26 + "/commands/1/stdin", "file:///etc/passwd"):
        assert server.request("resources/read", {"uri": uri}).error["code"] in (-32002, -32602), uri


def test_config_prints_what_each_client_reads(bare):
    program = str(bare.program.resolve())
    bare.env.pop("PYRO_STATE_DIR"), bare.env.pop("PYRO_CACHE_DIR")
    args = ["mcp", "serve", "--profile", "task"]
    expected = {
        "claude-code": {"mcpServers": {"pyro": {"type": "stdio", "command": program, "args": args,
                                                "timeout": 600000}}},
        "cursor": {"mcpServers": {"pyro": {"command": program, "args": args}}},
        "vscode": {"servers": {"pyro": {"type": "stdio", "command": program, "args": args}}},
        "claude-desktop": {"mcpServers": {"pyro": {"command": program, "args": args[:2]}}},
    }
    for name, value in expected.items():
        done = bare("mcp", "config", name)
        assert done.code == 0 and done.json == value, done
        assert done.talk.strip(), "where it belongs is said"
    done = bare("mcp", "config", "codex")
    assert done.code == 0, done
    assert done.text == (f'[mcp_servers.pyro]\ncommand = "{program}"\nargs = ["mcp", "serve", "--profile", "task"]\n'
                         "startup_timeout_sec = 30\ntool_timeout_sec = 600\n")
    assert bare("mcp", "config", "cursor", "--profile", "full").json["mcpServers"]["pyro"]["args"] == args[:2]
    done = bare("mcp", "config", "cursor", "--profile", "vm-run", env={"PYRO_STATE_DIR": "/s p/a\"ce"})
    server = done.json["mcpServers"]["pyro"]
    assert server["args"] == ["mcp", "serve", "--profile", "vm-run"]
    assert server["env"] == {"PYRO_STATE_DIR": "/s p/a\"ce"}
    done = bare("mcp", "config", "emacs")
    assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done


def test_docs_show_what_config_prints(bare):
    """Each snippet of docs/mcp.md is what `pyro mcp config` prints, except the path of pyro."""
    docs = (harness.ROOT / "docs/mcp.md").read_text()
    bare.env.pop("PYRO_STATE_DIR"), bare.env.pop("PYRO_CACHE_DIR")
    program = str(bare.program.resolve())
    for name in ("claude-code", "codex", "cursor", "vscode", "claude-desktop"):
        shown = bare("mcp", "config", name).text.replace(program, "/usr/local/bin/pyro").strip()
        assert shown in docs, name
        assert f"pyro mcp config {name}" in docs


@pytest.mark.parametrize("flags", [("--http", "here"), ("--http", "1.2.3.4:99999"), ("--http", "::1:80"),
                                   ("--token-file", "x"), ("--allow-host", "x"),
                                   ("--http", "0", "--token-file", "/nowhere")])
def test_bad_flags_are_one_sentence_and_a_hint(bare, flags):
    done = bare("mcp", "serve", *flags)
    assert done.code == 1 and done.out == b"" and harness.is_one_sentence_and_hint(done.talk), done


def test_a_token_that_others_can_read_is_refused(bare, scratch):
    token = scratch / "token"
    token.write_text("a" * 32)
    token.chmod(0o644)
    done = bare("mcp", "serve", "--http", "0", "--token-file", str(token))
    assert done.code == 1 and "others may read" in done.talk, done
    token.chmod(0o600)
    token.write_text("short")
    done = bare("mcp", "serve", "--http", "0", "--token-file", str(token))
    assert done.code == 1 and harness.is_one_sentence_and_hint(done.talk), done
    done = bare("mcp", "serve", "--http", "0.0.0.0:0")
    assert done.code == 1 and "token" in done.talk, done


def test_secrets_are_offered_by_name_and_nothing_else_is_one(bare, serve):
    server = serve("--secret", "TOKEN=file:/nowhere/token", "--for", "api.example", "--secret",
                   "KEY=env:NOT_SET for key.example", pyro=bare)
    listed = {tool["name"]: tool["inputSchema"]["properties"] for tool in server.request("tools/list").result["tools"]}
    assert [name for name, properties in listed.items() if "secrets" in properties] == ["vm_run", "vm_create", "task_create"]
    assert listed["vm_run"]["secrets"]["items"]["enum"] == ["KEY", "TOKEN"]
    assert "nowhere" not in json.dumps(listed) and "api.example" not in json.dumps(listed)
    for text in ("OTHER", "X=file:/etc/hostname for other.example", "TOKEN=file:/etc/hostname for other.example"):
        assert server.failure("vm_create", secrets=[text])["code"] == "invalid_argument", text


def test_without_secrets_a_server_takes_none(bare, serve):
    server = serve(pyro=bare)
    refused = server.failure("vm_run", command="true", secrets=["X=file:/etc/hostname for other.example"])
    assert refused["code"] == "invalid_argument" and "secrets" in refused["message"], refused
