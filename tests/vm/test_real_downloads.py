"""The cache of downloads with the registries that this host's configuration leads to, where it reaches them."""

import subprocess

import pytest
from test_downloads import INSTALLS, USUAL, CachedTask, contents, timed, use_own_cache


REAL = {
    "apt": ("apt-get update -q >/dev/null; apt-get install -qq --no-install-recommends binutils >/dev/null 2>&1; ld -v"),
    "pip": ("PYTHONPATH=/opt python3 -m pip install -q --disable-pip-version-check --root-user-action ignore "
            "--target /tmp/site numpy; PYTHONPATH=/tmp/site python3 -c 'import numpy; print(numpy.__name__)'"),
    "npm": ("cd /workspace; node /usr/local/lib/npm/bin/npm-cli.js install --no-audit --no-fund --silent typescript; "
            "ls node_modules"),
}


@pytest.mark.cost(20)
@pytest.mark.parametrize("tool", REAL)
def test_real_registries_are_asked_once(pyro, scratch, tool):
    kind = {"apt": "apt", "pip": "pypi", "npm": "npm"}[tool]
    reached = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-m", "10", f"https://{USUAL[kind][0]}/"],
                             capture_output=True, check=False)
    if reached.returncode != 0:
        pytest.skip(f"this host does not reach the registry of {tool}: {reached.stderr.decode().strip()}")
    use_own_cache(pyro, scratch)
    seconds, stored = [], []
    for _ in range(2):
        with CachedTask(pyro) as task:
            INSTALLS[tool][0](pyro, task)
            done, took = timed(task, REAL[tool])
            assert done.code == 0 and done.text, (done, task.json("network show"))
            seconds.append(took)
            stored.append(contents(pyro))
    print(f"{tool}: {seconds[0]:.1f} s, then {seconds[1]:.1f} s")
    assert stored[0] and stored[0] == stored[1]
