"""A guest's way out over IPv6, where it leads outside from its host; test_network.py has the rest.

pyro runs in the network namespace of a "host"; the outside has a web server and a name server (namespaces.py).
"""

import json
import pathlib
import sys

import harness
import namespaces
import pytest
from namespaces import HOST, HOST6, NEIGHBOUR, NEIGHBOUR6, OUTSIDE, OUTSIDE6
from test_network import OTHER, OTHER_NAME, PAGE, NAME, SERVERS, curl, guest, targets

OTHER6 = "2001:db8:2::3"
# Has an address of IPv6 alone, and one of the LAN beside one of the outside.
SIX_NAME = "six.example"
HALF_NAME = "half.example"
WAYS_OUT = (pathlib.Path(__file__).parent / "ways_out6.py").read_text()
ADDRESSES = "grep -v ' lo$' /proc/net/if_inet6 | grep -vc ^fe80; grep -c '^0* 00 .* 00000003 ' /proc/net/ipv6_route; "

HOST_SERVER = r"""
import http.server, socket
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"the host's own\n")
    def log_message(self, *_): pass
server = Server(("::", 8081), Page)
print("ready", flush=True)
server.serve_forever()
"""


class World(namespaces.Namespaces):
    def __init__(self, scratch, ipv6):
        super().__init__(scratch, (OUTSIDE, OTHER))
        if ipv6:
            self.add_ipv6((OUTSIDE6, OTHER6))
        self.start([*self.enter_outside, sys.executable, SERVERS, OUTSIDE, OTHER, NEIGHBOUR, PAGE, NAME, OUTSIDE6,
                    OTHER_NAME, OTHER6, SIX_NAME, OUTSIDE6, HALF_NAME, NEIGHBOUR, HALF_NAME, OUTSIDE6])
        self.start([*self.enter_host, sys.executable, "-c", HOST_SERVER])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    namespaces.require()
    made = World(tmp_path_factory.mktemp("net6"), True)
    yield made
    made.close()


@pytest.fixture
def inside(world, pyro, helpers):
    """pyro as it runs on the test's host."""
    helpers.update(process.pid for process in world.processes)
    pyro.prefix = world.enter_host
    return pyro


@pytest.fixture
def without_ipv6(world, tmp_path_factory, pyro, helpers):
    """The same on a host that has no IPv6."""
    made = World(tmp_path_factory.mktemp("net4"), False)
    helpers.update(process.pid for process in [*world.processes, *made.processes])
    pyro.prefix = made.enter_host
    yield pyro
    made.close()


@pytest.mark.cost(5)
def test_the_outside_answers_over_ipv6_and_this_host_does_not(inside):
    done = guest(inside, ADDRESSES + curl(f"http://[{OUTSIDE6}]:8080/") + curl(f"http://{SIX_NAME}:8080/") +
                 curl(f"http://{OUTSIDE}:8080/") + curl(f"http://[{HOST6}]:8081/") +
                 curl(f"http://[{NEIGHBOUR6}]:8080/") + f"curl -sS http://{SIX_NAME}:8080/", "--network", "--json")
    document = json.loads(done.text)
    assert document["stdout"].split("\n") == ["1", "1", "0", "0", "0", "7", "7", PAGE], done
    assert targets(document["denied"]) == {f"local {HOST6}:8081", f"local {NEIGHBOUR6}:8080"}, done
    assert {one["rule"] for one in document["denied"]} == {f"[{HOST6}]:8081", f"[{NEIGHBOUR6}]:8080"}, done


def test_a_host_without_ipv6_gives_its_guests_none(without_ipv6):
    done = guest(without_ipv6, ADDRESSES + curl(f"http://[{OUTSIDE6}]:8080/") + curl(f"http://{NAME}:8080/") +
                 curl(f"http://{SIX_NAME}:8080/"), "--network", "--json")
    document = json.loads(done.text)
    assert document["stdout"].split() == ["0", "0", "7", "0", "7"], done
    assert document["denied"] == [], done
    done = guest(without_ipv6, curl(f"http://{NAME}:8080/") + curl(f"http://{SIX_NAME}:8080/"),
                 "--allow", "*.example", "--json")
    document = json.loads(done.text)
    assert (document["stdout"].split(), document["denied"]) == (["0", "6"], []), done


@pytest.mark.cost(6)
def test_a_policy_holds_for_ipv6(inside):
    script = (curl(f"http://{SIX_NAME}:8080/") + curl(f"http://{HALF_NAME}:8080/") +
              curl(f"http://[{OTHER6}]:8080/") + curl(f"http://{OTHER_NAME}:8080/", "-6") +
              curl(f"http://[{OUTSIDE6}]:8080/", "-H", f"'Host: {OTHER_NAME}'") +
              curl(f"http://{SIX_NAME}:8081/") + curl(f"http://[{NEIGHBOUR6}]:8080/"))
    done = guest(inside, script, "--allow", f"{SIX_NAME}:8080", "--allow", f"{HALF_NAME}:8080",
                 "--allow", f"[{NEIGHBOUR6}]:8080", "--json")
    document = json.loads(done.text)
    assert document["stdout"].split() == ["0", "0", "7", "6", "56", "7", "0"], done
    denied = targets(document["denied"])
    assert {f"local {HALF_NAME}", f"name_unknown {OTHER6}:8080", f"not_allowed {OTHER_NAME}",
            f"other_name {OTHER_NAME}:8080", f"not_allowed {HALF_NAME}:8081"} == denied, done
    other = next(one for one in document["denied"] if one["host"] == OTHER6)
    assert (other["rule"], other["address"]) == (None, OTHER6) or other["rule"] == f"[{OTHER6}]:8080", other
    shown = guest(inside, curl(f"http://[{OTHER6}]:8080/"), "--allow", SIX_NAME)
    assert shown.text == "7\n"


@pytest.mark.cost(10)
def test_no_byte_of_what_is_refused_gets_outside(world, inside):
    done = inside.run("python3", "-c", WAYS_OUT, OUTSIDE6, OTHER6, NEIGHBOUR6, HOST6, SIX_NAME,
                      environment=harness.FULL,
                      flags=("-q", "--json", "--timeout-seconds", "200", "--allow", SIX_NAME))
    document = json.loads(done.text)
    attempts = dict(line.split() for line in document["stdout"].splitlines())
    assert len(attempts) == 32, done
    alone = {"header-0", "header-43", "header-60", "fragment", "unknown", "tunnel", "syn", "segment", "sender",
             "advertisement", "multicast", "redirect", "raw-mapped", "neighbour"}
    assert {word for word, how in attempts.items() if how == "done"} == alone, done
    assert not {"TimeoutError", "timeout"} & set(attempts.values()), done
    leaked = world.in_host(sys.executable, "-c", "import urllib.request, sys; "
                           "print(urllib.request.urlopen(sys.argv[1]).read().decode())",
                           f"http://{OUTSIDE}:8080/leaked")
    assert json.loads(leaked) == ["control"], done
    denied = targets(document["denied"])
    assert {f"name_unknown {OTHER6}:8080", f"local {NEIGHBOUR6}:8080", f"local {HOST6}:8081", "never fd00:ec2::254:80",
            "never fe80::2:8081", "never 64:ff9b::cb00:7102:8080", "never 2002:cb00:7102::1:8080", "local fd00::1:8080",
            f"quic {SIX_NAME}:443", "other_name leak-hello.example:8080", "other_name leak-blank.example:8080",
            "other_name leak-name-of-host.example:8080"} <= denied, denied
    assert {"resolver", "protocol", "unknown_flow"} <= {one["reason"] for one in document["denied"]}, denied


@pytest.mark.cost(4)
def test_a_task_shows_its_ipv6_address_while_it_runs(inside):
    made = inside("task", "create", "-q", "--network", harness.FULL)
    assert made.code == 0, made
    task = made.text.strip()
    try:
        assert inside("task", "exec", task, "--", "true").code == 0
        shown = json.loads(inside("task", "network", "show", "--json", task).text)
        assert shown["ipv6_address"] == "fd70:7972:6f00::15", shown
        assert "IPv6: fd70:7972:6f00::15" in inside("task", "network", "show", task).text
        assert inside("task", "stop", task).code == 0
        assert json.loads(inside("task", "network", "show", "--json", task).text)["ipv6_address"] is None
    finally:
        inside("task", "delete", task)
    doctor = json.loads(inside("doctor", "--json").text)
    assert doctor["networking"]["ipv6"] is True, doctor["networking"]
