"""The fuzz targets: each has seeds, and the program that runs them tells what ended one."""

import re
import subprocess
import sys

import harness

PROGRAM = harness.ROOT / "tools/fuzz.py"
CORPUS = harness.ROOT / "fuzz/corpus"
TARGETS = re.findall(r"^pyro_fuzz\((\w+)", (harness.ROOT / "fuzz/CMakeLists.txt").read_text(), re.MULTILINE)


def test_each_target_has_seeds_and_a_source_and_no_seed_is_of_another():
    assert len(TARGETS) == len(set(TARGETS)) > 40
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    for name in TARGETS:
        assert any((CORPUS / name).iterdir()), name
        assert (harness.ROOT / f"fuzz/{name}.cc").is_file(), name
    assert {path.stem for path in (harness.ROOT / "fuzz").glob("*_fuzz.cc")} == set(TARGETS)


def made_up(build, name, script):
    """A program in a target's place."""
    (build / "fuzz").mkdir(exist_ok=True)
    with open(build / "fuzz/targets.txt", "a", encoding="utf-8") as file:
        file.write(f"{name} base/mask.cc\n")
    path = build / "fuzz" / name
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)


STATISTICS = """
echo '#8 DONE   cov: 321 ft: 5 corp: 2/3b' >&2
echo 'stat::number_of_executed_units: 1234' >&2
echo 'stat::average_exec_per_sec:     56' >&2
echo 'stat::peak_rss_mb:              78' >&2
"""


def run(build, *words):
    return subprocess.run([sys.executable, "-B", PROGRAM, "--build", build, "--found", build / "found", *words],
                          capture_output=True, text=True, check=False)


def test_the_table_has_the_figures_of_each_target(tmp_path):
    made_up(tmp_path, "mask_fuzz", STATISTICS)
    done = run(tmp_path, "--minutes", "0.02")
    assert done.returncode == 0, done
    row = done.stdout.splitlines()[1].split()
    assert row == ["mask_fuzz", "1234", "56", "321", "0", "78", "passed"], done.stdout
    assert done.stdout.splitlines()[-1] == "1 targets, 0.02 minutes each, 1234 executions; 0 failed"


def test_a_target_that_fails_is_told_with_its_input_and_its_words(tmp_path):
    made_up(tmp_path, "mask_fuzz", STATISTICS)
    made_up(tmp_path, "wire_fuzz", """
for word; do case $word in -artifact_prefix=*) echo x > "${word#*=}crash-1";; esac; done
echo 'ERROR: AddressSanitizer: heap-use-after-free' >&2
exit 77
""")
    done = run(tmp_path)
    assert done.returncode == 1, done
    assert "heap-use-after-free" in done.stdout and "crashes/wire_fuzz/crash-1" in done.stdout, done.stdout
    assert "1 failed" in done.stdout.splitlines()[-1]
    only = run(tmp_path, "mask_fuzz")
    assert only.returncode == 0 and "wire_fuzz" not in only.stdout, only


def test_a_name_that_is_no_target_is_refused_with_those_that_are(tmp_path):
    made_up(tmp_path, "mask_fuzz", STATISTICS)
    done = run(tmp_path, "mask")
    assert done.returncode != 0 and "no target is named mask; these are: mask_fuzz" in done.stderr, done


def test_a_disk_that_is_too_small_is_told_before_anything_is_built(tmp_path):
    done = subprocess.run([harness.ROOT / "tools/enough_disk.sh", tmp_path / "build", "100000000"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1 and re.fullmatch(
        r"pyro: \d+ GiB are needed here, and \d+ GiB are free: make room on the disk of \S+\n", done.stderr), done
    assert subprocess.run([harness.ROOT / "tools/enough_disk.sh", tmp_path / "build", "0"], check=False).returncode == 0
