"""Two network namespaces for a test: the "host" of pyro, and the outside, joined by a veth pair.

The outside's servers have addresses behind the pair's, which is the LAN of the "host".
"""

import os
import pathlib
import shutil
import subprocess

import harness
import pytest

HOST = "198.18.0.1"
NEIGHBOUR = "198.18.0.2"
OUTSIDE = "203.0.113.2"
HOST6 = "2001:db8:1::1"
NEIGHBOUR6 = "2001:db8:1::2"
OUTSIDE6 = "2001:db8:2::2"
PIP = pathlib.Path("/usr/lib/python3/dist-packages/pip")
NPM = pathlib.Path("/usr/lib/node_modules/npm")


def checked(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        harness.cannot_run(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def require(*tools):
    if os.geteuid() != 0:
        harness.cannot_run("only root can make network namespaces for this test")
    for tool in tools:
        if not shutil.which(tool):
            harness.cannot_run(f"this test needs {tool}")


def open_scratch(directory):
    """The jails of the "host" have other users: they read what the test wrote there."""
    for one in (directory, directory.parent):
        os.chmod(one, 0o755)
    return directory


def make_authority(where, names):
    """ca.pem, and server.pem with server.key for the names."""
    (where / "names").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) + "\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    for command in (f"openssl req -x509 {key} -days 2 -subj /CN=test-authority -keyout ca.key -out ca.pem",
                    f"openssl req -new {key} -subj /CN=test-server -keyout server.key -out server.csr",
                    "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names"
                    " -out server.pem"):
        checked(command.split(), cwd=where)
    os.chmod(where / "ca.pem", 0o644)


class Namespaces:
    """Ends with close(). `addresses` are the outside's own."""

    def __init__(self, scratch, addresses=(OUTSIDE,)):
        self.processes = []
        self.outside = self._hold(["unshare", "--net"])
        self.host = self._hold(["unshare", "--net", "--mount", "--propagation", "private"])
        resolver = scratch / "resolv.conf"
        resolver.write_text(f"nameserver {NEIGHBOUR}\n")
        os.chmod(resolver, 0o644)
        for command in (
                f"ip link add pyro-a type veth peer name pyro-b netns {self.outside}",
                f"ip address add {HOST}/24 dev pyro-a", "ip link set pyro-a up",
                "ip link set lo up", f"ip route add default via {NEIGHBOUR}",
                f"mount --bind {resolver} {pathlib.Path('/etc/resolv.conf').resolve()}"):
            self.in_host(*command.split())
        for command in (f"ip address add {NEIGHBOUR}/24 dev pyro-b", "ip link set pyro-b up", "ip link set lo up",
                        *(f"ip address add {address}/32 dev lo" for address in addresses)):
            self.in_outside(*command.split())

    def add_ipv6(self, addresses=(OUTSIDE6,)):
        """IPv6 leads outside from now on."""
        for command in (f"ip address add {NEIGHBOUR6}/64 dev pyro-b nodad",
                        *(f"ip address add {address}/128 dev lo" for address in addresses)):
            self.in_outside(*command.split())
        for command in (f"ip address add {HOST6}/64 dev pyro-a nodad", f"ip -6 route add default via {NEIGHBOUR6}"):
            self.in_host(*command.split())

    @property
    def enter_host(self):
        return ["nsenter", f"--net=/proc/{self.host}/ns/net", f"--mount=/proc/{self.host}/ns/mnt"]

    @property
    def enter_outside(self):
        return ["nsenter", f"--net=/proc/{self.outside}/ns/net"]

    def in_host(self, *command):
        return checked([*self.enter_host, *command])

    def in_outside(self, *command):
        return checked([*self.enter_outside, *command])

    def start(self, command):
        """A program that prints `ready` when it is; it ends with the namespaces."""
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.processes.append(process)
        if process.stdout.readline() != b"ready\n":
            harness.cannot_run(f"{command[0]} cannot make a network namespace")
        return process.pid

    def _hold(self, unshare):
        return self.start([*unshare, "sh", "-c", "echo ready; exec sleep infinity"])

    def close(self):
        for process in self.processes:
            process.kill()
            process.communicate()


def prepare_pip(pyro, task):
    """The host's pip, in /opt of the guest."""
    if not PIP.exists():
        harness.cannot_run("this host has no pip to put into the guest")
    assert pyro("task", "cp", str(PIP), f"{task.id}:/opt/pip").code == 0


def prepare_npm(pyro, task):
    """The host's node and npm, in /usr/local of the guest. No package of Debian has an npm that stands alone."""
    node = shutil.which("node")
    if not node or not NPM.exists():
        pytest.skip(f"this host has no {NPM} and node to put into the guest")
    for what, where in ((os.path.realpath(node), "/usr/local/bin/node"), (NPM, "/usr/local/lib/npm")):
        copied = pyro("task", "cp", str(what), f"{task.id}:{where}")
        assert copied.code == 0, copied
