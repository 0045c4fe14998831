"""kill -9 during a write to a file of a task: the old content is there, or the new, and never a part."""

import signal
import struct
import subprocess

import failpoints
import file_agent
import harness
import pytest
import siege

OLD = b"old\n"
NEW = b"new" * 100_000


def as_agent(operation, path, stdin, env):
    return file_agent.carry_out(stdin, env, operation=operation, path=str(path))


def record(path, content):
    """A file of a batch."""
    header = file_agent.request(path=path, bytes=len(content), mode=0)
    return struct.pack("<I", len(header)) + header + content


def kill_write_in_guest(path, point, there):
    """A write to a new file, or to one that is there, that is killed at a named point. Whether the kill hit."""
    path.parent.mkdir()
    if there:
        path.write_bytes(OLD)
        path.chmod(0o640)
    done = as_agent("write", path, NEW, {"PYRO_FAILPOINT": point})
    # A new file gets its name at once, where the file system has files without one.
    assert done.returncode == -signal.SIGKILL or (done.returncode == 0 and point == "files.write.named" and not there), done
    content = path.read_bytes() if path.exists() else None
    if point == "files.write.in-place" or done.returncode == 0:
        assert content == NEW
    else:
        assert content == (OLD if there else None)
    # The next write is not disturbed.
    assert as_agent("write", path, b"next", {}).returncode == 0
    assert path.read_bytes() == b"next"
    assert [one.name for one in path.parent.iterdir()] == [path.name], "something is left of it"
    if there:
        assert path.stat().st_mode & 0o777 == 0o640
    return done.returncode != 0


def kill_batch_in_guest(directory, point, number):
    """A batch of files, of which some are there, that is killed at the pass of a point. Whether the kill hit."""
    directory.mkdir()
    names = [f"{at % 3}/{at}" for at in range(12)]
    for name in names[::2]:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(OLD)
    batch = b"".join(record(name, NEW) for name in names)
    done = as_agent("write_many", directory, batch, {"PYRO_FAILPOINT": f"{point}:{number}"})
    assert done.returncode in (0, -signal.SIGKILL), done
    for at, name in enumerate(names):
        path = directory / name
        content = path.read_bytes() if path.exists() else None
        assert content == NEW or (done.returncode != 0 and content == (None if at % 2 else OLD)), name
    assert as_agent("write_many", directory, batch, {}).returncode == 0
    assert all((directory / name).read_bytes() == NEW for name in names)
    assert sorted(str(one.relative_to(directory)) for one in directory.rglob("*") if one.is_file()) == sorted(names)
    return done.returncode != 0


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("point", failpoints.FILES_GUEST)
def test_a_write_that_is_killed_in_the_guest_has_no_half(scratch, point, there):
    kill_write_in_guest(scratch / "dir/file", point, there)


@pytest.mark.parametrize("point, number", [("files.write.received", 1), ("files.write.received", 7), ("files.write.named", 1),
                                           ("files.write.named", 4)])
def test_a_batch_that_is_killed_in_the_guest_has_old_files_and_new_ones(scratch, point, number):
    assert kill_batch_in_guest(scratch / "dir", point, number)


def kill_clients(pyro, task):
    """Clients of a write that are killed at the named points, and in the middle. The points."""

    def write(content, **env):
        return pyro.start("task", "files", "write", "-q", task.id, "f", env=env, stdin=subprocess.PIPE)

    def read():
        done = pyro("task", "files", "read", "-q", task.id, "f")
        assert done.code == 0, done
        return done.out

    assert pyro("task", "files", "write", "-q", task.id, "f", input=OLD).code == 0
    for point, expected in (("task.files.writing", OLD), ("task.files.written", NEW)):
        process = write(NEW, PYRO_FAILPOINT=point)
        harness.finish(process, NEW)
        assert process.returncode == -signal.SIGKILL, point
        assert read() == expected, point
    # In the middle: the guest has a part of the bytes, and no name for them.
    process = write(NEW)
    process.stdin.write(b"x" * (1 << 20))
    process.stdin.flush()
    process.kill()
    process.wait()
    process.stdin.close()
    assert read() == NEW
    siege.wait_for_no_orphans("a killed client")
    listed = pyro("task", "files", "list", task.id, ".", "--json").json
    assert [entry["path"] for entry in listed["entries"]] == ["f"]
    return [*failpoints.FILES_CLIENT, "in the middle of a write"]


def test_a_client_that_is_killed_leaves_the_old_file_or_the_new(pyro, create):
    assert len(kill_clients(pyro, create())) == 3


@pytest.mark.parametrize("victims", [["pyro-supervisor"], [harness.MACHINE], None])
def test_a_guest_that_dies_in_a_write_has_the_old_file(pyro, create, victims):
    task = create()
    assert pyro("task", "files", "write", "-q", task.id, "f", input=OLD).code == 0
    process = pyro.start("task", "files", "write", "-q", task.id, "f", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"x" * (1 << 20))
    process.stdin.flush()
    if victims is None:
        task.kill_guest()
    else:
        harness.kill_all([one for one in task.processes() if one.program in victims])
    harness.finish(process)
    assert process.returncode == 1
    task.expect_no_guest()
    done = pyro("task", "files", "read", "-q", task.id, "f")
    assert (done.code, done.out) == (0, OLD), done
    listed = pyro("task", "files", "list", task.id, ".", "--json").json
    assert [entry["path"] for entry in listed["entries"]] == ["f"]
