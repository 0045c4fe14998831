"""Secrets that never enter the guest: a proxy outside puts them into requests to their hosts.

pyro runs in a network namespace of the test's own, as its "host"; a second one is the outside, with
the servers of secret_servers.py. The "host" trusts their authority by SSL_CERT_FILE.
"""

import base64
import os
import pathlib
import secrets
import subprocess
import sys
import tarfile
import zipfile

import harness
import namespaces
import pytest
from namespaces import NEIGHBOUR, NEIGHBOUR6, OUTSIDE, OUTSIDE6, checked, make_authority, prepare_npm, prepare_pip

SERVERS = pathlib.Path(__file__).with_name("secret_servers.py")
TOKEN = "tok-" + secrets.token_hex(20)
HOSTS = ("api", "git", "pypi", "npm")


def make_content(root):
    """A repository, a package for pip and one for npm."""
    work = root / "work"
    work.mkdir(parents=True)
    (work / "file").write_text("of the repository\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    checked([*git, "init", "-q", work])
    checked([*git, "-C", work, "add", "file"])
    checked([*git, "-C", work, "commit", "-qm", "one"])
    (root / "git").mkdir()
    checked([*git, "clone", "-q", "--bare", work, root / "git/repository.git"])
    checked([*git, "-C", root / "git/repository.git", "update-server-info"])
    wheel = root / "pypi/simple/a-package/a_package-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("a_package.py", "print('of the index')\n")
        archive.writestr("a_package-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n")
        archive.writestr("a_package-1.0.dist-info/WHEEL",
                         "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("a_package-1.0.dist-info/RECORD", "")
    package = root / "package"
    package.mkdir()
    (package / "package.json").write_text('{"name": "a-package", "version": "1.0.0"}')
    (package / "index.js").write_text("console.log('of the registry')\n")
    (root / "npm").mkdir()
    with tarfile.open(root / "npm/a-package-1.0.0.tgz", "w:gz") as archive:
        archive.add(package, "package")


class World(namespaces.Namespaces):
    def __init__(self, scratch):
        super().__init__(scratch)
        self.add_ipv6()
        self.scratch = scratch
        make_authority(scratch, (f"{name}.example" for name in (*HOSTS, "other", "six", "near")))
        make_content(scratch / "content")
        self.log = scratch / "requests"
        self.log.write_text("")
        self.start([*self.enter_outside, sys.executable, SERVERS, OUTSIDE, OUTSIDE6, NEIGHBOUR, NEIGHBOUR6,
                    scratch / "server.pem", scratch / "server.key", scratch / "content", TOKEN, self.log])

    def requests(self):
        return self.log.read_text().splitlines()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    namespaces.require("openssl", "git")
    made = World(namespaces.open_scratch(tmp_path_factory.mktemp("secrets")))
    yield made
    made.close()


@pytest.fixture
def inside(world, pyro, helpers):
    """pyro as it runs on the test's host, with the secret in a file of its user."""
    helpers.update(process.pid for process in world.processes)
    pyro.prefix = world.enter_host
    pyro.env["SSL_CERT_FILE"] = str(world.scratch / "ca.pem")
    pyro.file = pathlib.Path(pyro.env["HOME"]) / "token"
    pyro.file.write_text(TOKEN + "\n")
    pyro.file.chmod(0o600)
    return pyro


def options(pyro, *hosts):
    flags = ["--secret", f"TOKEN=file:{pyro.file}"]
    for host in hosts or ("api.example",):
        flags += ["--for", host]
    return flags


def guest(pyro, script, *flags, environment=harness.FULL):
    return pyro.run("bash", "-c", script, environment=environment,
                    flags=("-q", "--timeout-seconds", "100", *flags))


def make_task(pyro, *flags, environment=harness.FULL):
    made = pyro("task", "create", environment, "--json", *flags)
    assert made.code == 0, made
    return harness.Task(pyro, made.json["task_id"])


ASK = "curl -sS -m 30 -H \"Authorization: Bearer $TOKEN\" https://api.example"


@pytest.mark.cost(4)
def test_a_host_with_ipv6_alone_gets_the_secret_unless_its_address_is_local(inside, world):
    ask = "curl -sS -m 30 -H \"Authorization: Bearer $TOKEN\" https://{}.example/who; ".format
    done = guest(inside, ask("six") + ask("near"), "--json", *options(inside, "six.example", "near.example"))
    assert done.json["stdout"].startswith("known\n"), done
    # The guest asks a proxy, under an address of IPv4, and the proxy judges the address of its host.
    denied = {one["host"]: one["reason"] for one in done.json["denied"]}
    assert denied == {"near.example": "upstream"}, done
    assert "GET near.example /who right" not in world.requests(), world.requests()
    allowed = guest(inside, ask("near"), "--allow", NEIGHBOUR6, *options(inside, "near.example"))
    assert allowed.text == "known\n", allowed


def test_a_request_arrives_with_the_secret_that_the_guest_does_not_have(inside, world):
    done = guest(inside, f"{ASK}/who; env | grep ^TOKEN=", *options(inside))
    assert done.code == 0, done
    assert done.text.startswith("known\nTOKEN=pyro-secret-"), done
    assert TOKEN not in done.text
    assert any(line.endswith("/who right") for line in world.requests())


def test_a_secret_comes_from_a_variable_too(inside):
    done = inside.run("bash", "-c", f"{ASK}/who", environment=harness.FULL, env={"MINE": TOKEN},
                      flags=("-q", "--secret", "TOKEN=env:MINE", "--for", "api.example:443"))
    assert (done.code, done.text) == (0, "known\n"), done


def test_git_clones_with_a_password_that_it_does_not_have(inside):
    done = guest(inside, "cd /tmp && GIT_TERMINAL_PROMPT=0 git clone -q https://user:$TOKEN@git.example/repository.git "
                         "&& cat repository/file", *options(inside, "git.example"))
    assert (done.code, done.text) == (0, "of the repository\n"), done


def test_nothing_else_is_reached_without_a_network(inside):
    done = guest(inside, "curl -sS -m 20 https://other.example/ -k; echo $?; "
                         f"curl -sS -m 20 https://{OUTSIDE}/ -k; echo $?", *options(inside))
    assert done.code == 0, done
    assert done.text.splitlines() == ["6", "7"], done


def test_a_placeholder_that_goes_elsewhere_is_refused_and_told(inside, world):
    flags = [*options(inside), "--secret", f"OTHER=file:{inside.file}", "--for", "other.example"]
    done = inside("run", "--json", *flags, harness.FULL, "--", "bash", "-c",
                  f"{ASK.replace('api.example', 'other.example')}/who; "
                  "curl -sS -m 30 \"https://api.example/who?key=$TOKEN\"; "
                  "curl -sS -m 30 -d \"key=$TOKEN\" https://api.example/echo; echo")
    assert done.code == 0, done
    told = done.json
    assert "the secret TOKEN is not for other.example:443" in told["stdout"], told
    assert "put into values of header fields alone" in told["stdout"]
    assert "key=pyro-secret-" in told["stdout"]
    reasons = {(one["host"], one["reason"]) for one in told["denied"]}
    assert reasons == {("other.example", "secret_elsewhere"), ("api.example", "secret_place"),
                       ("api.example", "secret_body")}, told["denied"]
    assert not any("other.example" in line for line in world.requests())


def test_plain_http_gets_no_secret(inside, world):
    done = inside("run", "--json", *options(inside, "api.example:80"), harness.FULL, "--", "bash", "-c",
                  ASK.replace("https:", "http:") + "/who")
    assert done.code == 0, done
    assert "leaves over TLS alone" in done.json["stdout"], done
    assert [one["reason"] for one in done.json["denied"]] == ["secret_plain"], done


def test_a_server_that_gives_the_value_back_gives_it_to_no_guest(inside):
    encoded = base64.b64encode(f"user:{TOKEN}".encode()).decode()
    done = guest(inside, f"{ASK}/echo -i; {ASK}/pieces; curl -sS -u user:$TOKEN https://api.example/echo; "
                         f"{ASK}/echo > /tmp/kept; cat /tmp/kept", *options(inside))
    assert done.code == 0, done
    assert TOKEN not in done.text and encoded not in done.text
    assert done.text.count("[secret TOKEN]") >= 5, done


def test_a_program_with_a_certificate_of_its_own_choice_is_told(inside):
    pin = "sha256//" + base64.b64encode(b"\0" * 32).decode()
    done = inside("run", "--json", *options(inside), harness.FULL, "--", "bash", "-c",
                  f"curl -sS -m 30 --pinnedpubkey '{pin}' https://api.example/who; echo $?; "
                  "curl -sS -m 30 --cacert /etc/ssl/certs/ca-certificates.crt https://api.example/who; echo $?")
    assert done.code == 0, done
    assert done.json["stdout"].split() == ["90", "60"], done
    assert {one["reason"] for one in done.json["denied"]} == {"not_trusted"}, done


def test_what_is_not_http_1_is_told(inside):
    script = r"""
import os, socket, ssl
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
context.set_alpn_protocols(["h2"])
try:
    context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
except OSError as error:
    print("no h2")
context.set_alpn_protocols(["http/1.1"])
stream = context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
stream.sendall(b"GET / HTTP/1.1\r\nHost: api.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
print(stream.recv(12).decode())
stream = context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
stream.sendall(b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
print(stream.recv(12).decode())
"""
    done = inside("run", "--json", *options(inside), harness.FULL, "--", "python3", "-c", script)
    assert done.code == 0, done
    assert done.json["stdout"].splitlines() == ["no h2", "HTTP/1.1 501", "HTTP/1.1 421"], done
    assert {one["reason"] for one in done.json["denied"]} == {"not_http", "other_name"}, done


def test_a_server_that_this_host_does_not_trust_gets_no_secret(inside, world):
    del inside.env["SSL_CERT_FILE"]
    before = len(world.requests())
    done = inside("run", "--json", *options(inside), harness.FULL, "--", "bash", "-c", f"{ASK}/who")
    assert done.code == 0, done
    assert "does not trust the certificate of api.example" in done.json["stdout"], done
    assert [one["reason"] for one in done.json["denied"]] == ["upstream"], done
    assert len(world.requests()) == before


def test_with_a_network_other_hosts_are_reached_as_before(inside, world):
    done = guest(inside, f"{ASK}/who; curl -sS -m 30 --cacert /tmp/ca https://other.example/who || "
                         "curl -sS -m 30 -k https://other.example/who", "--network", *options(inside))
    assert done.text.split() == ["known", "unknown"], done


def test_pip_installs_from_an_index_that_wants_the_secret(inside):
    task = make_task(inside, *options(inside, "pypi.example"))
    try:
        prepare_pip(inside, task)
        done = task.exec("bash", "-c",
                         "export PYTHONPATH=/opt; python3 -m pip install -q --root-user-action ignore --no-deps "
                         "--target /tmp/site --index-url https://user:$TOKEN@pypi.example/simple a-package && "
                         "PYTHONPATH=/tmp/site python3 -m a_package")
        assert (done.code, done.text) == (0, "of the index\n"), done
    finally:
        task.delete()


def test_npm_installs_from_a_registry_that_wants_the_secret(inside):
    task = make_task(inside, *options(inside, "npm.example"))
    try:
        prepare_npm(inside, task)
        done = task.exec("bash", "-c",
                         "cd /workspace && echo '//npm.example/:_authToken=${TOKEN}' > .npmrc && "
                         "node /usr/local/lib/npm/bin/npm-cli.js install --registry https://npm.example "
                         "--no-audit --no-fund --silent a-package && node node_modules/a-package/index.js")
        assert (done.code, done.text) == (0, "of the registry\n"), done
    finally:
        task.delete()


def test_a_head_grows_by_its_values_up_to_the_limit_alone(inside):
    inside.file.write_text("v" * 4096)
    script = r"""
import os, socket, ssl
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
for count in (15, 1000):
    stream = context.wrap_socket(socket.create_connection(("api.example", 443)), server_hostname="api.example")
    stream.sendall(b"GET /who HTTP/1.1\r\nHost: api.example\r\n" + (b"A: " + os.environb[b"TOKEN"] + b"\r\n") * count + b"\r\n")
    print(stream.recv(12).decode())
"""
    done = inside.run("python3", "-c", script, environment=harness.FULL, flags=("-q", *options(inside)))
    assert done.text.splitlines() == ["HTTP/1.1 401", "HTTP/1.1 431"], done


def test_a_connection_counts_until_both_sides_have_ended(inside):
    script = r"""
import socket
held = []
for _ in range(450):
    held.append(socket.create_connection(("api.example", 80)))
    try:
        held[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        while held[-1].recv(4096):
            pass
    except OSError:
        pass
print(len(held), flush=True)
input()
"""
    task = make_task(inside, *options(inside), "--allow", "api.example:80")
    try:
        program = task.start("python3", "-c", script, stdin=subprocess.PIPE)
        assert program.stdout.readline() == b"450\n", program.communicate()
        proxies = [one for one in task.processes() if one.name == "pyro-proxy"]
        files = max(len(os.listdir(f"/proc/{one.pid}/fd")) for one in proxies)
        program.communicate(b"\n")
        assert 700 < files <= 2 * 400 + 20, files
    finally:
        task.delete()


def test_a_crash_of_a_process_with_a_secret_writes_no_memory(inside):
    inside.prefix = [*inside.prefix, "sh", "-c", 'ulimit -S -c unlimited; exec "$0" "$@"']
    task = make_task(inside, *options(inside))
    try:
        with_values = [one for one in task.processes() if one.name in ("pyro-supervisor", "pyro-proxy")]
        assert len(with_values) >= 2
        for one in with_values:
            (line,) = [line for line in words_of(one.pid, "limits").splitlines() if line.startswith(b"Max core file size")]
            assert int(line.split()[4]) <= 1, (one, line)
    finally:
        task.delete()


def words_of(pid, name):
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def memory_of(pid):
    """What a process of the guest's machine has in memory, as far as it can be read."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            bounds, rights = line.split()[:2]
            if not rights.startswith("r") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in bounds.split("-"))
            try:
                for at in range(start, end, 1 << 24):
                    memory.seek(at)
                    # A value may lie across two pieces.
                    yield memory.read(min(end - at, (1 << 24) + 128))
            except (OSError, OverflowError, ValueError):
                continue


def test_the_secret_is_found_nowhere_but_in_the_request(inside, world, scratch):
    needles = (TOKEN.encode(), base64.b64encode(f"user:{TOKEN}".encode()))
    # With little memory, all of which is read below.
    task = make_task(inside, "--mem-mib", "256", *options(inside, "api.example", "git.example"))
    try:
        done = task.exec("bash", "-c", f"{ASK}/who; {ASK}/echo | tee /workspace/echo; env > /workspace/env; "
                                       "cd /workspace && git clone -q https://user:$TOKEN@git.example/repository.git; sync")
        assert done.code == 0 and done.text.startswith("known"), done
        assert inside("task", "snapshot", "create", task.id, "one").code == 0
        exported = inside("task", "export", task.id, "/workspace", str(scratch / "exported"))
        assert exported.code == 0, exported
        processes = task.processes()
        names = {one.name for one in processes}
        assert {"pyro-supervisor", "pyro-proxy"} <= names, names
        for one in processes:
            for place in ("cmdline", "environ"):
                assert not any(needle in words_of(one.pid, place) for needle in needles), (one, place)
        machines = [one for one in processes if one.program == harness.MACHINE]
        assert machines
        for machine in machines:
            for piece in memory_of(machine.pid):
                assert not any(needle in piece for needle in needles), machine
        inside_text = task.exec("sh", "-c", "cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat /run/pyro/*")
        assert not any(needle in inside_text.out for needle in needles)
        assert task.stop()
        found = subprocess.run(["grep", "-rlazF", *(word for needle in needles for word in ("-e", needle.decode())),
                                inside.state, inside.cache / "templates", scratch / "exported"],
                               capture_output=True, text=True, check=False)
        assert found.stdout == "", found
        # The search itself finds what is there.
        assert subprocess.run(["grep", "-qaF", TOKEN, inside.file], check=False).returncode == 0
        assert subprocess.run(["grep", "-rqazF", "pyro-secret-", inside.state], check=False).returncode == 0
    finally:
        task.delete()


def test_a_restart_reads_the_secret_again_and_the_placeholder_stays(inside):
    task = make_task(inside, *options(inside))
    try:
        first = task.exec("bash", "-c", f"{ASK}/who; echo $TOKEN")
        assert first.text.startswith("known\n"), first
        info = task.json("status")
        assert task.json("network show")["denied"] == []
        assert info["secrets"] == [f"TOKEN=file:{inside.file} for api.example:443"], info
        task.stop()
        assert task.json("network show")["denied"] == []
        inside.file.write_text("another-value-0123456789\n")
        second = task.exec("bash", "-c", f"{ASK}/who; echo $TOKEN")
        assert second.text == first.text.replace("known", "unknown"), second
        task.stop()
        inside.file.unlink()
        third = task.exec("true")
        assert third.code == 125 and "the secret TOKEN is not there" in third.talk, third
        inside.file.write_text(TOKEN)
        assert task.exec("bash", "-c", f"{ASK}/who").text == "known\n"
    finally:
        inside.file.write_text(TOKEN)
        task.delete()


def test_a_proxy_that_is_killed_leaves_a_guest_that_is_told(inside):
    task = make_task(inside, *options(inside))
    try:
        assert task.exec("bash", "-c", f"{ASK}/who").text == "known\n"
        proxies = [one for one in task.processes() if one.name == "pyro-proxy"]
        assert proxies, [(one.name, one.program) for one in task.processes()]
        harness.kill_all(proxies)
        after = task.exec("bash", "-c", f"{ASK}/who; true")
        assert after.code == 0 and "known" not in after.text, after
        assert "proxy_ended" in str(task.json("network show")["denied"])
        task.kill_guest()
        assert task.exec("bash", "-c", f"{ASK}/who").text == "known\n"
    finally:
        task.delete()


@pytest.mark.parametrize(("flags", "words"), [
    (["--secret", "TOKEN=abcdefghijkl", "--for", "api.example"], "names no place to read it"),
    (["--secret", "TOKEN=env:NOT_SET", "--for", "api.example"], "the variable NOT_SET is not set here"),
    (["--secret", "TOKEN=file:/nowhere", "--for", "api.example"], "the secret TOKEN is not there"),
    (["--secret", "TOKEN=env:HOME"], "the secret TOKEN is for no host"),
    (["--secret", "TOKEN=env:HOME", "--for", "*.example"], "is no name of one host"),
    (["--secret", "TOKEN=env:HOME", "--for", "api.example", "--allow-host-compat"], "allow_host_compat is set"),
    (["--for", "api.example"], "--for"),
])
def test_secrets_that_make_no_sense_are_refused(inside, flags, words):
    done = inside("run", *flags, harness.BASE, "--", "true")
    assert done.code == 125 and words in done.talk, done
    assert inside.rows() == []


def test_a_value_is_in_no_message(inside):
    done = inside("run", "--secret", "TOKEN=env:SHORT", "--for", "api.example", harness.BASE, "--", "true",
                env={"SHORT": "s3cr3t"})
    assert done.code == 125 and "s3cr3t" not in done.talk and "8 to 4096" in done.talk, done
