"""C++, the command line, Python and MCP offer the same operations with the same arguments, or a row of src/api says why not."""

import inspect
import json
import pathlib
import re
import sys

import harness
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import contract_check  # noqa: E402
import pyro_mcp  # noqa: E402

API = json.loads((harness.ROOT / "docs/api.json").read_text(encoding="utf-8"))
OPERATIONS = API["operations"]
# They ask nothing of the engine, or serve it; the last is two operations, with a task and without.
NO_OPERATIONS = {"help", "version", "demo", "demo ollama", "mcp serve", "mcp config", "watch", "task ps"}
HANDLES_AND_SERVER = {"vm", "task", "create_server", "watch"}
# The first three are for the MCP server; `doctor` tells two of them to others. The last is a stream.
NO_ROW = {"KeepOwnSpares", "KnownAccelerator", "KnownMachine", "Watch"}
OTHER_NAMES = {"gc": "CollectGarbage", "limits": "ListLimits", "list_spares": "ListSparePools"}
# The command line has other words for these.
OTHER_OPTIONS = {("task logs", "first"), ("task logs", "limit"), ("task list-commands", "first"), ("task list-commands", "limit"),
                 ("task read-command", "stdout_offset"), ("task files write-many", "user")}

# The list of tools has a bound. A result of task_exec is read from the journal.
NO_ROOM = {("task_exec", "journal")}
NO_ROOM |= {("task_read_file", "user"), ("task_read_file", "limit"), ("task_write_file", "user"), ("task_write_file", "mode")}
NO_ROOM |= {(tool, name) for tool in ("vm_run", "vm_create", "task_create") for name in ("deny", "network_policy", "secrets", "cache")} | {("vm_create", "allow")}


def fields(operation):
    return API["structs"][operation["request"]]["fields"]


@pytest.fixture(scope="module")
def commands():
    """All that do something by themselves: the names of their options, by their words."""
    done = harness.subprocess.run([str(harness.BIN / "pyro"), "__describe"], capture_output=True, check=True)
    found = {}
    pending = [("", json.loads(done.stdout))]
    while pending:
        words, command = pending.pop()
        if not command["usage"].endswith(" COMMAND"):
            found[words.strip()] = {name for option in command["options"] for name in option["names"]}
        pending += [(f"{words} {below['name']}", below) for below in command["commands"]]
    return found


@pytest.fixture(scope="module")
def tools():
    listed = json.loads((harness.ROOT / "tests/mcp/golden/tools_list.json").read_text(encoding="utf-8"))
    return {tool["name"]: tool["inputSchema"].get("properties", {}) for tool in listed}


def on_command_line(operation):
    words, *options = operation.get("command", operation["name"]).split(" --")
    return words, {f"--{option}" for option in options}


def test_the_command_line_has_every_operation_and_no_other(commands):
    for operation in OPERATIONS:
        words, options = on_command_line(operation)
        assert words in commands, operation["name"]
        assert options <= commands[words], operation["name"]
    assert commands.keys() - {on_command_line(operation)[0] for operation in OPERATIONS} == NO_OPERATIONS


def test_python_has_every_operation_and_no_other():
    methods = contract_check.read_methods(pyro_mcp.Pyro).keys()
    assert methods - {operation["method"] for operation in OPERATIONS} == HANDLES_AND_SERVER
    assert {operation["method"] for operation in OPERATIONS} <= methods
    for cls, handle in ((pyro_mcp.Task, "task_id"), (pyro_mcp.Vm, "vm_id")):
        about_one = [one["method"] for one in OPERATIONS if handle in {field["name"] for field in fields(one)}]
        assert len(contract_check.read_methods(cls)) == len(about_one), cls


def test_mcp_has_every_operation_or_a_reason(tools):
    assert {operation["tool"] for operation in OPERATIONS if "tool" in operation} == tools.keys()
    for operation in OPERATIONS:
        assert ("tool" in operation) != ("no_tool" in operation), operation["name"]
        # A reason, or the words of a tool that is there.
        named = re.findall(r"\b(?:vm|task)_\w+", operation.get("no_tool", ""))
        assert all(word in tools for word in named) and (named or len(operation.get("no_tool", "reason" * 5)) > 20), operation


def test_the_engine_has_a_row_for_every_call():
    header = (harness.ROOT / "include/pyro/engine.h").read_text(encoding="utf-8")
    calls = set(re.findall(r"^  virtual (?:Result<.+>|std::string) (\w+)\(", header[header.index("class Engine {"):], re.M))
    rows = {OTHER_NAMES.get(one["method"]) or "".join(word.capitalize() for word in one["method"].split("_")) for one in OPERATIONS}
    assert len(calls) > 25
    assert calls ^ rows == NO_ROW


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one["name"])
def test_an_argument_is_on_every_surface(operation, commands, tools):
    words, _ = on_command_line(operation)
    parameters = inspect.signature(getattr(pyro_mcp.Pyro, operation["method"])).parameters
    for field in fields(operation):
        name = field["name"]
        assert name in parameters, name
        if "tool" in operation and (operation["tool"], name) not in NO_ROOM:
            assert name in tools[operation["tool"]], name
        typed = field.get("positional") or field["kind"] == "command" or (operation["name"], name) in OTHER_OPTIONS
        assert typed or f"--{field.get('option', name).replace('_', '-')}" in commands[words], name
