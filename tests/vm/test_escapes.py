"""The escape table from within a guest: root in it tries to reach this host. Each way is gone outside as well,
where it must lead somewhere."""

import os
import pathlib
import shutil
import socket
import subprocess
import time

import harness
import pytest

TESTS = harness.BIN.parent / "tests"


class Outside:
    """What is there to reach on the host."""

    def __init__(self, scratch, task):
        self.secret = scratch / "secret"
        self.secret.write_text("of the host\n")
        self.task = task
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.path = scratch / "socket"
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(self.path))
        self.unix.listen()
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0pyro-escape-{os.getpid()}")
        self.abstract.listen()

    def close(self):
        for one in (self.listener, self.unix, self.abstract):
            one.close()

    def ways(self):
        """Names, and scripts for Perl and a shell that print "reached" and nothing else when the host was."""
        reach = "&& echo reached"
        perl = "use Socket; socket(S, {family}, SOCK_STREAM, 0); print \"reached\\n\" if connect(S, {address})"

        def connect(family, address):
            return f"perl -e '{perl.format(family=family, address=address)}'"

        return {
            "read a file of the host": f"grep -q 'of the host' {self.secret} {reach}",
            "read a file of the task's directory": f"test -s {self.task.directory}/manifest.json {reach}",
            "read the task's journal": f"ls {self.task.directory}/data.img {reach}",
            "connect to a socket with a path": connect("AF_UNIX", f'sockaddr_un("{self.path}")'),
            "connect to the supervisor": connect("AF_UNIX", f'sockaddr_un("{self.task.directory}/control.sock")'),
            "connect to an abstract socket": connect("AF_UNIX", f'sockaddr_un("\\0pyro-escape-{os.getpid()}")'),
            "connect to the host's loopback": connect(
                "AF_INET", f'sockaddr_in({self.port}, inet_aton("127.0.0.1"))'),
            "signal a process of the host": f"test \"$(cat /proc/{os.getpid()}/comm)\" = \"{comm()}\" && "
                                            f"kill -0 {os.getpid()} {reach}",
            "read the variables of a process": f"grep -q PATH= /proc/{os.getpid()}/environ {reach}",
            "see the host's processes": f"grep -l pyro-supervisor /proc/[0-9]*/comm 2>/dev/null | grep -q . {reach}",
            "see the host's root file system": f"ls -d {harness.ROOT} {reach}",
            "see the host's name": f"test \"$(hostname)\" = \"{os.uname().nodename}\" {reach}",
        }


def comm():
    return pathlib.Path("/proc/self/comm").read_text().strip()


@pytest.fixture
def task(create):
    return create(environment=harness.FULL)


@pytest.fixture
def outside(scratch, task):
    made = Outside(scratch, task)
    yield made
    made.close()


def test_no_way_leads_from_the_guest_to_the_host(task, outside):
    for name, script in outside.ways().items():
        here = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
        assert here.stdout.endswith("reached\n"), f"{name}: {here}"
        done = task.exec("sh", "-c", f"{script}; true")
        assert "reached" not in done.text, f"{name}: {done}"
        assert done.code == 0, f"{name}: {done}"


def changes_of(host):
    """What root of a guest changes for itself, and how the host tells its own."""
    return {
        "the name of the host": ("hostname escaped && hostname", "hostname", "escaped"),
        "the clock": ("date -s 2001-01-01 >/dev/null && date +%Y", "date +%Y", "2001"),
        "where crashes are written": (
            "echo escaped > /proc/sys/kernel/core_pattern && cat /proc/sys/kernel/core_pattern",
            "cat /proc/sys/kernel/core_pattern", "escaped"),
        "a mount": (f"mkdir -p {host}/mnt && mount -t tmpfs none {host}/mnt && grep -c {host}/mnt /proc/mounts",
                    f"grep -c {host}/mnt /proc/mounts", "1"),
        "a device": ("mknod /dev/escaped c 1 3 && test -c /dev/escaped && echo made",
                     "test -e /dev/escaped && echo made", "made"),
    }


@pytest.mark.parametrize("what", list(changes_of("")))
def test_what_root_of_the_guest_changes_is_the_guests_alone(task, scratch, what):
    inside, outside, changed = changes_of(scratch)[what]
    assert task.exec("sh", "-c", inside).text.strip() == changed
    here = subprocess.run(["sh", "-c", outside], capture_output=True, text=True, check=False)
    assert here.stdout.strip() != changed, here


def usage(task):
    """Processes and KiB of memory of the task's processes on the host."""
    processes = task.processes()
    memory = 0
    for one in processes:
        try:
            text = pathlib.Path(f"/proc/{one.pid}/smaps_rollup").read_text()
        except OSError:
            continue
        memory += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return len(processes), memory


@pytest.mark.cost(5)
def test_a_fork_bomb_stays_in_the_guest(task):
    bomb = "b() { b | b & }; b; sleep 3; echo after"
    process = task.start("bash", "-c", f"ulimit -u unlimited; {bomb}", flags=("-q", "--timeout-seconds", "20"))
    most = 0
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        most = max(most, usage(task)[0])
        assert subprocess.run(["true"], check=False).returncode == 0
        time.sleep(0.3)
    assert most < 8300, "the bound on processes of its jail is 8192"
    harness.finish(process)
    task.kill_guest()
    assert task.exec("echo", "again").text == "again\n"


def test_all_memory_of_the_guest_is_no_more_of_the_host(task):
    process = task.start("sh", "-c", "for i in 1 2 3 4; do perl -e '$x = \"x\" x (600 << 20); sleep 8' & done; wait",
                         flags=("-q", "--timeout-seconds", "60"))
    most = 0
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        most = max(most, usage(task)[1])
        time.sleep(0.3)
    harness.finish(process)
    assert 600 * 1024 < most < (1024 + 1536) * 1024
    assert task.exec("echo", "after").text == "after\n"


def test_the_bound_of_a_control_group_holds_and_is_told(pyro):
    """In a guest, which has groups of version 2 for sure: the host may have none to give."""
    test = TESTS / "jail_test"
    if not test.exists():
        harness.cannot_run(f"there is no {test}")
    loaded = subprocess.run(["ldd", test], capture_output=True, text=True, check=True).stdout
    bwrap = shutil.which("bwrap") or harness.cannot_run("there is no bwrap")
    loaded += subprocess.run(["ldd", bwrap], capture_output=True, text=True, check=True).stdout
    files = [test, test.with_name("jail_victim"), bwrap,
             *(word for line in loaded.splitlines() for word in line.split() if word.startswith("/"))]
    packed = subprocess.run(["tar", "-chf", "-", *files], capture_output=True, check=True).stdout
    script = ("tar -xf - -C / --no-same-owner --skip-old-files --keep-directory-symlink; cd /sys/fs/cgroup || exit; "
              "mount -t cgroup2 none .; cd .; echo '+memory +pids +cpu' > /sys/fs/cgroup/cgroup.subtree_control; "
              f"{test} --gtest_filter='CgroupTest.*:JailTest.ItsMemory*:JailTest.ItsProcesses*'")
    done = pyro.run("sh", "-c", script, input=packed, flags=("-q", "--mem-mib", "512"))
    assert done.code == 0 and "[  PASSED  ] 3 tests." in done.text, done
    assert "SKIPPED" not in done.text, done
