"""pyro as a server of the Model Context Protocol."""

from __future__ import annotations

import os
import sys
from typing import Literal

from . import _pyro

# The tools that the server offers: vm_run alone, the task_* tools, or all of them.
Profile = Literal["vm-run", "task", "full"]


class Server:
    """The server of ``pyro mcp serve``, in this process."""

    def __init__(self, engine: _pyro.Engine, profile: Profile, spares: int) -> None:
        self._engine = engine
        self._profile = profile
        self._spares = spares

    def run(self) -> None:
        """Serves the client on stdin and stdout until the client closes stdin. Call it before the
        program prints.

        From then on the two streams belong to the protocol, and other prints go to stderr. Commands
        of vm_run end with the server; those of tasks go on. Ctrl-C ends it and raises
        KeyboardInterrupt.
        """
        sys.stdout.flush()
        if not self._engine.serve_mcp(self._profile, self._spares):
            # Threads of calls and builds that do not end would outlive the engine they use.
            sys.stderr.flush()
            os._exit(0)


def create_server(*, profile: Profile = "full", spares: int = 1) -> Server:
    """Returns a server with a Pyro of its own: ``create_server().run()`` serves MCP on stdio.

    It keeps ``spares`` guests of debian:12 waiting for calls, 0 to 64.
    """
    return Server(_pyro.Engine(), profile, spares)
