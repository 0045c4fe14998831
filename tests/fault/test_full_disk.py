"""A host's disk that is full: what a task's commands wrote until then, and how they ended, is kept."""

import os
import subprocess

import harness
import pytest

MARKER = b"[pyro: the task's output could not be written: no space left on device; what followed was dropped]"
DISK_FAILED = "the guest could not write to its disk"
DISK_MIB = 256


class SmallDisk:
    """A state directory on a disk of its own, with a file on it that can be taken away."""

    def __init__(self, path):
        self.path = path
        self.filler = path / "filler"

    def fill(self, left=0):
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while self.room() >= left + size and file.write(bytes(size)) == size:
                        pass
                except OSError:
                    pass
        assert self.room() < left + 4096

    def make_room(self):
        self.filler.unlink()

    def room(self):
        info = os.statvfs(self.path)
        return info.f_bavail * info.f_frsize


@pytest.fixture
def disk(pyro, mounts):
    if os.getuid() != 0:
        harness.cannot_run("only root mounts a small disk")
    pyro.state.mkdir(mode=0o700)
    mounts("tmpfs", pyro.state, f"size={DISK_MIB + 40}m,mode=0700")
    small = SmallDisk(pyro.state)
    yield small
    small.filler.unlink(missing_ok=True)


@pytest.fixture
def task(disk, create):
    """With one command in its journal, and with hardly more room than its guest needs."""
    one = create("--disk-mib", str(DISK_MIB))
    assert one.exec("sh", "-c", "echo hello > f; echo said; echo err >&2; exit 3").code == 3
    assert one.exec("true").code == 0
    disk.fill(left=24 << 20)
    return one


def expect_whole(task):
    entry = task.entries()[0]
    assert (entry["sequence"], entry["stdout"], entry["stderr"]) == (1, "said\n", "err\n")
    assert (entry["outcome"], entry["exit_code"]) == ("exited", 3)
    done = task.exec("cat", "f")
    assert (done.code, done.out) == (0, b"hello\n"), done


def test_output_beyond_the_disk_is_marked_and_counted(pyro, disk, task):
    size = 60_000_000
    done = task.exec("sh", "-c", f"head -c {size} /dev/zero | tr '\\0' x; echo end; exit 4")
    assert done.code == 4, done
    assert disk.room() < 1 << 20
    lines = done.out.splitlines()
    assert lines[0] == b"x" * len(lines[0]) and lines[1:] == [MARKER], lines[1:]
    assert pyro("task", "logs", task.id, "--sequence", "3").out == done.out
    # Its end is recorded although no room was made, and no call came.
    status = task.json("status")
    assert status["last_command"]["exit_code"] == 4
    entry, = task.entries("--sequence", "3")
    assert (entry["state"], entry["outcome"], entry["exit_code"]) == ("ended", "exited", 4)
    assert entry["stdout_bytes"] == size + len("end\n")
    assert entry["stdout_dropped"] == entry["stdout_bytes"] - len(lines[0]) > 0
    # With no room at all a command is refused, and says why; what there is can be read.
    disk.fill()
    full = task.exec("echo", "x", flags=("-q", "--json"))
    assert full.code == 125 and full.json["error"]["code"] == "no_space", full
    assert len(task.entries()) == 3
    # Room again: the task takes its reserve by itself, and commands go on.
    reserve = task.directory / "reserve"
    assert not reserve.exists()
    assert "disk is full" in task.json("status")["last_error"]
    assert "\nLast error: this host's disk is full: " in pyro("task", "status", task.id).text
    disk.make_room()
    harness.wait_until(reserve.exists, "the reserve is made again")
    assert task.json("status")["last_error"] in (None, "")
    done = task.exec("echo", "kept")
    assert (done.code, done.out) == (0, b"kept\n"), done
    assert task.entries()[-1]["stdout"] == "kept\n"
    expect_whole(task)


def test_an_end_without_any_room_is_recorded_when_there_is_some(disk, task):
    script = "echo begun; read line; head -c 20000 /dev/zero | tr '\\0' x; exit 5"
    process = task.start("sh", "-c", script, stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    (task.directory / "reserve").unlink()  # As if others had been quicker to take that, too.
    disk.fill()
    done = harness.finish(process, b"go on\n")
    assert done.code == 5, done
    entry = task.entries()[-1]
    assert (entry["sequence"], entry["state"]) == (3, "running")
    kept = len(entry["stdout"])
    assert entry["stdout"] == "begun\n" + "x" * (kept - 6) and kept < 20_006
    disk.make_room()
    entry = harness.wait_until(
        lambda: [one for one in task.entries()[-1:] if one["state"] == "ended"],
        "its end is recorded without another call")[0]
    assert (entry["outcome"], entry["exit_code"]) == ("exited", 5)
    assert entry["stdout_dropped"] == 20_006 - kept
    assert entry["stdout"].encode().endswith(b"\n" + MARKER + b"\n")
    task.stop()  # The guest's journal may have needed a block, too; then nothing is read until the next start.
    expect_whole(task)


def test_a_full_disk_below_the_guest_is_told_until_it_starts_again_and_loses_nothing_finished(pyro, disk, create):
    """Here the guest's own disk cannot grow, either."""
    one = create("--disk-mib", str(DISK_MIB))
    assert one.exec("sh", "-c", "echo hello > f; echo said; echo err >&2; exit 3").code == 3
    process = one.start("sh", "-c", "echo begun; read line; head -c 30000000 /dev/urandom > big; sync",
                        flags=(), stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    disk.fill()
    done = harness.finish(process, b"go on\n")
    # Its own exit code does not tell: the bytes were in the guest's memory when it ended.
    assert DISK_FAILED in done.talk, done
    assert one.json("status")["state"] == "started"
    why = "the guest could not write to its disk, as when this host's disk is full; make room, stop the task, "
    assert one.json("status")["read_only"].startswith(why)
    assert f"\nRead-only: {why}" in pyro("task", "status", one.id).text
    disk.make_room()
    # Room alone is no remedy: what could not be written is not written later, and no call succeeds as if it were.
    expect_told(one, one.exec("sh", "-c", "echo later > later"))
    copied = pyro("task", "cp", harness.ROOT / "LICENSE", f"{one.id}:copied")
    assert copied.code == 1 and harness.is_one_sentence_and_hint(copied.talk), copied
    assert one.json("status")["read_only"].startswith(why)
    one.stop()
    assert one.json("status")["read_only"] is None
    expect_whole(one)
    assert one.exec("sh", "-c", "head -c 5000000 /dev/urandom > big; sync").code == 0
    assert one.json("status")["read_only"] is None


@pytest.mark.parametrize("state", ["started", "stopped"])
def test_a_delete_makes_room_on_a_full_disk(pyro, disk, task, state):
    assert task.exec("sh", "-c", "head -c 4000000 /dev/urandom > big").code == 0
    if state == "stopped":
        task.stop()
    disk.fill()
    done = pyro("task", "delete", task.id)
    assert done.code == 0, done
    harness.expect_task_directories(pyro, [])
    assert pyro("task", "list", "--json").json["count"] == 0
    assert disk.room() > 4_000_000


def test_a_full_disk_makes_no_half_task(pyro, disk):
    assert pyro("task", "list").code == 0
    disk.fill()
    done = pyro("task", "create", "-q", harness.BASE)
    assert done.code == 1 and done.out == b"" and harness.is_one_sentence_and_hint(done.talk), done
    harness.expect_task_directories(pyro, [])
    disk.make_room()
    assert pyro("task", "list", "--json").json["count"] == 0


# As root of the guest: its kernel ends all writes to the disk, as after an error, and drops what is not in the journal.
END_WRITES = ("perl", "-e", "open my $disk, '<', '.' or die; my $how = pack('L', 2); ioctl($disk, 0x8004587d, $how) or die $!")


# So often that the journal of 8 MiB has been written over once, and has all its blocks on the host.
SYNC_OFTEN = """
use IO::Handle;
for my $i (0 .. 1500) { open my $file, '>', 'often' or die; print $file $i; $file->flush; $file->sync or die; unlink 'often' }
"""


def expect_told(task, done):
    """To the client that has it run, and to those who read its end later, as MCP sessions do."""
    assert DISK_FAILED in done.talk, done
    entry = task.entries()[-1]
    assert DISK_FAILED in entry["explanation"]["message"]
    read = task.pyro("task", "logs", task.id, "--tail", "1")
    assert f"\nnote: {DISK_FAILED}" in read.text, read
    for flags, code in (((), 0), (("--follow",), entry["exit_code"])):
        read = task.pyro("task", "logs", task.id, "--sequence", str(entry["sequence"]), *flags)
        assert read.code == code and f"pyro: {DISK_FAILED}" in read.talk and "\nhint: make room" in read.talk, read


def test_a_disk_that_had_an_error_before_a_sync_is_told(create):
    """Kernels from 6.12 on then answer to the sync that all is well."""
    task = create()
    assert task.exec("sh", "-c", "echo kept > kept").code == 0
    for command in (END_WRITES, ("true",)):
        expect_told(task, task.exec(*command))
    task.stop()
    assert [bool(entry["explanation"]) for entry in task.entries()] == [False, True, True]
    done = task.exec("cat", "kept")
    assert (done.code, done.out) == (0, b"kept\n"), done


def test_a_disk_that_failed_is_told_after_each_end_of_a_command_and_is_not_copied(pyro, create):
    task = create()
    expect_told(task, task.exec(*END_WRITES))
    for script, code, flags in (("sleep 60 &", 0, ()), ("kill -TERM $$", 143, ()), ("sleep 60", 124, ("--timeout-seconds", "1"))):
        done = task.exec("sh", "-c", script, flags=("-q", *flags))
        assert done.code == code and DISK_FAILED in done.talk, done
        read = pyro("task", "logs", task.id, "--tail", "1")
        assert "\nnote: " in read.text and DISK_FAILED in read.text, read
    # One that never ran tells nothing of the disk.
    assert task.exec("no-such-program").code == 127
    assert task.json("status")["read_only"]
    missing = pyro("task", "cp", f"{task.id}:missing", "missing", "--json")
    assert missing.json["error"]["code"] == "not_found", missing
    for words in (("task", "snapshot", "create", task.id, "one"), ("env", "commit", task.id, "own/one")):
        refused = pyro(*words, "--json")
        assert refused.code == 1 and refused.json["error"]["code"] == "no_space", refused
        assert DISK_FAILED in refused.talk and harness.is_one_sentence_and_hint(refused.talk), refused
    task.stop()
    assert task.exec("true").code == 0
    assert pyro("task", "snapshot", "create", task.id, "one").code == 0
    # What there was to do is done.
    told = [entry["explanation"] for entry in task.entries() if entry["explanation"] and DISK_FAILED in entry["explanation"]["message"]]
    assert len(told) == 4 and not any("make room" in (one["hint"] or "") for one in told), told


def test_content_that_could_not_be_written_is_told_to_all_that_follow(disk, create):
    """The kernel tells of it once, and goes on: here its journal has room of its own."""
    task = create("--disk-mib", str(DISK_MIB))
    assert task.exec("perl", "-e", SYNC_OFTEN).code == 0
    assert task.exec("sh", "-c", "echo kept > kept").code == 0
    process = task.start("sh", "-c", "echo begun; read line; head -c 30000000 /dev/urandom > big", flags=(), stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    disk.fill()
    done = harness.finish(process, b"go on\n")
    assert DISK_FAILED in done.talk, done
    disk.make_room()
    expect_told(task, task.exec("mv", "big", "other"))
    task.stop()
    done = task.exec("cat", "kept")
    assert (done.code, done.out) == (0, b"kept\n") and DISK_FAILED not in done.talk, done


def test_a_file_whose_deletion_could_not_be_written_has_its_content(create):
    task = create()
    assert task.exec("sh", "-c", "yes kept | head -c 1000000 > kept; cksum < kept > sum").code == 0
    done = task.exec("sh", "-c", "rm kept; exec \"$@\"", "sh", *END_WRITES)
    assert DISK_FAILED in done.talk, done
    task.stop()
    done = task.exec("sh", "-c", "cksum < kept | cmp - sum")
    assert done.code == 0, done


def test_the_host_gets_back_what_a_guest_has_deleted(create):
    task = create()
    image = task.directory / "data.img"
    assert task.exec("sh", "-c", "head -c 100000000 /dev/urandom > big").code == 0
    taken = image.stat().st_blocks * 512
    assert taken > 100_000_000
    assert task.exec("rm", "big").code == 0
    assert task.exec("true").code == 0
    assert image.stat().st_blocks * 512 < taken - 80_000_000
