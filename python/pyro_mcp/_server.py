"""pyro as a server of the Model Context Protocol."""

from __future__ import annotations

import os
import sys
from typing import Literal

from . import _pyro

# Which tools are offered: vm_run alone, the task_* tools, or all of them.
Profile = Literal["vm-run", "task", "full"]


class Server:
    """What ``pyro mcp serve`` is, in this process."""

    def __init__(self, engine: _pyro.Engine, profile: Profile) -> None:
        self._engine = engine
        self._profile = profile

    def run(self) -> None:
        """Serves the client on stdin and stdout until that closes stdin; to be called before
        anything is printed.

        The two streams are the protocol's from then on: what else is printed goes to stderr. Commands
        of vm_run end with the server, those of tasks go on. Ctrl-C ends it and raises
        KeyboardInterrupt.
        """
        sys.stdout.flush()
        if not self._engine.serve_mcp(self._profile):
            # Threads of calls that do not end would outlive the engine that they use.
            sys.stderr.flush()
            os._exit(0)


def create_server(*, profile: Profile = "full") -> Server:
    """A server over a Pyro of its own: ``create_server().run()`` serves MCP on stdio."""
    return Server(_pyro.Engine(), profile)
