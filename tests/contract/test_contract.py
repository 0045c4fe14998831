"""docs/contract.md, the programs, the Python package and the MCP server say the same; and what was promised is there."""

import copy
import dataclasses
import inspect
import pathlib
import sys

import harness
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import contract_check  # noqa: E402
import pyro_mcp  # noqa: E402

DOCUMENT = harness.ROOT / "docs/contract.md"

# What users were promised. Names here are never changed: that would be another major version.
COMMANDS = ["env list", "env pull", "env inspect", "env prune", "run", "task create", "task exec", "task status", "task logs",
            "task delete", "task list", "task stop", "task export", "vm create", "vm start", "vm exec", "vm stop",
            "vm delete", "vm status", "vm list", "vm network-info", "vm reap", "doctor", "demo", "demo ollama", "mcp serve"]
JSON_COMMANDS = ["run", "env list", "env pull", "env inspect", "env prune", "doctor", "demo"]
RUN_OPTIONS = {"--vcpu-count": "1", "--mem-mib": "1024", "--timeout-seconds": "30", "--ttl-seconds": "600",
               "--network": "", "--allow-host-compat": "", "--json": ""}
VM = {"environment": inspect.Parameter.empty, "vcpu_count": 1, "mem_mib": 1024, "ttl_seconds": 600,
      "network": False, "allow_host_compat": False}
COMMAND = {"command": inspect.Parameter.empty, "timeout_seconds": 30}
METHODS = {
    "create_server": {}, "list_environments": {}, "pull_environment": {"environment"},
    "inspect_environment": {"environment"}, "prune_environments": {}, "create_vm": VM,
    "start_vm": {"vm_id"}, "exec_vm": {"vm_id"}, "stop_vm": {"vm_id"}, "delete_vm": {"vm_id"},
    "status_vm": {"vm_id"}, "network_info_vm": {"vm_id"}, "reap_expired": {}, "run_in_vm": VM | COMMAND,
    "create_task": VM, "exec_task": {"task_id"}, "status_task": {"task_id"}, "logs_task": {"task_id"},
    "delete_task": {"task_id"}, "list_tasks": {}, "stop_task": {"task_id"}, "export_task": {"task_id"},
}
TOOLS = ["vm_run", "vm_list_environments", "vm_create", "vm_start", "vm_exec", "vm_stop", "vm_delete", "vm_status",
         "vm_network_info", "vm_reap_expired", "vm_list", "vm_keep_spares", "vm_inspect_environment",
         "vm_prune_environments", "vm_doctor", "task_create", "task_exec", "task_status", "task_logs", "task_delete",
         "task_list", "task_stop", "task_export"]


@pytest.fixture(scope="module")
def said():
    return contract_check.read_contract(DOCUMENT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def there():
    return contract_check.read_there(str(harness.BIN / "pyro"))


def usages(contract, words):
    return [usage for usage in contract.commands
            if usage.split(" [")[0] == f"pyro {words}"]


def test_the_document_and_the_programs_say_the_same(said, there):
    assert contract_check.problems_of(said, there) == []
    assert len(there.commands) > 15 and len(there.methods) > 20


def test_what_is_derived_is_what_make_api_writes():
    """docs/api.json, results and calls of Python, and the tables of docs/contract.md."""
    done = harness.subprocess.run(["/usr/bin/python3", "-B", str(harness.ROOT / "tools/make_api.py"), "--check", str(harness.BIN / "pyro")],
                                  capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


def test_every_promised_command_is_there(there):
    for words in COMMANDS:
        assert len(usages(there, words)) == 1, words
    for words in JSON_COMMANDS:
        usage, = usages(there, words)
        assert "--json" in there.commands[usage], words
    usage, = usages(there, "run")
    assert usage == "pyro run [OPTIONS] ENVIRONMENT -- COMMAND…"
    for name, default in RUN_OPTIONS.items():
        assert there.commands[usage][name].default == default, name


def test_every_promised_method_is_there():
    for name, promised in METHODS.items():
        parameters = dict(inspect.signature(getattr(pyro_mcp.Pyro, name)).parameters)
        parameters.pop("self")
        if isinstance(promised, set):
            positional = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
            assert positional == list(promised), name
            continue
        for argument, default in promised.items():
            parameter = parameters[argument]
            assert parameter.kind is parameter.KEYWORD_ONLY, (name, argument)
            assert parameter.default == default and type(parameter.default) is type(default), (name, argument)
    for name in ("exec_vm", "exec_task"):
        parameters = inspect.signature(getattr(pyro_mcp.Pyro, name)).parameters
        for argument, default in COMMAND.items():
            assert parameters[argument].kind is inspect.Parameter.KEYWORD_ONLY
            assert parameters[argument].default == default
    assert inspect.isfunction(pyro_mcp.create_server)


def test_every_promised_tool_is_there(there):
    assert set(TOOLS) <= there.tools.keys()


def test_one_version_everywhere(bare):
    header = (harness.ROOT / "include/pyro/version.h").read_text()
    version = header.split('PYRO_VERSION "')[1].split('"')[0]
    assert bare("--version").text == f"pyro {version}\n"
    assert pyro_mcp.__version__ == version
    assert bare("env", "list", "--json").json["catalog_version"] == version


# The check itself: each kind of difference is found, on either side.

def first(mapping):
    return next(iter(mapping))


def remove_command(contract):
    del contract.commands[first(contract.commands)]


def rename_command(contract):
    contract.commands["pyro renamed"] = contract.commands.pop(first(contract.commands))


def options_of(contract):
    return next(options for options in contract.commands.values() if any(o.default for o in options.values()))


def remove_flag(contract):
    options = options_of(contract)
    del options[first(options)]


def change_default(contract):
    options = options_of(contract)
    name = next(name for name, option in options.items() if option.default)
    options[name] = dataclasses.replace(options[name], default="5")


def remove_method(contract):
    del contract.methods["run_in_vm"]


def rename_argument(contract):
    contract.methods["run_in_vm"] = contract.methods["run_in_vm"].replace("mem_mib", "memory")


def change_argument_default(contract):
    contract.methods["run_in_vm"] = contract.methods["run_in_vm"].replace("mem_mib=1024", "mem_mib=512")


def remove_function(contract):
    contract.functions.pop("create_server")


def remove_tool(contract):
    del contract.tools["vm_run"]


def remove_handles_method(contract):
    del contract.handles["Task.read_output"]


def rename_error(contract):
    contract.errors["not_found"] = "MissingError"


def rename_tools_argument(contract):
    contract.tools["vm_run"] = contract.tools["vm_run"].replace("command", "cmd")


@pytest.mark.parametrize("change", [
    remove_command, rename_command, remove_flag, change_default, remove_method, rename_argument,
    change_argument_default, remove_function, remove_tool, rename_tools_argument, remove_handles_method, rename_error])
def test_a_difference_on_either_side_is_found(said, there, change):
    for side in (0, 1):
        pair = [copy.deepcopy(said), copy.deepcopy(there)]
        change(pair[side])
        assert contract_check.problems_of(*pair), (change, side)


def test_a_row_removed_from_the_document_is_found(there):
    text = DOCUMENT.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `--mem-mib N`"))
    problems = contract_check.problems_of(contract_check.read_contract(text.replace(row + "\n", "", 1)), there)
    assert len(problems) == 1 and "--mem-mib is not in the contract" in problems[0]


def test_a_flag_removed_from_the_program_is_found(said, scratch):
    """By a pyro whose --help is short of a line."""
    program = scratch / "pyro"
    program.write_text(f'#!/bin/sh\n{harness.BIN}/pyro "$@" | grep -v -e --ttl-seconds\n')
    program.chmod(0o755)
    commands = contract_check.read_commands(
        lambda words: harness.subprocess.run([str(program), *words, "--help"], capture_output=True, text=True,
                                             check=True).stdout)
    problems = contract_check.problems_of(
        said, contract_check.Contract(commands, said.functions, said.methods, said.tools))
    assert any("--ttl-seconds is in the contract and not there" in problem for problem in problems), problems
