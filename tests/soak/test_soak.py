"""A short soak loses nothing, and a fault of any kind makes its exit code 1."""

import subprocess
import sys

import harness
import pytest
import soak_figures

PROGRAM = harness.ROOT / "tests/soak/soak.py"


@pytest.mark.cost(40)
def test_a_short_soak_loses_nothing(cache_dir):
    done = subprocess.run([sys.executable, "-B", PROGRAM, "--minutes", "0.4", "--tasks", "4", "--emulated", "0", "--every", "0.7"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    rows = dict(line.rsplit("  ", 1) for line in done.stdout.splitlines() if "  " in line and not line.startswith("["))
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    assert int(rows["execs"]) > 0 and int(rows["ended: finished"]) > 0, rows
    assert any(name.startswith("killed: ") for name in rows), rows
    for fault in soak_figures.FAULTS:
        assert rows[f"{fault} (must be 0)"] == "0", rows


class Supervisor:
    """One whose figures a test says."""

    def __init__(self, memory, descriptors):
        self.told = (memory, descriptors)


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.setattr(soak_figures, "measure", lambda supervisors: {number: one.told for number, one in enumerate(supervisors)})
    made = soak_figures.Figures()
    made.begin([Supervisor(6000, 20)])
    return made


def test_a_fault_of_any_kind_makes_the_exit_code_1(figures):
    figures.end([Supervisor(6100, 20)])
    assert figures.verdict(1) == 0
    assert figures.verdict(0) == 1
    for fault in soak_figures.FAULTS:
        figures.fault(fault, "as a test says")
        assert figures.verdict(1) == 1, fault
        figures.counts[fault] = 0


@pytest.mark.parametrize("memory, descriptors", [(6700, 20), (6000, 25)])
def test_supervisors_that_grow_make_the_exit_code_1(figures, memory, descriptors):
    figures.end([Supervisor(memory, descriptors)])
    assert figures.verdict(1) == 1


def test_a_run_that_no_supervisor_lived_through_shows_nothing(figures):
    figures.end([])
    assert figures.verdict(1) == 1
