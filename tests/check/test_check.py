"""How the check itself works: which tests an entry of ctest runs, and what is told of them at the end."""

import json
import pathlib
import random
import subprocess
import sys

import harness
import pytest
import shards

sys.path.insert(0, str(harness.ROOT / "tools"))
sys.path.insert(0, str(harness.ROOT / "tests/kvm"))
import inside  # noqa: E402
import summarize_tests  # noqa: E402


def test_what_the_check_under_kvm_chooses_is_there():
    for chosen in inside.CHOSEN + inside.FOR_USER + inside.FOR_ROOT:
        file, _, name = chosen.partition("::")
        text = (harness.ROOT / "tests" / file).read_text()
        assert ("\ndef " + (f"{name}(" if name else "test_")) in text, chosen
        assert '"debian:12"' not in text, f"{chosen}: it is not installed there, and cannot be built without a network"


def test_each_test_is_in_exactly_one_shard():
    choose = random.Random(1)
    for count in range(1, 12):
        for tests in range(count, 40):
            costs = [choose.choice([1, 1, 1, 2, 20]) for _ in range(tests)]
            split = shards.split(costs, count)
            assert sorted(index for shard in split for index in shard) == list(range(tests))
            assert all(shards.split(costs, count)[number] == shard for number, shard in enumerate(split))
            assert all(split), "a shard is empty although there are enough tests"


def test_shards_cost_about_the_same():
    costs = [1] * 20 + [10, 10, 20]
    weights = [sum(costs[index] for index in shard) for shard in shards.split(costs, 3)]
    assert weights == [20, 20, 20]


def run_pytest(scratch, shard):
    (scratch / "test_some.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(7))\ndef test_n(n): print(f'ran {n}.')\n"
        "@pytest.mark.cost(6)\ndef test_dear(): print('ran dear.')\n")
    (scratch / "conftest.py").write_text(
        f"import os, sys\nsys.path.insert(0, {str(harness.ROOT / 'tests')!r})\nimport shards\n"
        "def pytest_collection_modifyitems(config, items):\n"
        "    config.hook.pytest_deselected(items=shards.take(items, os.environ.get('PYRO_TEST_SHARD')))\n")
    (scratch / "pytest.ini").write_text("[pytest]\nmarkers = cost(n): as in pyro\n")
    done = subprocess.run([sys.executable, "-B", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", str(scratch)],
                          env={"PATH": "/usr/bin:/bin", **({"PYRO_TEST_SHARD": shard} if shard else {})},
                          capture_output=True, text=True, check=False)
    return done.returncode, sorted(word.split(".")[0] for word in done.stdout.split("ran ")[1:])


def test_the_shards_of_a_file_run_all_of_it(scratch):
    everything = sorted(["dear", *map(str, range(7))])
    assert run_pytest(scratch, None) == (0, everything)
    ran = [run_pytest(scratch, f"{number}/3") for number in (1, 2, 3)]
    assert [code for code, _ in ran] == [0, 0, 0]
    assert ran[0][1] == ["dear"]
    assert sorted(name for _, names in ran for name in names) == everything
    assert run_pytest(scratch, "9/9")[0] == 5, "an entry without a test has to fail"
    assert run_pytest(scratch, "4/3")[0] not in (0, 5)


def entries():
    """What ctest would run here: command and variables of each entry by its name."""
    done = subprocess.run(["ctest", "--test-dir", str(harness.BIN.parent), "--show-only=json-v1"], capture_output=True,
                          text=True, check=True)
    found = {}
    for entry in json.loads(done.stdout)["tests"]:
        properties = {one["name"]: one["value"] for one in entry["properties"]}
        variables = dict(one.split("=", 1) for one in properties.get("ENVIRONMENT", []))
        found[entry["name"]] = (entry.get("command"), variables)
    return found


def test_every_registered_file_has_all_its_shards():
    found = {}
    for command, variables in entries().values():
        if "PYRO_TEST_SHARD" in variables:
            # A file may be registered for another machine, too.
            key = (pathlib.Path(command[-1]), variables.get("PYRO_ACCELERATOR"))
            found.setdefault(key, []).append(variables["PYRO_TEST_SHARD"])
    assert (pathlib.Path(__file__).resolve(), None) in found
    for path, given in found.items():
        assert sorted(given) == sorted(f"{number + 1}/{len(given)}" for number in range(len(given))), path


def test_the_tests_of_guests_and_of_kills_run_whole_on_each_machine():
    """In user mode one entry has a folder, so that no file can be forgotten."""
    found = {command[-1] for command, variables in entries().values()
             if variables.get("PYRO_ACCELERATOR") == "usermode" and "PYRO_TEST_SHARD" in variables}
    folders = {path for path in found if pathlib.Path(path).is_dir()}
    assert folders == {str(harness.ROOT / "tests" / name) for name in ("vm", "fault", "soak")}


def test_each_file_about_images_runs_in_user_mode():
    found = {pathlib.Path(command[-1]) for command, variables in entries().values() if command and variables.get("PYRO_ACCELERATOR") == "usermode"}
    forgotten = set((harness.ROOT / "tests/images").glob("test_*.py")) - found
    assert {path.name for path in forgotten} <= {"test_library.py"}, "that one needs Python's module"


class Item:
    """A test of pytest, as far as harness.leave_out() looks at it."""

    def __init__(self, *marks):
        self.marks = marks

    def iter_markers(self, name):
        return [one.mark for one in self.marks if one.mark.name == name]


@pytest.mark.parametrize("here", ["qemu", "usermode"])
def test_a_test_that_cannot_pass_on_a_machine_is_left_out_there(monkeypatch, here):
    monkeypatch.setattr(harness, "USERMODE", here == "usermode")
    both = Item(pytest.mark.cost(3))
    other = {name: Item(harness.only_on(name, "for a good reason"), pytest.mark.cost(2)) for name in ("qemu", "usermode")}
    items = [both, *other.values()]
    left_out = harness.leave_out(items)
    assert items == [both, other.pop(here)] and left_out == list(other.values())
    with pytest.raises(AssertionError):
        harness.only_on("qemu", "")
    with pytest.raises(AssertionError, match="everywhere"):
        harness.leave_out([Item(*(harness.only_on(name, "for a good reason") for name in ("qemu", "usermode")))])


def test_every_entry_is_told_where_the_programs_and_the_environments_are():
    lacking = [name for name, (_, variables) in entries().items()
               if not {"PYRO_TEST_BIN", "PYRO_TEST_CACHE"} <= variables.keys() and not name.endswith("_NOT_BUILT")]
    assert sorted(lacking) == ["programs_load_the_c_library_alone", "pull_test_environments"]


PYTEST_RESULTS = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" tests="4">
<testcase classname="fault.test_kill" name="test_kills[0]" time="12.5"><properties>
<property name="kills" value="17" /></properties></testcase>
<testcase classname="fault.test_kill" name="test_short" time="0.25" />
<testcase classname="fault.test_kill" name="test_skipped" time="0"><skipped message="no root" /></testcase>
<testcase classname="fault.test_kill" name="test_broken" time="1"><failure message="assert 0">…</failure></testcase>
</testsuite></testsuites>"""

GTEST_RESULTS = """<?xml version="1.0" encoding="UTF-8"?><testsuites tests="3" name="AllTests"><testsuite name="FrameTest">
<testcase name="IsRead" status="run" result="completed" time="0.5" classname="FrameTest" />
<testcase name="IsSkipped" status="run" result="skipped" time="0" classname="FrameTest">
<skipped message="why" /></testcase></testsuite></testsuites>"""


def test_the_summary_counts_tests_and_kills_and_names_what_did_not_pass(tmp_path):
    (tmp_path / "fault.kill.1.xml").write_text(PYTEST_RESULTS)
    # CMake makes directories of a name such as Qemu/ContractTest.Boots/Qemu.
    (tmp_path / "Qemu/WireTest").mkdir(parents=True)
    (tmp_path / "Qemu/WireTest/Qemu.xml").write_text(GTEST_RESULTS)
    lines = summarize_tests.summary([tmp_path])
    assert lines[0] == "The slowest 6 of 6 tests:"
    assert lines[1].split() == ["12.5", "s", "fault.kill.1", "test_kills[0]"]
    assert lines[3].split() == ["0.5", "s", "FrameTest.IsRead"]
    assert "skipped: fault.kill.1 test_skipped" in lines and "skipped: Qemu/WireTest/Qemu FrameTest.IsSkipped" in lines
    assert "failed: fault.kill.1 test_broken" in lines
    assert lines[-1] == ("6 tests ran: 2 of GoogleTest, 4 of pytest; 3 passed, 2 skipped, 1 failed; 17 kills")


@pytest.mark.parametrize("text, count", [
    ("assert a\nassert b, c\n", 2), ("with pytest.raises(E):\n  f()\n", 1), ("pytest.fail('x')", 1), ("f(assertion)", 0)])
def test_assertions_of_python_are_counted(text, count):
    assert summarize_tests.assertions_of_python(text) == count


def test_the_sources_have_tests_of_both_kinds():
    counts = [int(word) for word in summarize_tests.sources(harness.ROOT).replace(";", "").split() if word.isdigit()]
    assert len(counts) == 4 and all(count > 300 for count in counts), counts
