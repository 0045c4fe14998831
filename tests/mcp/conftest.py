import pathlib
import sys

import harness
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import client  # noqa: E402


@pytest.fixture
def serve(request):
    """serve(*flags, pyro=…, era=…): a running server with a client. All are ended afterwards, and
    must have written nothing but the protocol."""
    servers = []

    def start(*flags, pyro=None, **options):
        server = client.Server(pyro or request.getfixturevalue("pyro"), *flags, **options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            assert server.close() == 0, server.talk()
        assert server.noise == [], server.noise


@pytest.fixture
def session(pyro, serve, request):
    """A server whose tasks are deleted when the test ends."""
    server = serve("--answer-seconds", "600", pyro=pyro)  # Commands here wait for the test.
    yield server
    for task_id in pyro("task", "list", "-q").text.split():
        deleted = pyro("task", "delete", task_id)
        assert deleted.code == 0, deleted


@pytest.fixture(scope="session")
def build_environment(cache_dir, tmp_path_factory):
    """The environment with a compiler, built when the first test needs it: about two minutes."""
    home = tmp_path_factory.mktemp("home")
    pulled = harness.Pyro(home / "state", cache_dir, home)("env", "pull", "debian:12-build")
    assert pulled.code == 0, pulled
    return "debian:12-build"
