"""What `make bench` makes of measurements, without any: medians, ratios, rounds, the table and the picture."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import archive  # noqa: E402
import bench  # noqa: E402
import figures  # noqa: E402
import host  # noqa: E402
import program  # noqa: E402
import raw_guest  # noqa: E402
import rounds  # noqa: E402
import rows_suites  # noqa: E402
import rows_work  # noqa: E402
import table  # noqa: E402
import timeline  # noqa: E402

AT_MOST_HALF = figures.Goal(0.5, "≤ 0.5")


def test_a_spread_has_median_tenths_and_the_median_distance():
    spread = figures.Spread.of([float(value) for value in range(11)])
    assert (spread.median, spread.p10, spread.p90, spread.mad, spread.count) == (5, 1, 9, 3, 11)
    one = figures.Spread.of([7.0])
    assert (one.median, one.p10, one.p90, one.mad, one.count) == (7, 7, 7, 0, 1)
    assert (spread.least, spread.most, spread.text) == (0, 10, "5.00 (0.00 to 10.0)")
    assert one.text == "7.00"
    with pytest.raises(ValueError):
        figures.Spread.of([])


def test_quantiles_lie_between_the_closest_ranks():
    assert figures.quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert figures.quantile([1.0, 2.0], 0.1) == pytest.approx(1.1)
    assert figures.quantile([1.0, 2.0], 1.0) == 2.0


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds():
    found = figures.ratio([1.0, 2.0, 9.0], [2.0, 4.0, 6.0])
    assert found.median == 0.5
    assert found.p90 > 1 and found.count == 3
    with pytest.raises(ValueError):
        figures.ratio([1.0], [1.0, 2.0])


def test_noise_that_both_sides_share_is_not_in_the_ratio():
    quiet, busy = [1.0, 1.0, 1.0, 1.0], [1.0, 5.0, 1.0, 5.0]
    assert figures.ratio([2 * value for value in busy], busy).mad == 0
    assert figures.ratio(quiet, busy).mad > 0


def test_a_goal_is_met_at_its_limit_and_not_beyond():
    assert AT_MOST_HALF.met_by(0.5) and not AT_MOST_HALF.met_by(0.51)
    at_least = figures.Goal(2.0, "≥ 2", at_least=True)
    assert at_least.met_by(2.0) and not at_least.met_by(1.99)


def test_every_row_says_whether_its_goal_is_met():
    def verdict(ours, goal):
        return figures.ratio_row("a", "b", goal, ours, [2.0, 2.0]).verdict

    assert verdict([1.0, 1.0], AT_MOST_HALF) == "met"
    assert verdict([1.5, 1.5], AT_MOST_HALF) == "not met"
    assert verdict([1.5, 1.5], None) == "no goal"
    assert figures.Row("a", goal=AT_MOST_HALF, why="no such program").verdict == "not measured"


def test_contenders_take_turns_and_the_first_round_does_not_count():
    calls = []

    def contender(name):
        return lambda: calls.append(name) or float(len(calls))

    series = rounds.interleave({"a": contender("a"), "b": contender("b")}, 2, 1000)
    assert calls == ["a", "b", "b", "a", "a", "b"]
    assert series.values == {"b": [3.0, 6.0], "a": [4.0, 5.0]}
    assert not series.cut_short


def test_without_a_warm_up_the_first_round_counts():
    calls = []
    series = rounds.interleave({"a": lambda: calls.append(1) or float(len(calls))}, 2, 1000, warm_up=False)
    assert series.values == {"a": [1.0, 2.0]}


def test_one_that_fails_is_out_with_a_reason_and_the_others_go_on():
    calls = []

    def fails_later():
        calls.append(1)
        if len(calls) == 3:
            raise rounds.Failed("it broke")
        return 1.0

    series = rounds.interleave({"a": lambda: 1.0, "b": fails_later}, 4, 1000)
    assert series.values == {"a": [1.0] * 4}
    assert series.missing("a", "b") == "b: it broke"
    assert len(calls) == 3


def test_when_time_is_up_rounds_end_but_not_before_the_least():
    now = [0.0]

    def slow():
        now[0] += 10
        return 1.0

    series = rounds.interleave({"a": slow}, 20, 45, least=3, clock=lambda: now[0])
    assert series.cut_short and len(series.values["a"]) == 4
    series = rounds.interleave({"a": slow}, 20, 1, least=3, clock=lambda: now[0])
    assert series.cut_short and len(series.values["a"]) == 3


def test_the_table_shows_value_spread_goal_and_reason():
    rows = [figures.ratio_row("`one`", "other", AT_MOST_HALF, [0.1, 0.1], [0.4, 0.4]),
            figures.Row("two", goal=AT_MOST_HALF, why="there is no such program")]
    lines = table.format_table(rows).splitlines()
    assert lines[0].split() == ["figure", "against", "value", "p10", "to", "p90", "goal"]
    assert lines[2].split() == ["one", "other", "0.25", "0.25", "to", "0.25", "(n=2)", "≤", "0.5", "met"]
    assert lines[3].strip() == "100 (100 to 100) / 400 (400 to 400) ms"
    assert lines[4].endswith("not measured")
    assert lines[5].strip() == "not measured: there is no such program"


def test_a_figure_with_a_unit_shows_its_least_and_its_most():
    row = figures.Row("memory", unit="MiB", spread=figures.Spread.of([1.0, 2.0, 4.0]), sides="in all 7")
    assert table.format_table([row]).splitlines()[3].strip() == "1.00 to 4.00 MiB; in all 7"


def test_a_row_of_a_series_says_why_it_is_missing():
    series = rounds.interleave({"a": lambda: 1.0}, 2, 1000)
    series.why["b"] = "it broke"
    assert figures.series_row(series, "x", "y", AT_MOST_HALF, "a", "b").why == "b: it broke"
    series = rounds.interleave({"a": lambda: 1.0, "b": lambda: 4.0}, 2, 1000)
    assert figures.series_row(series, "x", "y", AT_MOST_HALF, "a", "b").spread.median == 0.25


def test_json_keeps_every_sample():
    form = table.as_json(figures.ratio_row("a", "b", AT_MOST_HALF, [0.1, 0.2], [0.4, 0.5]))
    assert form["samples"] == {"ours": [0.1, 0.2], "theirs": [0.4, 0.5]}
    assert form["verdict"] == "met" and form["spread"]["count"] == 2


def test_steps_of_timings_are_taken_under_any_name():
    runs = [{"prepared_ms": 1, "new_step_ms": 5, "ready_ms": None, "word": "x", "flag_ms": True},
            {"prepared_ms": 3, "new_step_ms": 7}]
    assert table.median_of_steps(runs) == {"prepared_ms": 2, "new_step_ms": 6}


def test_the_picture_is_xml_and_its_segments_fill_the_bar():
    steps = {"ready_ms": 80.0, "prepared_ms": 10.0, "process_ms": 100.0}
    assert [(begin, end) for _, begin, end in timeline.segments(steps)] == [(0, 10), (10, 80), (80, 100)]
    drawn = timeline.draw([("warm & <fast>", steps)], {"other": 400.0}, ["a footer"])
    root = xml.etree.ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert "warm & <fast>" in texts and "100 ms" in texts and "other: 400 ms →" in texts


def test_raw_guests_have_the_processor_and_the_kernel_arguments_of_pyros():
    source = (raw_guest.ROOT / "src/vmm/qemu/argv.cc").read_text()
    assert f'"{raw_guest.EMULATED_CPU}"' in source
    assert f'"{raw_guest.EMULATED_ARGUMENTS}"' in source
    for word in raw_guest.KERNEL_ARGUMENTS.split():
        assert word in source, word


def test_threads_share_memory_and_processes_do_not():
    found = []
    other = threading.Thread(target=lambda: found.append(host.share_memory(threading.get_native_id(), threading.main_thread().native_id)))
    other.start()
    other.join()
    assert found == [True]
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        assert not host.share_memory(child.pid, threading.main_thread().native_id)
        child.communicate()
    with pytest.raises(ProcessLookupError):
        host.share_memory(child.pid, threading.main_thread().native_id)


def alive(pid: int) -> bool:
    process = host.read_process(pid)
    return process is not None and process.state not in "ZX"


def test_a_process_that_a_program_leaves_behind_is_not_waited_for():
    _, done = program.timed(["sh", "-c", "sleep 1000 & echo $!"], stdout=subprocess.PIPE)
    left = int(done.stdout)
    try:
        assert alive(left)
    finally:
        os.kill(left, signal.SIGKILL)


def test_a_program_that_hangs_is_killed_with_all_below_it(tmp_path):
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    with open(pipe, "r+b", buffering=0) as said:
        with pytest.raises(rounds.Failed, match="not at its end"):
            program.timed(["sh", "-c", f"sleep 1000 & echo $! >{pipe}; wait"], seconds=1)
        pid = int(said.readline())
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(end) as file:
        assert select.select([file], [], [], 60)[0]


WAITS_FOR_AN_ORPHAN = """import sys
sys.path.insert(0, sys.argv[1])
import host, program
host.adopt_orphans()
program.timed(["sh", "-c", "(sleep 0.1 & echo $! >$0); while kill -0 $(cat $0); do sleep 0.1; done", sys.argv[2]], seconds=40)
"""


def test_a_program_may_wait_until_a_process_that_we_adopted_is_gone(tmp_path):
    """As `runsc delete` does for its sandbox."""
    folder = pathlib.Path(program.__file__).parent
    subprocess.run([sys.executable, "-B", "-c", WAITS_FOR_AN_ORPHAN, folder, tmp_path / "pid"], check=True, timeout=50)


def test_a_program_that_fails_is_told_by_its_last_words():
    with pytest.raises(rounds.Failed, match="exit code 3 from sh .*: and why"):
        program.timed(["sh", "-c", "echo first >&2; echo and why >&2; exit 3"])


def test_a_wait_without_a_limit_is_ended_with_its_group():
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(bench.Overdue):
        with bench.bounded(0.05):
            while True:
                signal.pause()
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_the_beginning_of_their_names_means_several_groups():
    assert bench.groups("memory,start") == ["memory", "start"]
    found = bench.groups("usermode")
    assert len(found) == 6 and all(name.startswith("usermode-") for name in found)
    with pytest.raises(KeyError, match="other"):
        bench.groups("start,other")


def test_a_newer_suite_comes_from_the_mirrors_of_the_hosts_own():
    targets = "one:/debian/|here|main\none:/debian/|here|contrib\none:/debian/|here-updates|main\ntwo:/debian/|here|main\none:/debian/|here|main\n"
    assert archive.mirrors(targets, "here") == ["one:/debian/", "two:/debian/"]
    assert archive.mirrors(targets, "there") == []


class SuiteHere:
    """A place whose suite says how many tests it ran."""

    def __init__(self, said: str):
        self.said = said

    def call(self, command, seconds):
        return 1.0, self.said.encode()


def test_a_suite_that_runs_other_tests_elsewhere_is_not_compared():
    project = rows_suites.PROJECTS[1]
    suite = rows_suites.Suite(None, project, pathlib.Path(), "runsc")
    suite.makers = {"a": lambda: SuiteHere("5 passed"), "b": lambda: SuiteHere("4 passed"), "c": lambda: SuiteHere("no word")}
    assert suite.contender("a")() == 1.0
    with pytest.raises(rounds.Failed, match="not the same tests"):
        suite.contender("b")()
    with pytest.raises(rounds.Failed, match="no test"):
        suite.contender("c")()


def test_what_the_clock_says_of_a_program_is_less_than_the_whole_command():
    taken, done = program.timed([sys.executable, "-c", rows_work.CLOCK, "true"], stdout=subprocess.PIPE)
    assert 0 < float(done.stdout) < taken


def test_what_a_kernel_takes_is_measured_by_a_program_of_its_own():
    _, done = program.timed([sys.executable, "-B", "-c", rows_work.COSTS.read_text()], stdout=subprocess.PIPE)
    costs = json.loads(done.stdout)
    assert list(costs) == ["system call", "page fault", "process"]
    assert costs["system call"] < costs["process"] and 0 < costs["page fault"] < costs["process"]
