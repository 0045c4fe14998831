"""The long run of kills counts what it finds, and fails if anything was lost."""

import collections
import json
import random
import subprocess
import sys

import harness
import long_run
import pytest

PROGRAM = harness.ROOT / "tests/fault/long_run.py"


@pytest.fixture
def kept():
    """Directories that a failed round keeps are this test's to remove."""
    directories = []
    yield directories
    for directory in directories:
        subprocess.run(["rm", "-rf", directory], check=True)


@pytest.mark.skipif(not (long_run.FAKE / "pyro-supervisor").exists(), reason="pyro-supervisor-fake is not built")
@pytest.mark.parametrize("campaigns", [[], ["--campaigns", "calls"], ["--campaigns", "call_points"]], ids=["any", "calls", "points"])
def test_a_short_run_loses_nothing(cache_dir, campaigns):
    done = subprocess.run([sys.executable, "-B", PROGRAM, "--kills", "4", "--real", "0", "--jobs", "1", *campaigns],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    summary = done.stdout.splitlines()[-3]
    kills = int(summary.split(" kills, ")[0].split()[-1])
    assert kills >= 4, summary
    for fault in long_run.FAULTS:
        assert f"0 {fault}" in summary.split(", "), summary


def test_a_lost_command_fails_its_round(monkeypatch, pyro, create, kept):
    """The ledger holds a command that was seen to finish, and that no journal has."""
    task = create()
    campaigns = []

    def campaign(this, kills, choose):
        import siege
        campaigns.append(this)
        kept.append(this.scratch)
        this.ledgers.append(siege.Ledger(task))
        this.ledgers[-1].finished.add(1)
        this.ledgers[-1].check()
        return collections.Counter(kills=kills)

    monkeypatch.setattr(long_run, "CAMPAIGNS", {campaign: (1, 1)})
    monkeypatch.setattr(harness, "kill_all", lambda processes: None)
    told = long_run.play(True, 1, random.Random(1))
    counts = told["counts"]
    assert (counts["commands lost"], counts["rounds failed"]) == (1, 1), told
    assert str(campaigns[0].scratch) in told["failed"] and campaigns[0].scratch.exists()


def test_a_fault_of_any_kind_makes_the_exit_code_1():
    for fault in long_run.FAULTS:
        total = collections.Counter(dict.fromkeys(long_run.FAULTS, 0), kills=5)
        assert long_run.verdict(total, 5) == 0
        total[fault] = 1
        assert long_run.verdict(total, 5) == 1, json.dumps(total)
    assert long_run.verdict(collections.Counter(kills=4), 5) == 1
