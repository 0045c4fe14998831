"""A session as an agent has it, by the command line alone: it mends a program in a copy of the host's repository."""

import harness
import repository


def test_a_repository_is_mended_in_a_task_and_the_host_gets_what_was_made(pyro, create, scratch):
    repo = repository.make(scratch / "repo")
    before = repository.tree(repo)
    task = create("--git", "--source-path", repo, "--label", "kind=repair", environment=harness.FULL)

    def call(action, *words, input=None):
        done = pyro("task", *action.split(), task.id, *words, input=input)
        assert done.code == 0, done
        return done

    # What is there, and what fails.
    listed = task.json("files list", ".", "--depth", "2")["entries"]
    assert [one["path"] for one in listed if not one["path"].startswith(".git/")] == [
        ".git", ".gitignore", "README", "latest", "logo.bin", "old notes", "run tests", "src", "src/greet", "todo"]
    failed = task.exec("./run tests")
    assert (failed.code, failed.talk) == (3, "FAIL: greet Ada said: Hello, Ada\n")
    assert call("files read", "latest").text == repository.PROGRAM
    assert call("diff").out == b""

    # An attempt that does not help, and what it changed.
    call("snapshot create", "before")
    call("files write", "src/greet", input=repository.WRONG.encode())
    assert task.exec("sh", "-c", "rm 'old notes'; chmod 644 README; echo x > scratch").code == 0
    assert task.exec("./run tests").code == 3
    difference = task.json("diff", "--snapshot", "before")
    assert [(one["path"], one["kind"]) for one in difference["changes"]] == [
        ("old notes", "removed"), ("scratch", "added"), ("src/greet", "modified")]
    assert '-echo "Hello, $1"\n+echo "Bye, $1"\n' in call("diff", "--snapshot", "before").text

    # Back, as if it had not been; the journal knows.
    call("reset", "--snapshot", "before")
    assert call("diff").out == b""
    assert len(task.entries()) == 3 and len(task.json("logs")["resets"]) == 1

    # A patch, of which a second time nothing is applied; and what only commands can do.
    call("patch", input=repository.PATCH.encode())
    harness.expect_error(pyro("task", "patch", "--json", task.id, input=repository.PATCH.encode()), 1, "conflict")
    passed = task.exec("sh", "-c", "'./run tests' && " + repository.COMMANDS)
    assert (passed.code, passed.text) == (0, "all passed\n")
    assert task.exec("git", "status", "--porcelain").text.splitlines() == [
        " M README", " M latest", " M logo.bin", ' D "old notes"', " M src/greet",
        "?? src/farewell", "?? todo"]

    # The host changed a file that the task changed, too: nothing is brought, unless one of them is right.
    call("files write", "todo", input=b"the task's\n")
    repository.write(repo / "todo", 0o600, "the host's\n")
    before = repository.tree(repo)
    harness.expect_error(pyro("task", "sync", "--pull", "--json", task.id, repo), 1, "conflict")
    assert repository.tree(repo) == before

    # What the host gets: all that the task made, byte for byte and mode for mode, and nothing that git ignores.
    call("sync", "--pull", "--prefer", "host", repo)
    assert repository.tree(repo) == repository.changed(before)
