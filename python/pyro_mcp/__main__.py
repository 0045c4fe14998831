"""``python3 -m pyro_mcp``: the command line of this installation."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Becomes the program ``pyro``: the one that came with this package, or the system's."""
    own = pathlib.Path(__file__).resolve().parent / "libexec" / "pyro"
    program = str(own) if own.exists() else shutil.which("pyro", path="/usr/local/bin:/usr/bin")
    if program is None:
        sys.exit("pyro: the program pyro is not installed\nhint: install pyro-mcp again")
    os.execv(program, ["pyro", *sys.argv[1:]])


if __name__ == "__main__":
    main()
