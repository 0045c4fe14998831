"""What `make bench` makes of measurements, without any: medians, ratios, rounds, the table and the picture."""

import pathlib
import subprocess
import sys
import threading
import xml.etree.ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import figures  # noqa: E402
import host  # noqa: E402
import raw_guest  # noqa: E402
import rounds  # noqa: E402
import table  # noqa: E402
import timeline  # noqa: E402

AT_MOST_HALF = figures.Goal(0.5, "≤ 0.5")


def test_a_spread_has_median_tenths_and_the_median_distance():
    spread = figures.Spread.of([float(value) for value in range(11)])
    assert (spread.median, spread.p10, spread.p90, spread.mad, spread.count) == (5, 1, 9, 3, 11)
    one = figures.Spread.of([7.0])
    assert (one.median, one.p10, one.p90, one.mad, one.count) == (7, 7, 7, 0, 1)
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
    assert lines[3].strip() == "100 / 400 ms"
    assert lines[4].endswith("not measured")
    assert lines[5].strip() == "not measured: there is no such program"


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
