"""Another user of the host cannot read, drive or starve a task; what another user owns is not used as pyro's own.

root runs these tests. They become the user who owns the task, or stay root, and another who is the neighbour. Each way is
gone by the owner too, where it must lead somewhere.
"""

import contextlib
import json
import os
import pathlib
import secrets
import signal
import stat
import struct
import subprocess

import harness
import pytest

NEIGHBOUR = harness.NORMAL_USER + 1
PROGRAM = pathlib.Path(__file__).with_name("neighbour.py")
TOKEN, SECRET, VALUE = (f"{name}-{secrets.token_hex(20)}" for name in ("token", "secret", "value"))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")


def as_user(user, *command, **options):
    become = [] if user == 0 else ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return subprocess.run([*become, *command], capture_output=True, text=True, check=False, start_new_session=True, **options)  # A session shares SIGCONT.


def attempts(user, paths=(), pids=()):
    """The ways that lead somewhere for the user: (way, path or pid)."""
    job = json.dumps({"paths": [str(path) for path in paths], "pids": list(pids)})
    done = as_user(user, "/usr/bin/python3", "-IS", "-c", PROGRAM.read_text(), input=job)
    assert done.returncode == 0, done
    return {(way, what) for way, what in json.loads(done.stdout)}


@pytest.fixture(params=["user", "root"])
def owner(request, scratch, cache_dir, helpers):
    """pyro of the user who owns all, with that user's number in `uid`; no directory above hides its files."""
    if request.param == "user":
        program = harness.become_normal_user(scratch)
        program.uid = harness.NORMAL_USER
    else:
        scratch.chmod(0o755)
        home = scratch / "user"
        home.mkdir()
        program = harness.Pyro(home / "state", home / "cache", home)
        program.uid = 0
    harness.copy_base(cache_dir, program.cache)
    program.cache.chmod(0o700)
    subprocess.run(["chown", "-hR", f"{program.uid}:{program.uid}", str(program.cache)], check=True)
    # No file of pyro's needs a place that all users share.
    places = ["mount --bind /tmp /tmp", f"mount --bind {scratch} {scratch}", "mount -o remount,bind,ro /tmp",
              *(f"mount -t tmpfs -o ro none {place}" for place in ("/dev/shm", "/var/tmp", "/run"))]
    if not program.prefix:
        program.prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'exec "$@"', "sh"]
    program.prefix[-2] = " && ".join([*places, program.prefix[-2]])
    program.env["TMPDIR"] = "/tmp"
    with harness.nothing_is_left(program, helpers):
        yield program


def own_file(program, name, text, mode=0o600):
    path = pathlib.Path(program.env["HOME"]) / name
    path.write_text(text)
    path.chmod(mode)
    os.chown(path, program.uid, program.uid)
    return path


def ok(done):
    assert done.code == 0, done
    return done


class Life:
    """A task that has all that a task can have, a spare and a server of MCP, under one umask."""

    def __init__(self, program, umask):
        self.program = program
        file = own_file(program, "secret", SECRET + "\n")
        variables = own_file(program, "variables", f"OF_THE_TASK={VALUE}\n")
        token = own_file(program, "token", TOKEN + "\n")
        self.umask = {"umask": umask}
        made = ok(program("task", "create", "-q", "--name", "mine", "--network", "--allow", "api.example", "--cache", "--secret", f"S=file:{file}",
                          "--for", "api.example", "--env-file", variables, harness.BASE, **self.umask))
        self.task = harness.Task(program, made.text.strip())
        ok(self.task.exec("sh", "-c", "echo said; echo kept > f", **self.umask))
        ok(program("task", "snapshot", "create", self.task.id, "one", **self.umask))
        ok(program("warm", "-q", harness.BASE, **self.umask))
        self.command = self.task.start("sleep", "600", flags=("-q", "--timeout-seconds", "600"), **self.umask)
        harness.wait_until(lambda: len(self.task.entries()) == 2, "the command has begun")
        self.server = program.start("mcp", "serve", "--spares", "0", "--http", "127.0.0.1:0", "--token-file", token, **self.umask)
        said = self.server.stderr.readline().decode()
        self.url = said.split()[-1]
        assert self.url.startswith("http://"), said

    def processes(self):
        return [one for one in harness.descendants() if "pyro" in program_of(one) or one.program in ("bwrap", "qemu-system-x86_64", "passt", "linux")
                or one.program.startswith("passt")]

    def files(self):
        """What pyro has in its directories, links not followed: paths and what lstat(2) says. A template in the making moves away meanwhile."""
        found = []
        for top in (self.program.state, self.program.cache):
            for directory, below, files in os.walk(top):
                for path in (pathlib.Path(directory), *(pathlib.Path(directory) / name for name in (*below, *files))):
                    with contextlib.suppress(FileNotFoundError):
                        found.append((path, path.lstat()))
        return found

    def close(self):
        for process in (self.command, self.server):
            process.send_signal(signal.SIGINT)
            harness.finish(process)
        ok(self.program("warm", "--count", "0", harness.BASE, **self.umask))
        self.task.delete()


def program_of(process):
    return (process.program or process.name).removesuffix(" (deleted)")  # Of a copy in memory, as the gate's.


def check_files(life):
    """Owners and modes: none but the owner can do anything, though no directory above protects them."""
    uid = life.program.uid
    wrong = []
    for path, info in life.files():
        mode = stat.S_IMODE(info.st_mode)
        # As root the proxy is a user of its own, whose store is the cache of downloads.
        mine = info.st_uid == uid or (uid == 0 and "downloads" in path.parts and info.st_uid >= 60000 and info.st_uid != NEIGHBOUR)
        # The user of a machine that is frozen is another each time: its memory relies on the directory above.
        frozen = path.name == "memory" and path.parent.name.startswith(".making-")
        if stat.S_ISLNK(info.st_mode) or frozen:
            continue
        allowed = 0o077 if stat.S_ISDIR(info.st_mode) or life.program.state in path.parents else 0o022
        if not mine or mode & allowed:
            wrong.append((str(path), info.st_uid, oct(mode)))
    assert not wrong, wrong


def check_neighbour(life):
    files = [(path, info) for path, info in life.files() if not stat.S_ISLNK(info.st_mode)]
    paths = [path for path, _ in files]
    kinds = {stat.S_IFMT(info.st_mode) for _, info in files}
    assert {stat.S_IFSOCK, stat.S_IFDIR, stat.S_IFREG} <= kinds
    pids = [one.pid for one in life.processes()]
    assert len(pids) >= 6, life.processes()
    attempted = attempts(NEIGHBOUR, paths, pids)
    assert not attempted, sorted(map(str, attempted))[:50]
    return paths, pids


def expect_ways_to_lead(life, paths, pids):
    """The same ways for the owner. A guest in user mode may end by what it is told to do, so this is the last of it."""
    own = attempts(life.program.uid, paths, pids)
    for path in paths:
        try:
            kind = path.lstat().st_mode
        except FileNotFoundError:
            continue
        way = "connect" if stat.S_ISSOCK(kind) else "enter" if stat.S_ISDIR(kind) else "lock"
        assert (way, str(path)) in own, path
    # Yama keeps a user from tracing what is no child; root may.
    ways = {way for way, _ in own} | {way for way, _ in attempts(0, pids=pids) if way in ("trace", "take a descriptor", "memory", "read its memory")}
    assert len(ways) == 7 + 17, sorted(ways)


def listeners(pid):
    """Sockets of the process that another can connect to, by the kernel's tables of its network."""
    inodes = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        link = os.readlink(f"/proc/{pid}/fd/{entry}")
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    found = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                found.append(words[1])
    for line in pathlib.Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if words[6] in inodes and len(words) > 7 and int(words[3], 16) & 0x10000:
            found.append(words[7])
    return found


def check_processes(life):
    """No argument or variable holds what is secret, and no socket listens but those that ask for their caller."""
    of_life = life.processes()
    names = sorted(program_of(one) for one in of_life)
    assert {"pyro-supervisor", "pyro-net", "pyro-proxy"} <= set(names), names
    for one in of_life:
        try:
            words = pathlib.Path(f"/proc/{one.pid}/cmdline").read_bytes() + pathlib.Path(f"/proc/{one.pid}/environ").read_bytes()
            listening = listeners(one.pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        for word in (TOKEN, SECRET, VALUE):
            assert word.encode() not in words, (one, words)
        for name in listening:
            served = one.program == "pyro"
            jailed = os.readlink(f"/proc/{one.pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt") and name == "/memory/served"
            assert name.endswith("/control.sock") or served or jailed, (one, name)


def check_server(life):
    """The neighbour reaches the port, and without the token no more."""
    ask = ("import sys, urllib.request, urllib.error\n"
           "message = b'{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{},"
           "\"clientInfo\":{\"name\":\"n\",\"version\":\"1\"}}}'\n"
           "headers = {'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream'}\n"
           "headers |= {'Authorization': 'Bearer ' + sys.argv[2]} if sys.argv[2] else {}\n"
           "try: print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], message, headers), timeout=60).status)\n"
           "except urllib.error.HTTPError as error: print(error.code)\n")
    answers = [as_user(user, "/usr/bin/python3", "-IS", "-c", ask, life.url, token).stdout.strip()
               for user, token in ((NEIGHBOUR, ""), (NEIGHBOUR, "token-" + "0" * 40), (life.program.uid, TOKEN))]
    assert answers == ["401", "401", "200"]


@pytest.mark.cost(15)
@pytest.mark.parametrize("umask", [0o000, 0o077], ids=["open", "closed"])
def test_a_neighbour_can_neither_read_nor_drive_nor_starve_a_task(owner, umask):
    life = Life(owner, umask)
    try:
        check_files(life)
        tried = check_neighbour(life)
        check_processes(life)
        check_server(life)
        assert ok(life.task.exec("cat", "f", **life.umask)).out == b"kept\n"
        check_files(life)
        expect_ways_to_lead(life, *tried)
    finally:
        life.close()


def strange_places(scratch, uid):
    """Places that another user could have prepared, by what is wrong with them."""
    shared = scratch / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    def place(name, mode, who, group=None):
        path = shared / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, who, who if group is None else group)
        return path

    own = place("own", 0o700, uid)
    link = shared / "link"
    link.symlink_to(own)
    os.chown(link, NEIGHBOUR, NEIGHBOUR, follow_symlinks=False)
    return {"made by another": place("made", 0o700, NEIGHBOUR), "open to all, and another's": place("open", 0o777, NEIGHBOUR),
            "open to all": place("world", 0o777, uid), "open to a group": place("group", 0o770, uid, NEIGHBOUR), "a link of another's": link,
            "a link with a slash": f"{link}/", "shared": shared}


def hint_for(what, place, variable):
    """What an error about the place says: a part of its message, and its hint."""
    other = f"; {variable} can name another"
    if what in ("open to all", "open to a group"):
        return "other users may write there", f"look at its content, then: chmod go-w '{place}'{other}"
    if what == "shared":
        return "other users may write there", f"choose a directory of your own, such as one below it{other}"
    return "it belongs to another user", f"call pyro as that user, or choose a directory of your own{other}"


@pytest.fixture(params=["user", "root"])
def guestless_owner(request, scratch, helpers):
    if request.param == "user":
        program = harness.become_normal_user(scratch)
        program.uid = harness.NORMAL_USER
    else:
        scratch.chmod(0o755)
        program = harness.Pyro(scratch / "state", scratch / "cache", scratch)
        program.uid = 0
    with harness.nothing_is_left(program, helpers):
        yield program


def test_directories_that_another_user_owns_or_may_write_are_refused(guestless_owner, scratch):
    owner = guestless_owner
    places = strange_places(scratch, owner.uid)
    before = sorted(map(str, (scratch / "shared").rglob("*")))
    for what, place in places.items():
        for variable in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR"):
            for words in (("task", "list"), ("env", "list"), ("config", "set", "machine", "tcg"), ("mcp", "serve")):
                done = owner(*words, env={variable: str(place)})
                harness.expect_error(done, 1)
                message, hint = hint_for(what, place, variable)
                assert f"is not used: {message}" in done.talk and f"hint: {hint}\n" in done.talk, (what, done)
    assert sorted(map(str, (scratch / "shared").rglob("*"))) == before
    own = scratch / "shared/own"
    for variable in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR"):
        ok(owner("task", "list", env={variable: str(own)}))


def test_a_directory_that_cannot_be_looked_at_is_told_with_its_variable(guestless_owner, scratch):
    if guestless_owner.uid == 0:
        pytest.skip("root may look at all")
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    for variable in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR"):
        done = guestless_owner("task", "list", env={variable: str(closed / "below")})
        harness.expect_error(done, 1)
        assert f"stat '{closed}/below': permission denied" in done.talk, done
        assert f"hint: set {variable} to a directory of your own\n" in done.talk, done


# What is in a place of `group` decides whether a group that may write is the user's own.
GROUPS = {"private": ("pyro-test:x:{gid}:", True), "with its user": ("pyro-test:x:{gid}:pyro-test", True), "with another": ("pyro-test:x:{gid}:pyro-test,daemon", False),
          "of another name": ("staff-of-it:x:{gid}:", False), "unknown": ("", False)}


@pytest.mark.parametrize("line, accepted", GROUPS.values(), ids=GROUPS)
def test_a_group_of_this_user_alone_may_write(scratch, helpers, line, accepted):
    """As where the umask is 002: in directories, and in the file of settings."""
    owner = harness.become_normal_user(scratch)
    groups = scratch / "group"
    groups.write_text(groups.read_text().replace(f"pyro-test:x:{harness.NORMAL_USER}:\n", line.format(gid=harness.NORMAL_USER) + "\n"))
    with harness.nothing_is_left(owner, helpers):
        place = scratch / "user/open"
        place.mkdir()
        (place / "config").write_text("machine = tcg\n")
        for path, mode in ((place, 0o775), (place / "config", 0o664)):
            path.chmod(mode)
            os.chown(path, harness.NORMAL_USER, harness.NORMAL_USER)
        for variable in ("PYRO_STATE_DIR", "PYRO_CACHE_DIR", "PYRO_CONFIG_DIR"):
            done = owner("task", "list", env={variable: str(place)})
            assert (done.code == 0) == accepted and ("other users may write there" in done.talk) != accepted, done
        place.chmod(0o755)
        done = owner("config", "list", env={"PYRO_CONFIG_DIR": str(place)})
        assert (done.code == 0) == accepted and ("other users may write it" in done.talk) != accepted, done
        if accepted:
            # Of an access control list the group's bits are the bounds of all others whom it names.
            place.chmod(0o775)
            os.setxattr(place, "system.posix_acl_access", access_list(NEIGHBOUR))
            assert stat.S_IMODE(place.stat().st_mode) == 0o775
            harness.expect_error(owner("task", "list", env={"PYRO_CONFIG_DIR": str(place)}), 1)


def access_list(user):
    """As the kernel takes it: (tag, rights, id) of the owner, of `user`, of the group, the mask and all others."""
    none = 0xffffffff
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in ((1, 7, none), (2, 7, user), (4, 5, none), (16, 7, none), (32, 5, none)))


def test_python_is_told_of_a_directory_of_another_user(scratch, monkeypatch):
    pyro_mcp = pytest.importorskip("pyro_mcp") if (harness.BIN.parent / "python").is_dir() else pytest.skip("there is no Python package")
    monkeypatch.setenv("PYRO_CACHE_DIR", str(scratch / "cache"))
    for what, place in strange_places(scratch, 0).items():
        monkeypatch.setenv("PYRO_STATE_DIR", str(place))
        with pytest.raises(pyro_mcp.PermissionDeniedError) as raised:
            pyro_mcp.Pyro()
        message, hint = hint_for(what, place, "PYRO_STATE_DIR")
        assert f"is not used: {message}" in str(raised.value) and raised.value.hint == hint, (what, raised.value)


def test_a_token_of_another_user_is_no_token(guestless_owner, scratch):
    file = scratch / "token"

    def serve():
        done = guestless_owner("mcp", "serve", "--http", "127.0.0.1:0", "--token-file", file)
        harness.expect_error(done, 1)
        return done.talk

    for user, mode in ((NEIGHBOUR, 0o600), (guestless_owner.uid, 0o640), (guestless_owner.uid, 0o620)):
        file.write_text(TOKEN)
        file.chmod(mode)
        os.chown(file, user, user)
        told = serve()
        # A user cannot even open what is another's alone.
        wrong = ("others may read or write the token file" if user != NEIGHBOUR else f"the token file '{file}' belongs to another user"
                 if guestless_owner.uid == 0 else f"the token file '{file}' cannot be read")
        assert wrong in told, told
        file.unlink()
    file.write_text(TOKEN)
    file.chmod(0o644)
    os.chown(file, NEIGHBOUR, NEIGHBOUR)
    assert "belongs to another user" in serve()
    file.unlink()
    os.mkfifo(file, 0o600)
    os.chown(file, guestless_owner.uid, guestless_owner.uid)
    told = serve()
    assert "is no regular file" in told and "hint: write the token to a file with mode 0600\n" in told, told


def test_names_that_a_neighbour_has_planted_are_not_written_through(owner, scratch):
    made = ok(owner("task", "create", "-q", harness.BASE))
    task = harness.Task(owner, made.text.strip())
    ok(task.exec("sh", "-c", "echo new > f; mkdir d; echo new > d/f"))
    shared = pathlib.Path(owner.env["HOME"]) / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    precious = own_file(owner, "precious", "precious\n")
    directory = pathlib.Path(owner.env["HOME"]) / "directory"
    directory.mkdir()
    os.chown(directory, owner.uid, owner.uid)
    for target in (precious, directory):
        for number, words in enumerate((("task", "export", task.id, "f"), ("task", "export", "--force", task.id, "f"), ("task", "export", task.id, "d"),
                                        ("task", "cp", f"{task.id}:f"), ("task", "cp", f"{task.id}:d"),
                                        ("task", "sync", "--pull", task.id), ("env", "export", harness.BASE))):
            link = shared / f"{target.name}-{number}"
            made = as_user(NEIGHBOUR, "ln", "-s", target, link)
            assert made.returncode == 0, made
            done = owner(*words, link)
            assert done.code == 1 and any(word in done.talk for word in ("another user has put", "exists already", "is no directory")), done
            assert precious.read_text() == "precious\n" and not list(directory.iterdir()), words
    # The owner's own links lead where they say, in the same place.
    for target, words in ((precious, ("task", "export", "--force", task.id, "f")), (directory, ("task", "sync", "--pull", task.id))):
        link = shared / f"own-{target.name}"
        assert as_user(owner.uid, "ln", "-s", target, link).returncode == 0
        ok(owner(*words, link))
        assert link.is_symlink()
    assert precious.read_text() == "new\n" and (directory / "d/f").read_text() == "new\n"
    task.delete()
