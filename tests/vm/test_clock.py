"""The guest's clock beside the host's: steps, pauses and drift."""

import subprocess
import time

import harness
import pytest
import stepped_clock

TESTS = harness.BIN.parent / "tests"
HOUR = 3600

# A struct timex of adjtimex(2): `modes` at 0, `offset` at 8, `tick` at 88.
ADJTIMEX = "my $x = pack('L x4 q x72 q x112', {modes}, 0, {tick}); syscall(159, $x) >= 0 or die $!; print((unpack('L x4 q', $x))[1]);"
ADJ_TICK = 0x4000
ADJ_OFFSET_SS_READ = 0xa001
FAST = 11000  # A tenth faster than it should be: the kernel allows no more.


@pytest.fixture
def step_to(pyro, scratch):
    """step_to(seconds): the supervisors' clock is so far ahead of this host's from now on."""
    clock = stepped_clock.SteppedClock(scratch / "programs")
    clock.use(pyro)
    return clock.step_to


def ahead(task):
    """How far the guest's clock is ahead of this host's, in seconds: the nearest that it can be."""
    before = time.time()
    done = task.exec("date", "+%s.%N")
    assert done.code == 0, done
    shown = float(done.text)
    return shown - min(max(shown, before), time.time())


def adjtimex(task, modes, tick=0):
    done = task.exec("perl", "-e", ADJTIMEX.format(modes=modes, tick=tick))
    assert done.code == 0, done
    return int(done.text)


@pytest.mark.cost(5)
def test_the_guests_clock_follows_each_step_of_the_hosts(step_to, create):
    task = create()
    assert abs(ahead(task)) < HOUR / 60
    for seconds in (2 * HOUR, -HOUR, 0):
        step_to(seconds)
        harness.wait_until(lambda: abs(ahead(task) - seconds) < HOUR / 60, f"the guest's clock is {seconds} s ahead")


@pytest.mark.cost(5)
def test_a_guest_that_starts_has_the_time_of_its_start(step_to, create):
    step_to(2 * HOUR)
    task = create()
    assert abs(ahead(task) - 2 * HOUR) < HOUR / 60
    task.stop()
    step_to(-HOUR)
    assert abs(ahead(task) + HOUR) < HOUR / 60


@pytest.mark.cost(20)
def test_a_small_difference_is_made_good_by_and_by(step_to, create):
    task = create()
    assert adjtimex(task, ADJ_OFFSET_SS_READ) == 0
    step_to(-0.3)
    left = harness.wait_until(lambda: adjtimex(task, ADJ_OFFSET_SS_READ), "the guest's clock is slewed")
    assert -500_000 <= left < 0


@pytest.mark.cost(40)
def test_a_clock_that_drifts_is_brought_back_again_and_again(create):
    task = create()
    adjtimex(task, ADJ_TICK, FAST)
    for _ in range(2):
        most = [0.0]

        def brought_back():
            now = ahead(task)
            most[0] = max(most[0], now)
            return now < most[0] - 0.3

        harness.wait_until(brought_back, lambda: f"the guest's clock is at most {most[0]} s ahead", 120)


def test_steps_of_a_clock_are_told_by_the_kernel(pyro):
    """In a guest, whose clock is the test's to step."""
    test = TESTS / "sys_test"
    if not test.exists():
        harness.cannot_run(f"there is no {test}")
    loaded = subprocess.run(["ldd", test], capture_output=True, text=True, check=True).stdout
    files = [test, *(word for line in loaded.splitlines() for word in line.split() if word.startswith("/"))]
    packed = subprocess.run(["tar", "-chf", "-", *files], capture_output=True, check=True).stdout
    script = ("tar -xf - -C / --no-same-owner --skip-old-files --keep-directory-symlink; "
              f"PYRO_TEST_CLOCK_IS_MINE=1 {test} --gtest_filter='ClockStepsTest.*'")
    done = pyro.run("sh", "-c", script, input=packed)
    assert done.code == 0 and "[  PASSED  ] 3 tests." in done.text, done
    assert "SKIPPED" not in done.text, done
