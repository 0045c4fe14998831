"""Where an export goes to: into directories, over files, to stdout, into archives."""

import fcntl
import hashlib
import os
import signal
import subprocess
import tarfile

import harness
import pytest


@pytest.fixture(scope="module")
def script():
    return ("mkdir -p d/e; echo one > d/f; echo two > g; ln -s d/f link; ln -s d dirlink; ln -s no dangling; "
            "printf '\\033[2J' > escape; mkfifo d/pipe; head -c 300000 /dev/urandom > big; "
            "tar -czf dist.tar.gz d/f; "
            "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => \"d/sock\", Listen => 1)'")


def test_a_task_gives_its_files_as_cp_would(pyro, create, scratch, script, terminal):
    task = create(environment=harness.FULL)
    made = task.exec("sh", "-c", script)
    assert made.code == 0, made

    def export(path, dest, *flags, **options):
        return pyro("task", "export", task.id, path, dest, *flags, **options)

    # A file goes into a directory that is there.
    (scratch / "out").mkdir()
    for dest in (scratch / "out", f"{scratch}/out/"):
        done = export("d/f", dest, *(["--force"] if (scratch / "out/f").exists() else []))
        assert done.code == 0 and (scratch / "out/f").read_text() == "one\n", done
        assert done.text == f"{scratch}/out/f (4 B)\n"
    harness.expect_error(export("d/f", scratch / "out", "--json"), 1, "already_exists")
    # A file of the environment takes fewer blocks than its size would, and has no hole.
    assert export("/usr/bin/dpkg", scratch / "dpkg").talk == ""
    told = task.exec("sha256sum", "/usr/bin/dpkg").text.split()[0]
    assert hashlib.sha256((scratch / "dpkg").read_bytes()).hexdigest() == told
    harness.expect_error(export("d/f", f"{scratch}/none/", "--json"), 1, "not_found")
    # By force it replaces a file, and never a directory or anything else.
    done = export("g", scratch / "out/f", "--force", "--json")
    assert done.code == 0 and (scratch / "out/f").read_text() == "two\n", done
    (scratch / "full/f").mkdir(parents=True)
    for path, dest in (("d/f", "full"), ("d", "full"), ("d", "out/f")):
        harness.expect_error(export(path, scratch / dest, "--force", "--json"), 1, "already_exists")
    harness.expect_error(export("g", "/dev/null", "--force", "--json"), 1, "already_exists")
    # A link that is named is followed; one in a directory stays.
    assert export("link", scratch / "followed").code == 0
    assert (scratch / "followed").read_text() == "one\n" and not (scratch / "followed").is_symlink()
    harness.expect_error(export("dangling", scratch / "x", "--json"), 1, "not_found")
    assert "leads nowhere" in export("dangling", scratch / "x").talk
    done = export("d/pipe", scratch / "x", "--json")
    harness.expect_error(done, 1, "invalid_argument")
    assert "neither a file nor a directory" in done.talk
    # What is no file is named.
    done = export("dirlink", scratch / "copy", "--json")
    assert done.code == 0 and sorted(os.listdir(scratch / "copy")) == ["e", "f"], done
    assert done.json["notices"] == ["left out as FIFOs or devices: 'pipe'", "left out as sockets: 'sock'"]
    assert "'pipe'" in done.talk and "sock" in done.talk
    # Archives by their names, and other formats refused.
    for name, mode in (("a.TAR", "r:"), ("a.tar.gz", "r:gz"), ("a.tgz", "r:gz"), ("a.tar.xz", "r:xz"), ("a.tar.bz2", "r:bz2")):
        assert export("d", scratch / name).code == 0
        with tarfile.open(scratch / name, mode) as tar:
            assert "f" in {os.path.normpath(entry) for entry in tar.getnames()}
    done = export("d", scratch / "a.zip", "--json")
    harness.expect_error(done, 1, "invalid_argument")
    assert ".zip" in done.talk and not (scratch / "a.zip").exists()
    assert export("dist.tar.gz", scratch / "dist.tar.gz").code == 0
    with tarfile.open(scratch / "dist.tar.gz") as tar:
        assert tar.getnames() == ["d/f"], "it is copied as it is"
    # To stdout: bytes, a tar, and nothing else.
    done = export("big", "-")
    assert done.code == 0 and len(done.out) == 300_000 and done.err == b"", done
    done = export("d", "-")
    assert done.code == 0, done
    listed = subprocess.run(["tar", "-tf", "-"], input=done.out, capture_output=True, check=True)
    assert "f" in listed.stdout.decode().split() and listed.stderr == b"", listed
    done = export("g", "-", "--json")
    assert done.code == 1 and "stdout" in done.talk, done
    assert not os.path.exists("-")
    # A terminal gets text alone.
    for path, refused in (("d", "a tar is not written to a terminal"), ("escape", "control characters")):
        done = harness.finish(pyro.start("task", "export", task.id, path, "-", stdout=terminal.slave))
        assert done.code == 1 and refused in done.talk, done
    done = harness.finish(pyro.start("task", "export", task.id, "g", "-", stdout=terminal.slave))
    assert done.code == 0, done
    assert terminal.rest() == "two\r\n"
    # A reader that goes away is no fault.
    process = pyro.start("task", "export", task.id, "big", "-")
    process.stdout.close()
    process.stdout = None
    done = harness.finish(process)
    assert done.code == 128 + signal.SIGPIPE and done.err == b"", done


def test_what_a_killed_export_left_is_gone_after_the_next(pyro, create, scratch):
    task = create()
    assert task.exec("sh", "-c", "mkdir d; echo x > d/f").code == 0
    (scratch / "out").mkdir()
    (scratch / "empty").mkdir()

    def kill_export(dest):
        died = pyro("task", "export", task.id, "d", dest, env={"PYRO_FAILPOINT": "task.export.received"})
        assert died.code == -signal.SIGKILL, died

    def left(directory):
        return [name for name in os.listdir(directory) if name.startswith(".pyro-export-")]

    kill_export(scratch / "out/copy")
    kill_export(scratch / "empty")
    assert len(left(scratch / "out")) == len(left(scratch / "empty")) == 1
    # One that another process is at stays.
    held = os.open(scratch / "out" / left(scratch / "out")[0], os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert pyro("task", "export", task.id, "d/f", scratch / "out").code == 0
    assert len(left(scratch / "out")) == 1
    os.close(held)
    assert pyro("task", "export", task.id, "d", scratch / "out/copy").code == 0
    assert sorted(os.listdir(scratch / "out")) == ["copy", "f"]
    # A directory that holds nothing else is as good as empty.
    assert pyro("task", "export", task.id, "d", scratch / "empty").code == 0
    assert os.listdir(scratch / "empty") == os.listdir(scratch / "out/copy") == ["f"]


def test_a_file_that_changes_while_it_is_read_is_exported_with_a_notice(pyro, create, scratch):
    task = create()
    assert task.exec("sh", "-c", "mkdir d; echo x > d/f").code == 0
    started = pyro("task", "exec", "--background", "-q", "--timeout-seconds", "250", task.id, "--",
                   "sh", "-c", "while :; do head -c 20000000 /dev/zero > d/big; done")
    assert started.code == 0, started

    def changed():
        out = scratch / "out"
        subprocess.run(["rm", "-rf", out], check=True)
        done = pyro("task", "export", task.id, "d", out, "--json")
        assert done.code == 0, done
        assert (out / "f").read_text() == "x\n"
        return done.json.get("notices")

    notices = harness.wait_until(changed, "a file changes while it is read")
    assert notices == ["changed while they were read and may be incomplete: 'big'"], notices
