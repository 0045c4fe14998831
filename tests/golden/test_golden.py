"""Every --help, what many command lines exit with, and what Python offers, as they were reviewed.

PYRO_UPDATE_GOLDEN=1 writes the files beside this one again. The list of MCP tools is tests/mcp/golden/tools_list.json.
"""

import inspect
import os
import pathlib
import types
import typing

import harness

import pyro_mcp

HERE = pathlib.Path(__file__).resolve().parent
# A word for each argument; none of them names anything.
SAMPLES = {"ENVIRONMENT": "no-such:1", "TASK_ID": "task_" + "a" * 26, "VM_ID": "vm_" + "a" * 26, "PATH": "p", "DEST": "d", "SOURCE": "s", "TO": "t", "NAME": "n", "FILE": "f", "VALUE": "v",
           "HOST_DIR": "h", "HOST": "a.example", "CLIENT": "no-such-client", "SIGNAL": "TERM"}
# Their codes depend on this host, or on what answers at an address.
OF_THE_HOST = {("demo",), ("demo", "ollama"), ("doctor",)}
ENDLESS = {("watch",)}


def compare(name, text):
    path = HERE / name
    if os.environ.get("PYRO_UPDATE_GOLDEN") == "1":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "PYRO_UPDATE_GOLDEN=1 writes the golden file again"


def commands(program):
    pending = [((), program("__describe").json)]
    while pending:
        words, command = pending.pop(0)
        yield words, command
        pending[:0] = [((*words, below["name"]), below) for below in command["commands"]]


def test_every_help_is_as_it_was_reviewed(bare):
    screens = [f"$ pyro {' '.join((*words, '--help'))}\n{bare(*words, '--help').text}" for words, _ in commands(bare)]
    assert len(screens) > 20
    compare("help.txt", "\n".join(screens))


def command_lines(program):
    """Of each command: help, an option that it does not have, arguments that name nothing, one argument too few."""
    for words, command in commands(program):
        yield [*words, "--help"]
        yield [*words, "--no-such-option"]
        if command["commands"] and words != ("demo",):
            yield [*words]
            yield [*words, "no-such-command"]
            continue
        arguments = [SAMPLES[one["name"]] for one in command["arguments"] if one["required"]]
        tail = ["--", "true"] if "-- COMMAND" in command["usage"] else []
        if arguments:
            yield [*words, *arguments[:-1], *tail]
        if tail:
            yield [*words, *arguments]
        if words in OF_THE_HOST | ENDLESS:
            continue
        yield [*words, *arguments, *tail]
        if any("--json" in option["names"] for option in command["options"]):
            yield [*words, "--json", *arguments, *tail]


def test_every_exit_code_is_as_it_was_reviewed(bare):
    """Those of commands that run in guests are in tests/vm/test_run.py."""
    lines = [f"{bare(*words).code:<4}pyro {' '.join(words)}".rstrip() for words in command_lines(bare)]
    assert len(lines) > 80
    compare("exit_codes.txt", "\n".join(lines) + "\n")


# Python.

class Shown(str):
    """An annotation as a signature prints it."""

    __repr__ = str.__str__


def shown(hint):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return "None"
    if isinstance(hint, list):
        return f"[{', '.join(map(shown, hint))}]"
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(shown, arguments))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(shown, arguments))}]"
    return getattr(hint, "__name__", str(hint))


def signature(function):
    # What a module imports for type checkers alone is among these.
    hints = typing.get_type_hints(function, localns={**vars(pyro_mcp), "results": pyro_mcp.results})
    plain = inspect.signature(function)
    parameters = [one.replace(annotation=Shown(shown(hints[one.name])) if one.name in hints else one.empty)
                  for one in plain.parameters.values()]
    returned = Shown(shown(hints["return"])) if "return" in hints else plain.empty
    return str(inspect.Signature(parameters, return_annotation=returned))


def summary(thing):
    """The first paragraph of its docstring."""
    return " ".join(inspect.cleandoc(thing.__doc__ or "").split("\n\n")[0].split())


def described_class(name, cls):
    lines = [f"class {name}({', '.join(base.__name__ for base in cls.__bases__)})  # {summary(cls)}"]
    members = dict(inspect.getmembers(cls, inspect.isfunction))
    for member in sorted(one for one in members if not one.startswith("_") or one in ("__init__", "__enter__")):
        lines += [f"    {member}{signature(members[member])}", f"        {summary(members[member])}"]
    return lines


def described_dict(name, cls):
    hints = typing.get_type_hints(cls)
    fields = [f"    {field}{'' if field in cls.__required_keys__ else '?'}: {shown(hints[field])}" for field in sorted(hints)]
    return [f"dict {name}  # {summary(cls)}".removesuffix("  # "), *fields]


def described_package():
    for name in sorted(pyro_mcp.__all__):
        value = getattr(pyro_mcp, name)
        if inspect.isclass(value):
            yield from described_class(name, value)
        elif inspect.isfunction(value):
            yield from [f"{name}{signature(value)}", f"    {summary(value)}"]
        else:
            yield f"{name}: {shown(value) if typing.get_origin(value) else type(value).__name__}"
    for name, value in sorted(vars(pyro_mcp.results).items()):
        if typing.is_typeddict(value):
            yield from described_dict(name, value)
        elif typing.get_origin(value) is typing.Literal:
            yield f"{name} = {shown(value)}"


def test_python_offers_what_was_reviewed():
    """Signatures with types, the first paragraphs of docstrings, and the fields of results."""
    lines = [line.rstrip() for line in described_package() if line.strip()]
    assert len(lines) > 300
    compare("python.txt", "\n".join(lines) + "\n")
