"""pyro task cp: the rules of docker cp for files and trees, both ways, and nothing outside of the destination."""

import gzip
import io
import os
import tarfile

import harness


def cp(pyro, *words, **options):
    done = pyro("task", "cp", "-q", *words, **options)
    assert done.code == 0, done
    return done


def content(path):
    """What a tree holds: of files their bytes, of links where they lead, of directories None."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in [*names, *files]:
            whole = os.path.join(directory, name)
            key = os.path.relpath(whole, path)
            found[key] = os.readlink(whole) if os.path.islink(whole) else None
            if os.path.isfile(whole) and not os.path.islink(whole):
                with open(whole, "rb") as file:
                    found[key] = file.read()
    return found


def test_files_and_trees_go_by_the_rules_of_docker_cp(pyro, create, scratch):
    task = create()
    tree = scratch / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a b\n").write_bytes(b"\x00\xff")
    (tree / "run").write_text("#!/bin/sh\necho ran\n")
    (tree / "run").chmod(0o755)
    (tree / "sub" / "link").symlink_to("../run")
    whole = content(tree)

    def shown(script):
        done = task.exec("sh", "-c", script)
        assert done.code == 0, done
        return done.text

    # A directory: to a new name, into one that is there, and its content alone.
    cp(pyro, tree, f"{task.id}:new")
    cp(pyro, tree, f"{task.id}:new")
    cp(pyro, f"{tree}/.", f"{task.id}:new/tree/sub")
    assert shown("./new/run; cd new; diff -r --no-dereference sub tree/sub/sub && find . -type d | sort") == (
        "ran\n.\n./sub\n./tree\n./tree/sub\n./tree/sub/sub\n")
    # A file: to a new name, into a directory, over a file.
    cp(pyro, tree / "run", f"{task.id}:one")
    cp(pyro, tree / "run", f"{task.id}:new")
    cp(pyro, tree / "a b\n", f"{task.id}:one")
    assert shown("./new/run; wc -c < one; stat -c %a new/run") == "ran\n2\n755\n"
    # And back.
    out = scratch / "out"
    cp(pyro, f"{task.id}:new/sub/../tree", out)
    assert content(out / "sub" / "sub") == content(tree / "sub") and (out / "run").stat().st_mode & 0o777 == 0o755
    (out / "kept").write_text("kept")
    (out / "run").write_text("older")
    cp(pyro, f"{task.id}:/workspace/new/tree/.", out)
    assert (out / "kept").read_text() == "kept" and (out / "run").read_text() == "#!/bin/sh\necho ran\n"
    cp(pyro, f"{task.id}:new/tree", out)
    assert content(out / "tree")["run"] == whole["run"]
    cp(pyro, f"{task.id}:one", out)
    cp(pyro, f"{task.id}:one", out / "named")
    assert (out / "one").read_bytes() == (out / "named").read_bytes() == b"\x00\xff"
    # Of what the kernel makes up no size is known before.
    cp(pyro, f"{task.id}:/proc/sys/kernel/ostype", out)
    assert (out / "ostype").read_text() == "Linux\n"
    assert not [name for name in os.listdir(out) if name.startswith(".pyro")]

    # A tar on stdout, and one on stdin.
    packed = cp(pyro, f"{task.id}:new", "-").out
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert "new/run" in {os.path.normpath(name) for name in tar.getnames()}
    cp(pyro, "-", f"{task.id}:/tmp", input=packed)
    assert shown("/tmp/new/run") == "ran\n"
    # Through a pipe the owners stay, and a compressed one is read, too.
    shown("chown 33:44 new/run; rm -r /tmp/new")
    packed = cp(pyro, f"{task.id}:new", "-").out
    cp(pyro, "-", f"{task.id}:/tmp", input=gzip.compress(packed))
    assert shown("/tmp/new/run; stat -c %u:%g /tmp/new/run") == "ran\n33:44\n"
    harness.expect_error(pyro("task", "cp", "--json", "-", f"{task.id}:/tmp", input=packed[:-9000]), 1, "invalid_argument")

    # What is in the way of what, and what is not there.
    for words, code in (([tree, f"{task.id}:one"], "not_a_directory"),
                        ([f"{task.id}:new", out / "run"], "not_a_directory"),
                        ([f"{task.id}:missing", out], "not_found"),
                        ([tree / "run", f"{task.id}:no/such"], "not_found"),
                        ([tree / "run", f"{task.id}:absent/"], "not_found"),
                        ([scratch / "absent", f"{task.id}:x"], "not_found"),
                        ([f"{task.id}:one", f"{task.id}:two"], "invalid_argument"),
                        ([tree, out], "invalid_argument")):
        harness.expect_error(pyro("task", "cp", "--json", *words), 1, code)
    (out / "one").unlink()
    (out / "one").mkdir()
    harness.expect_error(pyro("task", "cp", "--json", f"{task.id}:one", out), 1, "is_a_directory")
    # Of a tree the bytes of its files, both ways.
    into = pyro("task", "cp", "--json", tree, f"{task.id}:counted").json
    assert into["bytes"] == sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    # For people: what is there, in words, and names alone with -q.
    assert pyro("task", "files", "mkdir", task.id, "made").text == "/workspace/made\n"
    assert pyro("task", "files", "copy", task.id, "one", "made/one").text == "/workspace/made/one (2 B)\n"
    shown = pyro("task", "files", "stat", task.id, "made/one").text.splitlines()
    assert shown[:3] == ["Path: /workspace/made/one", "Kind: file", "Bytes: 2"] and "Mode: 0" in shown[3], shown
    assert shown[-1] == f"Task: {task.id}"
    assert pyro("task", "files", "list", "-q", task.id, "counted").text == "a b\\x0a\nrun\nsub\n"
    for words, hint in ((("mkdir", task.id, "made"), "with --parents a directory that is there is no error"),
                        (("copy", task.id, "counted/run", "counted/a b\n"), "with --replace a file that is there is replaced"),
                        (("remove", task.id, "made"), "with --recursive it is removed with what it holds")):
        assert f"hint: {hint}\n" in pyro("task", "files", *words).talk
    assert pyro("task", "files", "remove", task.id, "made", "--recursive").text == f"Task: {task.id}\nPath: /workspace/made\nEntries: 2\n"
    done = pyro("task", "cp", "--json", f"{task.id}:new/tree", scratch / "json").json
    assert (done["task_id"], done["path"], done["host_path"]) == (task.id, "/workspace/new/tree", str(scratch / "json"))


def test_no_link_leads_a_copy_out_of_its_destination(pyro, create, scratch):
    task = create()
    outside = scratch / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    out = scratch / "out"
    # On the host: links where the copy has a file and a directory.
    (out / "tree").mkdir(parents=True)
    (out / "tree" / "file").symlink_to(outside / "file")
    (out / "tree" / "dir").symlink_to(outside)
    made = task.exec("sh", "-c", f"mkdir -p tree/dir clean; echo new > tree/file; echo evil > tree/dir/file; "
                     f"ln -s {outside} clean/way; ln -s /etc/hostname clean/etc")
    assert made.code == 0, made
    harness.expect_error(pyro("task", "cp", "--json", f"{task.id}:tree", out), 1, "not_a_directory")
    (out / "tree" / "dir").unlink()
    cp(pyro, f"{task.id}:tree", out)
    assert (out / "tree" / "file").read_text() == "new\n" and not (out / "tree" / "file").is_symlink()
    # Of the guest: links stay links, and a later copy does not go through them.
    cp(pyro, f"{task.id}:clean", scratch / "clean")
    assert os.readlink(scratch / "clean" / "way") == str(outside)
    assert os.readlink(scratch / "clean" / "etc") == "/etc/hostname"
    assert task.exec("sh", "-c", "rm clean/way; mkdir clean/way; echo evil > clean/way/file").code == 0
    harness.expect_error(pyro("task", "cp", "--json", f"{task.id}:clean/.", scratch / "clean"), 1, "not_a_directory")
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "untouched"}
