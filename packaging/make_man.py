#!/usr/bin/python3
"""make_man.py PYRO DIRECTORY: writes the man pages of a built pyro, from what it says about itself.

pyro.1 is about the whole; pyro-COMMAND.1 about a command and those below it.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

EXIT_CODES = [
    ("0", "success; of \\fBrun\\fR and \\fBtask exec\\fR: the command's own code"),
    ("1", "the command failed"),
    ("2", "bad arguments"),
    ("124", "of \\fBrun\\fR and \\fBtask exec\\fR: the command was killed at its timeout"),
    ("125", "of these two: pyro failed, no guest, bad arguments"),
    ("126", "of these two: the command cannot be executed"),
    ("127", "of these two: the command was not found in the guest"),
    ("128+n", "the command was killed by signal n, or pyro was interrupted by it"),
]

ENVIRONMENT = [
    ("PYRO_STATE_DIR", "where VMs, tasks and their registry are; ~/.local/state/pyro-mcp if unset"),
    ("PYRO_CACHE_DIR", "where environments and caches are; ~/.cache/pyro-mcp if unset"),
    ("PYRO_CONFIG_DIR", "where the configuration file is; ~/.config/pyro-mcp if unset"),
    ("PYRO_LIBEXEC_DIR", "where the helper programs are"),
    ("PYRO_MACHINE", "auto, kvm, tcg or usermode: what runs a guest whose call names no machine"),
    ("PYRO_ACCELERATOR", "kvm, tcg or usermode: takes the choice away from pyro"),
    ("PYRO_APT_SOURCES", "apt sources to build environments from, instead of the host's"),
    ("NO_COLOR", "if set and not empty, nothing is coloured"),
]


def roff(text: str) -> str:
    """Text as it is: no word of it is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("'", "\\(aq")
    return "\n".join("\\&" + line if line.startswith((".", "\\(aq")) else line
                     for line in text.splitlines())


def heading(name: str, version: str, description: str) -> str:
    # SOURCE_DATE_EPOCH: a rebuild of the packages must make the same pages.
    date = datetime.date.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    return (f'.TH {name.upper()} 1 "{date}" "pyro {version}" "pyro"\n.nh\n.ad l\n.SH NAME\n'
            f"{roff(name)} \\- {roff(description)}\n")


def footer(text: str) -> str:
    """The text below an option list of --help: prose, and an example that keeps its lines."""
    prose, _, example = text.partition("Example:\n")
    lines, _, rest = example.partition("\n\n")
    out = ""
    for paragraph in prose.strip().split("\n\n"):
        if paragraph:
            out += f".PP\n{roff(' '.join(paragraph.split()))}\n"
    if lines:
        out += f".PP\nExample:\n.PP\n.nf\n.RS\n{roff(lines.rstrip())}\n.RE\n.fi\n"
    return out


def options(command: dict[str, Any]) -> str:
    out = ""
    for argument in command["arguments"]:
        out += f".TP\n\\fI{roff(argument['name'])}\\fR\n{roff(argument['description'])}\n"
    for option in command["options"]:
        names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option["names"])
        value = f" \\fI{roff(option['value'])}\\fR" if option["value"] else ""
        default = f" (default {roff(option['default'])})" if option["value"] and option["default"] else ""
        out += f".TP\n{names}{value}\n{roff(option['description'])}{default}\n"
    return out


def usage(command: dict[str, Any]) -> str:
    return f".PP\n\\fB{roff(command['usage'])}\\fR\n"


def all_below(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for below in command["commands"]:
        yield below
        yield from all_below(below)


def page_of(command: dict[str, Any], version: str) -> str:
    name = f"pyro-{command['name']}"
    below_it = list(all_below(command))
    out = heading(name, version, command["description"]) + ".SH SYNOPSIS\n" + usage(command)
    for below in below_it:
        out += usage(below)
    out += f".SH DESCRIPTION\n.PP\n{roff(command['description'])}.\n"
    out += footer(command["footer"]) + ".SH OPTIONS\n" + options(command)
    for below in below_it:
        words = below["usage"].split(" [")[0]
        out += f".SH {roff(words).upper()}\n.PP\n{roff(below['description'])}.\n"
        if below["aliases"]:
            group = words.removeprefix("pyro ").rpartition(" ")[0]
            aliases = " or ".join(f"\\fB{roff(group)} {roff(alias)}\\fR" for alias in below["aliases"])
            out += f"Also written {aliases}.\n"
        out += options(below) + footer(below["footer"])
    return out + ".SH SEE ALSO\n.BR pyro (1)\n"


def main_page(pyro: dict[str, Any], version: str) -> str:
    first, _, _ = pyro["description"].partition("\n")
    out = heading("pyro", version, first.rstrip(",")) + ".SH SYNOPSIS\n" + usage(pyro)
    for command in pyro["commands"]:
        out += usage(command)
    out += f".SH DESCRIPTION\n.PP\n{roff(' '.join(pyro['description'].split()))}\n"
    out += ("Stdout carries data, stderr carries talk. An error is one sentence and one hint; with\n"
            "\\fB\\-\\-json\\fR it is a document too.\n")
    out += footer(pyro["footer"]) + ".SH COMMANDS\n"
    for command in pyro["commands"]:
        out += f".TP\n.BR pyro\\-{command['name']} (1)\n{roff(command['description'])}\n"
    out += ".SH OPTIONS\n" + options(pyro)
    for title, rows in (("EXIT STATUS", EXIT_CODES), ("ENVIRONMENT", ENVIRONMENT)):
        out += f".SH {title}\n"
        for name, text in rows:
            shown = text if title == "EXIT STATUS" else roff(text)
            out += f".TP\n.B {roff(name)}\n{shown}\n"
    return out + ".SH FILES\n.TP\n.I ~/.local/state/pyro\\-mcp\nVMs, tasks and their registry\n" \
                 ".TP\n.I ~/.cache/pyro\\-mcp\nenvironments\n"


def main() -> int:
    program, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    described = json.loads(subprocess.run([program, "__describe"], capture_output=True, check=True).stdout)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    directory.mkdir(parents=True, exist_ok=True)
    pages = {"pyro": main_page(described, version)}
    pages |= {f"pyro-{command['name']}": page_of(command, version) for command in described["commands"]}
    for name, text in pages.items():
        # A section begins a paragraph by itself.
        text = re.sub(r"^(\.SH .*\n)\.PP\n", r"\1", text, flags=re.M)
        (directory / f"{name}.1").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
