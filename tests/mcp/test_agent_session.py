"""A session as an agent has it, by the tools of MCP alone: it mends a program in a copy of the host's repository."""

import client
import harness
import pytest
import repository


@pytest.fixture
def session(pyro, serve):
    server = serve("--profile", "task", "--answer-seconds", "600", pyro=pyro)  # Commands here wait for the test.
    yield server
    for task_id in pyro("task", "list", "-q").text.split():
        assert pyro("task", "delete", task_id).code == 0


def test_an_agent_mends_a_repository_and_the_host_gets_what_it_made(session, scratch):
    repo = repository.make(scratch / "repo")
    before = repository.tree(repo)
    task_id = session.value("task_create", environment=harness.FULL, source_path=str(repo), git=True,
                            labels={"kind": "repair"})["task_id"]
    known = {"task_id": task_id}

    def run(command):
        return session.value("task_exec", **known, command=command, timeout_seconds=250)

    # What is there, and what fails.
    entries = session.value("task_read_file", **known, path=".", depth=2)["entries"]
    assert [one["path"] for one in entries if not one["path"].startswith(".git/")] == [
        ".git", ".gitignore", "README", "latest", "logo.bin", "old notes", "run tests", "src", "src/greet", "todo"]
    failed = run("./'run tests'")
    assert (failed["exit_code"], failed["stderr"]) == (3, "FAIL: greet Ada said: Hello, Ada\n")
    assert session.value("task_read_file", **known, path="latest")["text"] == repository.PROGRAM
    assert session.value("task_diff", **known)["patch"] == ""

    # An attempt that does not help, and what it changed.
    told = client.text_of(session.call("task_snapshot", {**known, "action": "create", "name": "before"}))
    assert "task_diff" in told and "reset" in told
    session.value("task_write_file", **known, path="src/greet", text=repository.WRONG)
    run("rm 'old notes'; chmod 644 README; echo x > scratch")
    assert run("./'run tests'")["exit_code"] == 3
    difference = session.value("task_diff", **known, snapshot="before")
    assert [(one["path"], one["kind"]) for one in difference["changes"]] == [
        ("old notes", "removed"), ("scratch", "added"), ("src/greet", "modified")]
    assert '-echo "Hello, $1"\n+echo "Bye, $1"\n' in difference["patch"] and difference["complete"]

    # Back, as if it had not been; the journal knows.
    told = client.text_of(session.call("task_snapshot", {**known, "action": "reset", "name": "before"}))
    assert "the next task_exec starts the guest" in told
    assert session.value("task_diff", **known)["patch"] == ""
    assert session.value("task_status", **known)["command_count"] == 3

    # A patch, of which a second time nothing is applied; and what only commands can do.
    patched = session.value("task_write_file", **known, path=".", patch=repository.PATCH)
    assert [(one["path"], one["kind"]) for one in patched["files"]] == [
        ("old notes", "removed"), ("src/farewell", "added"), ("src/greet", "modified")]
    refused = session.failure("task_write_file", **known, path=".", patch=repository.PATCH)
    assert refused["code"] == "conflict" and "old notes" in refused["message"], refused
    wrong = session.failure("task_write_file", **known, path="README", patch=repository.PATCH)
    assert wrong["code"] == "not_a_directory" and "path is the directory" in wrong["hint"], wrong
    passed = run("./'run tests' && " + repository.COMMANDS)
    assert (passed["exit_code"], passed["stdout"]) == (0, "all passed\n")

    # The host changed a file that the task changed, too: nothing is brought, unless the task is right.
    session.value("task_write_file", **known, path="todo", text="the task's\n")
    repository.write(repo / "todo", 0o600, "the host's\n")
    before = repository.tree(repo)
    back = {**known, "path": ".", "destination": str(repo), "sync": True}
    refused = session.failure("task_export", **back)
    assert refused["code"] == "conflict" and "todo" in refused["message"] and "force" in refused["hint"], refused
    assert "--" not in refused["hint"] and repository.tree(repo) == before

    # What the host gets: all that the task made, byte for byte and mode for mode, and nothing that git ignores.
    brought = session.value("task_export", **back, force=True)
    assert (brought["added"], brought["modified"], brought["removed"]) == (3, 5, 1), brought
    assert repository.tree(repo) == {**repository.changed(before), "todo": ("file", "0o600", b"the task's\n")}
    assert session.value("task_delete", **known)["deleted"] is True
