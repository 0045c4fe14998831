"""What the MCP server costs a model and what it tells it, before any guest runs."""

import json
import subprocess

import harness
import pytest

# Tokens of tools/list, counted as a quarter of its characters, by profile. Every model pays them in every
# conversation.
LIMITS = {"full": 5000, "task": 3000, "vm-run": 1000}


def tokens(value):
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False)) / 4


@pytest.mark.parametrize("profile", LIMITS)
def test_the_list_of_tools_fits_its_limit(bare, serve, profile):
    server = serve("--profile", profile, pyro=bare)
    listed = server.request("tools/list").result
    counted = tokens(listed)
    instructions = len(server.greeting["instructions"]) / 4
    print(f"\ntools/list, profile {profile}: {counted:.0f} tokens, {len(listed['tools'])} tools; "
          f"instructions {instructions:.0f}")
    assert counted <= LIMITS[profile]
    assert instructions <= 512


@pytest.mark.parametrize("accelerator, said", [
    ("tcg", "No KVM on this host: the CPU is emulated, and computing is about 10 to 25 times slower"),
    ("kvm", "KVM runs the guest's CPU")])
@pytest.mark.parametrize("profile", LIMITS)
def test_the_instructions_say_how_fast_this_host_is(bare, serve, profile, accelerator, said):
    bare.env["PYRO_ACCELERATOR"] = accelerator
    text = serve("--profile", profile, pyro=bare).greeting["instructions"]
    assert said in text and "Without KVM" not in text, text


@pytest.mark.parametrize("tool, arguments, message, hint", [
    ("task_exec", {"task_id": "task_aaaaaa", "command": "true", "dir": "/"}, "'dir' is not a known property",
     "task_exec takes background (boolean), command (string or array, required), cwd (string), env (object), "
     "stdin (string), task_id (string, required), timeout_seconds (integer), user (string)"),
    ("task_list", {"all": True}, "'all' is not a known property", "task_list takes labels (array)"),
    ("vm_list", {"all": True}, "'all' is not a known property", "vm_list takes no arguments"),
    ("task_exec", {"task_id": "task_aaaaaa", "command": "true", "timeout_seconds": "60"},
     'timeout_seconds: must be of type integer, got "60"; leave out the quotes', "timeout_seconds (integer)"),
    ("task_exec", {"task_id": "task_aaaaaa", "command": []}, "command: must have at least 1 items", "command"),
    ("task_exec", {"task_id": "task_aaaaaa", "command": 7}, "command: must be of type string or array, got number", "command"),
    ("task_exec", {"task_id": "task_aaaaaa", "command": "true", "env": "TOKEN=1234"}, "env: must be of type object, got string",
     "env (object)"),
    ("task_exec", {"task_id": "task_aaaaaa", "command": "true", "env": {"PIN": 1234}}, "env.PIN: must be of type string, got number",
     "env (object)"),
])
def test_a_wrong_argument_names_those_that_fit(bare, serve, tool, arguments, message, hint):
    error = serve(pyro=bare).failure(tool, **arguments)
    assert error["code"] == "invalid_argument"
    assert message in error["message"] and hint in error["hint"], error
    assert "1234" not in str(error), "a variable may be a secret"


EMPTY = {
    "vm_run": {"command": "true", "environment": "debian:12", "cwd": "/", "user": "root"},
    "vm_create": {"environment": "debian:12"},
    "vm_keep_spares": {"environment": "debian:12"},
    "vm_inspect_environment": {"environment": "debian:12"},
    "task_create": {"environment": "debian:12", "name": "a name", "source_path": "/", "cwd": "/", "user": "root"},
    "task_exec": {"task_id": "task_aaaaaa", "command": "true", "cwd": "/", "user": "root", "stdin": "text"},
    "vm_exec": {"vm_id": "vm_aaaaaa", "command": "true", "cwd": "/", "user": "root"},
    "task_read_file": {"task_id": "task_aaaaaa", "path": "f"},
    "task_write_file": {"task_id": "task_aaaaaa", "path": "f", "text": "x", "base64": "eA==", "patch": "x"},
    "task_export": {"task_id": "task_aaaaaa", "path": ".", "destination": "/nowhere"},
    "task_diff": {"task_id": "task_aaaaaa", "snapshot": "create"},
    "task_snapshot": {"task_id": "task_aaaaaa", "name": "one"},
    **{name: {"vm_id": "vm_aaaaaa"} for name in ("vm_start", "vm_stop", "vm_delete", "vm_status", "vm_network_info")},
    **{name: {"task_id": "task_aaaaaa"} for name in ("task_status", "task_logs", "task_delete", "task_stop")},
}

NEEDED = {"task_snapshot": {"action": "list"}}  # Beside them.
CONTENT = {"text", "base64", "stdin"}  # May be empty.


@pytest.mark.parametrize("tool", EMPTY)
def test_an_empty_string_is_an_error_that_names_its_argument(bare, serve, tool):
    server = serve(pyro=bare)
    for name in EMPTY[tool].keys() - CONTENT:
        error = server.failure(tool, **{**NEEDED.get(tool, {}), **EMPTY[tool], name: ""})
        assert (error["code"], error["message"]) == ("invalid_argument", f"{name} is empty"), error
        assert len(error["hint"]) > 8, error
    # Every argument that takes a string is among these, or is one of a few words.
    schema = next(one for one in server.request("tools/list").result["tools"] if one["name"] == tool)["inputSchema"]
    strings = {name for name, each in schema["properties"].items()
               if "enum" not in each and (each.get("type") == "string" or "anyOf" in each)}
    assert strings == set(EMPTY[tool]), strings


def test_ending_spares_builds_no_environment(bare, serve):
    kept = serve(pyro=bare).value("vm_keep_spares", environment="debian:12", count=0)
    assert (kept["count"], kept["waiting"]) == (0, 0), kept
    assert not any(one["installed"] for one in bare("env", "list", "--json").json["environments"])


def test_a_name_with_a_character_that_hides_is_an_error(bare, serve):
    error = serve(pyro=bare).failure("task_create", environment="debian:12", name="abc\u202egpj")
    assert (error["code"], error["message"]) == ("invalid_argument", "name holds the character U+202E"), error


def test_a_list_without_a_program_is_an_error(bare, serve):
    error = serve(pyro=bare).failure("vm_run", environment="debian:12", command=["", "x"])
    assert (error["code"], error["message"]) == ("invalid_argument", "command is empty"), error


def test_a_word_that_is_too_long_is_answered_with_what_a_tool_can_do(bare, serve):
    for arguments in ({"command": "x" * 183_036}, {"command": ["echo", "x" * 183_036]}):
        error = serve(pyro=bare).failure("vm_run", environment="debian:12", **arguments)
        assert "183036 bytes" in error["message"] and "stdin" not in error["hint"], error
        assert "several commands" in error["hint"], error


@pytest.mark.parametrize("end", [b"", b"\r", b"\n"])
def test_the_last_line_is_answered_with_or_without_its_newline(bare, end):
    ask = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
    process = bare.start("mcp", "serve", stdin=subprocess.PIPE)
    out, err = process.communicate(json.dumps(ask).encode() + end, timeout=harness.HANG_SECONDS)
    assert process.returncode == 0, err
    assert json.loads(out)["id"] == 7, out


@pytest.mark.parametrize("seconds", ["0", "3601", "-1", "x"])
def test_answer_seconds_takes_1_to_3600(bare, seconds):
    done = bare("mcp", "serve", "--answer-seconds", seconds)
    assert done.code in (1, 2) and done.out == b"" and "answer" in done.talk, done


def test_a_model_does_not_choose_a_thinner_wall_than_its_user(bare, serve):
    for tool, arguments in (("vm_run", {"command": "true"}), ("vm_create", {}), ("task_create", {}), ("vm_keep_spares", {})):
        error = serve(pyro=bare).failure(tool, machine="usermode", **arguments)
        assert error["code"] == "permission_denied" and "only the user" in error["hint"], error
    assert not bare.cache.exists() or not list(bare.cache.glob("environments/*")), "refused before anything was built"
