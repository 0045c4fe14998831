"""Files, directories and diffs of real guests by pyro's MCP tools."""

import base64
import json

import client


def test_a_file_is_written_whole_and_read_by_pages_as_text_or_bytes(session):
    task_id = client.new_task(session)
    lines = "".join(f"line {number} é\n" for number in range(4000))
    assert session.value("task_write_file", task_id=task_id, path="new/dir/f.txt", text=lines)["path"] == "/workspace/new/dir/f.txt"
    data = bytes(range(256)) * 200
    session.value("task_write_file", task_id=task_id, path="f.bin", base64=base64.b64encode(data).decode())
    for path, expected in (("new/dir/f.txt", lines.encode()), ("f.bin", data)):
        read, offset = b"", 0
        for _ in range(20):
            page = session.value("task_read_file", task_id=task_id, path=path, offset=offset)
            read += page["text"].encode() if "text" in page else base64.b64decode(page["base64"])
            offset = page["next_offset"]
            if page["complete"]:
                break
        assert read == expected, path
    # The kernel tells no size of its own files.
    assert session.value("task_read_file", task_id=task_id, path="/proc/kallsyms")["complete"] is False
    assert session.value("task_read_file", task_id=task_id, path="/proc/version")["complete"] is True
    assert session.failure("task_read_file", task_id=task_id, path="none")["code"] == "not_found"
    # Content may be empty, unlike what names something.
    assert session.value("task_write_file", task_id=task_id, path="new/dir/f.txt", text="")["path"] == "/workspace/new/dir/f.txt"
    assert session.value("task_exec", task_id=task_id, command="cat; cat new/dir/f.txt; ls -s new/dir", stdin="")["stdout"].endswith("0 f.txt\n")
    for wrong in ({}, {"text": "a", "base64": "YQ=="}, {"text": "", "patch": "x"}, {"base64": "a b"}, {"patch": ""}):
        assert session.failure("task_write_file", task_id=task_id, path="f", **wrong)["code"] == "invalid_argument"


def test_a_directory_is_listed_by_pages(session):
    task_id = client.new_task(session)
    client.run(session, task_id, "mkdir -p d/below; touch d/below/f; ln -s below d/link; printf x > d/run; chmod 755 d/run; mkfifo d/pipe; "
        "mkdir many; cd many; seq 2500 | xargs touch")
    result = session.call("task_read_file", {"task_id": task_id, "path": "d", "depth": 2})
    value = result["structuredContent"]
    assert value["path"] == "/workspace/d" and value["complete"] and value["next_offset"] == 5
    assert value["entries"] == [
        {"path": "below", "kind": "directory"}, {"path": "below/f", "kind": "file", "bytes": 0, "mode": "0644"},
        {"path": "link", "kind": "symlink", "target": "below"}, {"path": "pipe", "kind": "fifo"},
        {"path": "run", "kind": "file", "bytes": 1, "mode": "0755"}]
    assert client.text_of(result).splitlines()[1:] == ["below/", "below/f  0 bytes", "link -> below", "pipe  fifo", "run  1 bytes, executable"]
    names, offset = [], 0
    for _ in range(20):
        result = session.call("task_read_file", {"task_id": task_id, "path": "many", "offset": offset})
        page = result["structuredContent"]
        assert max(len(client.text_of(result)), len(json.dumps(page))) < client.RESULT_LIMIT
        names += [one["path"] for one in page["entries"]]
        offset = page["next_offset"]
        if page["complete"]:
            break
        assert f"go on with offset={offset}" in client.text_of(result)
    assert names == sorted(str(number) for number in range(1, 2501))


def test_a_diff_that_does_not_fit_names_the_call_that_shows_more(session):
    task_id = client.new_task(session)
    assert session.value("task_diff", task_id=task_id)["patch"] == ""
    client.run(session, task_id, "seq 9000 > a; echo small > b; seq 9000 | tac > c; mkdir d")
    result = session.call("task_diff", {"task_id": task_id})
    value = result["structuredContent"]
    assert (value["added"], value["complete"]) == (4, False)
    assert [one["path"] for one in value["changes"]] == ["a", "b", "c", "d"]
    assert "+small\n" in value["patch"] and "+9000\n" not in value["patch"] and "# added directory d\n" in value["patch"]
    assert f'2 changes are not shown; task_diff(task_id="{task_id}", snapshot="create", paths=["a", "c"]) shows more' in value["rest"]
    assert value["rest"] in client.text_of(result) and value["patch"] in client.text_of(result)
    # Each call shows something new, at last the two ends of what is too long for one.
    ends = session.value("task_diff", task_id=task_id, paths=["a", "c"])
    assert "+++ b/a\n" in ends["patch"] and ends["patch"].endswith("+9000\n") and "left out; task_read_file" in ends["patch"]
    assert 'paths=["c"]' in ends["rest"] and max(len(client.text_of(result)), len(json.dumps(ends))) < client.RESULT_LIMIT
    last = session.value("task_diff", task_id=task_id, paths=["c"])
    assert last["patch"].endswith("+1\n") and not last["complete"] and "rest" not in last
    # What git keeps for itself is counted, and shown to those who name it.
    client.run(session, task_id, "rm a c; mkdir .git; echo ref > .git/HEAD")
    value = session.value("task_diff", task_id=task_id)
    assert ([one["path"] for one in value["changes"]], value["complete"]) == (["b", "d"], True)
    assert value["rest"] == 'changes in .git that are not shown: 2; give paths=[".git"] to see them\n'
    assert "+ref\n" in session.value("task_diff", task_id=task_id, paths=[".git"])["patch"]
    missing = session.failure("task_diff", task_id=task_id, snapshot="none")
    assert missing["code"] == "not_found" and "create" in missing["hint"] and "pyro " not in missing["hint"], missing


def test_a_call_that_starts_the_task_again_says_what_is_gone(session):
    task_id = client.new_task(session)
    session.value("task_write_file", task_id=task_id, path="d/f", text="x\n")
    for tool, arguments in (("task_read_file", {"path": "d/f"}), ("task_read_file", {"path": "d"}), ("task_diff", {})):
        session.value("task_stop", task_id=task_id)
        result = session.call(tool, {"task_id": task_id, **arguments})
        [notice] = result["structuredContent"]["notices"]
        assert "was stopped" in notice and result["content"][0]["text"].startswith(f"note: {notice}\n"), result
        assert "notices" not in session.value(tool, task_id=task_id, **arguments)
    session.value("task_stop", task_id=task_id)
    written = session.value("task_write_file", task_id=task_id, path="g", text="x\n")
    assert "processes" in written["restart"]["lost"], written
    assert "restart" not in session.value("task_write_file", task_id=task_id, path="g", text="x\n")
