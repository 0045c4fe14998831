#!/usr/bin/env python3
"""One step of kvm_check.py, as the user who calls it: templates, verdicts N, times or tests [EXPRESSION] in the outer machine,
and here N, which counts verdicts on this host."""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("PYRO_TEST_BIN") or TESTS.parent)
BASE = "debian:12-base"
CACHE = pathlib.Path(os.environ.get("PYRO_TEST_CACHE") or pathlib.Path.home() / "cache")
STATE = pathlib.Path(os.environ.get("PYRO_STATE_DIR") or pathlib.Path.home() / "state")
LOOPS = (0, 2, 8)
# pyro gives a guest 120 s for its boot. A busy host makes that little here: a boot of 10 s then takes more than 60.
TRIES = 3
# Each starts its guests here in 3 to 10 s, on a quiet host; so a few of each kind.
CHOSEN = """
vm/test_run.py::test_both_streams_and_the_exit_code
vm/test_run.py::test_a_guest_has_no_virtualisation_of_its_own
vm/test_signals.py::test_the_end_of_a_killed_guest_is_told
vm/test_task.py::test_a_killed_guest_loses_nothing
vm/test_task.py::test_a_stopped_task_comes_back_with_its_root_and_workspace
vm/test_spares.py::test_a_task_takes_one_with_all_that_is_a_tasks
fault/test_owner.py::test_a_stranger_that_looks_in_first_does_not_become_the_owner
fault/test_broken_files.py::test_a_registry_removed_below_a_running_guest
""".split()
FOR_USER = """
vm/test_run.py::test_the_guests_clock_is_right
vm/test_run.py::test_cpus_and_memory_are_as_asked
vm/test_run.py::test_the_least_memory_boots
vm/test_run.py::test_four_runs_at_a_time
vm/test_machine.py::test_kvm_where_it_does_not_work_is_refused_with_the_remedy
vm/test_signals.py::test_a_signal_while_the_guest_boots
vm/test_signals.py::test_the_end_of_a_killed_supervisor_is_told
vm/test_task.py::test_a_killed_cli_leaves_its_command_running
vm/test_task_ends.py::test_the_lease_ends_by_itself_and_an_exec_brings_it_back
vm/test_spares.py::test_a_killed_spare_stops_no_run
vm/test_warm.py::test_no_two_clones_agree
vm/test_warm.py::test_a_task_starts_warm_and_so_it_does_again_with_its_disk
fault/test_owner.py::test_a_supervisor_killed_in_the_middle_of_a_run_leaves_nothing
""".split()
# Network namespaces stand for the world there.
FOR_ROOT = """
vm/test_network.py::test_with_network_there_is_one_device_and_a_route
vm/test_network.py::test_the_hosts_loopback_is_out_of_reach_with_network
vm/test_network.py::test_without_network_there_is_no_device
""".split()


def pyro(*words, env=None, seconds=300):
    """The finished process; its exit code is 124 after that time."""
    whole = dict(os.environ, PYRO_CACHE_DIR=str(CACHE), PYRO_STATE_DIR=str(STATE), TMPDIR="/var/tmp") | (env or {})
    words = ["timeout", "--foreground", "--signal=INT", str(seconds), str(BIN / "pyro"), *words]
    return subprocess.run(words, env=whole, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def must(*words, **options):
    done = pyro(*words, **options)
    if done.returncode != 0:
        sys.exit(f"pyro {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def templates():
    """Those of a run and of a task."""
    begun = time.monotonic()
    for _ in range(TRIES):
        done = pyro("env", "pull", BASE, seconds=1800)
        made = [one for one in (CACHE / "templates").glob("[!.]*") if one.is_dir()]
        if done.returncode != 0 or len(made) == 2:
            break
        print(f"  {BASE}: {len(made)} templates of 2 after {time.monotonic() - begun:.0f} s\n{done.stdout}{done.stderr}", flush=True)
    if done.returncode != 0 or len(made) != 2:  # It is no error of a pull that there are no templates.
        sys.exit(f"{BASE}: {len(made)} templates, not 2\n{done.stdout}{done.stderr}")
    print(f"  {BASE}: templates after {time.monotonic() - begun:.0f} s", flush=True)


def verdict(directory):
    """The probe's verdict, with nothing from before, and what `pyro doctor` took for it. No environment is installed in there, so it
    starts no other guest."""
    (directory / "accelerator.json").unlink(missing_ok=True)
    begun = time.monotonic()
    report = json.loads(pyro("doctor", "--json", env={"PYRO_CACHE_DIR": str(directory), "PYRO_STATE_DIR": str(directory / "state")}).stdout)
    return report["accelerator"], time.monotonic() - begun


def verdicts(count, right="kvm"):
    """With other work beside the probe. `right` is the accelerator that each of them must name."""
    wrong = 0
    for loops in LOOPS:
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
        try:
            with tempfile.TemporaryDirectory(prefix="pyro-verdicts-") as directory:
                found = [verdict(pathlib.Path(directory)) for _ in range(int(count))]
        finally:
            for one in busy:
                one.kill()
                one.wait()
        names = [accelerator["name"] for accelerator, _ in found]
        seconds = [spent for _, spent in found]
        wrong += len(names) - names.count(right)
        print(f"  {loops} busy loops: {right} in {names.count(right)} of {len(names)} verdicts; 'pyro doctor' took {min(seconds):.1f} to "
              f"{max(seconds):.1f} s, median {statistics.median(seconds):.1f}; such as: {found[-1][0]['reason']}", flush=True)
        for accelerator, _ in found:
            if accelerator["name"] != right:
                print(f"    wrong: {accelerator}", flush=True)
    return wrong == 0


def here(count):
    """Verdicts on this host. Right is the accelerator with which a guest boots sooner."""
    boots = {}
    for machine in ("kvm", "tcg"):
        boots[machine], told = boot(machine)
        print(f"  {machine}, boot: {told}", flush=True)
    able = [machine for machine, ready in boots.items() if ready is not None]
    if not able:
        sys.exit("no guest boots here")
    return verdicts(count, min(able, key=boots.get))


def run_ms(*flags, env=None):
    """Milliseconds until the guest takes commands, and until nothing is left."""
    for _ in range(TRIES):
        done = pyro("run", "--json", "--timeout-seconds", "280", *flags, BASE, "--", "true", env=env)
        if "did not boot within" not in done.stdout:
            break
        print(f"  {json.loads(done.stdout)['error']['message'].splitlines()[0]}", flush=True)
    if done.returncode != 0:
        sys.exit(f"no run: {done.stdout}{done.stderr}")
    report = json.loads(done.stdout)
    timings = report["timings"]
    return report["machine"], timings["start"], timings["ready_ms"], timings["removed_ms"]


def boot(machine):
    """Milliseconds until a guest of that machine takes commands, None if it does not; and that in words."""
    begun = time.monotonic()
    done = pyro("run", "--json", "--machine", machine, "--timeout-seconds", "280", BASE, "--", "true", env={"PYRO_WARM_START": "0"})
    report = json.loads(done.stdout)
    ready = report["timings"]["ready_ms"] if done.returncode == 0 else None
    told = report["error"]["message"].splitlines()[0] if ready is None else f"takes commands after {ready} ms"
    return ready, f"{told} (all: {time.monotonic() - begun:.0f} s)"


def times():
    """Boot, template, spare and exec under KVM, and a boot under TCG."""
    right = True
    for kind, env in (("boot", {"PYRO_WARM_START": "0"}), ("template", {})):
        found = [run_ms(env=env) for _ in range(2)]
        right = right and all(one[:2] == ("kvm", kind) for one in found)
        print(f"  kvm, {kind}: takes commands / nothing is left after "
              f"{', '.join(f'{ready} / {removed}' for *_, ready, removed in found)} ms", flush=True)
    must("warm", BASE, "--count", "1")
    spare = run_ms()
    must("warm", BASE, "--count", "0")
    right = right and spare[:2] == ("kvm", "spare")
    print(f"  kvm, {spare[1]}: {spare[2]} / {spare[3]} ms", flush=True)
    task = json.loads(must("task", "create", "--json", BASE))["task_id"]
    spent = []
    for _ in range(6):
        begun = time.monotonic()
        must("task", "exec", "--timeout-seconds", "250", task, "--", "true")
        spent.append(round(1000 * (time.monotonic() - begun)))
    must("task", "delete", task)
    print(f"  kvm, task exec of 'true' in a running guest: {', '.join(map(str, spent[1:]))} ms", flush=True)
    if os.geteuid() != 0:  # Once is enough: it takes minutes.
        print(f"  tcg, boot: {boot('tcg')[1]}", flush=True)
    return right


def tests(*only):
    chosen = CHOSEN + (FOR_ROOT if os.geteuid() == 0 else FOR_USER)
    environment = dict(os.environ, PYRO_TEST_BIN=str(BIN), PYRO_TEST_CACHE=str(CACHE), PYRO_REQUIRE_QEMU="1", PYRO_TEST_FULL=BASE, TMPDIR="/var/tmp")
    with tempfile.TemporaryDirectory(prefix="pytest-") as memory:
        words = [sys.executable, "-B", "-m", "pytest", "-v", "-rfEs", "--durations=0", "--durations-min=0.5", "--tb=short", "-o", f"cache_dir={memory}",
                 f"--basetemp={CACHE}/pytest"]  # Where memory has huge pages.
        words += ["-k", *only] if only else []
        if subprocess.run([*words, *chosen], cwd=TESTS, env=environment).returncode == 0:
            return True
        # --last-failed knows no file in which none failed, and so refuses a test of it that is named.
        kept = pathlib.Path(memory, "v/cache/lastfailed")
        failed = list(json.loads(kept.read_text())) if kept.exists() else []
        if not failed:
            return False
        print("  those that failed, alone once more: a fault fails again, and what only took too long does not", flush=True)
        return subprocess.run([*words, *failed], cwd=TESTS, env=environment).returncode == 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(1))  # So that busy loops end, too.
    step = {"templates": templates, "verdicts": verdicts, "here": here, "times": times, "tests": tests}[sys.argv[1]]
    sys.exit(0 if step(*sys.argv[2:]) in (True, None) else 1)
