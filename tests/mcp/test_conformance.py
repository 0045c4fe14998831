"""The official conformance suite against the fixtures, in both eras; and its scenarios for the tasks extension."""

import json
import os
import re
import subprocess

import npm_tools
import pytest
from mcp_client import MODERN, Http

TASK_SCENARIOS = 10


@pytest.fixture(scope="module")
def server():
    npm_tools.require()
    with Http() as running:
        yield running
        assert running.stop() == 0


def suite(*words, cwd=None):
    environment = {**os.environ, "HOME": str(npm_tools.DIRECTORY)}
    return subprocess.run(
        [npm_tools.NODE, npm_tools.CONFORMANCE, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def summary(output):
    lines = output.splitlines()
    begin = next((i for i, line in enumerate(lines) if line.startswith("=== SUMMARY")), 0)
    return "\n".join(lines[begin:])


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
def test_every_required_scenario_passes(server, tmp_path, version):
    run = suite("server", "--url", server.url, "--requirements", version, "-o", tmp_path)
    print(f"\n{version}: " + next((line for line in run.stdout.splitlines() if line.startswith("Total:")), "no total"))
    assert run.returncode == 0, summary(run.stdout) + run.stderr


def task_scenarios():
    run = suite("list", "--server", "--requirements", MODERN)
    return sorted(set(re.findall(r"\btasks-[a-z-]+", run.stdout)))


def test_every_scenario_of_the_tasks_extension_passes(server, tmp_path):
    scenarios = task_scenarios()
    assert len(scenarios) >= TASK_SCENARIOS, scenarios
    failed = []
    for scenario in scenarios:
        directory = tmp_path / scenario
        run = suite(
            "server", "--url", server.url, "--scenario", scenario, "--spec-version", MODERN, "--force", "-o", directory
        )
        checks = [check for path in directory.rglob("checks.json") for check in json.loads(path.read_text())]
        counts = {status: sum(check["status"] == status for check in checks) for status in ("SUCCESS", "FAILURE", "SKIPPED")}
        print(f"{scenario}: {counts['SUCCESS']} passed, {counts['FAILURE']} failed, {counts['SKIPPED']} skipped")
        if run.returncode != 0 or counts["FAILURE"] or not checks:
            failed.append(scenario + "\n" + summary(run.stdout) + run.stderr)
    assert not failed, "\n".join(failed)
